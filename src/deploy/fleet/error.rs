//! Why something can't be had of the apps.

use std::path::PathBuf;

use crate::git::GitError;
use crate::git::hooks::HookError;
use crate::ids::AppName;
use crate::keep::KeepError;
use crate::paths::PathError;
use crate::slot::SlotError;
use crate::state::StateError;
use crate::store::StoreError;

/// Why something can't be had of the apps.
#[derive(Debug, thiserror::Error)]
pub enum FleetError {
    /// The database.
    #[error(transparent)]
    State(#[from] StateError),
    /// A repository.
    #[error(transparent)]
    Git(#[from] GitError),
    /// Stored trees.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Hook files.
    #[error(transparent)]
    Hooks(#[from] HookError),
    /// The directories.
    #[error(transparent)]
    Path(#[from] PathError),
    /// Sockets.
    #[error(transparent)]
    Slot(#[from] SlotError),
    /// The group of the front, from the server's settings, can't be used.
    #[error("use `{group}` as front_group: {reason}")]
    Group {
        /// The group's name.
        group: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A directory of the app.
    #[error("{doing} `{path}`", path = path.display())]
    Directory {
        /// What was attempted.
        doing: &'static str,
        /// The directory.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// Files of an app that is not known.
    #[error("create the app `{app}`: `{path}` exists, but no app of that name is known; move it away or delete it first", path = path.display())]
    LeftOver {
        /// The name.
        app: AppName,
        /// What is in the way.
        path: PathBuf,
    },
    /// The keeper could not be told.
    #[error("scale `{app}`")]
    Scale {
        /// The app.
        app: AppName,
        /// What the keeper said.
        #[source]
        source: KeepError,
    },
    /// What a generation that runs was started with can't be read.
    #[error("read what a running generation of `{app}` was started with")]
    Spec {
        /// The app.
        app: AppName,
        /// What is wrong with it.
        #[source]
        source: KeepError,
    },
    /// There is no webhook that a secret could be for.
    #[error(
        "set the secret of the webhook of `{0}`: there is none; set it first: handover app set {0} webhook URL"
    )]
    NoWebhook(AppName),
    /// The system has no random bytes.
    #[error("take random bytes from the system")]
    Random(#[source] std::io::Error),
    /// The git of this server is too old for it.
    #[error("turn the gate on: {0}; install a newer git, or go without the gate")]
    NoGate(String),
    /// The app is about to end.
    #[error("reach the app `{0}`: it is being stopped")]
    BeingStopped(AppName),
}
