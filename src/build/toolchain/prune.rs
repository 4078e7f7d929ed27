//! What is kept and nobody needs any more: no release was built with it, and for some time none was built or started.
//!
//! A version is freshened whenever it is found whole, just before it is used. What runs is named by the record of its
//! release, however long ago that was.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use super::kept::Shelf;
use super::record::Record;
use super::toolbox::Toolbox;
use crate::build::Remover;
use crate::process::delete::RemoveError;

/// A build has no record yet, and must find at its end what it began with.
const AGE_MIN: Duration = Duration::from_secs(24 * 60 * 60);

impl Toolbox {
    /// Removes what none of these releases needs and what was not used for `age`, a day at least; not while something is
    /// fetched. Gives what went. Blocks.
    pub fn prune(
        &self,
        releases: &[PathBuf],
        age: Duration,
        now: SystemTime,
        remover: &Remover,
    ) -> Result<Vec<PathBuf>, RemoveError> {
        let Ok(_turn) = self.fetching.try_lock() else {
            return Ok(Vec::new()); // after the next deploy
        };
        let records = releases.iter().filter_map(|release| Record::read(release));
        let records: Vec<Record> = records.collect();
        let since = now - age.max(AGE_MIN);
        let mut gone = Vec::new();
        for (name, shelf) in self.named_shelves() {
            for dir in unneeded(name, &shelf, &records) {
                // Nobody finds it whole between the look and the removal.
                let _still = self
                    .freshening
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner);
                if last_used(&dir).is_some_and(|used| used < since) {
                    remover.remove(&dir)?;
                    gone.push(dir);
                }
            }
        }
        Ok(gone)
    }
}

/// Marks a version as used now; says whether it is still there. Blocks.
pub(super) fn freshen(freshening: &Mutex<()>, dir: &Path) -> bool {
    let _still = freshening.lock().unwrap_or_else(PoisonError::into_inner);
    let freshened = File::open(dir).and_then(|dir| dir.set_modified(SystemTime::now()));
    !matches!(freshened, Err(error) if error.kind() == io::ErrorKind::NotFound)
}

fn unneeded(name: &str, shelf: &Shelf, records: &[Record]) -> Vec<PathBuf> {
    let versions = shelf.versions().into_iter();
    versions
        .filter(|version| !records.iter().any(|record| record.names(name, version)))
        .map(|version| shelf.of(&version))
        .collect()
}

fn last_used(dir: &Path) -> Option<SystemTime> {
    fs::metadata(dir).ok()?.modified().ok()
}

#[cfg(test)]
mod tests;
