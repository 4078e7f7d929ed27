//! When a drain is over: nothing accepted and nothing queued, twice in a row, or the limit.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::slot::{self, Connections};

/// The shortest pause between two counts.
const SHORTEST: Duration = Duration::from_millis(25);
/// The longest: what the last connection's end may go unnoticed for.
const LONGEST: Duration = Duration::from_millis(120);
/// Counting may take this part of the time at most (one in …), up to the longest pause.
const SHARE: u32 = 20;

/// How a drain came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum DrainEnd {
    /// No connection is left.
    Empty,
    /// The limit came first; so many were still open.
    Limit { open: u64 },
}

/// What follows a count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    CountAgain(Duration),
    Over(DrainEnd),
}

/// Decides after each count.
#[derive(Debug, Default)]
struct Watch {
    empty_before: bool,
}

impl Watch {
    fn after_count(&mut self, open: Connections, cost: Duration, left: Duration) -> Step {
        if open.total() == 0 && self.empty_before {
            return Step::Over(DrainEnd::Empty);
        }
        if left.is_zero() {
            let open = open.total();
            return Step::Over(if open == 0 {
                DrainEnd::Empty
            } else {
                DrainEnd::Limit { open }
            });
        }
        self.empty_before = open.total() == 0;
        let pause = if self.empty_before {
            SHORTEST
        } else {
            (cost * SHARE).clamp(SHORTEST, LONGEST)
        };
        Step::CountAgain(pause.min(left))
    }
}

/// Waits until a generation's socket has no connections left, or for `limit`.
pub(super) async fn until_empty(socket: PathBuf, limit: Duration) -> DrainEnd {
    until(limit, || slot::connections(&socket)).await
}

/// Waits until `count` finds nothing. A count that fails leaves the question open until the next one.
pub(super) async fn until(
    limit: Duration,
    count: impl Fn() -> Result<Connections, slot::SlotError>,
) -> DrainEnd {
    let begun = Instant::now();
    let mut watch = Watch::default();
    loop {
        let before = Instant::now();
        let open = count().unwrap_or_else(|error| {
            tracing::error!(%error, "can't count connections");
            Connections {
                established: 1,
                queued: 0,
            }
        });
        let left = limit.saturating_sub(begun.elapsed());
        match watch.after_count(open, before.elapsed(), left) {
            Step::Over(end) => return end,
            Step::CountAgain(pause) => tokio::time::sleep(pause).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: Connections = Connections {
        established: 0,
        queued: 0,
    };
    const SOME: Connections = Connections {
        established: 1,
        queued: 2,
    };
    const LONG: Duration = Duration::from_secs(60);
    const CHEAP: Duration = Duration::from_micros(50);

    #[test]
    fn a_generation_is_empty_when_it_was_found_so_twice_in_a_row() {
        let mut watch = Watch::default();
        let mut step = |open| watch.after_count(open, CHEAP, LONG);
        assert_eq!(step(NONE), Step::CountAgain(SHORTEST));
        assert_eq!(step(SOME), Step::CountAgain(SHORTEST));
        assert_eq!(step(NONE), Step::CountAgain(SHORTEST));
        assert_eq!(step(NONE), Step::Over(DrainEnd::Empty));
    }

    #[test]
    fn at_the_limit_what_is_open_is_told() {
        let mut watch = Watch::default();
        let step = watch.after_count(SOME, CHEAP, Duration::ZERO);
        assert_eq!(step, Step::Over(DrainEnd::Limit { open: 3 }));
    }

    #[test]
    fn counting_that_costs_much_is_done_less_often() {
        let mut watch = Watch::default();
        let pause = |step| match step {
            Step::CountAgain(pause) => pause,
            Step::Over(end) => panic!("{end:?}"),
        };
        let dear = Duration::from_millis(2);
        assert_eq!(
            pause(watch.after_count(SOME, dear, LONG)),
            Duration::from_millis(40)
        );
        let dearer = Duration::from_millis(20);
        assert_eq!(pause(watch.after_count(SOME, dearer, LONG)), LONGEST);
    }
}
