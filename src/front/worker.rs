//! One thread of the front: accepts, serves connections, and keeps its own pool. Nothing of a request crosses threads.

use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, TcpListener as StdListener};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;

use super::client_io::ClientIo;
use super::exchange;
use super::gauge::Gauges;
use super::options::Limits;
use super::pool::Pool;
use super::routes::RouteTable;
use crate::ids::AppName;

/// While the front drains, how long a client's connection may stay idle before it is closed. Closing at once would
/// lose the request that is just under way on it; a request within this time is answered, with `Connection: close`.
const LAST_REQUEST: Duration = Duration::from_secs(1);
/// The pause after an `accept` that failed for want of descriptors or memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What the front as a whole is doing, as each thread is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    Serving,
    Draining,
    Ended,
}

/// What a thread is asked to do. The sender is told when it is done.
#[derive(Debug)]
pub(super) enum Command {
    LookAgain(AppName, oneshot::Sender<()>),
    StopAccepting(oneshot::Sender<()>),
}

/// What all threads share, each with receivers of its own.
#[derive(Debug, Clone)]
pub(super) struct Shared {
    pub(super) gauges: Arc<Gauges>,
    /// `None` until the first table has come.
    pub(super) routes: watch::Receiver<Option<Arc<RouteTable>>>,
    pub(super) stage: watch::Receiver<Stage>,
    pub(super) limits: Limits,
}

/// One thread's state.
#[derive(Debug)]
pub(super) struct Worker {
    pub(super) gauges: Arc<Gauges>,
    pub(super) pool: Rc<Pool>,
    pub(super) limits: Limits,
    routes: watch::Receiver<Option<Arc<RouteTable>>>,
    stage: watch::Receiver<Stage>,
}

/// Runs a thread of the front until the front has ended.
pub(super) fn run(
    shared: Shared,
    listeners: Vec<StdListener>,
    commands: mpsc::UnboundedReceiver<Command>,
) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime, async move {
        let listeners: io::Result<Vec<_>> =
            listeners.into_iter().map(TcpListener::from_std).collect();
        let worker = Rc::new(Worker {
            gauges: shared.gauges,
            pool: Rc::new(Pool::default()),
            limits: shared.limits,
            routes: shared.routes,
            stage: shared.stage,
        });
        worker.run(listeners?, commands).await;
        Ok(())
    })
}

impl Worker {
    async fn run(
        self: Rc<Self>,
        listeners: Vec<TcpListener>,
        mut commands: mpsc::UnboundedReceiver<Command>,
    ) {
        let mut accepting = JoinSet::new();
        for listener in listeners {
            accepting.spawn_local(Rc::clone(&self).accept_all(listener));
        }
        let mut stage = self.stage.clone();
        let mut ended = pin!(stage.wait_for(|stage| *stage == Stage::Ended));
        loop {
            let command = tokio::select! {
                command = commands.recv() => command,
                _ = &mut ended => None,
            };
            // Whoever asked may have gone meanwhile, and then nobody needs to be told.
            let _ = match command {
                None => return,
                Some(Command::LookAgain(app, done)) => {
                    self.pool.look_again(&app);
                    // Connections are closed by their tasks, which come first now.
                    tokio::task::yield_now().await;
                    done.send(())
                }
                Some(Command::StopAccepting(done)) => {
                    accepting.shutdown().await;
                    done.send(())
                }
            };
        }
    }

    /// The routes as they are now.
    pub(super) fn routes(&self) -> Arc<RouteTable> {
        self.routes.borrow().clone().unwrap_or_default()
    }

    pub(super) fn is_draining(&self) -> bool {
        *self.stage.borrow() != Stage::Serving
    }

    async fn accept_all(self: Rc<Self>, listener: TcpListener) {
        let mut routes = self.routes.clone();
        if routes.wait_for(Option::is_some).await.is_err() {
            return;
        }
        drop(routes);
        loop {
            match listener.accept().await {
                Ok((stream, address)) => {
                    let client = address.ip();
                    tokio::task::spawn_local(Rc::clone(&self).serve(stream, client));
                }
                Err(error) if concerns_one_connection(&error) => {}
                Err(error) => {
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(error, "can't accept connections");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    async fn serve(self: Rc<Self>, stream: TcpStream, client: IpAddr) {
        let io = ClientIo::new(stream, self.gauges.clients.open());
        let mut stage = self.stage.clone();
        let client_header = self.limits.client_header;
        let service = service_fn(move |request| {
            let answer = exchange::answer(Rc::clone(&self), client, request);
            async { Ok::<_, Infallible>(answer.await) }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(client_header)
            .preserve_header_case(true)
            .title_case_headers(true)
            .serve_connection(TokioIo::new(io), service)
            .with_upgrades();
        let mut connection = pin!(connection);
        let last_request = async {
            // Fails only when the front has ended, which is the time to close too.
            let _ = stage.wait_for(|stage| *stage != Stage::Serving).await;
            tokio::time::sleep(LAST_REQUEST).await;
        };
        let ended = tokio::select! {
            ended = &mut connection => ended,
            () = last_request => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = ended {
            let error = &error as &dyn std::error::Error;
            tracing::debug!(error, "client's connection broke off");
        }
    }
}

/// Errors of `accept` that tell of one connection, which is gone, and not of the listener (accept(2)).
fn concerns_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionReset | Interrupted
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::front::gauge::Gauge;
    use std::io::{Read, Write};
    use std::net::TcpStream as StdStream;

    #[test]
    fn a_client_that_never_ends_its_header_is_closed() {
        let listener = StdListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        listener.set_nonblocking(true).unwrap();
        let (_routes, routes) = watch::channel(Some(Arc::default()));
        let (end, stage) = watch::channel(Stage::Serving);
        let (_commands, commands) = mpsc::unbounded_channel();
        let shared = Shared {
            gauges: Arc::default(),
            routes,
            stage,
            limits: Limits {
                client_header: Duration::from_millis(100),
                ..Limits::default()
            },
        };
        let clients: Arc<Gauge> = Arc::clone(&shared.gauges.clients);
        let thread = std::thread::spawn(|| run(shared, vec![listener], commands));

        let mut idle = StdStream::connect(address).unwrap();
        let mut slow = StdStream::connect(address).unwrap();
        slow.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nX-").unwrap();
        assert_eq!(slow.read(&mut [0; 16]).unwrap(), 0);
        assert_eq!(idle.read(&mut [0; 16]).unwrap(), 0);
        end.send(Stage::Ended).unwrap();
        thread.join().unwrap().unwrap();
        assert_eq!(clients.count(), 0);
    }
}
