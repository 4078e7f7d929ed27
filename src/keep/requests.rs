//! What is asked on the control socket.

use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use crate::process::rig::kill_point;
use crate::slot;

use crate::process::own::release_program_text;

use super::instances::Instance;
use super::keeper::{Awaited, Keeper, Mode, Pending};
use super::notes::Note;
use super::protocol::{Open, Reply, Request, Status};

/// How long the processes may take to say that they have heard of a drain. One whose event loop is busy hears of it
/// when it turns; nobody has to wait for that.
const ANSWER_TIME: Duration = Duration::from_millis(250);

impl Keeper {
    pub(super) fn asked(&mut self, request: &Request, reply: oneshot::Sender<Reply>) {
        let answer = match *request {
            Request::Status => Reply::Status(self.status()),
            Request::Tail => Reply::Tail {
                lines: self.journal.tail(),
            },
            Request::Commit => self.commit(),
            Request::Drain { limit_ms } => {
                return self.drain_asked(limit_ms.unwrap_or(self.spec.drain_limit), reply);
            }
            Request::Undrain => self.undrain(),
            Request::Stop => {
                self.stop_now();
                Reply::Done
            }
            Request::Scale { instances } => return self.scale_asked(instances, reply),
            // Answered by the connection itself, which can go on writing.
            Request::Watch => refuse("watch is the business of the connection"),
        };
        // Whoever asked may be gone; the effect is there.
        let _ = reply.send(answer);
    }

    fn commit(&mut self) -> Reply {
        match self.mode {
            Mode::Starting => {
                if !self.instances.iter().all(Instance::is_listening) {
                    return refuse("not every instance listens");
                }
                self.mode = Mode::Serving;
                self.journal.commit();
                kill_point("keep.committed");
                tokio::spawn(rest());
                Reply::Done
            }
            Mode::Serving | Mode::Draining(_) => Reply::Done,
            Mode::Stopping(_) => refuse("the instances have been told to end"),
        }
    }

    fn drain_asked(&mut self, limit: Duration, reply: oneshot::Sender<Reply>) {
        if let Mode::Stopping(_) = self.mode {
            // As above.
            let _ = reply.send(refuse("the instances have been told to end"));
            return;
        }
        self.begin_drain(limit);
        kill_point("keep.drain_begun");
        let until = Instant::now() + ANSWER_TIME;
        let awaited = Awaited::DrainHeard { until };
        self.pending.push(Pending { reply, awaited });
        let notes = self.notes.clone();
        tokio::spawn(async move {
            tokio::time::sleep(ANSWER_TIME).await;
            notes.send(Note::AnswersDue);
        });
    }

    /// Answers a request whose effect has come, and keeps the others.
    pub(super) fn settle_pending(&mut self, pending: Pending) {
        let answer = match &pending.awaited {
            Awaited::DrainHeard { until } => self.drain_heard(*until),
            Awaited::Scaled { to, from, started } => self.scaled(*to, *from, started),
        };
        match answer {
            Some(answer) => {
                // As above.
                let _ = pending.reply.send(answer);
            }
            None => self.pending.push(pending),
        }
    }

    fn drain_heard(&self, until: Instant) -> Option<Reply> {
        let heard = self.processes.all_answered(None) || Instant::now() >= until;
        heard.then(|| Reply::Draining(self.open()))
    }

    /// What is open now. A table that can't be read counts as nothing here; a drain does not take it for that.
    pub(super) fn open(&self) -> Open {
        let counted = slot::connections(&self.spec.socket).unwrap_or_default();
        Open {
            established: counted.established,
            queued: counted.queued,
            upgraded: self.processes.upgraded(),
        }
    }

    fn status(&self) -> Status {
        let deadline = match &self.mode {
            Mode::Draining(drain) => Some(drain.deadline),
            Mode::Starting | Mode::Serving | Mode::Stopping(_) => None,
        };
        Status {
            generation: self.spec.generation,
            release: self.spec.release,
            mode: self.mode.name(),
            instances: self.instances.iter().map(Instance::status).collect(),
            connections: self.open(),
            deadline,
        }
    }
}

pub(super) fn refuse(reason: impl Into<String>) -> Reply {
    Reply::Refused {
        reason: reason.into(),
    }
}

/// What starting has touched of the program is not needed by a keeper that only waits: it is given back once the
/// excitement of the swap is over.
async fn rest() {
    const EXCITEMENT: Duration = Duration::from_secs(1);
    tokio::time::sleep(EXCITEMENT).await;
    if let Err(error) = release_program_text() {
        tracing::debug!(%error, "program text can't be given back");
    }
}
