//! Why `serve` can't start.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use crate::config::ConfigError;
use crate::deploy::fleet::FleetError;
use crate::paths::PathError;
use crate::state::StateError;

/// Why `serve` can't start.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// The system has no thread to give.
    #[error("start the thread that deletes old releases")]
    Remover(#[source] io::Error),
    /// The directories don't suit sockets.
    #[error(transparent)]
    Path(#[from] PathError),
    /// A directory can't be made.
    #[error("make the directory `{path}`", path = path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Another server has this home.
    #[error("take the lock `{path}`: another `handover serve` uses this home already", path = path.display())]
    Locked {
        /// The lock file.
        path: PathBuf,
    },
    /// The lock can't be used.
    #[error("take the lock `{path}`", path = path.display())]
    Lock {
        /// The lock file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The settings file can't be read.
    #[error("read the settings `{path}`", path = path.display())]
    ReadSettings {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The settings are wrong.
    #[error("use the settings: {0}")]
    Settings(#[from] ConfigError),
    /// The database.
    #[error(transparent)]
    State(#[from] StateError),
    /// The apps.
    #[error(transparent)]
    Fleet(#[from] FleetError),
    /// The control socket.
    #[error("open the control socket `{path}`", path = path.display())]
    Control {
        /// Its path.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A public address.
    #[error("listen on {address}{}", hint(source))]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Signals can't be received.
    #[error("listen for signals")]
    Signals(#[source] io::Error),
    /// Files can't be watched.
    #[error("watch the repositories")]
    Watch(#[source] notify::Error),
}

fn hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            " (another program has it; choose another with --listen, or --no-front)"
        }
        io::ErrorKind::PermissionDenied => " (ports below 1024 need root or CAP_NET_BIND_SERVICE)",
        _ => "",
    }
}
