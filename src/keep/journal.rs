//! What has happened, for those who watch: now, and from the beginning for those who come late to a start.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::broadcast::{Receiver, Sender, channel};

use crate::report::Stream;

use super::protocol::KeepEvent;

/// How many lines are kept for [`Journal::tail`].
const TAIL_LINES: usize = 50;
/// How many events of a start are kept for late watchers, beside the lines.
const START_EVENTS: usize = 100;
/// How far a watcher may fall behind before it misses events.
const WATCHER_BACKLOG: usize = 512;

/// The events of one generation.
#[derive(Debug)]
pub(super) struct Journal {
    past: Mutex<Past>,
    watchers: Sender<KeepEvent>,
}

#[derive(Debug)]
struct Past {
    lines: VecDeque<(u32, Stream, String)>,
    /// What happened since the start; `None` once the start is over.
    start: Option<VecDeque<KeepEvent>>,
}

impl Journal {
    pub(super) fn new() -> Self {
        Self {
            past: Mutex::new(Past {
                lines: VecDeque::new(),
                start: Some(VecDeque::new()),
            }),
            watchers: channel(WATCHER_BACKLOG).0,
        }
    }

    /// Tells something that happened.
    pub(super) fn tell(&self, event: KeepEvent) {
        tracing::info!(?event, "generation");
        let mut past = self.past();
        if let Some(start) = &mut past.start {
            push_bounded(start, START_EVENTS, event.clone());
        }
        // Nobody watching is no failure.
        let _ = self.watchers.send(event);
    }

    /// Tells a line that an instance printed.
    pub(super) fn line(&self, index: u32, stream: Stream, line: &str) {
        let mut past = self.past();
        push_bounded(
            &mut past.lines,
            TAIL_LINES,
            (index, stream, line.to_owned()),
        );
        if past.start.is_some() && self.watchers.receiver_count() > 0 {
            // As above.
            let _ = self.watchers.send(output(index, stream, line.to_owned()));
        }
    }

    /// The start is over: lines are told no more, and late watchers no past.
    pub(super) fn commit(&self) {
        self.past().start = None;
    }

    /// The past of a start (its last lines, then its events), and what comes from now on.
    pub(super) fn watch(&self) -> (Vec<KeepEvent>, Receiver<KeepEvent>) {
        let past = self.past();
        let told = match &past.start {
            Some(start) => {
                let lines = past.lines.iter().cloned();
                let lines = lines.map(|(index, stream, line)| output(index, stream, line));
                lines.chain(start.iter().cloned()).collect()
            }
            None => Vec::new(),
        };
        (told, self.watchers.subscribe())
    }

    /// The last lines, oldest first.
    pub(super) fn tail(&self) -> Vec<String> {
        let past = self.past();
        past.lines.iter().map(|(_, _, line)| line.clone()).collect()
    }

    /// Whether anybody watches.
    pub(super) fn has_watchers(&self) -> bool {
        self.watchers.receiver_count() > 0
    }

    fn past(&self) -> MutexGuard<'_, Past> {
        // One thread uses it, and nothing in here panics half-way.
        self.past.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn output(index: u32, stream: Stream, line: String) -> KeepEvent {
    KeepEvent::Output {
        index,
        stream,
        line,
    }
}

fn push_bounded<T>(queue: &mut VecDeque<T>, most: usize, item: T) {
    if queue.len() == most {
        queue.pop_front();
    }
    queue.push_back(item);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_late_watcher_of_a_start_misses_nothing_and_a_later_one_gets_only_what_is_new() {
        let journal = Journal::new();
        journal.line(0, Stream::Out, "hello");
        journal.tell(KeepEvent::Ready { instances: 1 });
        let (past, _now) = journal.watch();
        assert_eq!(past.len(), 2);
        journal.commit();
        let (past, mut now) = journal.watch();
        assert!(past.is_empty());
        journal.line(0, Stream::Out, "not told");
        journal.tell(KeepEvent::Undrained);
        assert_eq!(now.try_recv().unwrap(), KeepEvent::Undrained);
        assert_eq!(journal.tail(), ["hello", "not told"]);
    }
}
