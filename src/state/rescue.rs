//! A damaged database is kept aside, and its backup takes its place.
//!
//! ```text
//! handover.db ─────────► handover.db.damaged-20261123T143305Z  (-wal, -shm)
//! handover.db.backup ──► handover.db
//!                        handover.db.rebuild  until what is on disk has been added, then …damaged-….txt
//! ```
//!
//! Cut off anywhere, the next start finds either a damaged (or no) database, and begins anew, or the note
//! `handover.db.rebuild`, and goes on.

use std::io;
use std::path::{Path, PathBuf};

use super::backup::backup_of;
use super::database::Database;
use super::error::StateError;
use super::log::is_damaged;
use super::open::{self, beside};
use crate::process::files;
use crate::time::{Timestamp, now};

/// A database that was damaged has been replaced, and is to be completed from what is on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rescued {
    /// Where the damaged one was put.
    pub kept: PathBuf,
    /// What was found, and what was done about it.
    pub words: String,
}

impl Database {
    /// Opens the database; a damaged one is kept aside, and replaced by its backup, or else by an empty one. One that
    /// can't be written is read. Where `expected`, there has been one before.
    pub fn open_or_rescue(
        path: &Path,
        expected: bool,
    ) -> Result<(Self, Option<Rescued>), StateError> {
        let finding = match lost(path, expected) {
            Some(finding) => finding,
            None => match Self::open_or_read(path) {
                Ok(database) => return Ok((database, unfinished(path))),
                Err(error) if error.is_damage() => error.into_cause().to_string(),
                Err(error) => return Err(error),
            },
        };
        let rescued = replace(path, &finding)?;
        Ok((Self::open_or_read(path)?, Some(rescued)))
    }

    /// What was to be added is added: this is what there is to be told of it.
    pub fn rebuilt(&self, rescued: &Rescued, told: &str) -> Result<(), StateError> {
        let report = beside(&rescued.kept, ".txt");
        let note = note(self.path());
        files::replace(&report, told.as_bytes(), 0o600).map_err(file("write", &report))?;
        files::remove_if_there(&note).map_err(file("remove", &note))
    }
}

/// What `SQLite` would take for an empty database, or for an older state of this one.
fn lost(path: &Path, expected: bool) -> Option<String> {
    let expected = expected || backup_of(path).exists();
    let finding = match std::fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound && expected => "it is gone",
        Ok(found) if found.len() == 0 && expected => "it is empty",
        Ok(_) if is_damaged(&beside(path, "-wal")) => "its log (handover.db-wal) is damaged",
        _ => return None,
    };
    Some(finding.to_owned())
}

/// Puts the backup in the place of the database, which is kept aside.
fn replace(path: &Path, finding: &str) -> Result<Rescued, StateError> {
    let restored = beside(path, ".restored");
    let source = restore(path, &restored)?;
    let kept = free_name(path);
    let from = match &source {
        Some(Restored::Backup(at)) => {
            let at = at.strftime("%Y-%m-%dT%H:%M:%SZ");
            format!("rebuilt from the backup of {at}")
        }
        Some(Restored::Itself) => "rebuilt from itself, without its log".to_owned(),
        None => "begun anew, as there is no good backup".to_owned(),
    };
    let words = format!(
        "the database was damaged ({finding}); it is kept as {}, and was {from}",
        kept.display()
    );
    let note = note(path);
    let text = format!("{}\n{words}\n", kept.display());
    files::replace(&note, text.as_bytes(), 0o600).map_err(file("write", &note))?;
    // The main one first: without it, whatever else is there says that something is lost.
    for ending in ["", "-wal", "-shm"] {
        let (from, to) = (beside(path, ending), beside(&kept, ending));
        match std::fs::rename(&from, &to) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(file("keep aside", &from)(error));
            }
            _ => {}
        }
    }
    if source.is_some() {
        files::put_in_place(&restored, path).map_err(file("put in place", path))?;
    }
    Ok(Rescued { kept, words })
}

/// What a database was restored from.
enum Restored {
    Backup(Timestamp),
    /// The file is whole, and only its log was not.
    Itself,
}

/// Makes a whole database of this binary's version at `to`, from the best that there is.
fn restore(path: &Path, to: &Path) -> Result<Option<Restored>, StateError> {
    let backup = backup_of(path);
    let made = std::fs::metadata(&backup).and_then(|found| found.modified());
    if let Ok(made) = made
        && is_whole_copy(&backup, to)?
    {
        return Ok(Some(Restored::Backup(
            made.try_into().unwrap_or_else(|_| now()),
        )));
    }
    let has_content = std::fs::metadata(path).is_ok_and(|found| found.len() > 0);
    Ok((has_content && is_whole_copy(path, to)?).then_some(Restored::Itself))
}

/// Copies one file; whether it is a whole database by itself.
fn is_whole_copy(from: &Path, to: &Path) -> Result<bool, StateError> {
    remove_database(to)?;
    std::fs::copy(from, to).map_err(file("copy", from))?;
    let error = match open::open(to) {
        Ok(connection) => {
            drop(connection); // and with it its log
            return Ok(true);
        }
        Err(error) => error,
    };
    remove_database(to)?;
    match error {
        StateError::Newer { found, known, .. } => Err(StateError::Newer {
            path: from.to_owned(),
            found,
            known,
        }),
        error if error.is_unwritable() => Err(error),
        error => {
            let error = &error as &dyn std::error::Error;
            tracing::error!(path = %from.display(), error, "database can't be rebuilt from this");
            Ok(false)
        }
    }
}

fn remove_database(path: &Path) -> Result<(), StateError> {
    for ending in ["", "-wal", "-shm"] {
        let file_there = beside(path, ending);
        files::remove_if_there(&file_there).map_err(file("remove", &file_there))?;
    }
    Ok(())
}

/// A rescue that was cut off before everything was added.
fn unfinished(path: &Path) -> Option<Rescued> {
    let text = std::fs::read_to_string(note(path)).ok()?;
    let (kept, words) = text.split_once('\n')?;
    Some(Rescued {
        kept: kept.into(),
        words: words.trim_end().to_owned(),
    })
}

fn note(path: &Path) -> PathBuf {
    beside(path, ".rebuild")
}

/// A name for a damaged database, by the time.
fn free_name(path: &Path) -> PathBuf {
    let at = now().strftime("%Y%m%dT%H%M%SZ");
    let name = |number: u32| match number {
        1 => beside(path, &format!("{MARK}{at}")),
        number => beside(path, &format!("{MARK}{at}.{number}")),
    };
    let taken = |name: &PathBuf| {
        ["", "-wal", ".txt"]
            .iter()
            .any(|end| beside(name, end).exists())
    };
    let mut names = (1..).map(name).skip_while(taken);
    names.next().expect("numbers don't come to an end")
}

const MARK: &str = ".damaged-";

/// The damaged databases that were kept aside beside the one at `path`, oldest first.
pub fn kept_aside(path: &Path) -> Vec<PathBuf> {
    let (Some(dir), Some(name)) = (
        path.parent(),
        path.file_name().and_then(|name| name.to_str()),
    ) else {
        return Vec::new();
    };
    let begins = format!("{name}{MARK}");
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let kept: std::collections::BTreeSet<_> = names
        .filter(|name| name.starts_with(&begins))
        .map(|name| {
            let own = name.trim_end_matches("-wal").trim_end_matches("-shm");
            dir.join(own.trim_end_matches(".txt"))
        })
        .collect();
    kept.into_iter().collect()
}

/// What was told when the damaged database at `kept` was replaced.
pub fn report_of(kept: &Path) -> Option<String> {
    std::fs::read_to_string(beside(kept, ".txt")).ok()
}

fn file(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StateError {
    let path = path.to_owned();
    move |source| StateError::File {
        doing,
        path,
        source,
    }
}

#[cfg(test)]
mod tests;
