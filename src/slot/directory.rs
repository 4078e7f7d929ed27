//! The directory that holds an app's sockets.

use std::collections::BTreeSet;
use std::fs::{DirBuilder, Permissions, read_dir, remove_dir_all, set_permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::Path;

use crate::ids::GenerationNumber;
use crate::paths::AppPaths;
use crate::process::socket::give_to_group;

use super::SlotError;
use super::publish::{STAGING_PREFIX, file_id, generations, ignore_missing, remove};

/// Makes `<run>` and `<run>/<app>`. With a group (the front's), its members may pass through both, and through
/// nothing else; without, the app's directory is for its owner only. Existing directories are set right.
pub fn prepare(app: &AppPaths, front_group: Option<u32>) -> Result<(), SlotError> {
    if let Some(above) = app.run().parent() {
        DirBuilder::new()
            .recursive(true)
            .mode(if front_group.is_some() { 0o711 } else { 0o700 })
            .create(above)
            .map_err(|source| failed(above, source))?;
    }
    make(app.run(), front_group).map_err(|source| failed(app.run(), source))
}

fn make(dir: &Path, front_group: Option<u32>) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(dir) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    // The group first, the permission to pass second: no other group ever has it.
    if let Some(gid) = front_group {
        give_to_group(dir, gid)?;
    }
    let mode = if front_group.is_some() { 0o710 } else { 0o700 };
    set_permissions(dir, Permissions::from_mode(mode))
}

fn failed(path: &Path, source: io::Error) -> SlotError {
    SlotError::Directory {
        path: path.to_owned(),
        source,
    }
}

/// Removes what a generation left: its socket's name, its word of how it ended, and its directory. Its keeper does so
/// itself when it ends, up to the word; this is for those that were killed.
pub fn remove_generation(app: &AppPaths, generation: GenerationNumber) -> Result<(), SlotError> {
    remove(&app.generation_socket(generation))?;
    let paths = app.generation(generation);
    remove(&paths.retirement())?;
    remove(&paths.retirement_staging())?;
    let dir = paths.dir();
    ignore_missing(remove_dir_all(dir)).map_err(|source| SlotError::Remove {
        path: dir.to_owned(),
        source,
    })
}

/// The generations that have a socket, a directory or a last word here, in order; none if that can't be read.
pub fn left_behind(app: &AppPaths) -> Vec<GenerationNumber> {
    let entries = read_dir(app.run()).into_iter().flatten().flatten();
    let numbers = entries.filter_map(|entry| {
        let name = entry.file_name();
        let name = name.to_str()?.strip_prefix('g')?;
        name.split('.').next()?.parse().ok()
    });
    let found: BTreeSet<GenerationNumber> = numbers.collect();
    found.into_iter().collect()
}

/// Removes names that lead nowhere: a `previous.sock` whose generation is gone, and what a killed publish left.
/// Only whoever publishes may call it.
pub fn sweep(app: &AppPaths) -> Result<(), SlotError> {
    let previous = app.previous_socket();
    let id = file_id(&previous);
    let known = generations(app.run()).any(|(_, path)| file_id(&path) == id);
    if id.is_some() && !known {
        remove(&previous)?;
    }
    let entries = match read_dir(app.run()) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other.map_err(|source| failed(app.run(), source))?,
    };
    for entry in entries.flatten() {
        let name = entry.file_name();
        if name.to_string_lossy().starts_with(STAGING_PREFIX) {
            remove(&entry.path())?;
        }
    }
    Ok(())
}
