//! Work that waits for the disk, in async code.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};

/// The most threads that wait for the disk, and how long each waits for more to do. They are kept: where the system
/// refuses a new thread, work waits for one of these; without any, it could not be done at all.
const AT_MOST: usize = 32;
const KEPT_FOR: Duration = Duration::from_secs(24 * 3600);
/// How many there are from the beginning: more than some deploys at once need, so that what the process takes of the
/// machine is told by its start and not by its worst moment.
const AT_START: usize = 12;
/// How long they are waited for. Fewer will do.
const START_PATIENCE: Duration = Duration::from_secs(1);

/// A runtime for async work on one thread, and for blocking work on others.
pub fn runtime() -> std::io::Result<Runtime> {
    Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(AT_MOST)
        .thread_keep_alive(KEPT_FOR)
        .build()
}

/// Runs work on a thread that may wait. A panic in it goes on in the caller.
pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(value) => value,
        Err(join) => std::panic::resume_unwind(join.into_panic()),
    }
}

/// Starts the threads that blocking work will need, as far as the system lets us.
pub async fn start_threads() {
    let running = Arc::new((Mutex::new(0), Condvar::new()));
    let threads: Vec<_> = (0..AT_START)
        .map(|_| {
            let running = Arc::clone(&running);
            tokio::task::spawn_blocking(move || wait_for_all(&running))
        })
        .collect();
    for thread in threads {
        // One that can't be started is missed by nobody.
        let _ = thread.await;
    }
}

/// Keeps a thread busy until all of them run.
fn wait_for_all((running, changed): &(Mutex<usize>, Condvar)) {
    let mut count = running.lock().unwrap_or_else(PoisonError::into_inner);
    *count += 1;
    changed.notify_all();
    // That not all have come is no error.
    let _ = changed.wait_timeout_while(count, START_PATIENCE, |count| *count < AT_START);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_threads_are_there_from_the_beginning() {
        let threads = || std::fs::read_dir("/proc/self/task").unwrap().count();
        let runtime = runtime().unwrap();
        let before = threads();
        runtime.block_on(start_threads());
        assert!(threads() >= before + AT_START);
    }
}
