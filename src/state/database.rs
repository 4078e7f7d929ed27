//! The one connection.

use std::fs::Permissions;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, Row, ToSql};

use super::error::StateError;
use super::schema;
use crate::process::blocking;
use crate::process::reserve::Reserve;

/// The database of one installation. Clones share the one connection; each call is one transaction that is on disk
/// when the call returns. Calls take the time of an fsync, so async code runs them on a blocking thread
/// ([`Database::run`]).
#[derive(Debug, Clone)]
pub struct Database {
    connection: Arc<Mutex<Connection>>,
    reserve: Option<Arc<Reserve>>,
}

impl Database {
    /// Opens the database, creating or migrating it as needed, and has `SQLite` check it.
    pub fn open(path: &Path) -> Result<Self, StateError> {
        let failed = |source| StateError::Open {
            path: path.to_owned(),
            source,
        };
        keep_private(path)?;
        let mut connection = Connection::open(path).map_err(failed)?;
        configure(&connection).map_err(failed)?;
        check(&connection, path)?;
        schema::migrate(&mut connection, path)?;
        Ok(Self {
            connection: Arc::new(Mutex::new(connection)),
            reserve: None,
        })
    }

    /// Gives this up rather than write to a disk that is about to be full.
    #[must_use]
    pub fn with_reserve(mut self, reserve: Arc<Reserve>) -> Self {
        self.reserve = Some(reserve);
        self
    }

    /// Runs calls on a blocking thread.
    pub async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Self) -> Result<T, StateError> + Send + 'static,
    ) -> Result<T, StateError> {
        let database = self.clone();
        blocking(move || work(&database)).await
    }

    /// One transaction.
    pub(super) fn write<T>(
        &self,
        doing: &'static str,
        work: impl FnOnce(&Connection) -> Result<T, StateError>,
    ) -> Result<T, StateError> {
        let mut connection = self
            .connection
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if self.reserve.as_deref().is_some_and(Reserve::give_up_if_low) {
            tracing::warn!("the disk is full: the room that was kept back is given up");
        }
        let transaction = connection.transaction().map_err(StateError::doing(doing))?;
        let value = work(&transaction)?;
        transaction.commit().map_err(StateError::doing(doing))?;
        Ok(value)
    }

    /// One statement in a transaction of its own; the number of rows that it changed.
    pub(super) fn execute(
        &self,
        doing: &'static str,
        sql: &str,
        values: &[&dyn ToSql],
    ) -> Result<usize, StateError> {
        self.write(doing, |connection| {
            connection
                .execute(sql, values)
                .map_err(StateError::doing(doing))
        })
    }

    /// All rows of a query.
    pub(super) fn rows<T>(
        &self,
        doing: &'static str,
        sql: &str,
        values: &[&dyn ToSql],
        read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, StateError> {
        let connection = self
            .connection
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let mut statement = connection
            .prepare_cached(sql)
            .map_err(StateError::doing(doing))?;
        let rows = statement
            .query_map(values, read)
            .map_err(StateError::doing(doing))?;
        rows.collect::<rusqlite::Result<Vec<T>>>()
            .map_err(StateError::doing(doing))
    }

    /// The first row of a query.
    pub(super) fn row<T>(
        &self,
        doing: &'static str,
        sql: &str,
        values: &[&dyn ToSql],
        read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Option<T>, StateError> {
        Ok(self.rows(doing, sql, values, read)?.into_iter().next())
    }
}

/// Secrets lie in it: nobody else may read it. `SQLite` gives its other files the mode of this one.
fn keep_private(path: &Path) -> Result<(), StateError> {
    let failed = |source| StateError::Protect {
        path: path.to_owned(),
        source,
    };
    let mut options = std::fs::File::options();
    let file = options
        .create(true)
        .append(true)
        .mode(0o600)
        .open(path)
        .map_err(failed)?;
    file.set_permissions(Permissions::from_mode(0o600))
        .map_err(failed)
}

fn configure(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(Duration::from_secs(5))?;
    connection.pragma_update(None, "journal_mode", "wal")?;
    connection.pragma_update(None, "synchronous", "full")?;
    connection.pragma_update(None, "foreign_keys", "on")?;
    // The log is written from its beginning again after 1 MiB (some ten deploys), in place of `SQLite`'s 4 MiB.
    connection.pragma_update(None, "wal_autocheckpoint", 256)?;
    // The whole database is a few hundred kilobytes: 512 KiB of page cache is plenty.
    connection.pragma_update(None, "cache_size", -512)
}

fn check(connection: &Connection, path: &Path) -> Result<(), StateError> {
    let finding: String = connection
        .query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))
        .map_err(StateError::doing("check the tables"))?;
    if finding == "ok" {
        Ok(())
    } else {
        Err(StateError::Damaged {
            path: path.to_owned(),
            finding,
        })
    }
}

/// Reads a column that holds one of our texts (a name, a state, a time).
pub(super) fn parsed<T>(row: &Row<'_>, column: &str) -> rusqlite::Result<T>
where
    T: std::str::FromStr,
    T::Err: std::fmt::Display,
{
    let text: String = row.get(column)?;
    parse(column, &text)
}

/// The same, where the column may be empty.
pub(super) fn parsed_option<T>(row: &Row<'_>, column: &str) -> rusqlite::Result<Option<T>>
where
    T: std::str::FromStr,
    T::Err: std::fmt::Display,
{
    let text: Option<String> = row.get(column)?;
    text.map(|text| parse(column, &text)).transpose()
}

fn parse<T>(column: &str, text: &str) -> rusqlite::Result<T>
where
    T: std::str::FromStr,
    T::Err: std::fmt::Display,
{
    text.parse().map_err(|error| {
        let message = format!("column {column}: {error}");
        rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Text, message.into())
    })
}
