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
/// How many lines a watcher may fall behind before it misses some.
const LINES_BACKLOG: usize = 512;
/// How many events. Apart from the lines, so that an app that prints much makes nobody miss that it listens.
const EVENTS_BACKLOG: usize = 256;

/// The events of one generation.
#[derive(Debug)]
pub(super) struct Journal {
    past: Mutex<Past>,
    lines: Sender<KeepEvent>,
    events: Sender<KeepEvent>,
}

/// What a watcher is told: the past, then what comes.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) past: Vec<KeepEvent>,
    pub(super) lines: Receiver<KeepEvent>,
    pub(super) events: Receiver<KeepEvent>,
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
            lines: channel(LINES_BACKLOG).0,
            events: channel(EVENTS_BACKLOG).0,
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
        let _ = self.events.send(event);
    }

    /// Tells a line that an instance printed.
    pub(super) fn line(&self, index: u32, stream: Stream, line: &str) {
        let mut past = self.past();
        push_bounded(
            &mut past.lines,
            TAIL_LINES,
            (index, stream, line.to_owned()),
        );
        if past.start.is_some() && self.has_watchers() {
            // As above.
            let _ = self.lines.send(output(index, stream, line.to_owned()));
        }
    }

    /// The start is over: lines are told no more, and late watchers no past.
    pub(super) fn commit(&self) {
        self.past().start = None;
    }

    /// The past of a start (its last lines, then its events), and what comes from now on.
    pub(super) fn watch(&self) -> Told {
        let past = self.past();
        let so_far = match &past.start {
            Some(start) => {
                let lines = past.lines.iter().cloned();
                let lines = lines.map(|(index, stream, line)| output(index, stream, line));
                lines.chain(start.iter().cloned()).collect()
            }
            None => Vec::new(),
        };
        Told {
            past: so_far,
            lines: self.lines.subscribe(),
            events: self.events.subscribe(),
        }
    }

    /// The last lines, oldest first.
    pub(super) fn tail(&self) -> Vec<String> {
        let past = self.past();
        past.lines.iter().map(|(_, _, line)| line.clone()).collect()
    }

    /// Whether anybody watches.
    pub(super) fn has_watchers(&self) -> bool {
        self.events.receiver_count() > 0
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
        assert_eq!(journal.watch().past.len(), 2);
        journal.commit();
        let mut told = journal.watch();
        assert!(told.past.is_empty());
        journal.line(0, Stream::Out, "not told");
        journal.tell(KeepEvent::Undrained);
        assert_eq!(told.events.try_recv().unwrap(), KeepEvent::Undrained);
        assert!(told.lines.try_recv().is_err());
        assert_eq!(journal.tail(), ["hello", "not told"]);
    }
}
