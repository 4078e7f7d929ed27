//! What stands for what.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

/// A BLAKE3 digest.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Digest([u8; 32]);

impl Digest {
    /// The digest of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(*blake3::hash(bytes).as_bytes())
    }

    pub(super) fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Enough of it to tell a few trees apart.
    pub(super) fn short(&self) -> String {
        let mut text = self.to_string();
        text.truncate(16);
        text
    }
}

impl From<blake3::Hash> for Digest {
    fn from(hash: blake3::Hash) -> Self {
        Self(*hash.as_bytes())
    }
}

impl From<[u8; 32]> for Digest {
    fn from(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The digest of everything that an install is known to read before it runs: each part under its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key(Digest);

/// How many hexadecimal digits of a key stand in a file's name; the whole of it is in the file.
const SHOWN: usize = 32;

impl Key {
    /// The key of these parts.
    pub fn of(parts: &BTreeMap<String, Digest>) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key("handover 2026 key of a stored tree, 1");
        for (name, digest) in parts {
            // The length first, so that no name can run into a digest.
            hasher.update(&(name.len() as u64).to_le_bytes());
            hasher.update(name.as_bytes());
            hasher.update(digest.bytes());
        }
        Self(hasher.finalize().into())
    }

    /// As it stands in file names.
    pub fn short(&self) -> String {
        let mut text = self.0.to_string();
        text.truncate(SHOWN);
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(pairs: &[(&str, &str)]) -> BTreeMap<String, Digest> {
        let pairs = pairs.iter();
        pairs
            .map(|(name, content)| ((*name).to_owned(), Digest::of(content.as_bytes())))
            .collect()
    }

    #[test]
    fn each_part_and_each_name_counts() {
        let keys = [
            parts(&[]),
            parts(&[("a", "")]),
            parts(&[("a", "1")]),
            parts(&[("b", "1")]),
            parts(&[("a", "1"), ("b", "1")]),
            parts(&[("a", "1"), ("b", "2")]),
        ]
        .map(|parts| Key::of(&parts).short());
        for (n, key) in keys.iter().enumerate() {
            assert_eq!(key.len(), SHOWN);
            assert!(!keys[..n].contains(key));
        }
    }

    #[test]
    fn the_same_parts_have_the_same_key() {
        let one = parts(&[("a", "1"), ("b", "2")]);
        let other = parts(&[("b", "2"), ("a", "1")]);
        assert_eq!(Key::of(&one), Key::of(&other));
    }
}
