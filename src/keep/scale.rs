//! More and fewer instances, without a request lost.
//!
//! All instances accept from one listener, so one more is just started, and one that stops accepting leaves the queue
//! to the others. It must not be told to end before its own connections have: its processes are asked to accept no
//! more and to answer `Connection: close`, and when they say that they do, their connections are counted (the
//! kernel's table tells which exist, `/proc/PID/fd` which of them are theirs). Only a program that has no preload and
//! accepts by itself can't be asked: it gets SIGTERM at once and must end well by itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::oneshot;

use crate::slot::Connections;

use super::channel::ToProcess;
use super::drain;
use super::instances::{Instance, Leaving, State, Task};
use super::keeper::{Awaited, Keeper, Mode, Pending};
use super::notes::Note;
use super::probe::held_by;
use super::protocol::Reply;
use super::requests::refuse;

impl Keeper {
    pub(super) fn scale_asked(&mut self, to: u32, reply: oneshot::Sender<Reply>) {
        let refusal = match self.mode {
            _ if to == 0 => Some("at least one instance is needed"),
            Mode::Serving => None,
            Mode::Starting => Some("the generation is still starting"),
            Mode::Draining(_) | Mode::Stopping(_) => Some("the generation is ending"),
        };
        if let Some(reason) = refusal {
            // Whoever asked may be gone.
            let _ = reply.send(refuse(reason));
            return;
        }
        let from = self.spec.instances;
        let started = self.resize(to);
        let awaited = Awaited::Scaled { to, from, started };
        self.pending.push(Pending { reply, awaited });
    }

    /// Starts what is missing, and lets go what is too many. Gives the numbers of those that it has started.
    ///
    /// Instances that leave do not count: their last connections may keep them for long, and those that are wanted now
    /// can't wait for that. Until they are gone their numbers are taken.
    fn resize(&mut self, to: u32) -> Vec<u32> {
        self.spec.instances = to;
        let missing = (to as usize).saturating_sub(self.staying().len());
        let free: Vec<u32> = (0..)
            .filter(|index| self.instance(*index, None).is_none())
            .take(missing)
            .collect();
        for &index in &free {
            let state = self.start(index);
            self.instances.push(Instance::new(index, state));
        }
        self.instances.sort_by_key(|instance| instance.index);
        for index in self.staying().into_iter().skip(to as usize) {
            self.let_go(index);
        }
        self.record();
        free
    }

    /// The numbers of the instances that are not on their way out, the most useful first: those that listen, then the
    /// lowest.
    fn staying(&self) -> Vec<u32> {
        let mut staying: Vec<&Instance> = self
            .instances
            .iter()
            .filter(|instance| !instance.is_leaving())
            .collect();
        staying.sort_by_key(|instance| (!instance.is_listening(), instance.index));
        staying.iter().map(|instance| instance.index).collect()
    }

    fn let_go(&mut self, index: u32) {
        let grace = self.spec.stop_timeout;
        let limit = self.spec.drain_limit;
        let relayed = self.relay.as_ref().and_then(|relay| relay.remove(index));
        let can_be_asked = self.processes.has(index);
        let notes = self.notes.clone();
        let Some(instance) = self.instance(index, None) else {
            return;
        };
        let next = match instance.take_state() {
            State::Listening { running, .. } if relayed.is_some() || can_be_asked => {
                let run = running.run;
                let step = match relayed {
                    Some(open) => Leaving::Emptying {
                        _count: Task::spawn(count_relayed(index, run, open, limit, notes)),
                    },
                    None => Leaving::Asked,
                };
                State::Leaving { running, step }
            }
            other => {
                instance.state = other;
                instance.stop(grace);
                if matches!(instance.state, State::Ended) {
                    self.instances.retain(|instance| instance.index != index);
                }
                return;
            }
        };
        instance.enter(next);
        self.processes.ask(Some(index), ToProcess::Leave);
        self.outputs.remark(index, "leaves: too many instances");
    }

    /// The instance accepts no more: from now on its connections can only become fewer.
    pub(super) fn count_leaving(&mut self, index: u32, run: u64, pid: u32) {
        let (socket, notes) = (self.spec.socket.clone(), self.notes.clone());
        let limit = self.spec.drain_limit;
        let count = Task::spawn(async move {
            let held = || {
                held_by(pid, &socket).map(|established| Connections {
                    established,
                    queued: 0,
                })
            };
            drain::until(limit, held).await;
            notes.send(Note::Emptied { index, run });
        });
        if let Some(instance) = self.instance(index, Some(run))
            && let State::Leaving { step, .. } = &mut instance.state
        {
            *step = Leaving::Emptying { _count: count };
        }
    }

    pub(super) fn emptied(&mut self, index: u32, run: u64) {
        let grace = self.spec.stop_timeout;
        if let Some(instance) = self.instance(index, Some(run)) {
            instance.stop(grace);
        }
    }

    /// Whether the change has come about: `to` listen, and the others accept no more. When a new instance ends before
    /// it listens, what there was before is what there is.
    pub(super) fn scaled(&mut self, to: u32, from: u32, started: &[u32]) -> Option<Reply> {
        let failed = self
            .instances
            .iter()
            .filter(|instance| started.contains(&instance.index))
            .find(|instance| matches!(instance.state, State::Ended | State::BackingOff { .. }))
            .map(|instance| instance.index);
        if let Some(index) = failed {
            self.resize(from.min(self.spec.instances));
            return Some(refuse(format!(
                "instance {index} ended before it listened; the last lines it printed are in the app's log"
            )));
        }
        if self.spec.instances != to {
            return Some(refuse("another number was asked for meanwhile"));
        }
        let listening = self
            .instances
            .iter()
            .filter(|instance| instance.is_listening());
        let there = listening.count();
        let leaving = self.instances.iter().any(|instance| {
            matches!(
                &instance.state,
                State::Leaving {
                    step: Leaving::Asked,
                    ..
                }
            )
        });
        (there == to as usize && !leaving).then_some(Reply::Done)
    }
}

async fn count_relayed(
    index: u32,
    run: u64,
    open: Arc<AtomicU64>,
    limit: Duration,
    notes: super::notes::Notes,
) {
    let count = || {
        Ok(Connections {
            established: open.load(Ordering::Relaxed),
            queued: 0,
        })
    };
    drain::until(limit, count).await;
    notes.send(Note::Emptied { index, run });
}
