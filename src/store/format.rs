//! How an entry lies in its file.
//!
//! ```text
//! contents of all files │ records │ about │ footer: where records and about begin, their digest, a mark
//! ```
//!
//! The footer is written last, so that a file that was cut short has none. Large files begin at a block of their own, so
//! that file systems which can share blocks do.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::entry::About;
use super::error::{StoreError, failed};
use super::key::Digest;

/// From this size on, in bytes, a file begins at a block of its own.
pub(super) const LARGE: u64 = 64 << 10;
/// The size of a block, in bytes.
const BLOCK: u64 = 4096;

const MARK: [u8; 16] = *b"handover tree 1\n";
/// Two offsets, a digest, the mark.
const FOOTER: usize = 8 + 8 + 32 + MARK.len();

/// One thing that an install has made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Its path in the release; any bytes but NUL.
    path: Vec<u8>,
    /// What it is.
    pub item: Item,
}

/// What was made. Modes are the twelve bits that `chmod` sets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Item {
    /// A directory.
    Directory {
        /// Its mode.
        mode: u32,
    },
    /// A file.
    File {
        /// Its mode.
        mode: u32,
        /// Where its content begins.
        offset: u64,
        /// Its size in bytes.
        size: u64,
        /// Of its content.
        digest: Digest,
        /// Where the path of its release stands in it, if it does.
        places: Vec<u64>,
    },
    /// A symlink.
    Link {
        /// What it leads to.
        target: Vec<u8>,
    },
}

impl Record {
    pub(super) fn new(path: &Path, item: Item) -> Self {
        Self {
            path: path.as_os_str().as_bytes().to_vec(),
            item,
        }
    }

    /// Its path in the release.
    pub fn path(&self) -> &Path {
        Path::new(OsStr::from_bytes(&self.path))
    }
}

/// Where a file of this size may begin, from `end` on.
pub(super) fn place_for(size: u64, end: u64) -> u64 {
    if size >= LARGE {
        end.next_multiple_of(BLOCK)
    } else {
        end
    }
}

/// Writes what follows the contents, which end at `end`.
pub(super) fn write_index(
    file: &mut File,
    path: &Path,
    end: u64,
    records: &[Record],
    about: &About,
) -> Result<(), StoreError> {
    let broken = |why: String| StoreError::Damaged {
        path: path.to_owned(),
        why,
    };
    let mut index = postcard::to_allocvec(records).map_err(|error| broken(error.to_string()))?;
    let about_at = end + index.len() as u64;
    serde_json::to_writer(&mut index, about).map_err(|error| broken(error.to_string()))?;
    let mut footer = Vec::with_capacity(FOOTER);
    footer.extend(end.to_le_bytes());
    footer.extend(about_at.to_le_bytes());
    footer.extend(Digest::of(&index).bytes());
    footer.extend(MARK);
    let written = file
        .write_all_at(&index, end)
        .and_then(|()| file.write_all_at(&footer, end + index.len() as u64))
        .and_then(|()| file.flush());
    written.map_err(failed("write", path))
}

/// What follows the contents.
pub(super) struct Index {
    pub(super) records: Vec<Record>,
    pub(super) about: About,
    /// Of all of it: it tells a tree from any other, also from one with the same name.
    pub(super) digest: Digest,
}

/// Reads what follows the contents. Fails where any byte of it, or the file's length, is not as it was written.
pub(super) fn read_index(file: &File, path: &Path) -> Result<Index, StoreError> {
    let damaged = |why: &str| StoreError::Damaged {
        path: path.to_owned(),
        why: why.to_owned(),
    };
    let length = file.metadata().map_err(failed("look at", path))?.len();
    let footer_at = length
        .checked_sub(FOOTER as u64)
        .ok_or_else(|| damaged("too short"))?;
    let footer = read_at(file, footer_at, FOOTER).map_err(failed("read", path))?;
    if footer[FOOTER - MARK.len()..] != MARK {
        return Err(damaged("it does not end as a stored tree does"));
    }
    let number = |at: usize| {
        let bytes = footer[at..at + 8].try_into();
        u64::from_le_bytes(bytes.expect("eight bytes"))
    };
    let (records_at, about_at) = (number(0), number(8));
    if !(records_at <= about_at && about_at <= footer_at) {
        return Err(damaged("its parts are not where they should be"));
    }
    let size = usize::try_from(footer_at - records_at).expect("addresses have 64 bits");
    let index = read_at(file, records_at, size).map_err(failed("read", path))?;
    let digest = Digest::of(&index);
    if digest.bytes()[..] != footer[16..48] {
        return Err(damaged("its index is not what was written"));
    }
    let (records, about) =
        index.split_at(size - usize::try_from(footer_at - about_at).expect("as above"));
    let records = postcard::from_bytes(records).map_err(|error| damaged(&error.to_string()))?;
    let about = serde_json::from_slice(about).map_err(|error| damaged(&error.to_string()))?;
    Ok(Index {
        records,
        about,
        digest,
    })
}

fn read_at(file: &File, at: u64, size: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; size];
    file.read_exact_at(&mut bytes, at)?;
    Ok(bytes)
}
