//! What installs have made, as it is stored.

use serde::{Deserialize, Serialize};

use crate::ids::ReleaseNumber;
use crate::time::Timestamp;

/// The stored trees of an app.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct StoreList {
    /// The one that was used last first.
    pub trees: Vec<StoredTree>,
}

/// One of them in `handover store list`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct StoredTree {
    /// Its name.
    pub tree: String,
    /// The release whose install has made it; nothing of this is known where it is damaged.
    pub release: Option<ReleaseNumber>,
    /// How many packages that has installed.
    pub packages: Option<usize>,
    /// When.
    pub made_at: Option<Timestamp>,
    /// When it was last laid out, or made.
    pub used_at: Timestamp,
    /// How many files, directories and symlinks it has.
    pub items: usize,
    /// Its size on the disk, in bytes.
    pub bytes: u64,
    /// Whether it is laid out already, for the next deploy.
    pub ready: bool,
}

/// What verifying a tree has come to.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct VerifiedTree {
    /// Its name.
    pub tree: String,
    /// Why it was removed, if it was: it is not what was stored.
    pub removed: Option<String>,
}

/// Which trees are to go.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PruneStore {
    /// All of them, and not only those that the settings do not keep.
    pub all: bool,
}

/// Which have gone.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PrunedStore {
    /// How many trees.
    pub trees: usize,
    /// Their sizes together, in bytes.
    pub bytes: u64,
}
