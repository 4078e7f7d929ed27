//! What can go wrong with the database.

use std::path::PathBuf;

use crate::ids::{AppName, KeyName};

/// Why something could not be remembered or recalled.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The file can't be opened as a database.
    #[error("open the database `{path}`", path = path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// What `SQLite` said.
        #[source]
        source: rusqlite::Error,
    },
    /// The file can't be kept from others' eyes.
    #[error("create the database `{path}` for this user alone", path = path.display())]
    Protect {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// A newer handover has written this database.
    #[error("use the database `{path}`: it has version {found}, this handover knows {known}; install the newer handover again", path = path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// The version in the file.
        found: u32,
        /// The newest version that this binary knows.
        known: u32,
    },
    /// `SQLite`'s own check found damage.
    #[error("use the database `{path}`: it is damaged: {finding}", path = path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What `integrity_check` reported first.
        finding: String,
    },
    /// A statement failed.
    #[error("{doing} in the database")]
    Statement {
        /// What was attempted, such as `read the apps`.
        doing: &'static str,
        /// What `SQLite` said.
        #[source]
        source: rusqlite::Error,
    },
    /// No such app.
    #[error("find the app `{0}`: there is none of that name; `handover app list` shows them")]
    NoApp(AppName),
    /// The name is taken.
    #[error("create the app `{0}`: it exists already; `handover status {0}` shows it")]
    AppExists(AppName),
    /// No such key.
    #[error("find the key `{0}`: there is none of that name; `handover keys list` shows them")]
    NoKey(KeyName),
    /// The key's name is taken.
    #[error(
        "add the key `{0}`: there is one of that name already; remove it first: handover keys remove {0}"
    )]
    KeyExists(KeyName),
    /// The same key is known by another name.
    #[error(
        "add the key `{name}`: it is known already, as `{known}`; remove that first: handover keys remove {known}"
    )]
    KeyKnown {
        /// The name that was to be given.
        name: KeyName,
        /// The name that it has.
        known: String,
    },
    /// Another app has that host name.
    #[error(
        "give `{host}` to `{app}`: it belongs to `{owner}`; remove it there first: handover domains {owner} remove {host}"
    )]
    HostTaken {
        /// The host name.
        host: String,
        /// Who asked for it.
        app: AppName,
        /// Who has it.
        owner: String,
    },
}

impl StateError {
    /// For `map_err`: names what was attempted.
    pub(super) fn doing(doing: &'static str) -> impl FnOnce(rusqlite::Error) -> Self {
        move |source| Self::Statement { doing, source }
    }
}
