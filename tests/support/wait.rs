//! Waiting for conditions, never for times.

use std::thread::sleep;
use std::time::{Duration, Instant};

/// How long a condition may take, on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Looks until there is a value; panics with `what` when the patience is at an end.
#[track_caller]
pub fn until<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    until_or(look, || what.to_owned())
}

/// The same, with words that are found when they are needed.
#[track_caller]
pub fn until_or<T>(mut look: impl FnMut() -> Option<T>, what: impl FnOnce() -> String) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(value) = look() {
            return value;
        }
        assert!(
            Instant::now() < deadline,
            "did not happen within {PATIENCE:?}: {}",
            what()
        );
        sleep(LOOK_EVERY);
    }
}
