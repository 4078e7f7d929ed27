//! Releases that nobody needs any more.

use crate::process::rig::kill_point;
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

/// The beginnings of the names of what may be swept: what a removal or a checkout left.
const TRASH: &str = ".trash-";
const STAGING: &str = ".staging-";

/// Why a directory is still there, whole or in part.
#[derive(Debug, thiserror::Error)]
#[error("{doing} `{path}`", path = path.display())]
pub struct RemoveError {
    /// Which step was refused.
    pub doing: &'static str,
    /// On what.
    pub path: PathBuf,
    /// What the system said.
    #[source]
    pub source: io::Error,
}

/// Removes a release: it is first renamed to `.trash-…` beside itself, so that no half of a release ever has its name,
/// then deleted. Symlinks are not followed. That it is not there is fine. Blocks: some 0.3 s for 17,000 files.
pub fn remove_release(release: &Path) -> Result<(), RemoveError> {
    let trash = trash_name(release);
    kill_point("remove.begun");
    match fs::rename(release, &trash) {
        Ok(()) => delete(&trash),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(source) => Err(RemoveError {
            doing: "put aside",
            path: release.to_owned(),
            source,
        }),
    }
}

/// Deletes what removals and checkouts that were cut off have left in a releases directory. Only for a moment when none
/// is under way: the start of `serve`. Gives the number of directories deleted.
pub fn sweep(releases: &Path) -> Result<usize, RemoveError> {
    let failed = |source| RemoveError {
        doing: "list",
        path: releases.to_owned(),
        source,
    };
    let entries = match fs::read_dir(releases) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        Err(error) => return Err(failed(error)),
    };
    let mut swept = 0;
    for entry in entries {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with(TRASH) || name.starts_with(STAGING) {
            delete(&entry.path())?;
            swept += 1;
        }
    }
    Ok(swept)
}

/// A name beside the release that nothing else has.
fn trash_name(release: &Path) -> PathBuf {
    let name = release.file_name().unwrap_or_default().to_string_lossy();
    (0..u32::MAX)
        .map(|n| release.with_file_name(format!("{TRASH}{name}-{n}")))
        .find(|path| fs::symlink_metadata(path).is_err())
        .expect("some number is free")
}

fn delete(path: &Path) -> Result<(), RemoveError> {
    let failed = |source| RemoveError {
        doing: "delete",
        path: path.to_owned(),
        source,
    };
    match fs::remove_dir_all(path) {
        // Packages and builds may have left directories without write permission. Root does not get here, so that this
        // can change nothing but what belongs to our own user.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            make_writable(path).map_err(failed)?;
            fs::remove_dir_all(path).map_err(failed)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result.map_err(failed),
    }
}

fn make_writable(top: &Path) -> io::Result<()> {
    let mut ahead = vec![top.to_owned()];
    while let Some(directory) = ahead.pop() {
        fs::set_permissions(&directory, Permissions::from_mode(0o700))?;
        for entry in fs::read_dir(&directory)? {
            let entry = entry?;
            // The type of the entry itself: a symlink is not followed.
            if entry.file_type()?.is_dir() {
                ahead.push(entry.path());
            }
        }
    }
    Ok(())
}
