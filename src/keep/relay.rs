//! For programs that know nothing of the listener and listen on their TCP port: connections are accepted here and
//! copied to and fro. They count as connected for as long as they are open here, like any others.

use std::io;
use std::net::SocketAddr;
use std::os::unix::net::UnixListener as StdListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::io::copy_bidirectional;
use tokio::net::{TcpStream, UnixListener, UnixStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// For how long a connection that was accepted looks for an instance that answers.
const CONNECT_PATIENCE: Duration = Duration::from_secs(10);
const RETRY_PAUSE: Duration = Duration::from_millis(50);

/// An instance to relay to.
#[derive(Debug, Clone)]
struct Target {
    index: u32,
    address: SocketAddr,
    open: Arc<AtomicU64>,
}

/// The relay of one generation. Ends when dropped; connections go on.
#[derive(Debug)]
pub(super) struct Relay {
    targets: watch::Sender<Vec<Target>>,
    task: JoinHandle<()>,
}

impl Relay {
    /// Begins to accept, as soon as there is an instance to relay to.
    pub(super) fn start(listener: &StdListener) -> io::Result<Self> {
        // Each connection needs two descriptors. That the limit can't be raised shows when they run out.
        let _ = crate::process::own::raise_open_files();
        let listener = UnixListener::from_std(listener.try_clone()?)?;
        let (targets, seen) = watch::channel(Vec::new());
        let task = tokio::spawn(accept(listener, seen));
        Ok(Self { targets, task })
    }

    /// Relays to an instance too.
    pub(super) fn add(&self, index: u32, address: SocketAddr) {
        self.targets.send_modify(|targets| {
            targets.retain(|target| target.index != index);
            targets.push(Target {
                index,
                address,
                open: Arc::default(),
            });
        });
    }

    /// Sends an instance no more connections. Gives the count of those that it has, which goes on counting.
    pub(super) fn remove(&self, index: u32) -> Option<Arc<AtomicU64>> {
        let mut removed = None;
        self.targets.send_modify(|targets| {
            if let Some(at) = targets.iter().position(|target| target.index == index) {
                removed = Some(targets.swap_remove(at).open);
            }
        });
        removed
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Accepts only while there is somebody to relay to: what waits in the queue is not lost while an instance is
/// started again.
async fn accept(listener: UnixListener, mut targets: watch::Receiver<Vec<Target>>) {
    loop {
        if targets
            .wait_for(|targets| !targets.is_empty())
            .await
            .is_err()
        {
            return;
        }
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    tokio::spawn(relay(stream, targets.clone()));
                }
                Err(error) => {
                    // Out of descriptors, most likely: the queue holds what comes meanwhile.
                    tracing::warn!(%error, "can't accept a connection to relay");
                    tokio::time::sleep(RETRY_PAUSE).await;
                }
            },
            changed = targets.changed() => if changed.is_err() { return },
        }
    }
}

async fn relay(mut client: UnixStream, targets: watch::Receiver<Vec<Target>>) {
    let Some((mut app, target)) = connect(&targets).await else {
        return;
    };
    // Latency, not correctness, and a socket that was just connected takes it.
    let _ = app.set_nodelay(true);
    // How a connection ended (reset, closed) is between the two ends.
    let _ = copy_bidirectional(&mut client, &mut app).await;
    target.open.fetch_sub(1, Ordering::Relaxed);
}

/// Connects to the instance with the fewest connections; to another one, or again, while that fails.
async fn connect(targets: &watch::Receiver<Vec<Target>>) -> Option<(TcpStream, Target)> {
    let begun = Instant::now();
    while begun.elapsed() < CONNECT_PATIENCE {
        let mut candidates = targets.borrow().clone();
        candidates.sort_by_key(|target| target.open.load(Ordering::Relaxed));
        for target in candidates {
            // Counted first: an instance that is taken away meanwhile waits for this connection too.
            target.open.fetch_add(1, Ordering::Relaxed);
            match TcpStream::connect(target.address).await {
                Ok(stream) => return Some((stream, target)),
                Err(_) => target.open.fetch_sub(1, Ordering::Relaxed),
            };
        }
        tokio::time::sleep(RETRY_PAUSE).await;
    }
    tracing::warn!("no instance answers on its port");
    None
}
