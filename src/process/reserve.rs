//! Room that is kept back, so that on a full disk the way back still works.
//!
//! ```text
//!   whole ──less than LOW left──► given up ──room enough again──► whole
//! ```
//!
//! A directory of files that hold nothing: they stand for bytes and for inodes alike. What has to be written when the disk
//! is full (rows, the directory of a generation, a branch) takes the place of what is given up. A push never does: its
//! version is started only where the reserve is whole.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use super::disk::{Free, free};

/// How many files stand for inodes.
const FILES: u64 = 64;
/// How much room each stands for, in bytes.
const FILE_BYTES: u64 = 128 << 10;
/// With less than this left the reserve is given up, in bytes.
const LOW_BYTES: u64 = 1 << 20;
/// The same in inodes.
const LOW_INODES: u64 = 64;

/// The reserve of one installation.
#[derive(Debug)]
pub struct Reserve {
    dir: PathBuf,
    /// Whoever gives it up or makes it holds this.
    acting: Mutex<()>,
}

/// What becomes of a reserve that is to be whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Restored {
    /// It is whole.
    Whole,
    /// There is too little room on the disk for it.
    NoRoom(Free),
}

impl Reserve {
    /// A reserve at `dir`, which need not exist.
    pub fn at(dir: PathBuf) -> Self {
        Self {
            dir,
            acting: Mutex::new(()),
        }
    }

    /// Makes what is missing of it, if there is room for that and for some more. Blocks: about 2 ms where all is missing.
    pub fn restore(&self) -> io::Result<Restored> {
        let _acting = self.acting.lock().unwrap_or_else(PoisonError::into_inner);
        let missing: Vec<PathBuf> = self.files().filter(|path| !is_whole(path)).collect();
        let left = free(self.disk())?;
        if missing.is_empty() && !is_low(left) {
            return Ok(Restored::Whole);
        }
        if !fits(missing.len() as u64, left) {
            return Ok(Restored::NoRoom(left));
        }
        std::fs::create_dir_all(&self.dir)?;
        for path in &missing {
            if let Err(error) = fill(path) {
                // A part of it is worth nothing to anybody.
                let _ = std::fs::remove_file(path);
                return match error.kind() {
                    io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                        Ok(Restored::NoRoom(left))
                    }
                    _ => Err(error),
                };
            }
        }
        Ok(Restored::Whole)
    }

    /// Gives it up if the disk is about to be full; true, if there was something to give up. Costs one `statvfs` where
    /// there is room.
    pub fn give_up_if_low(&self) -> bool {
        match free(self.disk()) {
            Ok(left) if is_low(left) => self.give_up(),
            // A disk that can't be asked says so to whoever writes to it.
            Ok(_) | Err(_) => false,
        }
    }

    fn give_up(&self) -> bool {
        let _acting = self.acting.lock().unwrap_or_else(PoisonError::into_inner);
        let removed = self
            .files()
            .filter(|path| std::fs::remove_file(path).is_ok());
        removed.count() > 0
    }

    fn files(&self) -> impl Iterator<Item = PathBuf> {
        (0..FILES).map(|number| self.dir.join(number.to_string()))
    }

    /// Something on the same disk that exists.
    fn disk(&self) -> &Path {
        self.dir.parent().unwrap_or(&self.dir)
    }
}

fn is_low(left: Free) -> bool {
    left.bytes < LOW_BYTES || left.lacks_inodes(LOW_INODES)
}

/// Whether it can be made without being given up again at once.
fn fits(missing: u64, left: Free) -> bool {
    left.bytes >= missing * FILE_BYTES + 2 * LOW_BYTES
        && !left.lacks_inodes(missing + 2 * LOW_INODES)
}

fn is_whole(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|meta| meta.len() == FILE_BYTES)
}

fn fill(path: &Path) -> io::Result<()> {
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path)?;
    let bytes = i64::try_from(FILE_BYTES).expect("a constant of a few kilobytes");
    nix::fcntl::posix_fallocate(&file, 0, bytes).map_err(io::Error::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reserve_takes_room_and_gives_it_back() {
        let dir = tempfile::tempdir().unwrap();
        let reserve = Reserve::at(dir.path().join("reserve"));
        assert_eq!(reserve.restore().unwrap(), Restored::Whole);
        let held: u64 = reserve
            .files()
            .map(|path| std::os::unix::fs::MetadataExt::blocks(&path.metadata().unwrap()) * 512)
            .sum();
        assert!(held >= FILES * FILE_BYTES, "{held} bytes are held");
        assert!(!reserve.give_up_if_low(), "there is room");
        assert!(reserve.give_up());
        assert!(!reserve.give_up(), "it was given up before");
        assert_eq!(reserve.restore().unwrap(), Restored::Whole);
    }

    #[test]
    fn it_is_made_only_where_it_would_not_be_given_up_at_once() {
        let of = |bytes, inodes| Free { bytes, inodes };
        let whole = FILES * FILE_BYTES;
        assert!(fits(FILES, of(whole + 2 * LOW_BYTES, None)));
        assert!(!fits(FILES, of(whole + LOW_BYTES, None)));
        assert!(!fits(FILES, of(u64::MAX, Some(FILES + LOW_INODES))));
        assert!(is_low(of(LOW_BYTES - 1, None)));
        assert!(is_low(of(u64::MAX, Some(LOW_INODES - 1))));
        assert!(
            !is_low(of(LOW_BYTES, None)),
            "a file system that makes inodes as it goes"
        );
    }
}
