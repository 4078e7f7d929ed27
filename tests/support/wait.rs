//! Waiting for conditions, never for times.

use std::sync::OnceLock;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// How long a condition may take, on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// How many times longer than usual everything may take: `HANDOVER_TEST_PATIENCE`, for runs that let others go first.
pub fn patience(usual: Duration) -> Duration {
    static TIMES: OnceLock<u32> = OnceLock::new();
    let times = || {
        let set = std::env::var("HANDOVER_TEST_PATIENCE").ok();
        set.map_or(1, |times| times.parse().unwrap())
    };
    usual * *TIMES.get_or_init(times)
}

/// Looks until there is a value; panics with `what` when the patience is at an end.
#[track_caller]
pub fn until<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    until_or(look, || what.to_owned())
}

/// The same, with words that are found when they are needed.
#[track_caller]
pub fn until_or<T>(mut look: impl FnMut() -> Option<T>, what: impl FnOnce() -> String) -> T {
    let deadline = Instant::now() + patience(PATIENCE);
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
