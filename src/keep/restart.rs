//! Whether and when an instance that ended is started again: a pure decision.

use std::time::Duration;

use super::protocol::ModeName;

/// The first pause before an instance is started again.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// The longest.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// Who ran for this long is taken to be well: the next pause is the first again.
const WELL_AFTER: Duration = Duration::from_secs(60);

/// What is done about an instance that ended without being told to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AfterExit {
    /// It is started again after a pause.
    Restart(Duration),
    /// It is not: the deploy that started it fails, or the generation is going anyway.
    Stay,
}

/// Counts the failures of one instance in a row.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct BackOff {
    in_a_row: u32,
}

impl BackOff {
    /// Decides what follows an end after `ran_for`.
    ///
    /// While the generation starts, an end is the deploy's failure and not ours to repair. While it drains, what is
    /// left of its connections still needs it, and it may become live again.
    pub(super) fn after_exit(&mut self, mode: ModeName, ran_for: Duration) -> AfterExit {
        match mode {
            ModeName::Starting | ModeName::Stopping => AfterExit::Stay,
            ModeName::Serving | ModeName::Draining => {
                if ran_for >= WELL_AFTER {
                    self.in_a_row = 0;
                }
                let pause = FIRST_PAUSE.saturating_mul(1 << self.in_a_row.min(16));
                self.in_a_row += 1;
                AfterExit::Restart(pause.min(LONGEST_PAUSE))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_limit_and_begin_anew_after_a_good_run() {
        let mut back_off = BackOff::default();
        let mut next = |ran_for| match back_off.after_exit(ModeName::Serving, ran_for) {
            AfterExit::Restart(pause) => pause.as_millis(),
            AfterExit::Stay => panic!("a serving instance is started again"),
        };
        let short = Duration::from_secs(1);
        let pauses: Vec<_> = (0..11).map(|_| next(short)).collect();
        assert_eq!(pauses[..4], [100, 200, 400, 800]);
        assert_eq!(pauses[8..], [25_600, 30_000, 30_000]);
        assert_eq!(next(WELL_AFTER), 100);
        assert_eq!(next(short), 200);
    }

    #[test]
    fn nothing_is_started_again_before_commit_or_after_stop() {
        for mode in [ModeName::Starting, ModeName::Stopping] {
            let next = BackOff::default().after_exit(mode, Duration::ZERO);
            assert_eq!(next, AfterExit::Stay);
        }
    }
}
