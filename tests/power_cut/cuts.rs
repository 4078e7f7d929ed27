//! Where the power can fail, and what is on the disk then.

use std::collections::BTreeSet;
use std::fmt;

use crate::image::{Change, Fate};

/// What has become of what was not synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Unsynced {
    /// It had reached the disk.
    Kept,
    /// It had not.
    Lost,
    /// Each change has had a fate of its own, by chance.
    Mixed(u64),
}

/// A moment, and what had reached the disk.
#[derive(Debug, Clone)]
pub struct Cut {
    /// How many changes had been made.
    pub at: usize,
    pub unsynced: Unsynced,
    /// The last of them, in words.
    pub after: String,
    /// The fate of each.
    pub fates: Vec<Fate>,
}

impl Cut {
    pub fn new(at: usize, synced: &[bool], changes: &[Change], unsynced: Unsynced) -> Self {
        let mut dice = match unsynced {
            Unsynced::Mixed(seed) => Dice(seed),
            Unsynced::Kept | Unsynced::Lost => Dice(0),
        };
        let fates = changes[..at].iter().zip(synced).map(|(change, synced)| {
            let by_chance = dice.fate(change);
            match unsynced {
                _ if *synced => Fate::Kept,
                Unsynced::Kept => Fate::Kept,
                Unsynced::Lost => Fate::Lost,
                Unsynced::Mixed(_) => by_chance,
            }
        });
        Self {
            at,
            unsynced,
            after: String::new(),
            fates: fates.collect(),
        }
    }
}

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lost = self.fates.iter().filter(|fate| **fate != Fate::Kept);
        write!(
            f,
            "cut {:?} after {} changes, {} of them not as they were made, the last: {}",
            self.unsynced,
            self.at,
            lost.count(),
            self.after
        )
    }
}

/// Numbers by chance, the same from the same seed (splitmix64).
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn fate(&mut self, change: &Change) -> Fate {
        match (self.next() % 5, change) {
            (0 | 1, _) => Fate::Kept,
            (2, Change::Write(..)) => Fate::Zeros,
            _ => Fate::Lost,
        }
    }
}

/// `count` of them, spread evenly, with the first and the last.
pub fn spread<T>(mut all: Vec<T>, count: usize) -> Vec<T> {
    if count >= all.len() || all.len() < 2 {
        return all;
    }
    let last = all.len() - 1;
    let wanted: BTreeSet<usize> = (0..count).map(|n| n * last / (count - 1).max(1)).collect();
    let mut at = 0;
    all.retain(|_| {
        at += 1;
        wanted.contains(&(at - 1))
    });
    all
}
