//! What a deploy has written, and what of it is certain when.

use std::collections::BTreeSet;
use std::fmt;

use crate::cuts::{Cut, Unsynced, spread};
use crate::image::{Change, Image};
use crate::recorder::{Recorder, Sync, Synced};

/// A deploy, as the disk has seen it.
#[derive(Debug)]
pub struct Recording {
    /// The disk as it was before, and every file that came later, empty and without a name.
    before: Image,
    changes: Vec<Change>,
    words: Vec<String>,
    syncs: Vec<Sync>,
    /// How many changes had been made when the pusher was told that his commit is live.
    pub told: usize,
}

impl Recording {
    /// `told_at` is when the pusher was told, on the clock of the calls.
    pub fn new(mut before: Image, recorder: Recorder, told_at: u64) -> Self {
        before.add_empty(&recorder.now);
        let made = recorder.made.iter();
        Self {
            before,
            told: made.filter(|(at, _)| *at <= told_at).count(),
            changes: recorder.changes,
            words: recorder.made.into_iter().map(|(_, words)| words).collect(),
            syncs: recorder.syncs,
        }
    }

    /// At most so many cuts: around each sync and each change of names, and each in three ways.
    pub fn cuts(&self, at_most: usize) -> Vec<Cut> {
        let mut moments: BTreeSet<usize> = [0, self.changes.len()].into();
        moments.extend(self.syncs.iter().flat_map(|sync| [sync.covers, sync.at]));
        for (at, change) in self.changes.iter().enumerate() {
            if matches!(change, Change::Names(_)) {
                moments.extend([at, at + 1]);
            }
        }
        let mut cuts: Vec<Cut> = Vec::new();
        for at in moments {
            let seed = at as u64;
            // A sync that ends just then has not ended yet, or has.
            for until in [at, at + 1] {
                let synced = self.synced_before(at, until);
                for unsynced in [Unsynced::Lost, Unsynced::Mixed(seed), Unsynced::Kept] {
                    let mut cut = Cut::new(at, &synced, &self.changes, unsynced);
                    let last = at.checked_sub(1).map(|last| self.words[last].clone());
                    cut.after = last.unwrap_or_default();
                    let mut same = cuts.iter().rev().take_while(|one| one.at == at);
                    if same.all(|one| one.fates != cut.fates) {
                        cuts.push(cut);
                    }
                }
            }
        }
        spread(cuts, at_most)
    }

    /// Which of the changes before this moment are on the disk for certain, by the syncs that ended before `until`
    /// changes had been made.
    fn synced_before(&self, at: usize, until: usize) -> Vec<bool> {
        let mut synced = vec![false; at];
        for sync in self.syncs.iter().filter(|sync| sync.at < until) {
            for (number, change) in self.changes[..sync.covers].iter().enumerate() {
                synced[number] |= covers(sync.what, change);
            }
        }
        synced
    }

    /// The disk after a cut.
    pub fn after(&self, cut: &Cut) -> Image {
        let mut image = self.before.clone();
        for (change, fate) in self.changes.iter().zip(&cut.fates) {
            image.apply(change, *fate);
        }
        image
    }
}

/// A name is on the disk with the directory that it is in; of two directories, with the one that it was moved to.
fn covers(synced: Synced, change: &Change) -> bool {
    match (synced, change) {
        (Synced::All, _) => true,
        (Synced::One(inode), Change::Names(names)) => {
            names.last().is_some_and(|(dir, _, _)| *dir == inode)
        }
        (Synced::One(inode), Change::Write(of, ..) | Change::Resize(of, _)) => *of == inode,
    }
}

impl fmt::Display for Recording {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} changes, {} syncs, told after {}",
            self.changes.len(),
            self.syncs.len(),
            self.told
        )
    }
}
