//! The front's control socket from the inside.

use std::io;
use std::net::TcpListener;
use std::os::fd::AsFd;
use std::os::unix::net::UnixListener as StdUnixListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, oneshot, watch};

use super::error::FrontError;
use super::gauge::Gauges;
use super::live::LiveGeneration;
use super::protocol::{FrontState, FrontStatus, Reply, Request, Route};
use super::routes::RouteTable;
use super::wire::{Wire, WireError};
use super::worker::{Command, Stage};
use crate::ids::AppName;
use crate::process::identity::Identity;
use crate::process::rig::kill_point;
use crate::process::socket::bind_listener;

/// Mode of the control socket: for the user that runs handover.
const CONTROL_MODE: u32 = 0o600;
/// Connections to the control socket that may wait.
const CONTROL_BACKLOG: i32 = 64;

/// The name of the control socket, removed when the front no longer answers there.
#[derive(Debug)]
pub(super) struct ControlName {
    path: PathBuf,
    ours: Option<LiveGeneration>,
}

impl ControlName {
    /// Binds the control socket. A file that a dead front left is replaced; a front that answers is an error.
    pub(super) fn claim(path: &Path) -> Result<(Self, StdUnixListener), FrontError> {
        let failed = |source| FrontError::Control {
            path: path.to_owned(),
            source,
        };
        match std::os::unix::net::UnixStream::connect(path) {
            Ok(_) => return Err(FrontError::AlreadyRunning(path.to_owned())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                std::fs::remove_file(path).map_err(failed)?;
            }
            Err(error) => return Err(failed(error)),
        }
        let listener = bind_listener(path, CONTROL_MODE, None, CONTROL_BACKLOG).map_err(failed)?;
        let name = Self {
            path: path.to_owned(),
            ours: LiveGeneration::look(path).ok(),
        };
        Ok((name, listener))
    }

    /// Removes the name, unless another front has it by now.
    fn remove(&self) {
        if self.ours.is_some() && LiveGeneration::look(&self.path).ok() == self.ours {
            // A name that stays behind is found dead, and replaced, by the next front.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// Everything that requests on the control socket can reach.
#[derive(Debug)]
pub(super) struct Control {
    pub(super) name: ControlName,
    pub(super) identity: Identity,
    pub(super) gauges: Arc<Gauges>,
    pub(super) listeners: Vec<TcpListener>,
    pub(super) routes: watch::Sender<Option<Arc<RouteTable>>>,
    pub(super) stage: watch::Sender<Stage>,
    pub(super) workers: Vec<mpsc::UnboundedSender<Command>>,
}

impl Control {
    /// Answers on the control socket for as long as it is polled.
    pub(super) async fn serve(self: Arc<Self>, listener: UnixListener) {
        loop {
            match listener.accept().await {
                Ok((stream, _)) => {
                    let control = Arc::clone(&self);
                    tokio::spawn(async move {
                        if let Err(error) = control.converse(stream).await {
                            let error = &error as &dyn std::error::Error;
                            tracing::warn!(error, "control connection broke off");
                        }
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "can't accept control connections");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }

    async fn converse(self: &Arc<Self>, stream: UnixStream) -> Result<(), WireError> {
        let mut wire = Wire::new(stream);
        loop {
            let reply = match wire.receive().await {
                Ok(None) => return Ok(()),
                Ok(Some(request)) => self.reply_to(request).await,
                Err(error @ WireError::Message { .. }) => Reply::Refused {
                    reason: error.to_string(),
                },
                Err(error) => return Err(error),
            };
            // A request needs no descriptors; what came all the same is closed here.
            drop(wire.take_descriptors());
            let descriptors: Vec<_> = match reply {
                Reply::Listeners { .. } => self.listeners.iter().map(AsFd::as_fd).collect(),
                _ => Vec::new(),
            };
            wire.send(&reply, &descriptors).await?;
        }
    }

    async fn reply_to(self: &Arc<Self>, request: Request) -> Reply {
        match request {
            Request::Routes { routes } => self.set_routes(routes),
            Request::Published { app } => self.look_again(&app).await,
            Request::Status => return Reply::Status(self.status()),
            Request::Listeners => {
                let count = self.listeners.len();
                return Reply::Listeners { count };
            }
            Request::Drain { limit_ms } => self.drain(Duration::from_millis(limit_ms)).await,
        }
        Reply::Done
    }

    fn set_routes(&self, routes: Vec<Route>) {
        let table = Arc::new(RouteTable::new(routes, &self.gauges));
        self.routes.send_replace(Some(table));
        kill_point("front.routes_set");
    }

    async fn look_again(&self, app: &AppName) {
        kill_point("front.told_of_swap");
        self.tell_all(|done| Command::LookAgain(app.clone(), done))
            .await;
    }

    /// Stops accepting. What is in flight has `limit` to end; a second call can only shorten that.
    pub(super) async fn drain(self: &Arc<Self>, limit: Duration) {
        self.stage.send_if_modified(|stage| {
            let begins = *stage == Stage::Serving;
            if begins {
                *stage = Stage::Draining;
            }
            begins
        });
        self.tell_all(Command::StopAccepting).await;
        self.name.remove();
        let control = Arc::clone(self);
        tokio::spawn(async move {
            let emptied = control.gauges.clients.emptied();
            if tokio::time::timeout(limit, emptied).await.is_err() {
                let cut = control.gauges.clients.count();
                tracing::warn!(
                    connections = cut,
                    "drain limit reached, connections are cut"
                );
            }
            control.stage.send_replace(Stage::Ended);
        });
    }

    /// Has every thread do something, and waits until all have. A thread that is gone has nothing to do any more.
    async fn tell_all(&self, command: impl Fn(oneshot::Sender<()>) -> Command) {
        let mut waiting = Vec::new();
        for worker in &self.workers {
            let (done, told) = oneshot::channel();
            if worker.send(command(done)).is_ok() {
                waiting.push(told);
            }
        }
        for told in waiting {
            // An error means that the thread ended before it came to this.
            let _ = told.await;
        }
    }

    fn status(&self) -> FrontStatus {
        let state = match *self.stage.borrow() {
            Stage::Draining | Stage::Ended => FrontState::Draining,
            Stage::Serving if self.routes.borrow().is_none() => FrontState::Waiting,
            Stage::Serving => FrontState::Serving,
        };
        let addresses = self.listeners.iter();
        FrontStatus {
            identity: self.identity.clone(),
            listeners: addresses.filter_map(|it| it.local_addr().ok()).collect(),
            state,
            client_connections: self.gauges.clients.count(),
            in_flight: self.gauges.in_flight.count(),
            upstream: self.gauges.upstream_status(),
        }
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        self.name.remove();
    }
}
