//! `handover keep`: the parent of one generation's instances.
//!
//! It binds the generation's socket, starts the instances with the listener inherited, restarts those that crash,
//! writes their logs, counts connections, drains, and stops. It needs nothing from `serve` once it runs, and `serve`
//! finds it again through its directory (`g57/`):
//!
//! ```text
//! spec.json      what serve asked for              keep.json    which processes there are
//! control.sock   requests, replies, events         app.sock     the app's own processes (see preload.cjs)
//! ```
//!
//! **Readiness.** An instance listens when one of its processes says so over `app.sock` (the preload does), or when
//! something in its process group listens on its TCP `PORT` (then the keeper relays), or when something in its
//! process group has accepted a connection from the listener: an app without preload that listens on `HANDOVER_FD`.
//!
//! **Signals.** SIGTERM to the keeper means that the machine goes down: it drains for `stop_timeout` at most, then
//! stops. Killed with SIGKILL it leaves instances that serve on (all but relayed ones): [`orphans`] is for them.

mod channel;
mod client;
mod control;
mod drain;
mod ending;
mod environment;
mod instance;
mod instances;
mod journal;
mod keeper;
mod log;
mod notes;
pub mod orphans;
mod output;
mod probe;
mod protocol;
mod record;
mod relay;
mod requests;
mod restart;
mod role;
mod scale;
mod spec;
mod starts;

use std::io;
use std::path::{Path, PathBuf};

pub use channel::{Counts, FromProcess};
pub use client::{Keeper, Watch};
pub use protocol::{
    InstanceState, InstanceStatus, KeepEvent, ModeName, Open, Reply, Request, Status,
};
pub use record::{Processes, Retirement};
pub use role::run;
pub use spec::{Command, LogLimits, Spec};

/// What can go wrong with a keeper.
#[derive(Debug, thiserror::Error)]
pub enum KeepError {
    /// A file of the generation.
    #[error("{action} `{path}`", path = path.display())]
    File {
        /// What was attempted: `read`, `write` …
        action: &'static str,
        /// Which file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A file of the generation does not hold what it should.
    #[error("understand `{path}`", path = path.display())]
    Json {
        /// Which file.
        path: PathBuf,
        /// Where it goes wrong.
        #[source]
        source: serde_json::Error,
    },
    /// A socket of the generation can't be bound.
    #[error("listen on `{path}`", path = path.display())]
    Bind {
        /// Which socket.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The keeper's process can't be set up.
    #[error("set up the keeper")]
    SetUp(#[source] io::Error),
    /// The keeper can't be started.
    #[error("start the keeper")]
    Spawn(#[source] crate::process::child::SpawnError),
    /// The keeper ended before it was ready.
    #[error("start the keeper: {0}")]
    NotReady(String),
    /// The keeper does not answer.
    #[error("ask the keeper of `{dir}`", dir = dir.display())]
    Talk {
        /// The generation's directory.
        dir: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The keeper refused.
    #[error("{what}: {reason}")]
    Refused {
        /// What was asked.
        what: &'static str,
        /// What it said.
        reason: String,
    },
    /// The kernel's view of processes or sockets.
    #[error("look after the processes of `{dir}`", dir = dir.display())]
    Processes {
        /// The generation's directory.
        dir: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

impl KeepError {
    fn file(action: &'static str, path: &Path, source: io::Error) -> Self {
        Self::File {
            action,
            path: path.to_owned(),
            source,
        }
    }
}
