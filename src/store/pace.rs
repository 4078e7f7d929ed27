//! How fast a tree is laid out: at once for a deploy that waits for it, else in the breaks of everything else.

use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::error::StoreError;

/// How much hurry there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Urgency {
    /// Nobody waits for it.
    Background = 0,
    /// A deploy waits for it.
    Now = 1,
    /// Nobody wants it any more.
    Never = 2,
}

/// The pace of some work, which may change while it is under way.
#[derive(Debug)]
pub(super) struct Pace(AtomicU8);

/// In the background this much is worked…
const WORK: Duration = Duration::from_millis(4);
/// …and then rested, so that a core is a third busy at most.
const REST: Duration = Duration::from_millis(8);

impl Pace {
    /// Work that begins with this urgency.
    pub(super) fn new(urgency: Urgency) -> Self {
        Self(AtomicU8::new(urgency as u8))
    }

    /// Changes it, for the work that is under way.
    pub(super) fn set(&self, urgency: Urgency) {
        self.0.store(urgency as u8, Ordering::Release);
    }

    fn is_background(&self) -> bool {
        self.0.load(Ordering::Acquire) == Urgency::Background as u8
    }

    pub(super) fn is_over(&self) -> bool {
        self.0.load(Ordering::Acquire) == Urgency::Never as u8
    }
}

/// How many items a thread takes at once.
const BATCH: usize = 32;

/// One worker's own stretch of work at a [`Pace`].
pub(super) struct Stretch<'p> {
    pace: &'p Pace,
    began: Instant,
}

impl<'p> Stretch<'p> {
    pub(super) fn new(pace: &'p Pace) -> Self {
        Self {
            pace,
            began: Instant::now(),
        }
    }

    /// Between two files: rests if it is time to, and says if the work is to end.
    pub(super) fn breathe(&mut self) -> Result<(), StoreError> {
        if self.pace.is_over() {
            return Err(StoreError::Stopped);
        }
        if self.pace.is_background() && self.began.elapsed() >= WORK {
            std::thread::sleep(REST);
            self.began = Instant::now();
        }
        Ok(())
    }
}

/// Maps in order, at a pace: in the background with one thread and its rests. Whatever is not done when it gets urgent is
/// done in parallel.
pub(super) fn at_pace<T: Sync, R: Send, E: Send + From<StoreError>>(
    all: &[T],
    pace: &Pace,
    work: impl Fn(&T) -> Result<R, E> + Sync,
) -> Result<Vec<R>, E> {
    let mut done = Vec::with_capacity(all.len());
    let mut stretch = Stretch::new(pace);
    while pace.is_background() && done.len() < all.len() {
        stretch.breathe()?;
        done.push(work(&all[done.len()])?);
    }
    stretch.breathe()?;
    let rest = in_parallel(&all[done.len()..], work)?;
    done.extend(rest);
    Ok(done)
}

/// Maps with as many threads as there are cores, in order. The first error ends all.
pub(super) fn in_parallel<T: Sync, R: Send, E: Send>(
    all: &[T],
    work: impl Fn(&T) -> Result<R, E> + Sync,
) -> Result<Vec<R>, E> {
    let batches = all.len().div_ceil(BATCH);
    let threads = std::thread::available_parallelism()
        .map_or(1, usize::from)
        .min(batches);
    let next = AtomicUsize::new(0);
    let run = || {
        let mut done = Vec::new();
        loop {
            let batch = next.fetch_add(1, Ordering::Relaxed);
            if batch >= batches {
                return Ok(done);
            }
            let items = &all[batch * BATCH..all.len().min((batch + 1) * BATCH)];
            let results: Result<Vec<R>, E> = items.iter().map(&work).collect();
            match results {
                Ok(results) => done.push((batch, results)),
                Err(error) => {
                    next.store(batches, Ordering::Relaxed);
                    return Err(error);
                }
            }
        }
    };
    let mut done = std::thread::scope(|scope| {
        let others: Vec<_> = (1..threads)
            // Where the system refuses a thread the others do its part.
            .filter_map(|_| std::thread::Builder::new().spawn_scoped(scope, run).ok())
            .collect();
        let mut all = run()?;
        for other in others {
            match other.join() {
                Ok(more) => all.extend(more?),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        Ok(all)
    })?;
    done.sort_unstable_by_key(|(batch, _)| *batch);
    Ok(done.into_iter().flat_map(|(_, results)| results).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_in_parallel_comes_back_in_order_and_ends_at_the_first_error() {
        let numbers: Vec<usize> = (0..1000).collect();
        let doubled = in_parallel(&numbers, |n| Ok::<_, ()>(n * 2)).unwrap();
        assert!(
            doubled
                .iter()
                .enumerate()
                .all(|(n, double)| *double == 2 * n)
        );
        let failed = in_parallel(&numbers, |&n| if n == 500 { Err(n) } else { Ok(n) });
        assert_eq!(failed, Err(500));
        let none: [usize; 0] = [];
        assert_eq!(in_parallel(&none, |n| Ok::<_, ()>(*n)), Ok(Vec::new()));
    }

    #[test]
    fn work_that_gets_urgent_is_done_all_the_same_and_such_that_nobody_wants_is_not() {
        let numbers: Vec<usize> = (0..1000).collect();
        for urgency in [Urgency::Now, Urgency::Never] {
            let pace = Pace::new(Urgency::Background);
            let done = at_pace(&numbers, &pace, |&n| {
                if n == 100 {
                    pace.set(urgency);
                }
                Ok::<_, StoreError>(n + 1)
            });
            match urgency {
                Urgency::Never => assert!(matches!(done, Err(StoreError::Stopped))),
                _ => assert_eq!(done.unwrap(), (1..=1000).collect::<Vec<_>>()),
            }
        }
    }
}
