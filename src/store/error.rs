//! Why the store can't do what it is asked.

use std::io;
use std::path::{Path, PathBuf};

/// What went wrong with a stored tree. A deploy never fails of it: the install runs instead.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The system refused a step.
    #[error("{doing} `{path}`", path = path.display())]
    Io {
        /// Which step.
        doing: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// An entry is not what was stored.
    #[error("stored tree `{path}` is damaged: {why}", path = path.display())]
    Damaged {
        /// The entry.
        path: PathBuf,
        /// In which way.
        why: String,
    },
    /// A file of an install became another while it was stored.
    #[error("`{path}` changed while it was stored", path = path.display())]
    Changed {
        /// The file.
        path: PathBuf,
    },
    /// The disk has other things to be full of.
    #[error("only {} MiB are free on the disk", free >> 20)]
    NoRoom {
        /// How many bytes are free.
        free: u64,
    },
    /// It was asked to stop.
    #[error("was told to stop")]
    Stopped,
}

pub(super) fn failed<'p>(
    doing: &'static str,
    path: &'p Path,
) -> impl Fn(io::Error) -> StoreError + 'p {
    move |source| StoreError::Io {
        doing,
        path: path.to_owned(),
        source,
    }
}
