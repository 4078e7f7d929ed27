//! The one connection.
//!
//! ```text
//!            nothing can be written             writing works again
//!   (start) ─────────────────────► from memory ─────────────────────► from the file
//!      └──────────────────────────────────────────────────────────────────▲
//! ```
//!
//! A start on a full disk reads the file into memory, so that everything can be looked at; whatever is to be written
//! first tries to open the file again. Damage that is found later ends all writing until the next start.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use rusqlite::{Connection, Row, ToSql};
use tokio::sync::watch;

use super::error::StateError;
use super::open;
use crate::process::reserve::Reserve;
use crate::process::{blocking, disk};

/// Below this much free disk it is the disk that keeps `SQLite` from writing, in bytes: the index of its log needs it.
const NO_ROOM: u64 = 64 * 1024;

/// The database of one installation. Clones share the one connection; each call is one transaction that is on disk
/// when the call returns. Calls take the time of an fsync, so async code runs them on a blocking thread
/// ([`Database::run`]).
#[derive(Debug, Clone)]
pub struct Database {
    shared: Arc<Shared>,
    reserve: Option<Arc<Reserve>>,
}

#[derive(Debug)]
struct Shared {
    path: PathBuf,
    source: Mutex<Source>,
    /// Damage that was found after the start.
    damaged: OnceLock<()>,
    /// How often something was changed.
    changes: watch::Sender<u64>,
}

/// Where rows come from.
#[derive(Debug)]
enum Source {
    /// The file, which can be written.
    File(Connection),
    /// What was in the file at the start, when it could not be written.
    Memory(Connection),
}

impl Source {
    fn connection(&mut self) -> &mut Connection {
        match self {
            Self::File(connection) | Self::Memory(connection) => connection,
        }
    }
}

impl Database {
    /// Opens the database, creating or migrating it as needed, and has `SQLite` check it.
    pub fn open(path: &Path) -> Result<Self, StateError> {
        Ok(Self::of(path, Source::File(open::open(path)?)))
    }

    /// The same, except that one that can't be written just now is read.
    pub(super) fn open_or_read(path: &Path) -> Result<Self, StateError> {
        match open::open(path) {
            Ok(connection) => Ok(Self::of(path, Source::File(connection))),
            Err(error) if error.is_unwritable() => {
                // Why it can't be written counts, not what else was tried.
                let Ok(copy) = open::copy(path) else {
                    return Err(error);
                };
                let error = &error as &dyn std::error::Error;
                tracing::error!(
                    error,
                    "database can't be written: nothing is deployed until it can; what is live serves on"
                );
                Ok(Self::of(path, Source::Memory(copy)))
            }
            Err(error) => Err(error),
        }
    }

    /// Reads the database as it is, and changes nothing where it lies: for whoever only looks.
    pub fn read(path: &Path) -> Result<Self, StateError> {
        Ok(Self::of(path, Source::Memory(open::copy(path)?)))
    }

    fn of(path: &Path, source: Source) -> Self {
        Self {
            shared: Arc::new(Shared {
                path: path.to_owned(),
                source: Mutex::new(source),
                damaged: OnceLock::new(),
                changes: watch::Sender::default(),
            }),
            reserve: None,
        }
    }

    /// Where it lies.
    pub(super) fn path(&self) -> &Path {
        &self.shared.path
    }

    /// Marks each change.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.shared.changes.subscribe()
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

    /// Fails where nothing can be written: for whoever must not begin what he can't write down.
    pub fn try_to_write(&self) -> Result<(), StateError> {
        const DOING: &str = "write";
        self.write(DOING, |connection| {
            let version: u32 = connection
                .pragma_query_value(None, "user_version", |row| row.get(0))
                .map_err(StateError::doing(DOING))?;
            connection
                .pragma_update(None, "user_version", version)
                .map_err(StateError::doing(DOING))
        })
    }

    /// One transaction.
    pub(super) fn write<T>(
        &self,
        doing: &'static str,
        work: impl FnOnce(&Connection) -> Result<T, StateError>,
    ) -> Result<T, StateError> {
        if self.shared.damaged.get().is_some() {
            return Err(StateError::FoundDamaged {
                doing,
                path: self.path().to_owned(),
            });
        }
        let written = self.transact(doing, work);
        written.map_err(|error| self.explained(doing, error))
    }

    fn transact<T>(
        &self,
        doing: &'static str,
        work: impl FnOnce(&Connection) -> Result<T, StateError>,
    ) -> Result<T, StateError> {
        let mut source = self
            .shared
            .source
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if self.reserve.as_deref().is_some_and(Reserve::give_up_if_low) {
            tracing::warn!("the disk is full: the room that was kept back is given up");
        }
        if let Source::Memory(_) = *source {
            *source = Source::File(open::open(self.path())?);
            tracing::info!("database can be written again");
        }
        let connection = source.connection();
        let before = connection.total_changes();
        let transaction = connection.transaction().map_err(StateError::doing(doing))?;
        let value = work(&transaction)?;
        transaction.commit().map_err(StateError::doing(doing))?;
        if connection.total_changes() != before {
            self.shared.changes.send_modify(|count| *count += 1);
        }
        Ok(value)
    }

    /// What an error of `SQLite`'s means for whoever has to mend it.
    pub(super) fn explained(&self, doing: &'static str, error: StateError) -> StateError {
        let path = self.path().to_owned();
        if error.is_damage() {
            if self.shared.damaged.set(()).is_ok() {
                let error = &error as &dyn std::error::Error;
                tracing::error!(
                    error,
                    "database is damaged: nothing is deployed until the server is started again, which rebuilds it"
                );
            }
            return StateError::FoundDamaged { doing, path };
        }
        if !error.is_unwritable() {
            return error;
        }
        if error.is_full() || disk::free(&path).is_ok_and(|free| free.bytes < NO_ROOM) {
            return StateError::Full { doing, path };
        }
        StateError::Unwritable {
            doing,
            path,
            source: error.into_cause(),
        }
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
        let mut source = self
            .shared
            .source
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let connection = source.connection();
        let query = || {
            let mut statement = connection.prepare_cached(sql)?;
            statement.query_map(values, read)?.collect()
        };
        let rows: rusqlite::Result<Vec<T>> = query();
        rows.map_err(StateError::doing(doing))
            .map_err(|error| self.explained_read(doing, error))
    }

    fn explained_read(&self, doing: &'static str, error: StateError) -> StateError {
        if error.is_damage() {
            self.explained(doing, error)
        } else {
            error
        }
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
