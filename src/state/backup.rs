//! The copy that a damaged database is rebuilt from.
//!
//! ```text
//! handover.db ──SQLite's online backup──► handover.db.backup-new ──checked, fsync, rename──► handover.db.backup
//! ```
//!
//! It is made over a connection of its own, so that nobody waits for it, and takes the former one's place only when it
//! is whole: what a damaged database becomes when it is copied never does.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::backup::Backup;
use rusqlite::{Connection, OpenFlags};

use super::database::Database;
use super::error::StateError;
use super::open::{beside, check, keep_private};
use crate::process::files::{put_in_place, remove_if_there};

const DOING: &str = "back up the database";

impl Database {
    /// Makes the backup anew.
    pub fn back_up(&self) -> Result<(), StateError> {
        let staging = beside(self.path(), ".backup-new");
        let made = copy(self.path(), &staging).and_then(|()| {
            let placed = put_in_place(&staging, &backup_of(self.path()));
            placed.map_err(|source| StateError::File {
                doing: "put in place the backup",
                path: backup_of(self.path()),
                source,
            })
        });
        if made.is_err() {
            // The next one begins with removing it.
            let _ = remove_if_there(&staging);
        }
        made.map_err(|error| self.explained(DOING, error))
    }
}

/// Where the backup of the database at `path` lies.
pub(super) fn backup_of(path: &Path) -> PathBuf {
    beside(path, ".backup")
}

/// Copies a database that may be in use, whole and checked.
fn copy(from: &Path, to: &Path) -> Result<(), StateError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| StateError::Open { path, source }
    };
    for left in [to.to_owned(), beside(to, "-journal")] {
        remove_if_there(&left).map_err(|source| StateError::File {
            doing: "remove",
            path: left,
            source,
        })?;
    }
    keep_private(to)?;
    let read_only = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let source = Connection::open_with_flags(from, read_only).map_err(failed(from))?;
    source
        .busy_timeout(Duration::from_secs(5))
        .map_err(failed(from))?;
    let mut copy = Connection::open(to).map_err(failed(to))?;
    // Nobody else opens it: no index of a log has to be shared.
    copy.pragma_update(None, "locking_mode", "exclusive")
        .map_err(failed(to))?;
    Backup::new(&source, &mut copy)
        .and_then(|backup| backup.run_to_completion(100, Duration::ZERO, None))
        .map_err(failed(from))?;
    // It is one file: no log lies beside it.
    copy.pragma_update(None, "journal_mode", "delete")
        .map_err(failed(to))?;
    check(&copy, from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::NewApp;
    use std::os::unix::fs::{FileExt, PermissionsExt};

    fn with_app(path: &Path, name: &str) -> Database {
        let database = Database::open(path).unwrap();
        let new = NewApp {
            name: name.parse().unwrap(),
            branch: "main".into(),
            repo: format!("/srv/{name}.git").into(),
            gate: true,
            hosts: Vec::new(),
        };
        database.create_app(&new).unwrap();
        database
    }

    fn names(path: &Path) -> Vec<String> {
        let apps = Database::open(path).unwrap().apps().unwrap();
        apps.iter().map(|app| app.name.to_string()).collect()
    }

    #[test]
    fn a_backup_is_one_private_file_with_everything_in_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("handover.db");
        let database = with_app(&path, "shop");
        for _ in 0..2 {
            database.back_up().unwrap();
        }
        let backup = backup_of(&path);
        let mode = std::fs::metadata(&backup).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let alone = dir.path().join("alone.db");
        std::fs::copy(&backup, &alone).unwrap();
        assert_eq!(names(&alone), ["shop"]);
        assert!(!beside(&backup, "-new").exists());
    }

    #[test]
    fn a_damaged_database_never_takes_the_place_of_a_good_backup_and_is_not_written_any_more() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("handover.db");
        let database = with_app(&path, "shop");
        drop(database); // everything is in the file itself
        let database = Database::open(&path).unwrap();
        database.back_up().unwrap();
        let good = std::fs::read(backup_of(&path)).unwrap();
        let file = std::fs::File::options().write(true).open(&path).unwrap();
        let middle = file.metadata().unwrap().len() / 2;
        file.write_all_at(&[0xa5; 8192], middle / 4096 * 4096)
            .unwrap();
        let error = database.back_up().unwrap_err();
        assert!(
            matches!(error, StateError::FoundDamaged { .. }),
            "{error:?}"
        );
        assert_eq!(std::fs::read(backup_of(&path)).unwrap(), good);
        let refused = database.try_to_write().unwrap_err();
        assert!(
            refused.to_string().contains("restart the server"),
            "{refused}"
        );
    }
}
