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
const FILES: u64 = 256;
/// How much room each stands for, in bytes.
const FILE_BYTES: u64 = 32 << 10;
/// With less than this left the reserve is given up, in bytes.
const LOW_BYTES: u64 = 1 << 20;
/// The same in inodes.
const LOW_INODES: u64 = 64;
/// What is left beside it when it is made, in bytes, so that it is not given up at once.
const SPARE_BYTES: u64 = LOW_BYTES + LOW_BYTES / 4;
/// The same in inodes.
const SPARE_INODES: u64 = LOW_INODES + LOW_INODES / 4;

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

    /// Makes what is missing of it, or as much of that as there is room for. Blocks: a few ms where all is missing.
    pub fn restore(&self) -> io::Result<Restored> {
        let _acting = self.acting.lock().unwrap_or_else(PoisonError::into_inner);
        let missing: Vec<PathBuf> = self.files().filter(|path| !is_whole(path)).collect();
        let left = free(self.disk())?;
        let fitting = fitting(left).min(missing.len());
        if fitting > 0 {
            std::fs::create_dir_all(&self.dir)?;
        }
        for path in &missing[..fitting] {
            if let Err(error) = fill(path) {
                // A part of a file stands for nothing.
                let _ = std::fs::remove_file(path);
                return if is_full(&error) {
                    Ok(Restored::NoRoom(left))
                } else {
                    Err(error)
                };
            }
        }
        Ok(if fitting == missing.len() && !is_low(left) {
            Restored::Whole
        } else {
            Restored::NoRoom(left)
        })
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

/// How many files can be made without being given up again at once.
fn fitting(left: Free) -> usize {
    let by_bytes = left.bytes.saturating_sub(SPARE_BYTES) / FILE_BYTES;
    let by_inodes = left
        .inodes
        .map_or(FILES, |inodes| inodes.saturating_sub(SPARE_INODES));
    usize::try_from(by_bytes.min(by_inodes).min(FILES)).expect("a few hundred at most")
}

fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
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
    fn as_much_is_made_as_would_not_be_given_up_at_once() {
        let of = |bytes, inodes| Free { bytes, inodes };
        let whole = usize::try_from(FILES).unwrap();
        assert_eq!(fitting(of(u64::MAX, None)), whole);
        assert_eq!(fitting(of(FILES * FILE_BYTES + SPARE_BYTES, None)), whole);
        assert_eq!(fitting(of(3 * FILE_BYTES + SPARE_BYTES, None)), 3);
        assert_eq!(fitting(of(LOW_BYTES, None)), 0);
        assert_eq!(fitting(of(u64::MAX, Some(SPARE_INODES + 7))), 7);
        assert!(is_low(of(LOW_BYTES - 1, None)));
        assert!(is_low(of(u64::MAX, Some(LOW_INODES - 1))));
        assert!(!is_low(of(LOW_BYTES, None)));
    }
}
