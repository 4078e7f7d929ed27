//! Versions and ranges of versions, in npm's own grammar.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// One version: `22.11.0`. Ordered as versions are; written as its text.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Version(nodejs_semver::Version);

/// The text is not a version, or not a range of versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a version, nor a range of versions")]
pub struct VersionError;

impl Version {
    /// The first of its three numbers.
    pub fn major(&self) -> u64 {
        self.0.major()
    }

    /// Whether it came before the version that it names (`1.0.0-rc.1`).
    pub fn is_prerelease(&self) -> bool {
        self.0.is_prerelease()
    }
}

impl FromStr for Version {
    type Err = VersionError;

    /// All three numbers must be there; a `v` may stand before them.
    fn from_str(text: &str) -> Result<Self, VersionError> {
        let text = text.trim();
        // The length bounds what is shown of it, and the name of a directory.
        if text.len() > 100 {
            return Err(VersionError);
        }
        nodejs_semver::Version::parse(text.strip_prefix('v').unwrap_or(text))
            .map(Self)
            .map_err(|_| VersionError)
    }
}

impl TryFrom<String> for Version {
    type Error = VersionError;

    fn try_from(text: String) -> Result<Self, VersionError> {
        text.parse()
    }
}

impl From<Version> for String {
    fn from(version: Version) -> Self {
        version.to_string()
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// A range of versions: `^20 || >=22.11`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionRange(nodejs_semver::Range);

impl VersionRange {
    /// Whether the version is within.
    pub fn contains(&self, version: &Version) -> bool {
        self.0.satisfies(&version.0)
    }

    /// Whether any version could be within both.
    pub fn meets(&self, other: &Self) -> bool {
        self.0.allows_any(&other.0)
    }

    /// Exactly this version.
    pub fn exactly(version: &Version) -> Self {
        Self::from_str(&version.to_string()).expect("a version is a range of one")
    }

    /// The newest of these versions that is within.
    pub fn newest<'v>(
        &self,
        versions: impl IntoIterator<Item = &'v Version>,
    ) -> Option<&'v Version> {
        let within = versions
            .into_iter()
            .filter(|version| self.contains(version));
        within.max()
    }
}

impl FromStr for VersionRange {
    type Err = VersionError;

    fn from_str(text: &str) -> Result<Self, VersionError> {
        // No person writes a longer one.
        if text.len() > 500 {
            return Err(VersionError);
        }
        nodejs_semver::Range::parse(text.trim())
            .map(Self)
            .map_err(|_| VersionError)
    }
}

impl fmt::Display for VersionRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}
