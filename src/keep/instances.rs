//! The instances of a generation and what state each is in.
//!
//! ```text
//!            ┌──────────── restarted ────────────┐
//!            ▼                                   │
//! start ▶ Starting ──listens──▶ Listening ──ends──▶ BackingOff      (once committed)
//!            │                     │
//!            └──ends──▶ Ended      ├─scaled away─▶ Leaving ─empty─▶ Stopping ─▶ gone
//!         (before commit)          └─drained, stopped────────────▶ Stopping ─▶ Ended
//! ```
//!
//! The keeper's loop owns the states; each running process group is owned by a task of its own, which is told to stop
//! through [`Running::stop`] and tells its end in a note.

use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::process::identity::Identity;
use crate::process::memory::resident_in;
use crate::time::{self, Timestamp};

use super::protocol::{InstanceState, InstanceStatus};
use super::restart::BackOff;

/// A task that ends with its owner's interest in it.
#[derive(Debug)]
pub(super) struct Task(JoinHandle<()>);

impl Task {
    pub(super) fn spawn(future: impl Future<Output = ()> + Send + 'static) -> Self {
        Self(tokio::spawn(future))
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A process group that runs.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) pid: u32,
    /// Which start of all that the keeper has made: notes of an earlier one mean nothing any more.
    pub(super) run: u64,
    pub(super) port: u16,
    pub(super) begun: Instant,
    pub(super) identity: Option<Identity>,
    pub(super) stop: oneshot::Sender<Duration>,
}

#[derive(Debug)]
pub(super) enum State {
    Starting {
        running: Running,
        /// Looks whether it listens without saying so.
        _probe: Task,
    },
    Listening {
        running: Running,
        /// Looks for its port, when it said that it listens there now.
        _probe: Option<Task>,
    },
    BackingOff {
        run: u64,
        /// Ends the pause.
        _pause: Task,
    },
    Leaving {
        running: Running,
        step: Leaving,
    },
    Stopping {
        pid: u32,
        run: u64,
        begun: Instant,
        identity: Option<Identity>,
    },
    Ended,
}

/// How far an instance is that is being scaled away.
#[derive(Debug)]
pub(super) enum Leaving {
    /// Its processes have been asked to accept no more.
    Asked,
    /// They do not; what they have is counted.
    Emptying { _count: Task },
}

#[derive(Debug)]
pub(super) struct Instance {
    pub(super) index: u32,
    pub(super) restarts: u32,
    pub(super) back_off: BackOff,
    pub(super) since: Timestamp,
    pub(super) state: State,
}

impl Instance {
    pub(super) fn new(index: u32, state: State) -> Self {
        Self {
            index,
            restarts: 0,
            back_off: BackOff::default(),
            since: time::now(),
            state,
        }
    }

    pub(super) fn enter(&mut self, state: State) {
        self.state = state;
        self.since = time::now();
    }

    /// Takes the state out to change it; it is [`State::Ended`] until the next is entered.
    pub(super) fn take_state(&mut self) -> State {
        std::mem::replace(&mut self.state, State::Ended)
    }

    pub(super) fn run(&self) -> Option<u64> {
        match &self.state {
            State::Starting { running, .. }
            | State::Listening { running, .. }
            | State::Leaving { running, .. } => Some(running.run),
            State::BackingOff { run, .. } | State::Stopping { run, .. } => Some(*run),
            State::Ended => None,
        }
    }

    pub(super) fn pid(&self) -> Option<u32> {
        match &self.state {
            State::Starting { running, .. }
            | State::Listening { running, .. }
            | State::Leaving { running, .. } => Some(running.pid),
            State::Stopping { pid, .. } => Some(*pid),
            State::BackingOff { .. } | State::Ended => None,
        }
    }

    pub(super) fn identity(&self) -> Option<&Identity> {
        match &self.state {
            State::Starting { running, .. }
            | State::Listening { running, .. }
            | State::Leaving { running, .. } => running.identity.as_ref(),
            State::Stopping { identity, .. } => identity.as_ref(),
            State::BackingOff { .. } | State::Ended => None,
        }
    }

    pub(super) fn ran_for(&self) -> Duration {
        match &self.state {
            State::Starting { running, .. }
            | State::Listening { running, .. }
            | State::Leaving { running, .. } => running.begun.elapsed(),
            State::Stopping { begun, .. } => begun.elapsed(),
            State::BackingOff { .. } | State::Ended => Duration::ZERO,
        }
    }

    pub(super) fn is_listening(&self) -> bool {
        matches!(self.state, State::Listening { .. })
    }

    /// Whether it is on its way out because there are too many.
    pub(super) fn is_leaving(&self) -> bool {
        matches!(self.state, State::Leaving { .. } | State::Stopping { .. })
    }

    /// Tells its group to end. What does not run has ended.
    pub(super) fn stop(&mut self, grace: Duration) {
        let next = match self.take_state() {
            State::Starting { running, .. }
            | State::Listening { running, .. }
            | State::Leaving { running, .. } => stopping(running, grace),
            State::BackingOff { .. } => State::Ended,
            state @ (State::Stopping { .. } | State::Ended) => state,
        };
        self.enter(next);
    }

    pub(super) fn status(&self) -> InstanceStatus {
        InstanceStatus {
            index: self.index,
            pid: self.pid(),
            restarts: self.restarts,
            rss_bytes: self.pid().map_or(0, resident_in),
            state: match self.state {
                State::Starting { .. } => InstanceState::Starting,
                State::Listening { .. } => InstanceState::Listening,
                State::BackingOff { .. } => InstanceState::BackingOff,
                State::Leaving { .. } => InstanceState::Leaving,
                State::Stopping { .. } => InstanceState::Stopping,
                State::Ended => InstanceState::Ended,
            },
            since: self.since,
        }
    }
}

fn stopping(running: Running, grace: Duration) -> State {
    // A task that is gone has told the end already.
    let _ = running.stop.send(grace);
    State::Stopping {
        pid: running.pid,
        run: running.run,
        begun: running.begun,
        identity: running.identity,
    }
}
