//! How the file becomes a connection: kept private, checked, migrated; or read into memory, where it can't be written.

use std::fs::{File, Permissions};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::backup::Backup;
use rusqlite::{Connection, OpenFlags};

use super::error::StateError;
use super::schema;

/// The mode of everything that belongs to the database: secrets lie in it.
const MODE: u32 = 0o600;

/// Opens the database for writing, creating or migrating it as needed, and has `SQLite` check it.
pub(super) fn open(path: &Path) -> Result<Connection, StateError> {
    let failed = |source| StateError::Open {
        path: path.to_owned(),
        source,
    };
    keep_private(path)?;
    let mut connection = Connection::open(path).map_err(failed)?;
    configure(&connection).map_err(failed)?;
    check(&connection, path)?;
    schema::migrate(&mut connection, path)?;
    Ok(connection)
}

/// Reads the database into memory, as the tables of this binary, without writing anything where it lies.
pub(super) fn copy(path: &Path) -> Result<Connection, StateError> {
    let failed = |source| StateError::Open {
        path: path.to_owned(),
        source,
    };
    let mut copy = Connection::open_in_memory().map_err(failed)?;
    copy_into(path, &mut copy).map_err(failed)?;
    copy.pragma_update(None, "foreign_keys", "on")
        .map_err(failed)?;
    check(&copy, path)?;
    schema::migrate(&mut copy, path)?;
    Ok(copy)
}

/// `SQLite` reads what is in the write-ahead log only with an index of it, for which there may be no room. Held alone,
/// the index is in memory; where nothing may be written at all, there is either an index already, or no log.
fn copy_into(path: &Path, copy: &mut Connection) -> rusqlite::Result<()> {
    let read_only = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let whole = |source: &Connection, copy: &mut Connection| {
        Backup::new(source, copy)?.run_to_completion(1000, Duration::ZERO, None)
    };
    let plainly =
        Connection::open_with_flags(path, read_only).and_then(|source| whole(&source, copy));
    if plainly.is_ok() {
        return plainly;
    }
    let no_log = std::fs::metadata(beside(path, "-wal")).map_or(true, |log| log.len() == 0);
    if no_log {
        let uri = read_only | OpenFlags::SQLITE_OPEN_URI;
        let source = Connection::open_with_flags(immutable(path), uri)?;
        return whole(&source, copy);
    }
    let source = Connection::open(path)?;
    source.pragma_update(None, "locking_mode", "exclusive")?;
    whole(&source, copy)
}

/// The file's name as a URI of `SQLite`'s (`?`, `#` and `%` mean something there).
fn immutable(path: &Path) -> String {
    let escaped = path
        .to_string_lossy()
        .replace('%', "%25")
        .replace('?', "%3f")
        .replace('#', "%23");
    format!("file:{escaped}?immutable=1")
}

/// The name of a file that belongs to the database: its own, with this ending.
pub(super) fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}

/// Nobody else may read it. `SQLite` gives its other files the mode of this one.
pub(super) fn keep_private(path: &Path) -> Result<(), StateError> {
    let failed = |source| StateError::Protect {
        path: path.to_owned(),
        source,
    };
    let mut options = File::options();
    let file = options
        .create(true)
        .append(true)
        .mode(MODE)
        .open(path)
        .map_err(failed)?;
    let mode = file.metadata().map_err(failed)?.permissions().mode();
    if mode & 0o7777 == MODE {
        return Ok(());
    }
    file.set_permissions(Permissions::from_mode(MODE))
        .map_err(failed)
}

fn configure(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(Duration::from_secs(5))?;
    connection.pragma_update(None, "journal_mode", "wal")?;
    connection.pragma_update(None, "synchronous", "full")?;
    connection.pragma_update(None, "foreign_keys", "on")?;
    // The log is written from its beginning again after 1 MiB (some ten deploys), in place of `SQLite`'s 4 MiB; what a
    // large transaction has made it longer is cut off.
    connection.pragma_update(None, "wal_autocheckpoint", 256)?;
    connection.pragma_update(None, "journal_size_limit", 1 << 20)?;
    // The whole database is a few hundred kilobytes: 512 KiB of page cache is plenty.
    connection.pragma_update(None, "cache_size", -512)
}

/// Has `SQLite` look at every page.
pub(super) fn check(connection: &Connection, path: &Path) -> Result<(), StateError> {
    let failed = |source| StateError::Open {
        path: path.to_owned(),
        source,
    };
    let finding: String = connection
        .query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))
        .map_err(failed)?;
    if finding == "ok" {
        Ok(())
    } else {
        Err(StateError::Damaged {
            path: path.to_owned(),
            finding,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::Database;

    #[test]
    fn a_copy_in_memory_has_what_is_in_the_log_and_the_tables_of_this_binary() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("hand%20?over.db");
        let database = Database::open(&path).unwrap();
        let new = crate::state::NewApp {
            name: "shop".parse().unwrap(),
            branch: "main".into(),
            repo: "/srv/shop.git".into(),
            gate: true,
            hosts: Vec::new(),
        };
        database.create_app(&new).unwrap();
        let apps = |copy: &Connection| {
            copy.query_row("SELECT group_concat(name) FROM apps", [], |row| {
                row.get::<_, String>(0)
            })
        };
        assert_eq!(
            apps(&copy(&path).unwrap()).unwrap(),
            "shop",
            "beside a writer"
        );
        let log = std::fs::read(beside(&path, "-wal")).unwrap();
        let main = std::fs::read(&path).unwrap();
        drop(database);
        assert_eq!(
            apps(&copy(&path).unwrap()).unwrap(),
            "shop",
            "without a log"
        );

        // As a server that was killed leaves it.
        let killed = dir.path().join("killed.db");
        std::fs::write(&killed, main).unwrap();
        std::fs::write(beside(&killed, "-wal"), log).unwrap();
        assert_eq!(
            apps(&copy(&killed).unwrap()).unwrap(),
            "shop",
            "from the log"
        );
    }
}
