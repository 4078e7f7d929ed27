//! Which generation `live.sock` leads to, and the rename that changes it.
//!
//! Nothing here is synced to disk: a name of a socket is worth as much as the process behind it, and none of them
//! survives a reboot.

use std::fs::{hard_link, metadata, remove_file, rename};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::ids::GenerationNumber;
use crate::paths::AppPaths;
use crate::process::rig::kill_point;

use super::SlotError;

/// Names that lead somewhere else while they are being changed; [`super::sweep`] removes those of a killed process.
pub(super) const STAGING_PREFIX: &str = ".publish-";

/// What a publish replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "what was replaced wants to be drained"]
pub struct Published {
    /// The generation that was live before and is `previous.sock` now. `None`: there was none, or it is the same one.
    pub replaced: Option<GenerationNumber>,
}

/// Makes `live.sock` lead to a generation, which must be listening already. What was live becomes `previous.sock`
/// first, so that there is a way back from the first moment. Doing it again changes nothing.
pub fn publish(app: &AppPaths, generation: GenerationNumber) -> Result<Published, SlotError> {
    let replaced = live(app).filter(|&old| old != generation);
    if let Some(old) = replaced {
        point(&app.previous_socket(), &app.generation_socket(old))?;
    }
    kill_point("publish.previous_led");
    point(&app.live_socket(), &app.generation_socket(generation))?;
    Ok(Published { replaced })
}

/// The generation that `live.sock` leads to: whose socket is the same file.
pub fn live(app: &AppPaths) -> Option<GenerationNumber> {
    leads_to(app, &app.live_socket())
}

/// The generation that `previous.sock` leads to.
pub fn previous(app: &AppPaths) -> Option<GenerationNumber> {
    leads_to(app, &app.previous_socket())
}

/// Takes the app off its public name. Connecting fails from here on, with "no such file".
pub fn unpublish(app: &AppPaths) -> Result<(), SlotError> {
    remove(&app.live_socket())
}

fn leads_to(app: &AppPaths, name: &Path) -> Option<GenerationNumber> {
    let wanted = file_id(name)?;
    generations(app.run())
        .find(|(_, path)| file_id(path) == Some(wanted))
        .map(|(number, _)| number)
}

/// Device and inode: what makes two names the same file.
pub(super) fn file_id(path: &Path) -> Option<(u64, u64)> {
    metadata(path).ok().map(|meta| (meta.dev(), meta.ino()))
}

/// All `g<number>.sock` of a directory; none if it can't be read.
pub(super) fn generations(run: &Path) -> impl Iterator<Item = (GenerationNumber, PathBuf)> {
    let entries = std::fs::read_dir(run).into_iter().flatten().flatten();
    entries.filter_map(|entry| {
        let name = entry.file_name();
        let number = name.to_str()?.strip_prefix('g')?.strip_suffix(".sock")?;
        Some((number.parse().ok()?, entry.path()))
    })
}

fn point(name: &Path, target: &Path) -> Result<(), SlotError> {
    let staging = staging_beside(name);
    let pointed = hard_link(target, &staging).and_then(|()| {
        kill_point("publish.linked");
        rename(&staging, name)
    });
    // rename(2) between two names of one file does nothing at all and leaves both. That this one stays undoes nothing
    // of what the rename has done; `sweep` tries again.
    let _ = remove_file(&staging);
    pointed.map_err(|source| SlotError::Point {
        name: name.to_owned(),
        target: target.to_owned(),
        source,
    })
}

fn staging_beside(name: &Path) -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let count = NEXT.fetch_add(1, Ordering::Relaxed);
    name.with_file_name(format!("{STAGING_PREFIX}{}-{count}", std::process::id()))
}

/// Removes a name that may be gone already.
pub(super) fn remove(path: &Path) -> Result<(), SlotError> {
    ignore_missing(remove_file(path)).map_err(|source| SlotError::Remove {
        path: path.to_owned(),
        source,
    })
}

pub(super) fn ignore_missing(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}
