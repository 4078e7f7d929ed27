//! Who deploys when: one deploy at a time per app, one place to wait, and the newest wins it. Pure.
//!
//! ```text
//!            admit                    next
//!   idle ───────────► running(A) ───────────► idle
//!                      │      ▲ next
//!                      │admit │
//!                      ▼      │
//!               running(A) + waiting(B) ──admit──► running(A) + waiting(C); B is superseded
//! ```
//!
//! Owned by the app's worker.

use crate::ids::{CommitId, DeployNumber, ReleaseNumber};

/// What a deploy is to bring about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Goal {
    /// This commit is live.
    Commit(CommitId),
    /// The live release has been started afresh.
    FreshStart,
    /// This release, which was built before, is live.
    Release(ReleaseNumber),
}

/// A deploy in the queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    /// Its number.
    pub number: DeployNumber,
    /// What it is to bring about.
    pub goal: Goal,
}

/// What becomes of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Admission {
    /// It runs at once.
    Run,
    /// It waits for the deploy that runs, and takes the place of the one that waited.
    Wait {
        /// The deploy that runs.
        behind: DeployNumber,
        /// The deploy that lost its place.
        superseded: Option<DeployNumber>,
    },
    /// The same is being done already.
    Join(DeployNumber),
}

/// The queue of one app.
#[derive(Debug, Default)]
pub(super) struct Queue {
    running: Option<Entry>,
    waiting: Option<Entry>,
}

impl Queue {
    /// What would become of a request for this goal. Changes nothing, so that a number is taken only where one is needed.
    pub(super) fn consider(&self, goal: &Goal) -> Admission {
        match (&self.running, &self.waiting) {
            (None, _) => Admission::Run,
            (_, Some(waiting)) if waiting.goal == *goal => Admission::Join(waiting.number),
            (Some(running), None) if running.goal == *goal && !matches!(goal, Goal::FreshStart) => {
                Admission::Join(running.number)
            }
            (Some(running), waiting) => Admission::Wait {
                behind: running.number,
                superseded: waiting.as_ref().map(|waiting| waiting.number),
            },
        }
    }

    /// Gives a deploy the place that [`Queue::consider`] has found for it.
    pub(super) fn admit(&mut self, entry: Entry) {
        if self.running.is_none() {
            self.running = Some(entry);
        } else {
            self.waiting = Some(entry);
        }
    }

    /// The running deploy, if there was one, has ended, and this one runs before the one that waits.
    pub(super) fn put_first(&mut self, entry: Entry) {
        self.running = Some(entry);
    }

    /// The running deploy has ended: the one that waited runs now.
    pub(super) fn next(&mut self) -> Option<&Entry> {
        self.running = self.waiting.take();
        self.running.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn commit(digit: u8) -> Goal {
        Goal::Commit(format!("{digit:x}").repeat(40).parse().unwrap())
    }

    fn push(queue: &mut Queue, number: u32, goal: Goal) -> Admission {
        let admission = queue.consider(&goal);
        if !matches!(admission, Admission::Join(_)) {
            queue.admit(Entry {
                number: DeployNumber(number),
                goal,
            });
        }
        admission
    }

    #[test]
    fn the_first_runs_the_second_waits_and_the_third_takes_its_place() {
        let mut queue = Queue::default();
        assert_eq!(push(&mut queue, 1, commit(1)), Admission::Run);
        assert_eq!(
            push(&mut queue, 2, commit(2)),
            Admission::Wait {
                behind: DeployNumber(1),
                superseded: None
            }
        );
        let third = Admission::Wait {
            behind: DeployNumber(1),
            superseded: Some(DeployNumber(2)),
        };
        assert_eq!(push(&mut queue, 3, commit(3)), third);
        assert_eq!(queue.next().unwrap().number, DeployNumber(3));
        assert_eq!(queue.next(), None);
    }

    #[test]
    fn the_same_commit_joins() {
        let mut queue = Queue::default();
        push(&mut queue, 1, commit(1));
        assert_eq!(
            push(&mut queue, 2, commit(1)),
            Admission::Join(DeployNumber(1))
        );
        push(&mut queue, 3, commit(2));
        assert_eq!(
            push(&mut queue, 4, commit(2)),
            Admission::Join(DeployNumber(3))
        );
    }

    #[test]
    fn going_back_to_the_running_commit_outdoes_what_waits() {
        let mut queue = Queue::default();
        push(&mut queue, 1, commit(1));
        push(&mut queue, 2, commit(2));
        let back = Admission::Wait {
            behind: DeployNumber(1),
            superseded: Some(DeployNumber(2)),
        };
        assert_eq!(push(&mut queue, 3, commit(1)), back);
    }

    #[test]
    fn what_is_put_first_runs_before_the_one_that_waits() {
        let mut queue = Queue::default();
        push(&mut queue, 1, commit(1));
        push(&mut queue, 2, commit(2));
        queue.put_first(Entry {
            number: DeployNumber(3),
            goal: commit(0),
        });
        assert!(matches!(
            push(&mut queue, 4, commit(0)),
            Admission::Wait {
                behind: DeployNumber(3),
                superseded: Some(DeployNumber(2))
            }
        ));
        assert_eq!(queue.next().unwrap().number, DeployNumber(4));
    }

    #[test]
    fn a_restart_during_a_restart_is_another_restart() {
        let mut queue = Queue::default();
        push(&mut queue, 1, Goal::FreshStart);
        assert!(matches!(
            push(&mut queue, 2, Goal::FreshStart),
            Admission::Wait { .. }
        ));
        assert_eq!(
            push(&mut queue, 3, Goal::FreshStart),
            Admission::Join(DeployNumber(2))
        );
    }

    proptest! {
        #[test]
        fn the_newest_wish_is_always_what_runs_last(wishes in proptest::collection::vec((0u8..4, any::<bool>()), 1..40)) {
            let mut queue = Queue::default();
            let mut newest = None;
            for (number, (digit, end_one)) in (1..).zip(wishes) {
                newest = Some(commit(digit));
                push(&mut queue, number, commit(digit));
                if end_one && queue.waiting.is_some() {
                    queue.next();
                }
                let last = queue.waiting.as_ref().or(queue.running.as_ref()).map(|entry| entry.goal.clone());
                prop_assert_eq!(&last, &newest);
            }
            prop_assert!(newest.is_some());
        }
    }
}
