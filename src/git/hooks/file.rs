//! One hook file: ours, theirs, or none.

use std::fs::{self, File, Metadata};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use super::{HOOKS, HookError, MARK, Removed, io_error};

/// Whether the file had to be written.
pub(super) fn install_one(hook: &Path, bytes: &[u8]) -> Result<bool, HookError> {
    let kept = kept_aside(hook);
    match look_at(hook)? {
        Found::Ours { exactly: true } => return Ok(false),
        Found::Nothing | Found::Ours { exactly: false } => {}
        Found::Foreign(theirs) => keep_aside(hook, &theirs, &kept)?,
    }
    let tmp = with_ending(hook, ".handover-new");
    match fs::remove_file(&tmp) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(io_error("remove", &tmp)(error));
        }
        _ => {}
    }
    write_executable(&tmp, bytes).map_err(io_error("write the hook", &tmp))?;
    fs::rename(&tmp, hook).map_err(io_error("put in place the hook", hook))?;
    sync_parent(hook);
    Ok(true)
}

/// Gives the foreign hook its second name; the first is then replaced by the rename of ours, so that a push in
/// between still runs it.
fn keep_aside(hook: &Path, theirs: &Metadata, kept: &Path) -> Result<(), HookError> {
    match fs::symlink_metadata(kept) {
        Ok(there) if (there.dev(), there.ino()) == (theirs.dev(), theirs.ino()) => Ok(()),
        Ok(_) => Err(HookError::TwoForeign {
            hook: hook.to_owned(),
            kept: kept.to_owned(),
        }),
        // A symlink gets the second name itself, not what it leads to.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            fs::hard_link(hook, kept).map_err(io_error("put aside the hook", hook))
        }
        Err(error) => Err(io_error("read", kept)(error)),
    }
}

pub(super) fn remove_one(hook: &Path) -> Result<Removed, HookError> {
    let kept = kept_aside(hook);
    let hook = hook.to_owned();
    if !matches!(look_at(&hook)?, Found::Ours { .. }) {
        return Ok(Removed::Left(hook));
    }
    let removed = match fs::rename(&kept, &hook) {
        Ok(()) => Removed::Restored(hook),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            fs::remove_file(&hook).map_err(io_error("remove the hook", &hook))?;
            Removed::Gone(hook)
        }
        Err(error) => return Err(io_error("put back the hook", &kept)(error)),
    };
    sync_parent(&kept);
    Ok(removed)
}

pub(super) enum Found {
    Nothing,
    Ours { exactly: bool },
    Foreign(Metadata),
}

pub(super) fn look_at(hook: &Path) -> Result<Found, HookError> {
    let there = match fs::symlink_metadata(hook) {
        Ok(there) => there,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Nothing),
        Err(error) => return Err(io_error("read the hook", hook)(error)),
    };
    if !there.is_file() {
        return Ok(Found::Foreign(there));
    }
    let bytes = fs::read(hook).map_err(io_error("read the hook", hook))?;
    let ours = bytes.windows(MARK.len()).any(|window| window == MARK);
    if !ours {
        return Ok(Found::Foreign(there));
    }
    let as_embedded = HOOKS
        .iter()
        .any(|(name, embedded)| hook.ends_with(name) && *embedded == bytes);
    let runs = there.permissions().mode() & 0o111 == 0o111;
    Ok(Found::Ours {
        exactly: as_embedded && runs,
    })
}

fn write_executable(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::options()
        .write(true)
        .create_new(true)
        .mode(0o755)
        .open(path)?;
    file.write_all(bytes)?;
    // The pusher's user must be able to run it whatever our umask is.
    file.set_permissions(fs::Permissions::from_mode(0o755))?;
    file.sync_all()
}

fn sync_parent(path: &Path) {
    if let Some(Ok(dir)) = path.parent().map(File::open) {
        // A rename that a power loss undoes is made again by the next install; nothing else depends on it.
        let _ = dir.sync_all();
    }
}

pub(super) fn kept_aside(hook: &Path) -> PathBuf {
    with_ending(hook, ".chained")
}

fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}
