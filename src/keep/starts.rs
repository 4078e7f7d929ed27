//! From the start of an instance to the moment in which it listens.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use crate::process::identity::Identity;
use crate::process::rig::kill_point;
use crate::report::{Stream, with_causes};

use super::environment::free_ports;
use super::instance;
use super::instances::{Instance, Running, State, Task};
use super::keeper::Keeper;
use super::notes::Note;
use super::probe;
use super::protocol::KeepEvent;
use super::relay::Relay;

/// After which silence of a program that has the preload (and so would say that it listens) it is looked whether it
/// accepts without saying so.
const SILENCE: Duration = Duration::from_secs(2);

impl Keeper {
    /// Starts an instance and gives the state that it is in then.
    pub(super) fn start(&mut self, index: u32) -> State {
        self.next_run += 1;
        let run = self.next_run;
        match self.try_start(index, run) {
            Ok(state) => state,
            Err(error) => {
                let error = with_causes(&error);
                self.outputs.remark(index, &format!("failed to {error}"));
                self.journal.line(index, Stream::Err, &error);
                self.journal.tell(KeepEvent::StartFailed { index, error });
                // As if it had ended at once: in a generation that serves it is tried again.
                self.after_end(index, run, "could not be started", Duration::ZERO)
            }
        }
    }

    fn try_start(&mut self, index: u32, run: u64) -> Result<State, instance::StartError> {
        let port = free_ports(1, &[])?[0];
        let (spec, paths) = (&self.spec, &self.paths);
        let started = instance::start(spec, paths, &self.listener, &self.outputs, index, port)?;
        let pid = started.pid();
        kill_point("keep.instance_started");
        let (stop, stopped) = oneshot::channel();
        let notes = self.notes.clone();
        tokio::spawn(async move {
            let ended = started.see_to_its_end(stopped).await;
            notes.send(Note::Ended { index, run, ended });
        });
        let running = Running {
            pid,
            run,
            port,
            begun: Instant::now(),
            identity: Identity::of(pid).ok(),
            stop,
        };
        let knock_after = if self.spec.preload {
            SILENCE
        } else {
            Duration::ZERO
        };
        Ok(State::Starting {
            _probe: self.probe(index, &running, knock_after),
            running,
        })
    }

    /// Begins to look whether an instance listens that may not say so.
    fn probe(&self, index: u32, running: &Running, knock_after: Duration) -> Task {
        let look = probe::Start {
            index,
            run: running.run,
            pid: running.pid,
            port: running.port,
            socket: self.spec.socket.clone(),
            knock_after,
        };
        Task::spawn(probe::watch(look, self.notes.clone()))
    }

    /// An instance that used the listener has gone over to its port, where it wants to be relayed to.
    pub(super) fn look_for_port(&mut self, index: u32) {
        let Some(at) = self.instances.iter().position(|i| i.index == index) else {
            return;
        };
        self.instances[at].state = match self.instances[at].take_state() {
            State::Listening { running, .. } => State::Listening {
                _probe: Some(self.probe(index, &running, Duration::MAX)),
                running,
            },
            // One that starts is looked at anyway.
            other => other,
        };
    }

    pub(super) fn restart(&mut self, index: u32, run: u64) {
        if self.instance(index, Some(run)).is_none() {
            return;
        }
        let state = self.start(index);
        if let Some(instance) = self.instance(index, None) {
            instance.restarts += 1;
            instance.enter(state);
        }
        self.record();
    }

    pub(super) fn relay_to(&mut self, index: u32, run: u64, address: SocketAddr) {
        if self.instance(index, Some(run)).is_none() {
            return;
        }
        if self.relay.is_none() {
            match Relay::start(&self.listener) {
                Ok(relay) => self.relay = Some(relay),
                Err(error) => {
                    tracing::error!(%error, "can't relay");
                    return;
                }
            }
        }
        if let Some(relay) = &self.relay {
            relay.add(index, address);
        }
        self.listening(index, Some(run), Some(address.to_string()));
    }

    /// An instance listens, as it says itself (`run` is unknown then) or as was seen.
    pub(super) fn listening(&mut self, index: u32, run: Option<u64>, relayed_to: Option<String>) {
        let Some(instance) = self.instance(index, run) else {
            return;
        };
        let next = match instance.take_state() {
            State::Starting { running, .. } => State::Listening {
                running,
                _probe: None,
            },
            other => {
                instance.state = other;
                return;
            }
        };
        instance.enter(next);
        let remark = match &relayed_to {
            Some(address) => format!("listens, relayed to {address}"),
            None => "listens".to_owned(),
        };
        self.outputs.remark(index, &remark);
        self.journal
            .tell(KeepEvent::Listening { index, relayed_to });
        let all = self.instances.iter().all(Instance::is_listening);
        if all && !self.told_ready {
            self.told_ready = true;
            let instances = self.spec.instances;
            self.journal.tell(KeepEvent::Ready { instances });
        }
    }
}
