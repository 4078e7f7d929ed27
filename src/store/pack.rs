//! What an install has made, written into one file.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use super::entry::About;
use super::error::{StoreError, failed};
use super::format::{Item, Record, place_for, write_index};
use super::key::Digest;
use super::pace::{Pace, at_pace};
use super::snapshot::{Kind, Made, Stamp, Unfit};
use crate::process::files::open_as_it_is;

/// How much is read at once, in bytes.
const PIECE: usize = 256 << 10;

/// Why nothing was stored.
#[derive(Debug, thiserror::Error)]
pub enum PackError {
    /// What was made can't be.
    #[error(transparent)]
    Unfit(#[from] Unfit),
    /// It could not be.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Writes what was `made` to `file`, whose path is `to`. On the disk it is only once it is synced.
pub(super) fn pack(
    made: &Made,
    about: &About,
    file: &mut File,
    to: &Path,
    pace: &Pace,
) -> Result<(), PackError> {
    let (places, end) = plan(made);
    let release = &about.directory;
    let packer = Packer {
        release,
        needle: release.as_os_str().as_bytes(),
        file,
        to,
    };
    let all: Vec<_> = made.stamps.iter().zip(places).collect();
    let records = at_pace(&all, pace, |((path, stamp), offset)| {
        let item = packer.item(path, stamp, *offset)?;
        Ok::<_, PackError>(Record::new(path, item))
    })?;
    write_index(file, to, end, &records, about)?;
    Ok(())
}

/// Where each content begins, and where the last ends.
fn plan(made: &Made) -> (Vec<u64>, u64) {
    let mut end = 0;
    let places = made.stamps.values().map(|stamp| {
        let at = place_for(stamp.size, end);
        end = at + stamp.size;
        at
    });
    (places.collect(), end)
}

struct Packer<'p> {
    release: &'p Path,
    needle: &'p [u8],
    file: &'p File,
    to: &'p Path,
}

impl Packer<'_> {
    fn item(&self, path: &Path, stamp: &Stamp, offset: u64) -> Result<Item, PackError> {
        let mode = stamp.mode;
        let full = self.release.join(path);
        match stamp.kind {
            Kind::Directory => Ok(Item::Directory { mode }),
            Kind::Link => self.link(path, &full, stamp),
            Kind::File => self.content(path, &full, stamp, offset),
            Kind::Other => Err(Unfit::Special(path.to_owned()).into()),
        }
    }

    fn link(&self, path: &Path, full: &Path, stamp: &Stamp) -> Result<Item, PackError> {
        let target = fs::read_link(full).map_err(gone_or("read the symlink", full, stamp))?;
        let now = fs::symlink_metadata(full).map_err(gone_or("look at", full, stamp))?;
        if Stamp::of(&now) != *stamp {
            return Err(changed(full).into());
        }
        if target.starts_with(self.release) {
            return Err(Unfit::LinkToRelease(path.to_owned()).into());
        }
        let target = target.as_os_str().as_bytes().to_vec();
        Ok(Item::Link { target })
    }

    fn content(
        &self,
        path: &Path,
        full: &Path,
        stamp: &Stamp,
        offset: u64,
    ) -> Result<Item, PackError> {
        let mut source = open_as_it_is(full).map_err(gone_or("read", full, stamp))?;
        let mut seen = Seen::new(self.needle);
        let mut piece = vec![0; PIECE.min(usize::try_from(stamp.size).unwrap_or(PIECE) + 1)];
        let mut size = 0;
        loop {
            let read = match source.read(&mut piece) {
                Ok(0) => break,
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(failed("read", full)(error).into()),
            };
            if size + read as u64 > stamp.size {
                return Err(changed(full).into());
            }
            seen.more(&piece[..read]);
            let written = self.file.write_all_at(&piece[..read], offset + size);
            written.map_err(failed("write", self.to))?;
            size += read as u64;
        }
        let now = source.metadata().map_err(failed("look at", full))?;
        if Stamp::of(&now) != *stamp {
            return Err(changed(full).into());
        }
        let (digest, places) = seen.finish(path)?;
        Ok(Item::File {
            mode: stamp.mode,
            offset,
            size,
            digest,
            places,
        })
    }
}

/// What went wrong with a file: that it is another now, if it is.
fn gone_or<'p>(
    doing: &'static str,
    path: &'p Path,
    stamp: &'p Stamp,
) -> impl Fn(io::Error) -> StoreError + 'p {
    move |error| match fs::symlink_metadata(path) {
        Ok(now) if Stamp::of(&now) == *stamp => failed(doing, path)(error),
        Ok(_) | Err(_) => changed(path),
    }
}

fn changed(path: &Path) -> StoreError {
    StoreError::Changed {
        path: path.to_owned(),
    }
}

/// What is seen of a content as it passes: its digest, and where the path of the release stands in it.
struct Seen<'n> {
    hasher: blake3::Hasher,
    finder: memchr::memmem::Finder<'n>,
    needle: &'n [u8],
    /// The end of what has passed, in which a path may have begun.
    tail: Vec<u8>,
    passed: u64,
    places: Vec<u64>,
    binary: bool,
}

impl<'n> Seen<'n> {
    fn new(needle: &'n [u8]) -> Self {
        Self {
            hasher: blake3::Hasher::new(),
            finder: memchr::memmem::Finder::new(needle),
            needle,
            tail: Vec::new(),
            passed: 0,
            places: Vec::new(),
            binary: false,
        }
    }

    fn more(&mut self, piece: &[u8]) {
        self.hasher.update(piece);
        self.binary |= memchr::memchr(0, piece).is_some();
        // A path that lies across two pieces is seen in what joins them.
        let from = self.passed - self.tail.len() as u64;
        let joint: Vec<u8> = [&self.tail, &piece[..piece.len().min(self.needle.len())]].concat();
        if !self.tail.is_empty() {
            self.note(&joint, from, self.tail.len());
        }
        self.note(piece, self.passed, usize::MAX);
        self.passed += piece.len() as u64;
        let kept = self.needle.len().min(self.tail.len() + piece.len());
        let mut tail = std::mem::take(&mut self.tail);
        tail.extend_from_slice(&piece[piece.len().saturating_sub(kept)..]);
        self.tail = tail.split_off(tail.len() - kept);
    }

    /// Notes each path that begins before `before`.
    fn note(&mut self, bytes: &[u8], from: u64, before: usize) {
        let found: Vec<usize> = self.finder.find_iter(bytes).collect();
        for at in found.into_iter().filter(|&at| at < before) {
            let place = from + at as u64;
            if self.places.last().is_none_or(|&last| last < place) {
                self.places.push(place);
            }
        }
    }

    fn finish(self, path: &Path) -> Result<(Digest, Vec<u64>), Unfit> {
        if self.binary && !self.places.is_empty() {
            return Err(Unfit::HoldsPath(path.to_owned()));
        }
        Ok((self.hasher.finalize().into(), self.places))
    }
}

/// The upper ends of what was made: what has to be moved to move all of it.
pub(super) fn tops(records: &[Record]) -> Vec<PathBuf> {
    super::snapshot::top_most(records.iter().map(|record| record.path().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(pieces: &[&str]) -> Vec<u64> {
        let mut seen = Seen::new(b"/r/1");
        for piece in pieces {
            seen.more(piece.as_bytes());
        }
        seen.finish(Path::new("x")).unwrap().1
    }

    #[test]
    fn the_path_of_the_release_is_found_wherever_the_pieces_end() {
        let text = "/r/1 a /r/1/b/r/1";
        assert_eq!(places(&[text]), [0, 7, 13]);
        for cut in 1..text.len() {
            assert_eq!(places(&[&text[..cut], &text[cut..]]), [0, 7, 13], "{cut}");
            for second in cut + 1..text.len() {
                let pieces = [&text[..cut], &text[cut..second], &text[second..]];
                assert_eq!(places(&pieces), [0, 7, 13], "{cut} {second}");
            }
        }
        let single: Vec<_> = text.split_inclusive(|_: char| true).collect();
        assert_eq!(places(&single), [0, 7, 13]);
    }

    #[test]
    fn a_program_with_the_path_in_it_is_unfit() {
        let mut seen = Seen::new(b"/r/1");
        seen.more(b"\0/r/1");
        let unfit = seen.finish(Path::new("x")).unwrap_err();
        assert_eq!(unfit, Unfit::HoldsPath("x".into()));
    }
}
