//! An entry, laid out as files of their own.
//!
//! What is in the directory already and is right stays: a tree that another release has used becomes this one with little
//! work, and one that was left half done goes on where it was.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, DirBuilder, File, Permissions};
use std::io::{self, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::entry::Entry;
use super::error::{StoreError, failed};
use super::format::{Item, LARGE, Record};
use super::key::Digest;
use super::pace::{Pace, Stretch, at_pace};
use super::snapshot::{Kind, Snapshot, Stamp};
use super::spare::above;
use crate::process::delete::open_to_owner;
use crate::process::files::copy_range;
use crate::process::rig::kill_point;

/// How much is read at once, in bytes.
const PIECE: usize = 256 << 10;

/// Which files are laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Which<'r> {
    /// All of an entry, for the release with this directory.
    All(&'r Path),
    /// Those that are the same in every release.
    Common,
}

/// Lays an entry out in `top`, where nothing of it is yet, and the directories above it are.
pub(super) fn lay(
    entry: &Entry,
    top: &Path,
    which: Which<'_>,
    pace: &Pace,
) -> Result<(), StoreError> {
    Layer {
        entry,
        top,
        which,
        found: &BTreeMap::new(),
    }
    .all(pace)
}

/// Makes `top` hold what is common of an entry, and nothing else.
pub(super) fn lay_alone(entry: &Entry, top: &Path, pace: &Pace) -> Result<(), StoreError> {
    open_to_owner(top).map_err(failed("open", top))?;
    let mut found = Snapshot::take(top)?.0;
    let above = above(entry);
    remove_strangers(entry, top, &above, &mut found, pace)?;
    for directory in &above {
        let path = top.join(directory);
        fs::create_dir_all(&path).map_err(failed("make the directory", &path))?;
    }
    Layer {
        entry,
        top,
        which: Which::Common,
        found: &found,
    }
    .all(pace)
}

/// The files in which the path of their release stands.
pub(super) fn located(entry: &Entry) -> impl Iterator<Item = &Record> {
    entry
        .records
        .iter()
        .filter(|record| is_located(&record.item))
}

/// Writes those for the release with this directory; the rest is there.
pub(super) fn lay_located(entry: &Entry, release: &Path) -> Result<(), StoreError> {
    let layer = Layer {
        entry,
        top: release,
        which: Which::All(release),
        found: &BTreeMap::new(),
    };
    located(entry).try_for_each(|record| {
        let parent = release.join(record.path());
        let parent = parent.parent().unwrap_or(release);
        let mode = fs::metadata(parent)
            .map_err(failed("look at", parent))?
            .mode()
            & 0o7777;
        // It may be closed to ourselves.
        set_mode(parent, mode | 0o700)?;
        layer.file(record)?;
        set_mode(parent, mode)
    })
}

/// Gives the files of the app's own the modes that the install has given them.
pub(super) fn lay_modes(entry: &Entry, release: &Path) -> Result<(), StoreError> {
    let mut modes = entry.about.modes.iter();
    modes.try_for_each(|(path, mode)| set_mode(&release.join(path), *mode))
}

/// The name of npm's record of the tree, which it believes only as long as no directory of a package is newer.
const RECORD: &str = ".package-lock.json";

/// Makes npm's records newer than all else.
pub(super) fn freshen_records(entry: &Entry, release: &Path) -> Result<(), StoreError> {
    let mut records = entry
        .records
        .iter()
        .map(Record::path)
        .filter(|path| path.ends_with(RECORD));
    records.try_for_each(|path| {
        let path = release.join(path);
        let file = File::open(&path);
        let freshened = file.and_then(|file| file.set_modified(SystemTime::now()));
        freshened.map_err(failed("set the time of", &path))
    })
}

pub(super) fn is_located(item: &Item) -> bool {
    matches!(item, Item::File { places, .. } if !places.is_empty())
}

struct Layer<'l> {
    entry: &'l Entry,
    top: &'l Path,
    which: Which<'l>,
    /// What is there, and may be right.
    found: &'l BTreeMap<PathBuf, Stamp>,
}

impl Layer<'_> {
    fn all(&self, pace: &Pace) -> Result<(), StoreError> {
        self.directories()?;
        let files: Vec<&Record> = self
            .wanted(|item| matches!(item, Item::File { .. }))
            .collect();
        self.files(&files, pace)?;
        kill_point("store.laying");
        self.links()?;
        self.modes()
    }

    fn wanted(&self, kind: impl Fn(&Item) -> bool) -> impl Iterator<Item = &Record> {
        let records = self.entry.records.iter();
        records.filter(move |record| kind(&record.item) && wants(self.which, &record.item))
    }

    fn directories(&self) -> Result<(), StoreError> {
        let directories = self.wanted(|item| matches!(item, Item::Directory { .. }));
        for record in directories {
            let path = self.top.join(record.path());
            if self.found.contains_key(record.path()) {
                // Whatever it was, it must let us in.
                set_mode(&path, 0o700)?;
                continue;
            }
            let made = DirBuilder::new().mode(0o700).create(&path);
            made.map_err(failed("make the directory", &path))?;
        }
        Ok(())
    }

    fn files(&self, files: &[&Record], pace: &Pace) -> Result<(), StoreError> {
        at_pace(files, pace, |record| self.file(record)).map(drop)
    }

    fn file(&self, record: &Record) -> Result<(), StoreError> {
        let path = self.top.join(record.path());
        let Item::File { mode, .. } = record.item else {
            return Ok(());
        };
        if let Some(stamp) = self.found.get(record.path()) {
            if is_right(record, stamp, &path)? {
                return Ok(());
            }
            fs::remove_file(&path).map_err(failed("remove", &path))?;
        }
        let file = File::options()
            .write(true)
            .create_new(true)
            .mode(mode & 0o777)
            .open(&path);
        let mut file = file.map_err(failed("make", &path))?;
        self.content(record, &mut file, &path)?;
        // Whatever our umask is.
        file.set_permissions(Permissions::from_mode(mode))
            .map_err(failed("set the mode of", &path))
    }

    fn content(&self, record: &Record, file: &mut File, path: &Path) -> Result<(), StoreError> {
        let Item::File {
            offset,
            size,
            digest,
            ref places,
            ..
        } = record.item
        else {
            return Ok(());
        };
        let large = size >= LARGE && places.is_empty();
        let mut hasher = blake3::Hasher::new();
        let mut whole = Vec::new();
        let mut piece = vec![0; PIECE.min(usize::try_from(size).unwrap_or(PIECE))];
        let mut done = 0;
        while done < size {
            let length = piece
                .len()
                .min(usize::try_from(size - done).unwrap_or(PIECE));
            let bytes = &mut piece[..length];
            let read = self.entry.file.read_exact_at(bytes, offset + done);
            read.map_err(failed("read", &self.entry.path))?;
            hasher.update(bytes);
            if !places.is_empty() {
                whole.extend_from_slice(bytes);
            } else if !large {
                file.write_all(bytes).map_err(failed("write", path))?;
            }
            done += length as u64;
        }
        if Digest::from(hasher.finalize()) != digest {
            return Err(self.entry.damaged(&format!(
                "the content of `{}` is not what was stored",
                record.path().display()
            )));
        }
        if large {
            return copy_range(&self.entry.file, offset, file, size).map_err(failed("write", path));
        }
        if let (Which::All(release), [_, ..]) = (self.which, places.as_slice()) {
            let replaced = relocated(&whole, places, &self.entry.about.directory, release);
            file.write_all(&replaced).map_err(failed("write", path))?;
        }
        Ok(())
    }

    fn links(&self) -> Result<(), StoreError> {
        for record in self.wanted(|item| matches!(item, Item::Link { .. })) {
            let Item::Link { target } = &record.item else {
                continue;
            };
            let path = self.top.join(record.path());
            let target = Path::new(std::ffi::OsStr::from_bytes(target));
            if self.found.contains_key(record.path()) {
                if fs::read_link(&path).is_ok_and(|there| there == target) {
                    continue;
                }
                fs::remove_file(&path).map_err(failed("remove", &path))?;
            }
            symlink(target, &path).map_err(failed("make the symlink", &path))?;
        }
        Ok(())
    }

    /// From the bottom up: a directory may be closed to ourselves.
    fn modes(&self) -> Result<(), StoreError> {
        for record in self.entry.records.iter().rev() {
            if let Item::Directory { mode } = record.item {
                set_mode(&self.top.join(record.path()), mode)?;
            }
        }
        Ok(())
    }
}

/// Whether the file that is there is the one that is wanted, and has no other name, under which it may be written.
fn is_right(record: &Record, stamp: &Stamp, path: &Path) -> Result<bool, StoreError> {
    let Item::File {
        mode,
        size,
        digest,
        ref places,
        ..
    } = record.item
    else {
        return Ok(false);
    };
    if !places.is_empty() || stamp.size != size {
        return Ok(false);
    }
    let mut file = File::open(path).map_err(failed("read", path))?;
    if file.metadata().map_err(failed("look at", path))?.nlink() != 1 {
        return Ok(false);
    }
    let mut hasher = blake3::Hasher::new();
    io::copy(&mut file, &mut hasher).map_err(failed("read", path))?;
    if Digest::from(hasher.finalize()) != digest {
        return Ok(false);
    }
    if stamp.mode != mode {
        set_mode(path, mode)?;
    }
    Ok(true)
}

fn wants(which: Which<'_>, item: &Item) -> bool {
    matches!(which, Which::All(_)) || !is_located(item)
}

/// The content with the path of one release replaced by that of another.
fn relocated(content: &[u8], places: &[u64], from: &Path, to: &Path) -> Vec<u8> {
    let (from, to) = (from.as_os_str().len(), to.as_os_str().as_bytes());
    let mut moved = Vec::with_capacity(content.len() + places.len() * to.len());
    let mut done = 0;
    for &place in places {
        let place = usize::try_from(place).expect("addresses have 64 bits");
        moved.extend_from_slice(&content[done..place]);
        moved.extend_from_slice(to);
        done = place + from;
    }
    moved.extend_from_slice(&content[done..]);
    moved
}

/// Removes what does not belong there, or is of another kind.
fn remove_strangers(
    entry: &Entry,
    top: &Path,
    above: &BTreeSet<PathBuf>,
    found: &mut BTreeMap<PathBuf, Stamp>,
    pace: &Pace,
) -> Result<(), StoreError> {
    let common = entry
        .records
        .iter()
        .filter(|record| wants(Which::Common, &record.item));
    let mut wanted: BTreeMap<&Path, Kind> = common
        .map(|record| (record.path(), kind(&record.item)))
        .collect();
    wanted.extend(above.iter().map(|path| (path.as_path(), Kind::Directory)));
    let mut stretch = Stretch::new(pace);
    let strangers: Vec<_> = found
        .iter()
        .filter(|(path, stamp)| wanted.get(path.as_path()) != Some(&stamp.kind))
        .map(|(path, stamp)| (path.clone(), stamp.kind))
        .collect();
    // What is in a directory comes after it in this order, and must go before it.
    for (path, kind) in strangers.into_iter().rev() {
        stretch.breathe()?;
        let full = top.join(&path);
        let removed = match kind {
            Kind::Directory => fs::remove_dir(&full),
            Kind::File | Kind::Link | Kind::Other => fs::remove_file(&full),
        };
        removed.map_err(failed("remove", &full))?;
        found.remove(&path);
    }
    Ok(())
}

fn kind(item: &Item) -> Kind {
    match item {
        Item::Directory { .. } => Kind::Directory,
        Item::File { .. } => Kind::File,
        Item::Link { .. } => Kind::Link,
    }
}

fn set_mode(path: &Path, mode: u32) -> Result<(), StoreError> {
    fs::set_permissions(path, Permissions::from_mode(mode)).map_err(failed("set the mode of", path))
}
