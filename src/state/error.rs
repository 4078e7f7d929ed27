//! What can go wrong with the database.

use std::io;
use std::path::PathBuf;

use rusqlite::ErrorCode;

use crate::ids::{AppName, KeyName};

/// What has led to an error, whoever has said so.
pub(super) type Cause = Box<dyn std::error::Error + Send + Sync>;

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
        source: io::Error,
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
    /// There is no room to write.
    #[error("{doing}: the disk of the database `{path}` is full; free some of it, and try again", path = path.display())]
    Full {
        /// What was attempted.
        doing: &'static str,
        /// The database.
        path: PathBuf,
    },
    /// Something else keeps us from writing.
    #[error("{doing}: the database `{path}` can't be written; look whether its disk is read-only or fails (`dmesg`), and try again", path = path.display())]
    Unwritable {
        /// What was attempted.
        doing: &'static str,
        /// The database.
        path: PathBuf,
        /// What was said.
        #[source]
        source: Cause,
    },
    /// Damage that was found after the start.
    #[error("{doing}: the database `{path}` is damaged; restart the server, which keeps it aside and rebuilds it", path = path.display())]
    FoundDamaged {
        /// What was attempted.
        doing: &'static str,
        /// The database.
        path: PathBuf,
    },
    /// The files of the database can't be put in their places.
    #[error("{doing} `{path}`", path = path.display())]
    File {
        /// What was attempted.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
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

    /// What `SQLite` calls it, where it is about the file and not about a row.
    fn code(&self) -> Option<ErrorCode> {
        match self {
            Self::Open { source, .. } | Self::Statement { source, .. } => {
                source.sqlite_error_code()
            }
            _ => None,
        }
    }

    /// What was said, once, and without what was attempted.
    pub(super) fn into_cause(self) -> Cause {
        match self {
            Self::Open { source, .. } | Self::Statement { source, .. } => source.to_string().into(),
            Self::Protect { source, .. } => Box::new(source),
            Self::Damaged { finding, .. } => finding.into(),
            other => Box::new(other),
        }
    }

    /// Whether the content of the file is not what was written.
    pub(super) fn is_damage(&self) -> bool {
        matches!(self, Self::Damaged { .. })
            || matches!(
                self.code(),
                Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase)
            )
    }

    /// Whether the disk has no room.
    pub(super) fn is_full(&self) -> bool {
        match self {
            Self::Protect { source, .. } => source.kind() == io::ErrorKind::StorageFull,
            _ => self.code() == Some(ErrorCode::DiskFull),
        }
    }

    /// Whether the system does not let us write just now.
    pub(super) fn is_unwritable(&self) -> bool {
        let refused = match self {
            Self::Protect { source, .. } => source.kind() == io::ErrorKind::ReadOnlyFilesystem,
            _ => matches!(
                self.code(),
                Some(ErrorCode::ReadOnly | ErrorCode::SystemIoFailure | ErrorCode::CannotOpen)
            ),
        };
        refused || self.is_full()
    }
}
