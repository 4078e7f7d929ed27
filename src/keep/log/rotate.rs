//! `app.log` becomes `app.log.1`, that becomes `app.log.2` …
//!
//! Several keepers write to one log. Whoever finds it full takes the lock beside it and looks again: if another one
//! was faster, the path means a new file by then, and nothing is left to do.

use std::fs::{File, OpenOptions, metadata, remove_file, rename};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::process::socket::lock_exclusive;

/// Whether the path still means the open file.
pub(super) fn is_still(file: &File, path: &Path) -> io::Result<bool> {
    let opened = file.metadata()?;
    match metadata(path) {
        Ok(named) => Ok((opened.dev(), opened.ino()) == (named.dev(), named.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Moves the log and its predecessors up by one, unless another keeper has done so. What others still write to the
/// file that they have open follows it to its new name.
pub(super) fn rotate(path: &Path, file: &File, keep: u32) -> io::Result<()> {
    let lock = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(with_suffix(path, "lock"))?;
    lock_exclusive(&lock)?;
    if !is_still(file, path)? {
        return Ok(());
    }
    if keep == 0 {
        return remove_file(path);
    }
    for number in (1..keep).rev() {
        let from = with_suffix(path, number);
        match rename(&from, with_suffix(path, number + 1)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    rename(path, with_suffix(path, 1))
}

fn with_suffix(path: &Path, suffix: impl std::fmt::Display) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{suffix}"));
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_is_replaced_and_a_second_rotation_of_the_same_file_does_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("app.log");
        let text = |suffix: u32| std::fs::read_to_string(with_suffix(&path, suffix)).ok();
        for round in 1..=4 {
            std::fs::write(&path, round.to_string()).unwrap();
            let file = File::open(&path).unwrap();
            rotate(&path, &file, 2).unwrap();
            rotate(&path, &file, 2).unwrap();
        }
        assert_eq!(text(1).as_deref(), Some("4"));
        assert_eq!(text(2).as_deref(), Some("3"));
        assert_eq!(text(3), None);
        assert!(!path.exists());
    }
}
