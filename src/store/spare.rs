//! A tree that is kept in readiness, so that the next deploy takes it by a rename.
//!
//! ```text
//!   .spare/ ──lay, sync──► spare-<entry>.<digest>.<boot>/ ──rename──► .taken/ ──rename──► release/node_modules
//! ```
//!
//! It is of one entry, and of no other that has come by the same name since; and of one boot of the machine. Whoever deletes in it makes a directory newer
//! than the whole, and then it is not taken.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::SystemTime;

use super::entry::{Entry, EntryId};
use super::error::{StoreError, failed};
use super::format::{Item, Record};
use super::lay::{Which, freshen_records, is_located, lay, lay_alone, lay_located, lay_modes};
use super::pace::{Pace, Urgency};
use super::pack::tops;
use super::pending::STAGING;
use super::shelf::{Store, touch};
use super::snapshot::Snapshot;
use crate::process::delete::{delete_now, move_whole, open_to_owner};
use crate::process::files::{names_in, sync_file_system};
use crate::process::identity::boot_id;
use crate::process::rig::kill_point;

/// The tree that is being made ready, or was when the power failed.
const MAKING: &str = ".spare";
/// The tree that is being taken.
const TAKEN: &str = ".taken";
/// The beginning of the name of one that is ready.
const READY: &str = "spare-";

/// Who wants what of the tree in readiness.
#[derive(Debug, Default)]
pub(super) struct Wishes {
    /// What is being made ready.
    making: Option<Making>,
    /// What a deploy waits for.
    wanted: Option<EntryId>,
    /// Nothing is made ready any more.
    closed: bool,
}

#[derive(Debug)]
struct Making {
    id: EntryId,
    pace: Arc<Pace>,
}

impl Wishes {
    /// How much hurry there is to make this tree ready.
    fn urgency(&self, id: &EntryId) -> Urgency {
        match &self.wanted {
            _ if self.closed => Urgency::Never,
            None => Urgency::Background,
            Some(wanted) if wanted == id => Urgency::Now,
            Some(_) => Urgency::Never,
        }
    }
}

/// How a tree came into a release.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Laid {
    /// It was ready.
    Taken,
    /// It was laid out while the deploy waited.
    Fresh,
}

impl Store {
    /// Puts the tree of an entry into a release, in which nothing of it is yet. Where that fails nothing of it is there.
    pub fn lay_out(&self, entry: &Entry, release: &Path) -> Result<Laid, StoreError> {
        let _busy = self.interrupt(&entry.id);
        touch(entry);
        // Programs know their directory by this path, whatever symlinks ours goes through.
        let release = &release.canonicalize().map_err(failed("look at", release))?;
        let laid = match self.take(entry, release) {
            Ok(true) => Ok(Laid::Taken),
            Ok(false) => {
                let pace = Pace::new(Urgency::Now);
                lay(entry, release, Which::All(release), &pace).map(|()| Laid::Fresh)
            }
            Err(error) => Err(error),
        };
        let laid = laid.and_then(|laid| {
            lay_modes(entry, release)?;
            freshen_records(entry, release)?;
            Ok(laid)
        });
        if laid.is_err()
            && let Err(error) = clear_out(entry, release)
        {
            tracing::warn!(%error, "what was laid out in part can't be removed");
        }
        laid
    }

    /// Takes what a release that nobody needs any more has in the places of this entry: a tree is made ready of it. It is
    /// left there where one is ready, or about to be. By renaming only.
    pub fn donate(&self, entry: &Entry, donor: &Path) -> Result<(), StoreError> {
        // Whoever holds it makes one ready, or takes one: then there was another.
        let Ok(_busy) = self.busy.try_lock() else {
            return Ok(());
        };
        if self.wishes().closed {
            return Ok(());
        }
        let making = self.dir.join(MAKING);
        if self.in_readiness().is_some() || making.exists() {
            return Ok(());
        }
        fs::create_dir_all(&making).map_err(failed("make the directory", &making))?;
        kill_point("store.donated");
        for top in tops(&entry.records) {
            if !is_within(donor, &top) {
                continue;
            }
            let (from, to) = (donor.join(&top), making.join(&top));
            if let Some(parent) = to.parent() {
                fs::create_dir_all(parent).map_err(failed("make the directory", parent))?;
            }
            match move_whole(&from, &to) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                moved => moved.map_err(failed("move", &from))?,
            }
        }
        Ok(())
    }

    /// Makes a tree of this entry ready, unless one is. It is made of what is there: an earlier one, or what was donated.
    /// Blocks, for long: it works in the breaks of everything else.
    pub fn make_ready(&self, entry: &Entry) -> Result<(), StoreError> {
        let _busy = self.busy.lock().unwrap_or_else(PoisonError::into_inner);
        let pace = {
            let mut wishes = self.wishes();
            let pace = Arc::new(Pace::new(wishes.urgency(&entry.id)));
            wishes.making = Some(Making {
                id: entry.id.clone(),
                pace: Arc::clone(&pace),
            });
            pace
        };
        let made = if pace.is_over() {
            Err(StoreError::Stopped)
        } else {
            self.make(entry, &pace)
        };
        self.wishes().making = None;
        made
    }

    /// Removes what is ready, and what was to be.
    pub fn remove_spare(&self) -> Result<(), StoreError> {
        let _busy = self.give_up_making();
        for name in names_in(&self.dir) {
            if name.starts_with(READY) || name == MAKING || name == TAKEN {
                remove_all(&self.dir.join(name))?;
            }
        }
        Ok(())
    }

    /// Removes what is ready where nobody can want it: its entry is gone, or none is to be `kept` ready.
    pub fn remove_orphan(&self, kept: bool) -> Result<(), StoreError> {
        if self.in_readiness().is_none() || kept && self.spare().is_some() {
            return Ok(());
        }
        self.remove_spare()
    }

    /// Ends what is stored and made ready, and lets nothing of that begin again: the directory is about to go. Blocks until
    /// all of it has ended.
    pub fn close(&self) {
        self.wishes().closed = true;
        drop(self.give_up_making());
        self.pending.close();
    }

    /// Removes what was cut off. Only for a moment when nothing is stored or laid out: the start of the server.
    pub fn sweep(&self) -> Result<usize, StoreError> {
        let left = names_in(&self.dir);
        let left = left
            .iter()
            .filter(|name| name.starts_with(STAGING) || *name == TAKEN);
        left.map(|name| remove_all(&self.dir.join(name)))
            .sum::<Result<_, _>>()
    }

    /// The entry whose tree is ready, if any.
    pub fn spare(&self) -> Option<EntryId> {
        let ready = self.in_readiness()?;
        let name = ready.file_name()?.to_str()?.strip_prefix(READY)?;
        let (id, _) = name.split_once('.')?;
        let entry = self.open(id.parse().ok()?).ok().flatten()?;
        (self.ready(&entry) == ready).then_some(entry.id)
    }

    /// Where the tree lies that is ready, of whatever entry.
    pub(super) fn in_readiness(&self) -> Option<PathBuf> {
        let names = names_in(&self.dir);
        let ready = names.iter().find(|name| name.starts_with(READY))?;
        Some(self.dir.join(ready))
    }

    /// Waits until nothing is made ready: what is made of this entry is now made as fast as can be, anything else is put
    /// off.
    fn interrupt(&self, id: &EntryId) -> MutexGuard<'_, ()> {
        {
            let mut wishes = self.wishes();
            wishes.wanted = Some(id.clone());
            if let Some(making) = &wishes.making {
                making.pace.set(wishes.urgency(&making.id));
            }
        }
        let busy = self.busy.lock().unwrap_or_else(PoisonError::into_inner);
        self.wishes().wanted = None;
        busy
    }

    /// Waits until nothing is made ready: what is being made stays as it is.
    fn give_up_making(&self) -> MutexGuard<'_, ()> {
        if let Some(making) = &self.wishes().making {
            making.pace.set(Urgency::Never);
        }
        self.busy.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wishes(&self) -> MutexGuard<'_, Wishes> {
        self.wishes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Named after the boot, too: what the power has cut off may have come back as it was not.
    fn ready(&self, entry: &Entry) -> PathBuf {
        let (id, digest) = (&entry.id, entry.digest.short());
        let mut boot = boot_id().unwrap_or_default();
        boot.truncate(8);
        self.dir.join(format!("{READY}{id}.{digest}.{boot}"))
    }

    /// Whether a tree was ready, and is whole; then it is in the release.
    fn take(&self, entry: &Entry, release: &Path) -> Result<bool, StoreError> {
        let (ready, taken) = (self.ready(entry), self.dir.join(TAKEN));
        remove_all(&taken)?;
        // From here on a crash leaves no half of it under the name of a whole.
        match fs::rename(&ready, &taken) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            renamed => renamed.map_err(failed("take", &ready))?,
        }
        kill_point("store.taken");
        let sealed = modified(&taken).map_err(failed("look at", &taken))?;
        for top in tops(&entry.records) {
            let (from, to) = (taken.join(&top), release.join(&top));
            match move_whole(&from, &to) {
                // It holds the path of its release, and is written below; or is missed by the next look.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                moved => moved.map_err(failed("move", &from))?,
            }
        }
        if let Err(error) = remove_all(&taken) {
            // Whatever is made ready next, or taken, removes it first.
            tracing::warn!(%error, "what the tree in readiness lay in can't be removed");
        }
        if let Some(path) = touched_since(entry, release, sealed) {
            tracing::warn!(path = %path.display(), "the tree in readiness has been changed, and is not used");
            clear_out(entry, release)?;
            return Ok(false);
        }
        lay_located(entry, release)?;
        Ok(true)
    }

    /// Fails unless the disk has room for what of an entry goes beyond so many bytes, which are there.
    fn has_room_beside(&self, entry: &Entry, there: u64) -> Result<(), StoreError> {
        let more = entry.bytes().saturating_sub(there);
        self.leaves_room(more, 2 * entry.records.len() as u64)
    }

    fn make(&self, entry: &Entry, pace: &Pace) -> Result<(), StoreError> {
        let (ready, making) = (self.ready(entry), self.dir.join(MAKING));
        remove_all(&self.dir.join(TAKEN))?;
        if ready.exists() {
            return Ok(());
        }
        match self.in_readiness() {
            // What was cut off is gone on with.
            _ if making.exists() => {}
            // Of another entry: most of it will do.
            Some(other) => {
                fs::rename(&other, &making).map_err(failed("rename", &other))?;
            }
            None => {
                self.has_room_beside(entry, 0)?;
                fs::create_dir_all(&making).map_err(failed("make the directory", &making))?;
            }
        }
        kill_point("store.spare_begun");
        let laid = open_to_owner(&making)
            .map_err(failed("open", &making))
            .and_then(|()| self.has_room_beside(entry, Snapshot::take(&making)?.bytes()))
            .and_then(|()| lay_alone(entry, &making, pace));
        match laid {
            // What is there will do for the next.
            Err(StoreError::Stopped) => return Err(StoreError::Stopped),
            Err(error) => {
                remove_all(&making)?;
                return Err(error);
            }
            Ok(()) => {}
        }
        // Of another entry: what was cut off has been gone on with instead.
        while let Some(other) = self.in_readiness() {
            remove_all(&other)?;
        }
        let sealed = File::open(&making).and_then(|dir| dir.set_modified(SystemTime::now()));
        sealed.map_err(failed("set the time of", &making))?;
        sync_file_system(&making).map_err(failed("sync", &making))?;
        kill_point("store.spare_made");
        fs::rename(&making, &ready).map_err(failed("rename", &making))?;
        kill_point("store.spare_ready");
        Ok(())
    }
}

/// The directories above the upper ends of an entry: in a release they are the commit's own.
pub(super) fn above(entry: &Entry) -> BTreeSet<PathBuf> {
    let tops = tops(&entry.records);
    let above = tops
        .iter()
        .flat_map(|top| top.ancestors().skip(1).map(Path::to_owned));
    above.filter(|path| !path.as_os_str().is_empty()).collect()
}

/// Removes what is in a release in the places of this entry.
fn clear_out(entry: &Entry, release: &Path) -> Result<(), StoreError> {
    let tops = tops(&entry.records);
    tops.iter()
        .try_for_each(|top| remove_all(&release.join(top)).map(drop))
}

/// Whether a path in a directory lies there, and not where a symlink on the way leads.
fn is_within(directory: &Path, path: &Path) -> bool {
    let mut above = path.ancestors().skip(1);
    above.all(|above| fs::symlink_metadata(directory.join(above)).is_ok_and(|found| found.is_dir()))
}

/// A path of this entry that is not there though it should be, or a directory in which something has been made or removed
/// since.
fn touched_since<'e>(entry: &'e Entry, release: &Path, since: SystemTime) -> Option<&'e Path> {
    let tops = tops(&entry.records);
    let is_top = |path: &Path| tops.iter().any(|top| top == path);
    let mut paths = entry.records.iter().filter(|record| match record.item {
        Item::Directory { .. } => true,
        // Others are missed by the directory that they are in.
        _ => is_top(record.path()) && !is_located(&record.item),
    });
    let touched = paths.find(|record| {
        let path = release.join(record.path());
        match record.item {
            Item::Directory { .. } => !modified(&path).is_ok_and(|at| at <= since),
            _ => fs::symlink_metadata(&path).is_err(),
        }
    });
    touched.map(Record::path)
}

fn modified(path: &Path) -> io::Result<SystemTime> {
    fs::symlink_metadata(path)?.modified()
}

/// Removes a file, or a directory with all that is in it; gives whether there was one.
fn remove_all(path: &Path) -> Result<usize, StoreError> {
    let there = usize::from(fs::symlink_metadata(path).is_ok());
    let removed = delete_now(path).map_err(|error| StoreError::Io {
        doing: "remove",
        path: error.path,
        source: error.source,
    });
    removed.map(|()| there)
}
