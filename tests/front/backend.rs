//! An app made of a few lines of Rust on a UNIX socket.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinHandle;

use crate::peer::Peer;

/// What an app sees of one connection.
pub(crate) type AppPeer = Peer<UnixStream>;

/// A server that does with each connection what the test says.
pub(crate) struct Backend {
    pub(crate) socket: PathBuf,
    accepted: Arc<AtomicUsize>,
    open: Arc<AtomicUsize>,
    accepting: JoinHandle<()>,
}

impl Backend {
    /// Serves each connection with `script`, told which one it is (from 0).
    pub(crate) fn start<F, Fut>(socket: &Path, script: F) -> Self
    where
        F: Fn(AppPeer, usize) -> Fut + Send + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let listener = UnixListener::bind(socket).unwrap();
        let (accepted, open) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
        let counts = (Arc::clone(&accepted), Arc::clone(&open));
        let accepting = tokio::spawn(async move {
            let (accepted, open) = counts;
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                open.fetch_add(1, Ordering::SeqCst);
                let number = accepted.fetch_add(1, Ordering::SeqCst);
                let served = script(Peer::new(stream), number);
                let open = Arc::clone(&open);
                tokio::spawn(async move {
                    served.await;
                    open.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        Self {
            socket: socket.to_owned(),
            accepted,
            open,
            accepting,
        }
    }

    /// Answers every request, over as many connections as there are, with these words.
    pub(crate) fn saying(socket: &Path, words: &'static str) -> Self {
        Self::start(socket, move |mut peer, _| async move {
            while peer.try_message().await.is_some() {
                peer.send(ok(words)).await;
            }
        })
    }

    /// Connections accepted so far.
    pub(crate) fn accepted(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }

    /// Connections open now. One whose script failed stays open for ever, so that tests that wait for none fail too.
    pub(crate) fn open(&self) -> usize {
        self.open.load(Ordering::SeqCst)
    }

    /// Closes the listening socket; its name stays, as when a process is killed.
    pub(crate) async fn stop_listening(&mut self) {
        self.accepting.abort();
        // The result only says that it was aborted.
        let _ = (&mut self.accepting).await;
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// A whole answer with these words as its body.
pub(crate) fn ok(words: &str) -> String {
    let length = words.len();
    format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{words}")
}
