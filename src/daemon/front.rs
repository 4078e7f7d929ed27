//! Keeps a front running on the public sockets, and its routes true.
//!
//! ```text
//!   ┌─► starting ──answers──► serving ──gone──┐
//!   └───────────── pause ◄────────────────────┘
//! ```

use std::collections::BTreeMap;
use std::io;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use super::listeners::Listeners;
use crate::deploy::site::{AppRoute, Site};
use crate::front::{FrontClient, Route, RouteState};
use crate::ids::AppName;
use crate::process::child::{Output, Spawn};
use crate::process::identity::{Identity, PidFd};
use crate::process::rig;

/// The number of the first listener in a front.
const FIRST_LISTENER_FD: i32 = 200;
/// How long a front may take to answer on its control socket.
const START_LIMIT: Duration = Duration::from_secs(10);
/// The first pause before a front that ended is started again; doubled up to the last while they end early.
const PAUSES: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(5));
/// A front that ran for so long did not end early.
const STEADY: Duration = Duration::from_secs(10);
/// How long requests may take when everything is stopped.
const STOP_LIMIT: Duration = Duration::from_secs(2);

type Routes = BTreeMap<AppName, AppRoute>;

/// The task that keeps a front running.
#[derive(Debug)]
pub(super) struct Supervisor {
    site: Arc<Site>,
    task: Option<JoinHandle<()>>,
}

impl Supervisor {
    /// Starts it; where there are no sockets, there is no front.
    pub(super) fn start(site: &Arc<Site>, listeners: Listeners) -> Self {
        let task = (!listeners.sockets.is_empty())
            .then(|| tokio::spawn(supervise(Arc::clone(site), listeners)));
        Self {
            site: Arc::clone(site),
            task,
        }
    }

    /// Lets the front go on without us.
    pub(super) fn leave(self) {
        if let Some(task) = self.task {
            task.abort();
        }
    }

    /// Has the front finish what is in flight, and waits for its end.
    pub(super) async fn stop(self) {
        let Some(task) = self.task else { return };
        task.abort();
        let Ok(mut client) = FrontClient::connect(&self.site.layout.front_socket()).await else {
            return;
        };
        let identity = client.status().await.map(|status| status.identity);
        if let Err(error) = client.drain(STOP_LIMIT).await {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "front can't be told to end"
            );
        }
        if let Ok(identity) = identity
            && timeout(STOP_LIMIT * 2, gone(&identity)).await.is_err()
        {
            tracing::warn!("front does not end");
        }
    }
}

async fn supervise(site: Arc<Site>, listeners: Listeners) {
    let mut routes = site.routes.subscribe();
    let mut pause = PAUSES.0;
    let mut runs = listeners.front_runs;
    loop {
        let began = Instant::now();
        let served = async {
            if !runs {
                spawn(&site, &listeners.sockets)?;
            }
            let client = connect(&site).await?;
            attend(client, &mut routes).await
        };
        if let Err(error) = served.await {
            tracing::error!(error = &*error as &dyn std::error::Error, "front failed");
        }
        runs = false;
        pause = if began.elapsed() > STEADY {
            PAUSES.0
        } else {
            (pause * 2).min(PAUSES.1)
        };
        tracing::warn!(?pause, "front has ended and is started again");
        sleep(pause).await;
    }
}

type Trouble = Box<dyn std::error::Error + Send + Sync>;

fn spawn(site: &Site, sockets: &[TcpListener]) -> Result<(), Trouble> {
    let log = std::fs::File::options()
        .create(true)
        .append(true)
        .open(site.layout.home().join("front.log"))?;
    let mut front = Spawn::new(&site.executable)
        .envs(&site.environment)
        .envs(rig::passed_on())
        .args(["front", "--control"])
        .arg(site.layout.front_socket())
        .stdout(Output::Null)
        .stderr(Output::File(log));
    for (number, socket) in (FIRST_LISTENER_FD..).zip(sockets) {
        let copy: io::Result<OwnedFd> = socket.try_clone().map(OwnedFd::from);
        front = front
            .arg("--listen-fd")
            .arg(number.to_string())
            .inherit_fd(copy?, number);
    }
    let started = front.spawn_detached()?;
    tracing::info!(pid = started.pid, "front started");
    Ok(())
}

/// Connects as soon as the front answers.
async fn connect(site: &Site) -> Result<FrontClient, Trouble> {
    const LOOK_EVERY: Duration = Duration::from_millis(10);
    let path = site.layout.front_socket();
    let answering = async {
        loop {
            match FrontClient::connect(&path).await {
                Ok(client) => return client,
                Err(_) => sleep(LOOK_EVERY).await,
            }
        }
    };
    timeout(START_LIMIT, answering)
        .await
        .map_err(|_| "the front did not answer in time; see front.log".into())
}

/// Keeps the routes true until the front is gone.
async fn attend(
    mut client: FrontClient,
    routes: &mut watch::Receiver<Routes>,
) -> Result<(), Trouble> {
    let identity = client.status().await?.identity;
    let mut known = Routes::new();
    routes.mark_changed();
    loop {
        tokio::select! {
            changed = routes.changed() => {
                changed?;
                let current = routes.borrow_and_update().clone();
                tell(&mut client, &known, &current).await?;
                known = current;
            }
            () = gone(&identity) => return Ok(()),
        }
    }
}

async fn tell(client: &mut FrontClient, known: &Routes, current: &Routes) -> Result<(), Trouble> {
    client
        .routes(
            current
                .iter()
                .map(|(app, route)| table_row(app, route))
                .collect(),
        )
        .await?;
    for (app, route) in current {
        if known
            .get(app)
            .is_some_and(|before| before.live != route.live)
        {
            client.published(app).await?;
        }
    }
    Ok(())
}

fn table_row(app: &AppName, route: &AppRoute) -> Route {
    let state = if route.live.is_some() {
        RouteState::Live
    } else {
        RouteState::Empty
    };
    Route {
        app: app.clone(),
        socket: route.socket.clone(),
        hosts: route.hosts.clone(),
        state,
    }
}

async fn gone(identity: &Identity) {
    match PidFd::open(identity) {
        Ok(Some(process)) => {
            if let Err(error) = process.exited().await {
                tracing::error!(%error, "front can't be watched");
                std::future::pending::<()>().await;
            }
        }
        Ok(None) => {}
        Err(error) => {
            tracing::error!(%error, "front can't be watched");
            std::future::pending::<()>().await;
        }
    }
}
