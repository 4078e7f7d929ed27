//! The record of one deploy: every event, a JSON object a line, in a file that any number of viewers read along.
//!
//! The file is the stream: a viewer that joins late, or after the end, reads the same lines. Where the file can't be
//! written (a full disk) the events go on in memory, so that pushers still learn what happened.

mod record;

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use crate::ids::{AppName, DeployNumber};
use crate::report::{Event, EventKind, Phase, Verdict};
use crate::time::now;

pub(super) use record::last_events;
pub use record::recorded;

/// How far a journal has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Progress {
    written: u64,
    spilled: usize,
    ended: Option<Verdict>,
}

/// The journal of a deploy, as its writer holds it.
#[derive(Debug)]
pub struct Journal {
    app: AppName,
    deploy: DeployNumber,
    path: PathBuf,
    store: Mutex<Store>,
    under_way: Mutex<Phase>,
    progress: watch::Sender<Progress>,
}

/// Where lines go: into the file, and once that has failed into memory.
#[derive(Debug)]
struct Store {
    file: Option<File>,
    spill: Vec<String>,
}

impl Journal {
    /// Begins the journal of a deploy at `path`.
    pub fn create(path: PathBuf, app: AppName, deploy: DeployNumber) -> Arc<Self> {
        let file = File::create(&path)
            .inspect_err(|error| tracing::error!(path = %path.display(), %error, "deploy log can't be created"))
            .ok();
        Self::of(file, path, app, deploy)
    }

    /// Goes on with the journal of a deploy that has ended, for what becomes known later. Not to be followed.
    pub(super) fn append(path: PathBuf, app: AppName, deploy: DeployNumber) -> Arc<Self> {
        let file = record::open_at_end(&path)
            .inspect_err(|error| tracing::warn!(path = %path.display(), %error, "deploy log can't be opened again"))
            .ok();
        Self::of(file, path, app, deploy)
    }

    fn of(file: Option<File>, path: PathBuf, app: AppName, deploy: DeployNumber) -> Arc<Self> {
        let store = Mutex::new(Store {
            file,
            spill: Vec::new(),
        });
        Arc::new(Self {
            app,
            deploy,
            path,
            store,
            under_way: Mutex::new(Phase::Receive),
            progress: watch::Sender::new(Progress::default()),
        })
    }

    /// The deploy that this is the journal of.
    pub fn deploy(&self) -> DeployNumber {
        self.deploy
    }

    /// The phase that has begun last.
    pub(super) fn under_way(&self) -> Phase {
        *self
            .under_way
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// The verdict, as soon as it has been told.
    pub async fn ended(&self) -> Verdict {
        let mut progress = self.progress.subscribe();
        let ended = progress.wait_for(|progress| progress.ended.is_some()).await;
        let ended = ended.expect("the journal itself is held by `self`, and with it the sender");
        ended.ended.expect("this was waited for")
    }

    /// Tells what has happened, to everybody who reads along and to the log.
    pub fn tell(&self, kind: EventKind) {
        log(&self.app, self.deploy, &kind);
        if let EventKind::Began { phase, .. } | EventKind::Done { phase, .. } = &kind {
            *self
                .under_way
                .lock()
                .unwrap_or_else(PoisonError::into_inner) = *phase;
        }
        let event = Event {
            at: now(),
            app: self.app.clone(),
            deploy: self.deploy,
            kind,
        };
        let verdict = event.verdict();
        let mut line = serde_json::to_string(&event).expect("an event has only string keys");
        line.push('\n');
        let mut store = self.lock();
        let spilled = store.append(line.as_bytes(), &self.path).is_err();
        if spilled {
            store.spill.push(line.clone());
        }
        self.progress.send_modify(|progress| {
            progress.ended = progress.ended.or(verdict);
            if spilled {
                progress.spilled += 1;
            } else {
                progress.written += line.len() as u64;
            }
        });
    }

    /// Reads along from the first event. Ends after the verdict.
    pub fn follow(self: &Arc<Self>) -> Follower {
        Follower {
            journal: Arc::clone(self),
            progress: self.progress.subscribe(),
            file: None,
            read: 0,
            unspilled: 0,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store {
    /// Appends a whole line to the file or nothing; after the first failure the file is left alone.
    fn append(&mut self, line: &[u8], path: &Path) -> std::io::Result<()> {
        let Some(file) = &mut self.file else {
            return Err(std::io::ErrorKind::StorageFull.into());
        };
        let before = file.metadata()?.len();
        let written = file.write_all(line);
        if let Err(error) = &written {
            tracing::error!(path = %path.display(), %error, "deploy log can't be written");
            // A half line would not be JSON: cut it off, as far as the disk lets us.
            let _ = file.set_len(before);
            self.file = None;
        }
        written
    }
}

/// One info line per transition; what programs print stays in the journal.
fn log(app: &AppName, deploy: DeployNumber, kind: &EventKind) {
    match kind {
        EventKind::Output { .. } => {}
        EventKind::Failed(failure) => {
            tracing::info!(%app, %deploy, phase = %failure.phase, cause = failure.cause, "deploy failed");
        }
        EventKind::Live {
            release,
            generation,
            took_ms,
            ..
        } => {
            tracing::info!(%app, %deploy, %release, %generation, took = %took_ms, "deploy is live");
        }
        EventKind::Done {
            phase,
            detail,
            took_ms,
        } => {
            tracing::info!(%app, %deploy, %phase, detail, took = %took_ms, "phase done");
        }
        EventKind::SwappedBack { from, to, cause } => {
            tracing::warn!(%app, %deploy, %from, %to, cause, "swapped back");
        }
        other => tracing::info!(%app, %deploy, event = ?other, "deploy event"),
    }
}

/// Somebody who reads a journal along.
#[derive(Debug)]
pub struct Follower {
    journal: Arc<Journal>,
    progress: watch::Receiver<Progress>,
    file: Option<BufReader<File>>,
    read: u64,
    unspilled: usize,
}

impl Follower {
    /// The next event as a line of JSON with its end, as soon as it is there. `None` after the verdict.
    pub async fn next(&mut self) -> Option<String> {
        loop {
            let progress = *self.progress.borrow_and_update();
            if let Some(line) = self.read_one(progress) {
                return Some(line);
            }
            if progress.ended.is_some() {
                return None;
            }
            // The journal itself is held by `self`: its sender can't be gone.
            self.progress.changed().await.ok()?;
        }
    }

    fn read_one(&mut self, progress: Progress) -> Option<String> {
        if self.read < progress.written {
            match self.read_line() {
                Ok(line) => {
                    self.read += line.len() as u64;
                    return Some(line);
                }
                Err(error) => {
                    tracing::warn!(path = %self.journal.path.display(), %error, "deploy log can't be read");
                    self.read = progress.written;
                }
            }
        }
        let line = self.journal.lock().spill.get(self.unspilled).cloned()?;
        self.unspilled += 1;
        Some(line)
    }

    fn read_line(&mut self) -> std::io::Result<String> {
        let reader = match &mut self.file {
            Some(reader) => reader,
            None => self
                .file
                .insert(BufReader::new(File::open(&self.journal.path)?)),
        };
        let mut line = String::new();
        reader.read_line(&mut line)?;
        if line.is_empty() {
            Err(std::io::ErrorKind::UnexpectedEof.into())
        } else {
            Ok(line)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{Failure, Phase, Stream};

    fn output(line: &str) -> EventKind {
        EventKind::Output {
            phase: Phase::Build,
            stream: Stream::Out,
            line: line.into(),
        }
    }

    fn failed() -> EventKind {
        EventKind::Failed(Failure::new(Phase::Build, "no"))
    }

    async fn all(mut follower: Follower) -> Vec<String> {
        let mut lines = Vec::new();
        while let Some(line) = follower.next().await {
            lines.push(line);
        }
        lines
    }

    #[tokio::test]
    async fn early_and_late_viewers_read_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let journal = Journal::create(
            dir.path().join("j"),
            "shop".parse().unwrap(),
            DeployNumber(3),
        );
        let early = tokio::spawn(all(journal.follow()));
        for n in 0..100 {
            journal.tell(output(&n.to_string()));
            tokio::task::yield_now().await;
        }
        journal.tell(failed());
        let early = early.await.unwrap();
        assert_eq!(early.len(), 101);
        assert_eq!(all(journal.follow()).await, early);
        let event: Event = serde_json::from_str(&early[7]).unwrap();
        assert_eq!(event.kind, output("7"));
    }

    #[tokio::test]
    async fn a_full_disk_hides_nothing_from_viewers() {
        let journal = Journal::create("/dev/full".into(), "shop".parse().unwrap(), DeployNumber(1));
        journal.tell(output("one"));
        journal.tell(failed());
        assert_eq!(all(journal.follow()).await.len(), 2);
    }
}
