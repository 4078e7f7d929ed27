//! `app.sock`: where the app's processes tell how they are, and hear what is asked of them.
//!
//! Each process that serves opens a connection of its own (an instance may have many: a cluster). One JSON object a
//! line, both ways.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc;

use super::notes::{Note, Notes};

/// The longest line that a process may send, in bytes.
const LINE_MAX: u64 = 4096;
/// How many messages may wait for a process that does not read.
const BACKLOG: usize = 32;

/// What a process of the app says.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum FromProcess {
    /// Said first.
    Hello {
        /// The instance that it belongs to.
        instance: u32,
    },
    /// It accepts from the listener.
    Listening,
    /// It has used up its copies of the listener and listens on its TCP port.
    ListeningOnPort,
    /// It listens on something else.
    ListenElsewhere {
        /// Where, as it says.
        address: String,
    },
    /// Its upgraded connections have changed.
    Counts(Counts),
    /// It has heard `drain`.
    Draining(Counts),
    /// It has heard `leave` and accepts no more.
    Left(Counts),
}

/// What a process counts of its own connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
pub struct Counts {
    /// Its open connections that are no longer HTTP: WebSockets.
    pub upgraded: u64,
}

/// What is asked of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub(super) enum ToProcess {
    /// Answer `Connection: close` from now on.
    Drain,
    /// Do so no longer.
    Undrain,
    /// Drain, and accept no more.
    Leave,
}

/// Whether a process has done what it was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    None,
    Awaited,
}

#[derive(Debug)]
struct Process {
    instance: u32,
    outbox: mpsc::Sender<ToProcess>,
    counts: Counts,
    answer: Answer,
}

/// The processes that have said hello.
#[derive(Debug, Default)]
pub(super) struct Processes {
    by_key: HashMap<u64, Process>,
}

impl Processes {
    pub(super) fn add(&mut self, key: u64, instance: u32, outbox: mpsc::Sender<ToProcess>) {
        let process = Process {
            instance,
            outbox,
            counts: Counts::default(),
            answer: Answer::None,
        };
        self.by_key.insert(key, process);
    }

    pub(super) fn remove(&mut self, key: u64) {
        self.by_key.remove(&key);
    }

    pub(super) fn instance_of(&self, key: u64) -> Option<u32> {
        self.by_key.get(&key).map(|process| process.instance)
    }

    pub(super) fn counted(&mut self, key: u64, counts: Counts) {
        if let Some(process) = self.by_key.get_mut(&key) {
            process.counts = counts;
        }
    }

    pub(super) fn answered(&mut self, key: u64) {
        if let Some(process) = self.by_key.get_mut(&key) {
            process.answer = Answer::None;
        }
    }

    /// Asks something of the processes of one instance, or of all.
    pub(super) fn ask(&mut self, instance: Option<u32>, what: ToProcess) {
        let meant = |process: &&mut Process| instance.is_none_or(|i| i == process.instance);
        for process in self.by_key.values_mut().filter(meant) {
            // A process whose backlog is full is stuck, and can't be waited for.
            let sent = process.outbox.try_send(what).is_ok();
            process.answer = match what {
                ToProcess::Drain | ToProcess::Leave if sent => Answer::Awaited,
                ToProcess::Drain | ToProcess::Leave | ToProcess::Undrain => Answer::None,
            };
        }
    }

    /// Whether everybody of an instance (or of all) has done what was asked.
    pub(super) fn all_answered(&self, instance: Option<u32>) -> bool {
        let mut meant = self
            .by_key
            .values()
            .filter(|process| instance.is_none_or(|i| i == process.instance));
        meant.all(|process| process.answer == Answer::None)
    }

    /// Whether an instance has any process here.
    pub(super) fn has(&self, instance: u32) -> bool {
        self.by_key.values().any(|p| p.instance == instance)
    }

    /// Upgraded connections of all; `None` where nobody is here to say.
    pub(super) fn upgraded(&self) -> Option<u64> {
        let mut all = self.by_key.values().map(|process| process.counts.upgraded);
        // An app may say any number.
        all.next().map(|first| all.fold(first, u64::saturating_add))
    }
}

/// Accepts the processes of the app, for as long as the keeper runs.
pub(super) async fn accept(listener: UnixListener, notes: Notes) {
    let mut next_key = 0;
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                next_key += 1;
                tokio::spawn(converse(stream, next_key, notes.clone()));
            }
            Err(error) => {
                tracing::warn!(%error, "can't accept a process of the app");
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            }
        }
    }
}

async fn converse(stream: UnixStream, key: u64, notes: Notes) {
    let (reader, writer) = stream.into_split();
    let (outbox, messages) = mpsc::channel(BACKLOG);
    tokio::spawn(deliver(writer, messages));
    listen_to(reader, key, outbox, &notes).await;
    notes.send(Note::ProcessGone { key });
}

async fn deliver(mut writer: OwnedWriteHalf, mut messages: mpsc::Receiver<ToProcess>) {
    while let Some(message) = messages.recv().await {
        let Ok(mut line) = serde_json::to_vec(&message) else {
            continue;
        };
        line.push(b'\n');
        if writer.write_all(&line).await.is_err() {
            return;
        }
    }
}

async fn listen_to(
    reader: OwnedReadHalf,
    key: u64,
    outbox: mpsc::Sender<ToProcess>,
    notes: &Notes,
) {
    let mut reader = BufReader::with_capacity(512, reader);
    let mut line = Vec::new();
    loop {
        line.clear();
        let mut limited = tokio::io::AsyncReadExt::take(&mut reader, LINE_MAX);
        match limited.read_until(b'\n', &mut line).await {
            Ok(read) if read > 0 && line.ends_with(b"\n") => {}
            _ => return,
        }
        match serde_json::from_slice(&line) {
            Ok(FromProcess::Hello { instance }) => {
                let outbox = outbox.clone();
                notes.send(Note::ProcessCame {
                    key,
                    instance,
                    outbox,
                });
            }
            Ok(said) => notes.send(Note::ProcessSaid { key, said }),
            Err(error) => tracing::debug!(%error, "not understood from a process of the app"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_app_may_count_as_high_as_it_likes() {
        let mut processes = Processes::default();
        assert_eq!(processes.upgraded(), None);
        for key in [1, 2] {
            processes.add(key, 0, mpsc::channel(1).0);
            processes.counted(key, Counts { upgraded: u64::MAX });
        }
        assert_eq!(processes.upgraded(), Some(u64::MAX));
    }
}
