//! The app's log: what all instances of all its generations print.
//!
//! ```text
//! pumps (the keeper's one thread) ──bounded queue──▶ writer (a thread of its own) ──▶ app.log ──▶ app.log.1 …
//! ```
//!
//! A disk that is slow or full makes the queue run full: lines are then dropped and counted, and the app is never
//! held up. The count is written as soon as writing works again.

mod rotate;
mod writer;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::{Duration, Instant};

use super::spec::LogLimits;
use writer::Writer;

/// The most lines that wait to be written.
const QUEUE_LINES: usize = 8192;
/// The most bytes that wait to be written.
const QUEUE_BYTES: usize = 1024 * 1024;

/// Counters that both sides share.
#[derive(Debug, Default)]
struct Shared {
    /// Handed in and not written yet.
    queued_bytes: AtomicUsize,
    /// Not written, and not told yet.
    dropped_lines: AtomicU64,
}

/// Where lines are handed in. Never blocks.
#[derive(Debug)]
pub(super) struct AppLog {
    queue: SyncSender<String>,
    shared: Arc<Shared>,
}

impl AppLog {
    /// Starts the writer. The file is opened by it, when there is a line to write.
    pub(super) fn open(path: PathBuf, limits: LogLimits) -> std::io::Result<Self> {
        let (queue, lines) = sync_channel(QUEUE_LINES);
        let shared = Arc::new(Shared::default());
        let writer = Writer::new(path, limits, Arc::clone(&shared));
        std::thread::Builder::new()
            .name("log".into())
            .stack_size(128 * 1024)
            .spawn(move || writer.run(&lines))?;
        Ok(Self { queue, shared })
    }

    /// Hands in a line with its end, or drops and counts it.
    pub(super) fn line(&self, line: String) {
        let bytes = line.len();
        let before = self.shared.queued_bytes.fetch_add(bytes, Ordering::Relaxed);
        if before + bytes > QUEUE_BYTES || self.queue.try_send(line).is_err() {
            self.shared.queued_bytes.fetch_sub(bytes, Ordering::Relaxed);
            self.shared.dropped_lines.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Lets the writer finish what is queued, for as long as `patience`: a disk that hangs must not keep the keeper.
    pub(super) async fn flush(&self, patience: Duration) {
        let until = Instant::now() + patience;
        while self.shared.queued_bytes.load(Ordering::Relaxed) > 0 && Instant::now() < until {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
}
