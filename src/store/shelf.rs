//! The stored trees of one app.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, SystemTime};

use super::entry::{About, Entry, EntryId};
use super::error::{StoreError, failed};
use super::format::Item;
use super::key::{Digest, Key};
use super::pace::in_parallel;
use super::pending::Arrivals;
use super::spare::Wishes;
use crate::process::disk::free;
use crate::process::files::remove_if_there;

/// What is left to others on the disk, in bytes: more than a push needs to be let in.
const LEFT_BYTES: u64 = 128 << 20;
/// The same in inodes.
const LEFT_INODES: u64 = 4096;

/// The stored trees of one app, and the tree that is kept in readiness.
#[derive(Debug)]
pub struct Store {
    pub(super) dir: PathBuf,
    /// Who makes a tree ready holds it, and who takes one.
    pub(super) busy: Mutex<()>,
    pub(super) wishes: Mutex<Wishes>,
    pub(super) pending: Arrivals,
}

/// What there is for a key.
#[derive(Debug)]
pub enum Found {
    /// The tree that the install would make.
    Tree(Box<Entry>),
    /// None; and what is remembered of the tree that comes nearest, to tell what is different.
    Nothing(Option<Box<About>>),
}

/// One stored tree, for showing.
#[derive(Debug, Clone, PartialEq)]
pub struct Kept {
    /// Its name.
    pub id: EntryId,
    /// What is remembered of it; nothing where it is damaged.
    pub about: Option<About>,
    /// Its size on the disk, in bytes.
    pub bytes: u64,
    /// How many files, directories and symlinks it has.
    pub items: usize,
    /// When it was last laid out, or made.
    pub used: SystemTime,
}

/// How much is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// All trees of the app together, in bytes. The one that was used last is kept in any case, unless this is 0.
    pub bytes: u64,
    /// How long a tree is kept that is not used.
    pub age: Duration,
}

/// What looking at each byte of a stored tree has come to.
#[derive(Debug)]
pub enum Verified {
    /// It is what was stored.
    Right,
    /// It is not, and has been removed.
    Removed(StoreError),
}

impl Store {
    /// The store in this directory, which is made when something is stored.
    pub fn at(dir: impl Into<PathBuf>) -> Self {
        Self {
            dir: dir.into(),
            busy: Mutex::new(()),
            wishes: Mutex::default(),
            pending: Arrivals::default(),
        }
    }

    /// Looks for the tree of this key whose install has read what `holds` says is still so. A damaged one is removed; where
    /// there is none but that, it is the error. One that is about to be stored is waited for.
    pub fn find(&self, key: &Key, holds: impl Fn(&About) -> bool) -> Result<Found, StoreError> {
        self.pending.hurry(key);
        let short = key.short();
        let mut nearest: Option<(bool, SystemTime, About)> = None;
        let mut damaged = None;
        for (id, used) in self.names()? {
            let is_of_key = id.is_of(&short);
            let entry = match self.open_whole(id) {
                Ok(Some(entry)) => entry,
                Ok(None) => continue,
                Err(error @ StoreError::Damaged { .. }) => {
                    damaged = Some(error);
                    continue;
                }
                Err(error) => return Err(error),
            };
            if is_of_key && holds(&entry.about) {
                return Ok(Found::Tree(Box::new(entry)));
            }
            let is_nearer = nearest
                .as_ref()
                .is_none_or(|(of_key, since, _)| (is_of_key, used) > (*of_key, *since));
            if is_nearer {
                nearest = Some((is_of_key, used, entry.about));
            }
        }
        let nearest = nearest.map(|(_, _, about)| Box::new(about));
        damaged.map_or(Ok(Found::Nothing(nearest)), Err)
    }

    /// Fails unless there is room on the disk for these inodes and for twice this much: what is only kept to save time
    /// takes the next install no room, which may make a tree of the same size.
    pub(super) fn leaves_room(&self, bytes: u64, inodes: u64) -> Result<(), StoreError> {
        let left = free(&self.dir).map_err(failed("look at", &self.dir))?;
        let wanted = bytes.saturating_mul(2).saturating_add(LEFT_BYTES);
        if left.bytes < wanted || left.lacks_inodes(inodes + LEFT_INODES) {
            return Err(StoreError::NoRoom { free: left.bytes });
        }
        Ok(())
    }

    /// Opens one; nothing where there is none, or it was damaged and has been removed.
    pub fn open(&self, id: EntryId) -> Result<Option<Entry>, StoreError> {
        match self.open_whole(id) {
            Err(StoreError::Damaged { .. }) => Ok(None),
            opened => opened,
        }
    }

    /// Opens one, if there is one. Where it is damaged it is removed, and that is the error.
    fn open_whole(&self, id: EntryId) -> Result<Option<Entry>, StoreError> {
        let path = self.dir.join(id.file_name());
        match Entry::open(id, &path) {
            Ok(entry) => Ok(Some(entry)),
            Err(StoreError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                Ok(None)
            }
            Err(error @ StoreError::Damaged { .. }) => {
                drop_damaged(&path, &error)?;
                Err(error)
            }
            Err(error) => Err(error),
        }
    }

    /// Removes a tree that can't be used.
    pub fn remove(&self, id: &EntryId) -> Result<(), StoreError> {
        let path = self.dir.join(id.file_name());
        remove_if_there(&path).map_err(failed("remove", &path))
    }

    /// All trees, the one that was used last first.
    pub fn list(&self) -> Result<Vec<Kept>, StoreError> {
        let kept = self.names()?.into_iter().map(|(id, used)| {
            let path = self.dir.join(id.file_name());
            let bytes = fs::metadata(&path).map_or(0, |found| found.len());
            let entry = Entry::open(id.clone(), &path).ok();
            let items = entry.as_ref().map_or(0, |entry| entry.records.len());
            Kept {
                id,
                about: entry.map(|entry| entry.about),
                bytes,
                items,
                used,
            }
        });
        Ok(kept.collect())
    }

    /// Removes what was not used for long, and more where all of it is too much; everything where nothing is to be kept.
    /// Gives how many trees are gone, and their bytes.
    pub fn prune(&self, limits: &Limits, now: SystemTime) -> Result<(usize, u64), StoreError> {
        if limits.bytes == 0 {
            return self.clear();
        }
        let mut all = 0;
        let mut gone = (0, 0);
        for (n, (id, used)) in self.names()?.into_iter().enumerate() {
            let path = self.dir.join(id.file_name());
            let bytes = fs::metadata(&path).map_or(0, |found| found.len());
            let is_old = now
                .duration_since(used)
                .is_ok_and(|unused| unused > limits.age);
            if n > 0 && (is_old || all + bytes > limits.bytes) {
                self.remove(&id)?;
                gone = (gone.0 + 1, gone.1 + bytes);
            } else {
                all += bytes;
            }
        }
        Ok(gone)
    }

    /// Removes everything. Gives how many trees are gone, and their bytes.
    pub fn clear(&self) -> Result<(usize, u64), StoreError> {
        let mut gone = (0, 0);
        for (id, _) in self.names()? {
            let path = self.dir.join(id.file_name());
            let bytes = fs::metadata(&path).map_or(0, |found| found.len());
            self.remove(&id)?;
            gone = (gone.0 + 1, gone.1 + bytes);
        }
        self.remove_spare()?;
        Ok(gone)
    }

    /// Removes the tree in readiness, and then what was used longest ago, as long as the disk is `short` of room.
    pub fn give_way(&self, short: impl Fn(&Path) -> bool) -> Result<(), StoreError> {
        if !self.dir.exists() || !short(&self.dir) {
            return Ok(());
        }
        self.remove_spare()?;
        for (id, _) in self.names()?.into_iter().rev() {
            if !short(&self.dir) {
                break;
            }
            tracing::info!(tree = %id, "a stored tree is removed: the disk is nearly full");
            self.remove(&id)?;
        }
        Ok(())
    }

    /// The same, as long as pushes would be refused for want of room: of all that fills a disk this is missed the least.
    pub fn make_way_for_pushes(&self) -> Result<(), StoreError> {
        self.give_way(|dir| {
            free(dir).is_ok_and(|left| left.bytes < LEFT_BYTES || left.lacks_inodes(LEFT_INODES))
        })
    }

    /// Compares each byte of a tree with what was stored, and removes the tree if it is not that.
    pub fn verify(&self, id: &EntryId) -> Result<Verified, StoreError> {
        let path = self.dir.join(id.file_name());
        let checked = Entry::open(id.clone(), &path).and_then(|entry| check(&entry));
        match checked {
            Ok(()) => Ok(Verified::Right),
            Err(error @ StoreError::Damaged { .. }) => {
                drop_damaged(&path, &error)?;
                Ok(Verified::Removed(error))
            }
            Err(error) => Err(error),
        }
    }

    /// The names of all trees with the time of their last use, the latest first.
    fn names(&self) -> Result<Vec<(EntryId, SystemTime)>, StoreError> {
        let entries = match fs::read_dir(&self.dir) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(failed("list", &self.dir)(error)),
        };
        let mut names = Vec::new();
        for entry in entries {
            let entry = entry.map_err(failed("list", &self.dir))?;
            let id = entry.file_name().to_str().and_then(EntryId::of_file);
            if let (Some(id), Ok(found)) = (id, entry.metadata()) {
                names.push((id, found.modified().unwrap_or(SystemTime::UNIX_EPOCH)));
            }
        }
        names.sort_by(|one, other| other.1.cmp(&one.1).then_with(|| one.0.cmp(&other.0)));
        Ok(names)
    }
}

fn drop_damaged(path: &Path, error: &StoreError) -> Result<(), StoreError> {
    tracing::warn!(%error, "a stored tree is removed");
    remove_if_there(path).map_err(failed("remove", path))
}

/// Remembers that a tree is in use.
pub(super) fn touch(entry: &Entry) {
    // It only decides what is pruned first.
    let touched = File::options()
        .append(true)
        .open(&entry.path)
        .and_then(|file| file.set_modified(SystemTime::now()));
    if let Err(error) = touched {
        tracing::warn!(%error, tree = %entry.id, "use of a stored tree can't be noted");
    }
}

/// Whether each content has its digest.
fn check(entry: &Entry) -> Result<(), StoreError> {
    in_parallel(&entry.records, |record| {
        let Item::File {
            offset,
            size,
            digest,
            ..
        } = record.item
        else {
            return Ok(());
        };
        let found = digest_of(&entry.file, offset, size).map_err(failed("read", &entry.path))?;
        if found == digest {
            return Ok(());
        }
        let file = record.path().display();
        Err(entry.damaged(&format!("the content of `{file}` is not what was stored")))
    })
    .map(drop)
}

fn digest_of(file: &File, offset: u64, size: u64) -> io::Result<Digest> {
    use std::os::unix::fs::FileExt as _;
    let mut hasher = blake3::Hasher::new();
    let mut piece = vec![0; 256 << 10];
    let mut done = 0;
    while done < size {
        let length = piece
            .len()
            .min(usize::try_from(size - done).unwrap_or(usize::MAX));
        file.read_exact_at(&mut piece[..length], offset + done)?;
        hasher.update(&piece[..length]);
        done += length as u64;
    }
    Ok(hasher.finalize().into())
}

/// What two installs were given that is not the same, by name.
pub fn differing(one: &BTreeMap<String, Digest>, other: &BTreeMap<String, Digest>) -> Vec<String> {
    let names = one
        .keys()
        .chain(other.keys().filter(|name| !one.contains_key(*name)));
    let mut names: Vec<String> = names
        .filter(|name| one.get(*name) != other.get(*name))
        .cloned()
        .collect();
    names.sort();
    names
}
