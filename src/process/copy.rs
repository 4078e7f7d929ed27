//! Copies of single files, as cheap as the file system has them.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use nix::libc;

use super::files::open_as_it_is;

/// What became of a copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Copied {
    /// It is there, with as many bytes.
    Whole(u64),
    /// The file is gone, was changed meanwhile, or is none: there is no copy.
    Not,
}

/// Copies a regular file to a new name: content, permissions (without setuid and the like) and the time of its last
/// change. The copy is a file of its own, which shares blocks with the other as long as neither is written, where the file
/// system can do that (xfs, btrfs). Symlinks are not followed, and nothing that exists is written to.
pub fn copy_file(from: &Path, to: &Path) -> io::Result<Copied> {
    let source = match open_as_it_is(from) {
        Ok(source) => source,
        Err(error) if is_no_file(&error) => return Ok(Copied::Not),
        Err(error) => return Err(error),
    };
    let before = source.metadata()?;
    if !before.is_file() {
        return Ok(Copied::Not);
    }
    let mut new = OpenOptions::new();
    let copy = new.write(true).create_new(true).mode(0o600).open(to)?;
    let done = fill(&source, &copy, &before);
    if !matches!(done, Ok(true)) {
        // Best effort: what is returned says more than a name left behind.
        let _ = std::fs::remove_file(to);
    }
    Ok(if done? {
        Copied::Whole(before.len())
    } else {
        Copied::Not
    })
}

/// True, if the copy is whole.
fn fill(source: &File, copy: &File, before: &Metadata) -> io::Result<bool> {
    if !share(source, copy) {
        // One that grows all the time has an end, too. (Within the kernel, where it can: copy_file_range.)
        let mut within = source.take(before.len());
        let mut copy = copy;
        io::copy(&mut within, &mut copy)?;
    }
    let after = source.metadata()?;
    let what_counts = |found: &Metadata| {
        let changed = (found.ctime(), found.ctime_nsec());
        (found.len(), found.mtime(), found.mtime_nsec(), changed)
    };
    if what_counts(before) != what_counts(&after) || copy.metadata()?.len() != before.len() {
        return Ok(false);
    }
    let mode = before.mode() & 0o777;
    copy.set_permissions(std::fs::Permissions::from_mode(mode))?;
    if let Ok(modified) = before.modified() {
        copy.set_modified(modified)?;
    }
    Ok(true)
}

/// Makes the empty copy share the blocks of the source; false, where the file system can't.
fn share(source: &File, copy: &File) -> bool {
    // SAFETY: both descriptors are open, and the request takes a descriptor (ioctl_ficlone(2)).
    unsafe { libc::ioctl(copy.as_raw_fd(), libc::FICLONE, source.as_raw_fd()) == 0 }
}

/// Gone; a symlink (`ELOOP`); a socket (`ENXIO`).
fn is_no_file(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound
        || matches!(error.raw_os_error(), Some(libc::ELOOP | libc::ENXIO))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, Permissions};
    use std::io::{Seek as _, Write as _};
    use std::os::unix::fs::symlink;
    use std::time::{Duration, SystemTime};

    #[test]
    fn a_copy_is_a_file_of_its_own_with_content_mode_and_time() {
        let dir = tempfile::tempdir().unwrap();
        let (from, to) = (dir.path().join("from"), dir.path().join("to"));
        let content: Vec<u8> = (0..300_000u32).flat_map(u32::to_le_bytes).collect();
        fs::write(&from, &content).unwrap();
        fs::set_permissions(&from, Permissions::from_mode(0o4751)).unwrap();
        let hour = SystemTime::now() - Duration::from_secs(3600);
        File::open(&from).unwrap().set_modified(hour).unwrap();
        let whole = Copied::Whole(content.len() as u64);
        assert_eq!(copy_file(&from, &to).unwrap(), whole);
        assert_eq!(fs::read(&to).unwrap(), content);
        let copy = fs::metadata(&to).unwrap();
        assert_eq!(copy.mode() & 0o7777, 0o751);
        assert_eq!(copy.modified().unwrap(), hour);
        assert_ne!(copy.ino(), fs::metadata(&from).unwrap().ino());
        fs::write(&to, "other").unwrap();
        assert_eq!(fs::read(&from).unwrap(), content);
    }

    #[test]
    fn what_is_no_regular_file_is_not_copied() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        fs::write(path("file"), "x").unwrap();
        symlink("file", path("link")).unwrap();
        fs::create_dir(path("dir")).unwrap();
        nix::unistd::mkfifo(&path("fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(path("socket")).unwrap();
        for name in ["link", "dir", "fifo", "socket", "missing"] {
            let copied = copy_file(&path(name), &path("copy")).unwrap();
            assert_eq!(copied, Copied::Not, "{name}");
            assert!(!path("copy").exists(), "{name}");
        }
    }

    #[test]
    fn nothing_that_exists_is_written_to() {
        let dir = tempfile::tempdir().unwrap();
        let (from, to) = (dir.path().join("from"), dir.path().join("to"));
        fs::write(&from, "new").unwrap();
        fs::write(&to, "old").unwrap();
        let refused = copy_file(&from, &to).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read(&to).unwrap(), b"old");
    }

    #[test]
    fn a_file_that_changes_while_it_is_copied_has_no_copy() {
        let dir = tempfile::tempdir().unwrap();
        let (from, to) = (dir.path().join("from"), dir.path().join("to"));
        fs::write(&from, "before").unwrap();
        let (source, before) = (File::open(&from).unwrap(), fs::metadata(&from).unwrap());
        let copy = File::create_new(&to).unwrap();
        assert!(fill(&source, &copy, &before).unwrap(), "nobody writes");
        for change in [
            |mut file: &File| file.write_all(b"other!"),
            |mut file: &File| file.write_all(b"longer than before"),
            |file: &File| file.set_len(2),
        ] {
            std::thread::sleep(Duration::from_millis(20)); // the clock of the file system has ticked
            change(&File::options().write(true).open(&from).unwrap()).unwrap();
            let copy = File::create(&to).unwrap();
            (&source).rewind().unwrap();
            assert!(!fill(&source, &copy, &before).unwrap());
        }
    }
}
