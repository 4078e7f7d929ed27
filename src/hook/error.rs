//! What can go wrong in a hook.

use std::io;
use std::path::PathBuf;

use crate::git::GitError;
use crate::git::hooks;
use crate::push::{ProtocolError, RefError};

/// Why the hook can't do its work.
#[derive(Debug, thiserror::Error)]
pub enum HookError {
    /// The repository does not say whose it is.
    #[error("learn which app `{repo}` belongs to; put the hooks in again: handover hooks install {repo} APP", repo = repo.display())]
    NoApp {
        /// The repository.
        repo: PathBuf,
    },
    /// The repository's configuration.
    #[error(transparent)]
    Repository(#[from] hooks::HookError),
    /// What git tells.
    #[error(transparent)]
    Refs(#[from] RefError),
    /// The repository.
    #[error(transparent)]
    Git(#[from] GitError),
    /// The conversation with git.
    #[error(transparent)]
    Protocol(#[from] ProtocolError),
    /// Standard input.
    #[error("read what git tells the hook")]
    Input(#[source] io::Error),
    /// The repository's own hook.
    #[error("run the repository's own hook `{path}`", path = path.display())]
    Chained {
        /// The hook.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}
