//! Deletes in the background, behind everything else that the machine does.
//!
//! ```text
//!   take ──► waits ──► in hand ──file by file──► gone
//!     │                  └─ a deploy is at work (somebody holds a Pause): stands still between two files
//!     └─ the disk is nearly full: deleted at once, and no Pause counts
//! ```
//!
//! Deleting thousands of files keeps the disk busy, and on ext4 it makes creating as many slow for minutes: it never runs
//! beside a deploy. There is one remover for the whole server, and whatever it has not done when the server ends it is
//! handed again at the next start: the directories themselves are its list.

use std::collections::VecDeque;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::remove::{Aside, put_aside};
use crate::process::delete::RemoveError;
use crate::process::disk::{Free, free};
use crate::process::own::lower_this_thread;
use crate::process::rig::kill_point;

/// With less than this left on a disk, room matters more than anything that deleting disturbs.
const NEARLY_FULL: Free = Free {
    bytes: 1 << 30,
    inodes: Some(20_000),
};
/// How often it is looked whether the disk has become nearly full meanwhile.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// The remover of a server. It ends when this is dropped.
#[derive(Debug)]
pub struct Remover(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    /// With less left than this the disk is nearly full.
    low: Free,
    /// How many deploys are at work.
    pauses: AtomicUsize,
    list: Mutex<List>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct List {
    waiting: VecDeque<Aside>,
    in_hand: Option<Aside>,
    ended: bool,
}

/// As long as somebody holds this, nothing is deleted, unless the disk is nearly full.
#[derive(Debug)]
pub struct Pause(Arc<Shared>);

impl Remover {
    /// Starts the thread. Fails where the system has none to give.
    pub fn start() -> io::Result<Self> {
        Self::start_where_low_is(NEARLY_FULL)
    }

    fn start_where_low_is(low: Free) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            low,
            pauses: AtomicUsize::new(0),
            list: Mutex::default(),
            changed: Condvar::new(),
        });
        let work = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("remover".to_owned());
        thread.spawn(move || {
            lower_this_thread();
            work.run();
        })?;
        Ok(Self(shared))
    }

    /// Puts a directory aside and deletes it later; at once, where the disk is nearly full. That it is not there is fine.
    pub fn remove(&self, path: &Path) -> Result<(), RemoveError> {
        put_aside(path)?.map_or(Ok(()), |aside| self.take(aside))
    }

    /// Deletes what was put aside later; at once, where the disk is nearly full. What it has already is not taken twice.
    pub fn take(&self, aside: Aside) -> Result<(), RemoveError> {
        if self.0.is_nearly_full(aside.path()) {
            return aside.delete(&mut || ());
        }
        let mut list = self.0.lock();
        let known = list.in_hand.iter().chain(&list.waiting);
        if !known.into_iter().any(|other| *other == aside) {
            list.waiting.push_back(aside);
            self.0.changed.notify_all();
        }
        Ok(())
    }

    /// Where the disk is nearly full: deletes everything that waits, on this thread.
    pub fn make_room(&self) {
        let all: Vec<Aside> = {
            let list = self.0.lock();
            list.in_hand.iter().chain(&list.waiting).cloned().collect()
        };
        for aside in &all {
            if !self.0.is_nearly_full(aside.path()) {
                return;
            }
            // Deleting what somebody else is deleting, too, is fine.
            told(aside, aside.delete(&mut || ()));
            self.0.lock().waiting.retain(|other| other != aside);
        }
    }

    /// Whether so little room is left beside this path that it matters more than anything that is only kept to save time.
    pub fn is_nearly_full(&self, path: &Path) -> bool {
        self.0.is_nearly_full(path)
    }

    /// Leaves to others what lies below a directory.
    pub fn forget(&self, below: &Path) {
        let mut list = self.0.lock();
        list.waiting
            .retain(|aside| !aside.path().starts_with(below));
    }

    /// How many directories below this one are yet to be deleted.
    pub fn waiting(&self, below: &Path) -> usize {
        let list = self.0.lock();
        let all = list.in_hand.iter().chain(&list.waiting);
        all.filter(|aside| aside.path().starts_with(below)).count()
    }

    /// Stands still from now on, until the result is dropped. Waits for nothing.
    pub fn pause(&self) -> Pause {
        self.0.pauses.fetch_add(1, Ordering::Relaxed);
        Pause(Arc::clone(&self.0))
    }
}

impl Drop for Remover {
    fn drop(&mut self) {
        self.0.lock().ended = true;
        self.0.changed.notify_all();
    }
}

impl Drop for Pause {
    fn drop(&mut self) {
        self.0.pauses.fetch_sub(1, Ordering::Relaxed);
        // The list is not locked: its other holder has the lowest priority. Who does not hear this looks again.
        self.0.changed.notify_all();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, List> {
        // No panic leaves the list in a state that it may not be in.
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self) {
        while let Some(aside) = self.next() {
            let mut stand_still = || self.stand_still(aside.path());
            let deleted = aside.delete(&mut stand_still).or_else(|_| {
                // It may have been for the moment only.
                std::thread::sleep(LOOK_AGAIN);
                aside.delete(&mut stand_still)
            });
            told(&aside, deleted);
            self.lock().in_hand = None;
        }
    }

    /// The next to delete, when its time has come; nothing when the server ends.
    fn next(&self) -> Option<Aside> {
        loop {
            let first = self.first()?;
            if !self.may_delete(first.path()) {
                self.wait_a_moment(self.lock());
                continue;
            }
            let mut list = self.lock();
            // Somebody may have forgotten it meanwhile.
            if list.waiting.front() == Some(&first) {
                list.in_hand = list.waiting.pop_front();
                drop(list);
                kill_point("remove.deleting");
                return Some(first);
            }
        }
    }

    /// The first that waits, once there is one; nothing when the server ends.
    fn first(&self) -> Option<Aside> {
        let nothing_to_do = |list: &mut List| list.waiting.is_empty() && !list.ended;
        let woken = self.changed.wait_while(self.lock(), nothing_to_do);
        let list = woken.unwrap_or_else(PoisonError::into_inner);
        list.waiting.front().filter(|_| !list.ended).cloned()
    }

    /// Returns when the next file may go.
    fn stand_still(&self, path: &Path) {
        while !self.may_delete(path) {
            let list = self.lock();
            if list.ended {
                return;
            }
            self.wait_a_moment(list);
        }
    }

    fn wait_a_moment(&self, list: MutexGuard<'_, List>) {
        // Whatever has woken us, everything is looked at again.
        let _ = self.changed.wait_timeout(list, LOOK_AGAIN);
    }

    fn may_delete(&self, path: &Path) -> bool {
        self.pauses.load(Ordering::Relaxed) == 0 || self.is_nearly_full(path)
    }

    /// A disk that can't be asked is treated as one with room: whoever writes to it is told what is the matter.
    fn is_nearly_full(&self, path: &Path) -> bool {
        let left = free(path.parent().unwrap_or(path));
        let low = |left: Free| {
            let inodes = self.low.inodes.unwrap_or(0);
            left.bytes < self.low.bytes || left.lacks_inodes(inodes)
        };
        left.is_ok_and(low)
    }
}

/// What can't be deleted stays in its place under its name, and is handed over again at the next look.
fn told(aside: &Aside, result: Result<(), RemoveError>) {
    if let Err(error) = result {
        let error = &error as &dyn std::error::Error;
        tracing::warn!(path = %aside.path().display(), error, "directory can't be deleted");
    }
}

#[cfg(test)]
mod tests;
