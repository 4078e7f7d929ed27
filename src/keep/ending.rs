//! Drain, stop, and what is left behind.

use std::fs::{metadata, remove_dir_all, remove_file};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::process::rig::kill_point;
use crate::report::with_causes;
use crate::time::{self, Took};

use super::channel::ToProcess;
use super::drain::{DrainEnd, until_empty};
use super::instances::Task;
use super::keeper::{Drain, Keeper, Mode, Stop};
use super::notes::Note;
use super::protocol::{KeepEvent, Reply};
use super::record::{Retirement, write_json};
use super::requests::refuse;

impl Keeper {
    /// Begins to wait for the connections to end. Asked again it begins anew, with the new limit.
    pub(super) fn begin_drain(&mut self, limit: Duration) {
        let begun = match &self.mode {
            Mode::Draining(drain) => drain.begun,
            Mode::Starting | Mode::Serving | Mode::Stopping(_) => Instant::now(),
        };
        self.processes.ask(None, ToProcess::Drain);
        self.journal.tell(KeepEvent::Draining {
            open: self.open(),
            limit_ms: Took(limit),
        });
        let (socket, notes) = (self.spec.socket.clone(), self.notes.clone());
        let count = async move {
            let end = until_empty(socket, limit).await;
            notes.send(Note::Drained(end));
        };
        let far = jiff::SignedDuration::try_from(limit).unwrap_or(jiff::SignedDuration::MAX);
        self.mode = Mode::Draining(Drain {
            begun,
            deadline: time::now()
                .saturating_add(far)
                .unwrap_or(jiff::Timestamp::MAX),
            _count: Task::spawn(count),
        });
    }

    pub(super) fn undrain(&mut self) -> Reply {
        match self.mode {
            Mode::Starting | Mode::Serving => Reply::Done,
            Mode::Draining(_) => {
                self.mode = Mode::Serving;
                self.processes.ask(None, ToProcess::Undrain);
                self.journal.tell(KeepEvent::Undrained);
                Reply::Done
            }
            Mode::Stopping(_) => refuse("the instances have been told to end"),
        }
    }

    pub(super) fn drained(&mut self, end: DrainEnd) {
        let Mode::Draining(drain) = &self.mode else {
            return; // called off at the last moment
        };
        let forced = match end {
            DrainEnd::Empty => 0,
            DrainEnd::Limit { open } => open,
        };
        let drained = Some((drain.begun, forced));
        kill_point("keep.drained");
        self.stop_all(Stop { drained });
        kill_point("keep.stop_begun");
    }

    pub(super) fn stop_now(&mut self) {
        let drained = match &self.mode {
            Mode::Starting | Mode::Serving => None,
            Mode::Draining(drain) => Some((drain.begun, self.open().total())),
            Mode::Stopping(_) => return,
        };
        self.stop_all(Stop { drained });
    }

    /// The machine goes down, or somebody wants just this generation to end: a short drain, then the end.
    pub(super) fn terminated(&mut self) {
        match self.mode {
            Mode::Stopping(_) => {}
            Mode::Starting | Mode::Serving | Mode::Draining(_) => {
                self.begin_drain(self.spec.drain_limit.min(self.spec.stop_timeout));
            }
        }
    }

    fn stop_all(&mut self, stop: Stop) {
        self.mode = Mode::Stopping(stop);
        let grace = self.spec.stop_timeout;
        for instance in &mut self.instances {
            instance.stop(grace);
        }
    }

    /// All processes have ended: tells how, for now and for later, and removes what was the generation's.
    pub(super) fn leave_nothing_but_the_result(&self, bound: Option<(u64, u64)>) {
        if let Mode::Stopping(Stop {
            drained: Some((begun, forced)),
        }) = self.mode
        {
            let took_ms = Took(begun.elapsed());
            let retirement = Retirement {
                generation: self.spec.generation,
                forced,
                took_ms,
                at: time::now(),
            };
            kill_point("keep.emptied");
            if let Err(error) = write_json(&self.paths.retirement(), &retirement) {
                tracing::error!(error = with_causes(&error), "can't leave the result");
            }
            kill_point("keep.word_left");
            self.remove_own_files(bound);
            self.journal.tell(KeepEvent::Retired { forced, took_ms });
        } else {
            self.remove_own_files(bound);
        }
    }

    fn remove_own_files(&self, bound: Option<(u64, u64)>) {
        if bound.is_some() && file_id(&self.spec.socket) == bound {
            warn_of(remove_file(&self.spec.socket));
        }
        warn_of(remove_dir_all(self.paths.dir()));
    }
}

/// Device and inode of a name, to know one's own socket by.
pub(super) fn file_id(path: &Path) -> Option<(u64, u64)> {
    metadata(path).ok().map(|meta| (meta.dev(), meta.ino()))
}

/// What can't be removed is left for `serve` to sweep.
fn warn_of(result: std::io::Result<()>) {
    if let Err(error) = result {
        tracing::warn!(%error, "can't remove what the generation leaves");
    }
}
