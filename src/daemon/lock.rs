//! The directories of the installation, and the lock that keeps it to one server.

use std::fs::{DirBuilder, File, TryLockError};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use super::error::DaemonError;
use crate::paths::Layout;

/// Makes the directories. The home can be passed through (a run directory within it must be reachable for nginx) but
/// not listed; the apps' files are the server's own.
pub(super) fn make_directories(layout: &Layout) -> Result<(), DaemonError> {
    make(layout.home(), 0o711)?;
    make(&layout.apps(), 0o700)?;
    make(layout.run(), 0o711)
}

fn make(path: &Path, mode: u32) -> Result<(), DaemonError> {
    let made = DirBuilder::new().recursive(true).mode(mode).create(path);
    made.map_err(|source| DaemonError::Directory {
        path: path.to_owned(),
        source,
    })
}

/// Takes the lock; it is held until the file is dropped, or the process ends however it does.
pub(super) fn take(layout: &Layout) -> Result<File, DaemonError> {
    let path = layout.serve_lock();
    let failed = |source| DaemonError::Lock {
        path: layout.serve_lock(),
        source,
    };
    let mut options = File::options();
    let file = options
        .create(true)
        .append(true)
        .open(&path)
        .or_else(|error| match error.kind() {
            // On a disk that became read-only the file is there, and can be locked.
            io::ErrorKind::ReadOnlyFilesystem => File::open(&path).map_err(|_| error),
            _ => Err(error),
        })
        .map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(DaemonError::Locked { path }),
        Err(TryLockError::Error(source)) => Err(failed(source)),
    }
}
