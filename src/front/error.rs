//! Why a front could not start or go on.

use std::io;
use std::path::PathBuf;

/// Why a front could not start or go on.
#[derive(Debug, thiserror::Error)]
pub enum FrontError {
    /// The control socket can't be bound.
    #[error("bind the control socket `{path}`", path = path.display())]
    Control {
        /// Where.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Another front has the control socket and answers.
    #[error("start a second front: one answers at `{path}`", path = .0.display())]
    AlreadyRunning(PathBuf),
    /// There is nothing to listen on.
    #[error("start a front without a listening socket")]
    NoListeners,
    /// An inherited socket can't be used.
    #[error("use the listening socket")]
    Listener(#[source] io::Error),
    /// A thread or its event loop can't be started.
    #[error("start a thread")]
    Thread(#[source] io::Error),
    /// The process can't find out about itself.
    #[error("identify this process")]
    Identity(#[source] io::Error),
    /// A thread ended while it was still needed.
    #[error("go on: a thread ended")]
    ThreadEnded,
}
