//! Clients that never stop asking.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::net::UnixStream;

use super::support::*;

/// Requests without a pause, each on a connection of its own, until told to stop: how many were answered, and what
/// went wrong.
pub(crate) struct Load {
    stop: tokio::sync::watch::Sender<()>,
    tasks: Vec<tokio::task::JoinHandle<(u64, Vec<String>)>>,
    served: Arc<AtomicU64>,
}

impl Load {
    pub(crate) fn start(socket: &Path, clients: usize) -> Self {
        let (stop, stopped) = tokio::sync::watch::channel(());
        let served = Arc::<AtomicU64>::default();
        let tasks = (0..clients)
            .map(|client| {
                let (socket, stopped) = (socket.to_owned(), stopped.clone());
                let served = Arc::clone(&served);
                tokio::spawn(async move {
                    let (mut good, mut bad) = (0, Vec::new());
                    let mut kept = None;
                    while !stopped.has_changed().unwrap_or(true) {
                        let result = if client % 2 == 0 {
                            get(&socket, "/").await.map(|_| ())
                        } else {
                            pooled(&socket, &mut kept).await
                        };
                        match result {
                            Ok(()) => {
                                good += 1;
                                served.fetch_add(1, Ordering::Relaxed);
                            }
                            Err(error) => bad.push(error.to_string()),
                        }
                    }
                    (good, bad)
                })
            })
            .collect();
        Self {
            stop,
            tasks,
            served,
        }
    }

    /// Waits until so many more requests have been answered.
    pub(crate) async fn go_on_for(&self, requests: u64) {
        let count = || self.served.load(Ordering::Relaxed);
        let before = count();
        until("answers", async || {
            (count() >= before + requests).then_some(())
        })
        .await;
    }

    pub(crate) async fn finish(self) -> (u64, Vec<String>) {
        drop(self.stop);
        let mut all = (0, Vec::new());
        for task in self.tasks {
            let (good, bad) = within("end of the load", task).await.unwrap();
            all.0 += good;
            all.1.extend(bad);
        }
        all
    }
}

/// As a front with a pool does: the connection is used again unless the answer said `close`.
async fn pooled(socket: &Path, kept: &mut Option<UnixStream>) -> std::io::Result<()> {
    let mut stream = match kept.take() {
        Some(stream) => stream,
        None => UnixStream::connect(socket).await?,
    };
    let head = exchange(&mut stream, "/").await?;
    if !head.contains("connection: close") {
        *kept = Some(stream);
    }
    Ok(())
}
