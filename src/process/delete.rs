//! Deletes whole directories, and gets into those that are closed to their own owner.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

/// From this depth on a directory is deleted in one slice: a path has its limit, and descriptors have not.
const DEEP: usize = 64;

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

/// Deletes a directory with all that is in it, at once. Symlinks are not followed. That it is not there is fine, and so
/// is somebody else who deletes in it. Blocks: some 0.3 s for 17,000 files.
pub fn delete_now(path: &Path) -> Result<(), RemoveError> {
    delete(path, &mut || ())
}

/// The same, with `between` called before each file; it may take its time.
pub fn delete(top: &Path, between: &mut dyn FnMut()) -> Result<(), RemoveError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| RemoveError {
            doing: "delete",
            path,
            source,
        }
    };
    match fs::symlink_metadata(top) {
        Ok(found) if found.is_dir() => {}
        Ok(_) => return unless_gone(fs::remove_file(top)).map_err(failed(top)),
        Err(error) => return unless_gone(Err(error)).map_err(failed(top)),
    }
    let mut ahead = vec![Ahead::Enter(top.to_owned(), 0)];
    while let Some(next) = ahead.pop() {
        between();
        match next {
            Ahead::Enter(dir, depth) if depth >= DEEP => {
                whole(&dir).map_err(failed(&dir))?;
            }
            Ahead::Enter(dir, depth) => {
                let inner = empty(&dir, between).map_err(failed(&dir))?;
                ahead.push(Ahead::Leave(dir));
                ahead.extend(inner.into_iter().map(|dir| Ahead::Enter(dir, depth + 1)));
            }
            Ahead::Leave(dir) => {
                let parent = dir.parent().unwrap_or(Path::new("/"));
                // Whatever lies beside the top is not ours to change.
                let parent = (dir != top).then_some(parent);
                allowed(parent, || fs::remove_dir(&dir)).map_err(failed(&dir))?;
            }
        }
    }
    Ok(())
}

/// Lets the owner into all directories that are there, from `top` on, so that what is in them can be looked at and changed.
/// What goes meanwhile, or is too deep for a path, is passed over.
pub fn open_to_owner(top: &Path) -> io::Result<()> {
    let mut ahead = vec![top.to_owned()];
    while let Some(dir) = ahead.pop() {
        let Ok(found) = fs::symlink_metadata(&dir) else {
            continue;
        };
        if found.permissions().mode() & 0o700 != 0o700 {
            unless_gone(make_writable(&dir))?;
        }
        for entry in fs::read_dir(&dir).into_iter().flatten() {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                ahead.push(entry.path());
            }
        }
    }
    Ok(())
}

/// Renames a directory, which its owner must be able to write to where it gets another parent; or anything else.
pub fn move_whole(from: &Path, to: &Path) -> io::Result<()> {
    let refused = match fs::rename(from, to) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => error,
        renamed => return renamed,
    };
    let found = fs::symlink_metadata(from)?;
    if !found.is_dir() {
        return Err(refused);
    }
    make_writable(from)?;
    let moved = fs::rename(from, to);
    fs::set_permissions(if moved.is_ok() { to } else { from }, found.permissions())?;
    moved
}

/// A directory that is being deleted.
enum Ahead {
    /// What is in it comes first,
    Enter(PathBuf, usize),
    /// and then itself.
    Leave(PathBuf),
}

/// Deletes all files of a directory; gives the directories in it.
fn empty(dir: &Path, between: &mut dyn FnMut()) -> io::Result<Vec<PathBuf>> {
    let mut inner = Vec::new();
    let entries = match allowed(Some(dir), || fs::read_dir(dir).map(Some)) {
        Ok(Some(entries)) => entries,
        Ok(None) => return Ok(inner),
        Err(error) => return Err(error),
    };
    for entry in entries {
        let entry = entry?;
        // The type of the entry itself: a symlink is not followed.
        if entry.file_type()?.is_dir() {
            inner.push(entry.path());
        } else {
            between();
            allowed(Some(dir), || fs::remove_file(entry.path()))?;
        }
    }
    Ok(inner)
}

/// Packages and builds may have left directories without write permission. Root does not get here, so that this can
/// change nothing but what belongs to our own user.
fn allowed<T: Default>(dir: Option<&Path>, act: impl Fn() -> io::Result<T>) -> io::Result<T> {
    match (act(), dir) {
        (Err(error), Some(dir)) if error.kind() == io::ErrorKind::PermissionDenied => {
            unless_gone(make_writable(dir))?;
            unless_gone(act())
        }
        (result, _) => unless_gone(result),
    }
}

fn make_writable(dir: &Path) -> io::Result<()> {
    fs::set_permissions(dir, Permissions::from_mode(0o700))
}

fn unless_gone<T: Default>(result: io::Result<T>) -> io::Result<T> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(T::default()),
        result => result,
    }
}

fn whole(dir: &Path) -> io::Result<()> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            open_to_owner(dir)?;
            unless_gone(fs::remove_dir_all(dir))
        }
        result => unless_gone(result),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::own::as_nobody;

    fn mode_of(path: &Path) -> u32 {
        fs::symlink_metadata(path).unwrap().permissions().mode() & 0o777
    }

    fn close(path: &Path, mode: u32) {
        fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn the_owner_gets_into_every_directory_and_nothing_else_is_changed() {
        let dir = tempfile::tempdir().unwrap();
        as_nobody(dir.path(), || {
            let (top, outer) = (dir.path().join("top"), dir.path().join("top/outer"));
            let (inner, beside) = (outer.join("inner"), dir.path().join("beside"));
            fs::create_dir_all(&inner).unwrap();
            fs::create_dir(&beside).unwrap();
            fs::write(inner.join("file"), "").unwrap();
            std::os::unix::fs::symlink(&beside, top.join("link")).unwrap();
            close(&inner.join("file"), 0o400);
            for path in [&inner, &outer, &beside] {
                close(path, 0o555);
            }
            close(&top, 0o000);
            open_to_owner(&top).unwrap();
            assert_eq!([&top, &outer, &inner].map(|path| mode_of(path)), [0o700; 3]);
            assert_eq!(mode_of(&inner.join("file")), 0o400);
            assert_eq!(mode_of(&beside), 0o555);
        });
    }

    #[test]
    fn a_directory_that_is_closed_to_its_owner_is_moved_as_it_is() {
        let dir = tempfile::tempdir().unwrap();
        as_nobody(dir.path(), || {
            let (from, to) = (dir.path().join("from"), dir.path().join("other/to"));
            fs::create_dir(dir.path().join("other")).unwrap();
            fs::create_dir(&from).unwrap();
            fs::write(from.join("file"), "content").unwrap();
            close(&from, 0o555);
            move_whole(&from, &to).unwrap();
            assert_eq!(mode_of(&to), 0o555);
            assert_eq!(fs::read_to_string(to.join("file")).unwrap(), "content");
        });
    }
}
