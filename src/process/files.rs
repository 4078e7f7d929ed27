//! Files written through to the disk.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

/// Writes everything of the file system that `dir` lies on through to the disk, and returns when it is there.
///
/// For a tree of many small files this is one journal commit where `fsync` is one each: 142 files cost 4 to 11 ms this
/// way and 55 ms the other (ext4). It waits for what others have written, too.
pub fn sync_file_system(dir: &Path) -> io::Result<()> {
    nix::unistd::syncfs(File::open(dir)?).map_err(io::Error::from)
}

/// The names in a directory that are text; none if it can't be read.
pub fn names_in(dir: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    names.collect()
}

/// Replaces a file, or makes it: whoever reads it sees the old content or the whole new one, and the new one is on the
/// disk when this returns. A symlink stays, and what it leads to is replaced. Its permissions are `mode` in either case.
pub fn replace(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    let target = match path.canonicalize() {
        Ok(target) => target,
        Err(error) if error.kind() == io::ErrorKind::NotFound => path.to_owned(),
        Err(error) => return Err(error),
    };
    let (Some(dir), Some(name)) = (target.parent(), target.file_name()) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    let mut fresh_name = std::ffi::OsString::from(".");
    fresh_name.push(name);
    fresh_name.push(".handover-new");
    let fresh = dir.join(fresh_name);
    let written =
        write_whole(&fresh, content, mode).and_then(|()| std::fs::rename(&fresh, &target));
    if written.is_err() {
        // Best effort: the error that is returned says more than a name left behind.
        let _ = std::fs::remove_file(&fresh);
        return written;
    }
    File::open(dir)?.sync_all()
}

/// Gives a file that was written under another name its own, in one step; it is on the disk before, and the name after.
pub fn put_in_place(staging: &Path, path: &Path) -> io::Result<()> {
    File::open(staging)?.sync_all()?;
    std::fs::rename(staging, path)?;
    let dir = path.parent().unwrap_or(Path::new("/"));
    File::open(dir)?.sync_all()
}

/// Removes a file; one that is not there is as good.
pub fn remove_if_there(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn write_whole(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    remove_if_there(path)?;
    let mut file = File::options()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path)?;
    file.set_permissions(std::fs::Permissions::from_mode(mode))?; // whatever the umask is
    file.write_all(content)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_replaced_file_has_its_content_and_mode_and_leaves_nothing_beside_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keys");
        for content in ["one", "two"] {
            replace(&path, content.as_bytes(), 0o600).unwrap();
            assert_eq!(std::fs::read_to_string(&path).unwrap(), content);
            let mode = std::fs::metadata(&path).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_symlink_stays_and_what_it_leads_to_is_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let (path, link) = (dir.path().join("keys"), dir.path().join("link"));
        std::fs::write(&path, "old").unwrap();
        symlink(&path, &link).unwrap();
        replace(&link, b"new", 0o600).unwrap();
        assert!(link.is_symlink());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "new");
    }

    #[test]
    fn a_file_that_can_not_be_written_stays_as_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let missing = dir.path().join("no/keys");
        assert_eq!(
            replace(&missing, b"x", 0o600).unwrap_err().kind(),
            io::ErrorKind::NotFound
        );
    }

    #[test]
    fn a_file_system_is_synced_and_a_missing_directory_told() {
        let dir = tempfile::tempdir().unwrap();
        sync_file_system(dir.path()).unwrap();
        let missing = sync_file_system(&dir.path().join("missing")).unwrap_err();
        assert_eq!(missing.kind(), io::ErrorKind::NotFound);
    }
}
