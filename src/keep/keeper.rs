//! The one owner of a generation's state, and its loop: a note comes in, something is decided, something is done.
//!
//! ```text
//! Starting ──commit──▶ Serving ◀──undrain── Draining ──empty or limit──▶ Stopping ──all ended──▶ (the role ends)
//!     └──────────drain, stop──────────────────▶ ┘          stop ───────────▶ ┘
//! ```

use std::os::unix::net::UnixListener;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};

use crate::paths::GenerationPaths;
use crate::process::identity::Identity;
use crate::process::rig::kill_point;
use crate::report::with_causes;
use crate::time::{Timestamp, Took};

use super::channel::{FromProcess, Processes, ToProcess};
use super::instance::Ended;
use super::instances::{Instance, Leaving, State, Task};
use super::journal::Journal;
use super::notes::{Note, Notes};
use super::output::Outputs;
use super::protocol::{KeepEvent, ModeName, Reply};
use super::record::{Processes as Record, write_json};
use super::relay::Relay;
use super::restart::AfterExit;
use super::spec::Spec;

/// What the generation is about.
#[derive(Debug)]
pub(super) enum Mode {
    Starting,
    Serving,
    Draining(Drain),
    Stopping(Stop),
}

#[derive(Debug)]
pub(super) struct Drain {
    pub(super) begun: Instant,
    pub(super) deadline: Timestamp,
    /// Counts until nothing is left.
    pub(super) _count: Task,
}

#[derive(Debug)]
pub(super) struct Stop {
    /// When the drain began, if there was one, and what it had to end by force.
    pub(super) drained: Option<(Instant, u64)>,
}

impl Mode {
    pub(super) fn name(&self) -> ModeName {
        match self {
            Self::Starting => ModeName::Starting,
            Self::Serving => ModeName::Serving,
            Self::Draining(_) => ModeName::Draining,
            Self::Stopping(_) => ModeName::Stopping,
        }
    }
}

/// A request whose reply waits for its effect.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) reply: oneshot::Sender<Reply>,
    pub(super) awaited: Awaited,
}

#[derive(Debug)]
pub(super) enum Awaited {
    /// The processes have heard of the drain, or their time to answer is over.
    DrainHeard { until: Instant },
    /// So many instances listen; before there were so many, and these were started.
    Scaled {
        to: u32,
        from: u32,
        started: Vec<u32>,
    },
}

pub(super) struct Keeper {
    pub(super) spec: Spec,
    pub(super) paths: GenerationPaths,
    pub(super) identity: Identity,
    pub(super) listener: UnixListener,
    pub(super) outputs: Arc<Outputs>,
    pub(super) journal: Arc<Journal>,
    pub(super) notes: Notes,
    pub(super) processes: Processes,
    pub(super) instances: Vec<Instance>,
    pub(super) mode: Mode,
    pub(super) relay: Option<Relay>,
    pub(super) pending: Vec<Pending>,
    pub(super) next_run: u64,
    pub(super) told_ready: bool,
}

impl Keeper {
    /// Runs the generation to its end.
    pub(super) async fn run(&mut self, inbox: &mut mpsc::UnboundedReceiver<Note>) {
        for index in 0..self.spec.instances {
            let state = self.start(index);
            self.instances.push(Instance::new(index, state));
        }
        self.record();
        while !self.is_over() {
            let Some(note) = inbox.recv().await else {
                return;
            };
            self.take(note);
            self.settle();
        }
    }

    fn is_over(&self) -> bool {
        matches!(self.mode, Mode::Stopping(_))
            && self
                .instances
                .iter()
                .all(|instance| matches!(instance.state, State::Ended))
    }

    fn take(&mut self, note: Note) {
        match note {
            Note::Asked { request, reply } => self.asked(&request, reply),
            Note::ProcessCame {
                key,
                instance,
                outbox,
            } => self.process_came(key, instance, outbox),
            Note::ProcessSaid { key, said } => self.process_said(key, said),
            Note::ProcessGone { key } => self.processes.remove(key),
            Note::PortAnswers {
                index,
                run,
                address,
            } => self.relay_to(index, run, address),
            Note::ListenerAccepts { index, run } => self.listening(index, Some(run), None),
            Note::Ended { index, run, ended } => self.ended(index, run, &ended),
            Note::Restart { index, run } => self.restart(index, run),
            Note::Emptied { index, run } => self.emptied(index, run),
            Note::AnswersDue => {}
            Note::Drained(end) => self.drained(end),
            Note::Terminated => self.terminated(),
        }
    }

    /// The instance with this number, if it is still the run that is meant.
    pub(super) fn instance(&mut self, index: u32, run: Option<u64>) -> Option<&mut Instance> {
        self.instances.iter_mut().find(|instance| {
            instance.index == index && run.is_none_or(|run| instance.run() == Some(run))
        })
    }

    fn process_came(&mut self, key: u64, index: u32, outbox: mpsc::Sender<ToProcess>) {
        let leaving = self
            .instance(index, None)
            .is_some_and(|instance| matches!(instance.state, State::Leaving { .. }));
        // A cluster starts workers at any time: the late ones hear what the others have heard.
        let late = match self.mode {
            _ if leaving => Some(ToProcess::Leave),
            Mode::Draining(_) => Some(ToProcess::Drain),
            Mode::Starting | Mode::Serving | Mode::Stopping(_) => None,
        };
        if let Some(what) = late {
            // The queue of a process that just came is empty.
            let _ = outbox.try_send(what);
        }
        self.processes.add(key, index, outbox);
    }

    fn process_said(&mut self, key: u64, said: FromProcess) {
        let Some(index) = self.processes.instance_of(key) else {
            return;
        };
        match said {
            FromProcess::Hello { .. } => {}
            FromProcess::Listening => self.listening(index, None, None),
            FromProcess::ListeningOnPort => self.look_for_port(index),
            FromProcess::ListenElsewhere { address } => {
                let address = crate::report::clean_line(address.as_bytes());
                self.outputs
                    .remark(index, &format!("it listens on {address}, not on its PORT"));
                self.journal
                    .tell(KeepEvent::ListenElsewhere { index, address });
            }
            FromProcess::Counts(counts) => self.processes.counted(key, counts),
            FromProcess::Draining(counts) | FromProcess::Left(counts) => {
                self.processes.counted(key, counts);
                self.processes.answered(key);
            }
        }
    }

    fn ended(&mut self, index: u32, run: u64, ended: &Ended) {
        if let Some(relay) = &self.relay {
            relay.remove(index);
        }
        let mode = self.mode.name();
        let Some(instance) = self.instance(index, Some(run)) else {
            return;
        };
        let ran_for = instance.ran_for();
        match instance.take_state() {
            State::Starting { .. } | State::Listening { .. } => {
                let next = self.after_end(index, run, &ended.status, ran_for);
                if let Some(instance) = self.instance(index, None) {
                    instance.enter(next);
                }
            }
            State::Stopping { .. } | State::Leaving { .. } | State::BackingOff { .. } => {
                self.outputs
                    .remark(index, &format!("ended: {}", ended.status));
                if mode != ModeName::Stopping {
                    self.instances.retain(|instance| instance.index != index);
                }
            }
            State::Ended => {}
        }
        self.record();
    }

    /// Tells that an instance ended without being told to, and gives the state that follows.
    pub(super) fn after_end(
        &mut self,
        index: u32,
        run: u64,
        status: &str,
        ran_for: Duration,
    ) -> State {
        let mode = self.mode.name();
        let after = match self
            .instances
            .iter_mut()
            .find(|instance| instance.index == index)
        {
            Some(instance) => instance.back_off.after_exit(mode, ran_for),
            None => AfterExit::Stay,
        };
        let pause = match after {
            AfterExit::Restart(pause) => Some(pause),
            AfterExit::Stay => None,
        };
        let follows = match pause {
            Some(pause) => format!("; started again in {} ms", pause.as_millis()),
            None => String::new(),
        };
        self.outputs
            .remark(index, &format!("ended: {status}{follows}"));
        self.journal.tell(KeepEvent::Exited {
            index,
            status: status.to_owned(),
            ran_ms: Took(ran_for),
            restart_in_ms: pause.map(Took),
        });
        let Some(pause) = pause else {
            return State::Ended;
        };
        let notes = self.notes.clone();
        let waiting = async move {
            tokio::time::sleep(pause).await;
            notes.send(Note::Restart { index, run });
        };
        State::BackingOff {
            run,
            _pause: Task::spawn(waiting),
        }
    }

    /// Writes down which processes there are, for whoever finds them without their keeper.
    pub(super) fn record(&self) {
        let instances = self.instances.iter().filter_map(Instance::identity);
        let record = Record {
            keeper: self.identity.clone(),
            instances: instances.cloned().collect(),
        };
        kill_point("keep.recording");
        if let Err(error) = write_json(&self.paths.processes(), &record) {
            tracing::error!(error = with_causes(&error), "can't record the processes");
        }
    }

    /// What is due after each note: replies whose effect has come, instances that have stopped accepting.
    fn settle(&mut self) {
        let answered: Vec<(u32, u64, u32)> = self
            .instances
            .iter()
            .filter_map(|instance| match &instance.state {
                State::Leaving {
                    running,
                    step: Leaving::Asked,
                } if self.processes.all_answered(Some(instance.index)) => {
                    Some((instance.index, running.run, running.pid))
                }
                _ => None,
            })
            .collect();
        for (index, run, pid) in answered {
            self.count_leaving(index, run, pid);
        }
        for pending in std::mem::take(&mut self.pending) {
            self.settle_pending(pending);
        }
    }
}
