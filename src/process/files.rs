//! Files written through to the disk.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;
use std::time::Duration;

use nix::errno::Errno;
use nix::libc;
use nix::time::{ClockId, clock_gettime};

/// Writes everything of the file system that `dir` lies on through to the disk, and returns when it is there.
///
/// For a tree of many small files this is one journal commit where `fsync` is one each: 142 files cost 4 to 11 ms this
/// way and 55 ms the other (ext4). It waits for what others have written, too.
pub fn sync_file_system(dir: &Path) -> io::Result<()> {
    nix::unistd::syncfs(File::open(dir)?).map_err(io::Error::from)
}

/// Opens for reading what has this very name: symlinks are not followed, and the other end of a FIFO is not waited for.
pub fn open_as_it_is(path: &Path) -> io::Result<File> {
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
    File::options().read(true).custom_flags(flags).open(path)
}

/// Waits until whatever is changed from now on has a later change time than this (in seconds and nanoseconds since 1970):
/// that of a file is as fine as the kernel's tick, 1 to 10 ms.
pub fn wait_out_the_tick(changed: (i64, i64)) {
    // Where the clock was set back meanwhile a change is seen all the same.
    for _ in 0..20 {
        match clock_gettime(ClockId::CLOCK_REALTIME_COARSE) {
            Ok(now) if (now.tv_sec(), now.tv_nsec()) <= changed => {
                std::thread::sleep(Duration::from_millis(1));
            }
            Ok(_) | Err(_) => return,
        }
    }
}

/// Appends `size` bytes of one file, from `at` on, to another. Where the file system can they share their blocks from then
/// on (until one of them is written to), else the kernel copies them.
pub fn copy_range(from: &File, at: u64, to: &mut File, size: u64) -> io::Result<()> {
    let (mut place, end) = (at.cast_signed(), (at + size).cast_signed());
    while place < end {
        let left = usize::try_from(end - place).unwrap_or(usize::MAX);
        match nix::fcntl::copy_file_range(from, Some(&mut place), &mut *to, None, left) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(_) | Err(Errno::EINTR) => {}
            // Not between these two files: copy_file_range(2).
            Err(Errno::EXDEV | Errno::EINVAL | Errno::ENOSYS | Errno::EOPNOTSUPP) => {
                return copy_through_memory(from, place.cast_unsigned(), to, end.cast_unsigned());
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

fn copy_through_memory(from: &File, at: u64, to: &mut File, end: u64) -> io::Result<()> {
    let mut piece = vec![0; 256 << 10];
    let mut place = at;
    while place < end {
        let length = piece
            .len()
            .min(usize::try_from(end - place).unwrap_or(usize::MAX));
        from.read_exact_at(&mut piece[..length], place)?;
        to.write_all(&piece[..length])?;
        place += length as u64;
    }
    Ok(())
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
