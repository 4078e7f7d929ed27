//! What an install has made, on its way into the store.
//!
//! Writing it takes time: nobody waits for it but a deploy that wants this very tree.

use std::fs::{self, File};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::entry::{About, EntryId};
use super::error::{StoreError, failed};
use super::key::Key;
use super::pace::{Pace, Urgency};
use super::pack::{PackError, pack};
use super::shelf::Store;
use super::snapshot::Made;
use crate::process::files::{put_in_place, remove_if_there};
use crate::process::rig::kill_point;

/// The beginning of the names of files that are being written.
pub(super) const STAGING: &str = ".staging-";

/// What an install has made in a release, to be stored. The release is left alone by whoever holds it; what the app
/// changes in it meanwhile is noticed, and then nothing is stored.
#[derive(Debug)]
pub struct Pending {
    store: Arc<Store>,
    key: Key,
    made: Made,
    about: About,
    pace: Arc<Pace>,
    written: Option<Written>,
}

impl Store {
    /// Announces what an install has `made`: whoever looks for this key waits until it is stored, or given up. Fails where
    /// it can be known that it can't be.
    pub fn expect(
        self: &Arc<Self>,
        key: Key,
        made: Made,
        about: About,
    ) -> Result<Pending, StoreError> {
        let mut arrivals = self.pending.lock();
        if arrivals.closed {
            return Err(StoreError::Stopped);
        }
        self.has_room_for(&made)?;
        let pace = Arc::new(Pace::new(Urgency::Background));
        arrivals.coming.push((key, Arc::clone(&pace)));
        drop(arrivals);
        Ok(Pending {
            store: Arc::clone(self),
            key,
            made,
            about,
            pace,
            written: None,
        })
    }

    fn has_room_for(&self, made: &Made) -> Result<(), StoreError> {
        fs::create_dir_all(&self.dir).map_err(failed("make the directory", &self.dir))?;
        self.leaves_room(made.bytes(), made.len() as u64)
    }

    /// Why the last tree of this key was not stored, in words.
    pub fn not_stored(&self, key: &Key) -> Option<String> {
        let arrivals = self.pending.lock();
        let (_, why) = arrivals.failed.as_ref().filter(|(of, _)| of == key)?;
        Some(why.clone())
    }

    /// Whether an app has changed what its install had made before that was stored. Then it should be stored before
    /// anything of the app runs.
    pub fn is_raced(&self) -> bool {
        self.pending.lock().raced
    }
}

impl Pending {
    /// Writes it into a file, as fast as can be. From then on the release may change.
    pub fn write(&mut self) -> Result<(), PackError> {
        self.pace.set(Urgency::Now);
        self.write_at_pace()
    }

    /// Writes it in the breaks of everything else, if that is not done; then through to the disk; and gives it its name.
    pub fn seal(mut self) -> Result<EntryId, PackError> {
        self.write_at_pace()?;
        let sealed = self.written.take().map(Written::seal);
        let sealed = sealed.unwrap_or(Err(StoreError::Stopped));
        sealed.map_err(|error| self.failed(error.into()))
    }

    fn write_at_pace(&mut self) -> Result<(), PackError> {
        if self.written.is_some() {
            return Ok(());
        }
        let written = Written::new(&self.store, &self.key, &self.made, &self.about, &self.pace);
        self.written = Some(written.map_err(|error| self.failed(error))?);
        Ok(())
    }

    /// Remembers why, for whoever looks for it.
    fn failed(&self, error: PackError) -> PackError {
        let mut arrivals = self.store.pending.lock();
        arrivals.raced |= matches!(error, PackError::Store(StoreError::Changed { .. }));
        arrivals.failed = Some((self.key, crate::report::with_causes(&error)));
        error
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        let mut arrivals = self.store.pending.lock();
        arrivals
            .coming
            .retain(|(_, pace)| !Arc::ptr_eq(pace, &self.pace));
        drop(arrivals);
        self.store.pending.changed.notify_all();
    }
}

/// The trees of one store that are on their way.
#[derive(Debug, Default)]
pub(super) struct Arrivals {
    list: Mutex<List>,
    changed: Condvar,
    staged: AtomicU64,
}

#[derive(Debug, Default)]
struct List {
    coming: Vec<(Key, Arc<Pace>)>,
    /// The last one that was not stored, and why.
    failed: Option<(Key, String)>,
    raced: bool,
    /// Nothing comes any more.
    closed: bool,
}

impl Arrivals {
    /// Waits for the trees of this key.
    pub(super) fn hurry(&self, key: &Key) {
        self.wait(self.lock(), Urgency::Now, |of| of == key);
    }

    /// Waits until nothing comes any more.
    pub(super) fn close(&self) {
        let mut list = self.lock();
        list.closed = true;
        self.wait(list, Urgency::Never, |_| true);
    }

    /// Waits until all of these have come, or were given up.
    fn wait(&self, list: MutexGuard<'_, List>, urgency: Urgency, of: impl Fn(&Key) -> bool) {
        let awaited = |list: &mut List| {
            let mut awaited = list.coming.iter().filter(|(key, _)| of(key)).peekable();
            let is_any = awaited.peek().is_some();
            awaited.for_each(|(_, pace)| pace.set(urgency));
            is_any
        };
        drop(self.changed.wait_while(list, awaited));
    }

    fn lock(&self) -> MutexGuard<'_, List> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A file with a whole tree, and no name yet.
#[derive(Debug)]
struct Written {
    id: EntryId,
    staging: PathBuf,
    path: PathBuf,
}

impl Written {
    fn new(
        store: &Store,
        key: &Key,
        made: &Made,
        about: &About,
        pace: &Pace,
    ) -> Result<Self, PackError> {
        store.has_room_for(made)?;
        let dir = &store.dir;
        let id = EntryId::new(&key.short(), &about.reads);
        let number = store.pending.staged.fetch_add(1, Ordering::Relaxed);
        let written = Self {
            staging: dir.join(format!("{STAGING}{}-{number}", std::process::id())),
            path: dir.join(id.file_name()),
            id,
        };
        let opened = File::options()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&written.staging);
        let mut file = opened.map_err(failed("make", &written.staging))?;
        kill_point("store.begun");
        pack(made, about, &mut file, &written.staging, pace)?;
        Ok(written)
    }

    fn seal(self) -> Result<EntryId, StoreError> {
        kill_point("store.written");
        put_in_place(&self.staging, &self.path).map_err(failed("keep", &self.path))?;
        kill_point("store.sealed");
        Ok(self.id.clone())
    }
}

impl Drop for Written {
    fn drop(&mut self) {
        // After the rename there is none; before it, what can't be removed is swept at the next start.
        let _ = remove_if_there(&self.staging);
    }
}
