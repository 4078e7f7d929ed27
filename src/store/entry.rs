//! One stored tree.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::error::{StoreError, failed};
use super::format::{Index, Item, Record, read_index};
use super::key::Digest;
use crate::ids::ReleaseNumber;
use crate::time::Timestamp;

/// What is remembered of a stored tree beside the tree.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct About {
    /// When it was made.
    pub made: Timestamp,
    /// By the install of which release.
    pub release: ReleaseNumber,
    /// The directory of that release. It stands in some files, where another is to stand when they are laid out.
    pub directory: PathBuf,
    /// What the install was known to read before it ran, each part with the digest of what it was.
    pub parts: BTreeMap<String, Digest>,
    /// What else it was seen to read of the release, with the digest of what that was.
    pub reads: BTreeMap<String, Digest>,
    /// The modes that it has given to files of the app's own, by path.
    #[serde(default)]
    pub modes: BTreeMap<String, u32>,
    /// How many packages it installed.
    pub packages: usize,
    /// What the pusher should know, a line each.
    pub warnings: Vec<String>,
    /// How long the install took, in milliseconds.
    pub took_ms: u64,
}

impl About {
    /// Whose install has made it, as the pusher of this release is told: the number of a release that came to nothing is
    /// given again.
    pub fn maker(&self, release: ReleaseNumber) -> String {
        if self.release < release {
            format!("release {}", self.release)
        } else {
            "an earlier deploy".to_owned()
        }
    }
}

/// The name of an entry: of its key, and of what the install has read besides.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EntryId(String);

impl EntryId {
    const SUFFIX: &'static str = ".tree";

    pub(super) fn new(key: &str, reads: &BTreeMap<String, Digest>) -> Self {
        let read = super::key::Key::of(reads).short();
        Self(format!("{key}-{}", &read[..16]))
    }

    /// Whether it is of this key.
    pub(super) fn is_of(&self, key: &str) -> bool {
        self.0
            .strip_prefix(key)
            .is_some_and(|rest| rest.starts_with('-'))
    }

    pub(super) fn file_name(&self) -> String {
        format!("{}{}", self.0, Self::SUFFIX)
    }

    pub(super) fn of_file(name: &str) -> Option<Self> {
        name.strip_suffix(Self::SUFFIX)?.parse().ok()
    }
}

impl fmt::Display for EntryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl FromStr for EntryId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_name = !text.is_empty() && text.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-');
        if is_name {
            Ok(Self(text.to_owned()))
        } else {
            Err(format!("`{text}` is not the name of a stored tree"))
        }
    }
}

/// A stored tree that has been opened: it can be laid out even if its file is removed meanwhile.
#[derive(Debug)]
pub struct Entry {
    /// Its name.
    pub id: EntryId,
    /// What is remembered of it.
    pub about: About,
    pub(super) path: PathBuf,
    pub(super) file: File,
    pub(super) records: Vec<Record>,
    /// Tells it from another install's tree with the same name.
    pub(super) digest: Digest,
}

impl Entry {
    pub(super) fn open(id: EntryId, path: &Path) -> Result<Self, StoreError> {
        let file = File::open(path).map_err(failed("open", path))?;
        let Index {
            records,
            about,
            digest,
        } = read_index(&file, path)?;
        Ok(Self {
            id,
            about,
            path: path.to_owned(),
            file,
            records,
            digest,
        })
    }

    /// What is in it.
    pub fn records(&self) -> &[Record] {
        &self.records
    }

    /// The sizes of all files together, in bytes.
    pub fn bytes(&self) -> u64 {
        let sizes = self.records.iter().map(|record| match record.item {
            Item::File { size, .. } => size,
            Item::Directory { .. } | Item::Link { .. } => 0,
        });
        sizes.sum()
    }
}

impl Entry {
    pub(super) fn damaged(&self, why: &str) -> StoreError {
        StoreError::Damaged {
            path: self.path.clone(),
            why: why.to_owned(),
        }
    }
}
