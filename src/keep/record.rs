//! What a keeper leaves on disk for whoever comes after it.

use std::fs::{read, remove_file, rename, write};
use std::path::Path;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::ids::GenerationNumber;
use crate::paths::GenerationPaths;
use crate::process::identity::Identity;
use crate::time::{Timestamp, Took};

use super::KeepError;

/// Which processes belong to a generation (`keep.json`), so that they can be found when the keeper was killed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Processes {
    /// The keeper itself.
    pub keeper: Identity,
    /// The leaders of its instances' process groups.
    pub instances: Vec<Identity>,
}

impl Processes {
    /// Reads a generation's record; `None` where there is none.
    pub fn read(paths: &GenerationPaths) -> Result<Option<Self>, KeepError> {
        let path = paths.processes();
        if !path.exists() {
            return Ok(None);
        }
        read_json(&path).map(Some)
    }
}

/// How a generation ended (`g57.retired.json`, beside its directory): told even when `serve` was away.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Retirement {
    /// The generation.
    pub generation: GenerationNumber,
    /// Connections that were ended by force.
    pub forced: u64,
    /// From the beginning of the drain to the end of the last process.
    pub took_ms: Took,
    /// When it ended.
    pub at: Timestamp,
}

impl Retirement {
    /// Reads and removes what a keeper that has ended left. `None`: it left nothing (it was never drained, or killed).
    pub fn take(paths: &GenerationPaths) -> Result<Option<Self>, KeepError> {
        let path = paths.retirement();
        if !path.exists() {
            return Ok(None);
        }
        let retirement = read_json(&path)?;
        remove_file(&path).map_err(|source| KeepError::file("remove", &path, source))?;
        Ok(Some(retirement))
    }
}

/// Writes a file that is either there as a whole or not at all to whoever reads it. Not synced: it does not outlive
/// the processes that it tells of.
pub(super) fn write_json(path: &Path, value: &impl Serialize) -> Result<(), KeepError> {
    let staging = path.with_extension("json.new");
    let bytes = serde_json::to_vec(value).map_err(|source| KeepError::Json {
        path: path.to_owned(),
        source,
    })?;
    let written = write(&staging, bytes).and_then(|()| rename(&staging, path));
    written.map_err(|source| {
        // Best effort: the error that is returned says more than half a file left behind.
        let _ = remove_file(&staging);
        KeepError::file("write", path, source)
    })
}

pub(super) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T, KeepError> {
    let bytes = read(path).map_err(|source| KeepError::file("read", path, source))?;
    serde_json::from_slice(&bytes).map_err(|source| KeepError::Json {
        path: path.to_owned(),
        source,
    })
}
