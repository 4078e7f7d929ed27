//! Which package manager an app uses: its lockfile says it, and `packageManager` of package.json must agree.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::package::PackageJson;
use super::problem::{ConfigError, Source, quoted};
use super::version::{Version, VersionRange};

/// A package manager. The two yarns have little in common but the name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ManagerKind {
    /// npm.
    Npm,
    /// pnpm.
    Pnpm,
    /// yarn 1, "classic".
    Yarn1,
    /// yarn 2 and newer, "berry".
    Yarn,
    /// bun.
    Bun,
}

impl ManagerKind {
    /// The program's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Npm => "npm",
            Self::Pnpm => "pnpm",
            Self::Yarn1 | Self::Yarn => "yarn",
            Self::Bun => "bun",
        }
    }
}

/// As people say it: `yarn 1`.
impl fmt::Display for ManagerKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Npm => "npm",
            Self::Pnpm => "pnpm",
            Self::Yarn1 => "yarn 1",
            Self::Yarn => "yarn 2 or newer",
            Self::Bun => "bun",
        })
    }
}

/// Which version of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// Whichever is there.
    Any,
    /// One that can read the lockfile.
    Reading(VersionRange),
    /// What `packageManager` names.
    Named(VersionRange),
}

impl Wanted {
    pub(super) fn reading(range: &str) -> Self {
        Self::Reading(range.parse().expect("it is written in this file's sibling"))
    }

    /// Whether a version will do.
    pub fn allows(&self, version: &Version) -> bool {
        match self {
            Self::Any => true,
            Self::Reading(range) | Self::Named(range) => range.contains(version),
        }
    }
}

/// The package manager of an app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manager {
    /// Which.
    pub kind: ManagerKind,
    /// The lockfile that says so.
    pub lockfile: &'static str,
    /// Which version.
    pub wanted: Wanted,
    /// `yarnPath` of `.yarnrc.yml`: a yarn that lies in the repository.
    pub yarn_path: Option<String>,
    /// Whether there will be no `node_modules`: node finds packages by a file that yarn writes, and loads first.
    pub plug_and_play: bool,
}

impl Default for Manager {
    fn default() -> Self {
        Self {
            kind: ManagerKind::Npm,
            lockfile: "package-lock.json",
            wanted: Wanted::Any,
            yarn_path: None,
            plug_and_play: false,
        }
    }
}

/// Why it can't be told which package manager an app uses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ManagerError {
    /// Lockfiles of two managers.
    #[error("there are two lockfiles, {} and {}", files[0], files[1])]
    TwoLockfiles {
        /// Their names.
        files: [&'static str; 2],
        /// The one that `packageManager` does not mean, where it means the other.
        delete: Option<&'static str>,
    },
    /// The lockfile is of one manager, and `packageManager` names another.
    #[error(
        "{lockfile} is of {found}, but packageManager of package.json says {}",
        quoted(named)
    )]
    Disagree {
        /// The lockfile.
        lockfile: &'static str,
        /// Whose it is.
        found: ManagerKind,
        /// The other, as it is written.
        named: String,
    },
}

impl ManagerError {
    /// What to do about it.
    pub fn hint(&self) -> String {
        match self {
            Self::TwoLockfiles {
                delete: Some(file), ..
            } => {
                format!(
                    "packageManager of package.json does not mean {file}: `git rm {file}`, commit and push again"
                )
            }
            Self::TwoLockfiles {
                files,
                delete: None,
            } => format!(
                "keep the one of the package manager that you use, and delete the other: `git rm {}` or `git rm {}`, then commit and push again",
                files[0], files[1]
            ),
            Self::Disagree {
                lockfile, found, ..
            } => format!(
                "if the app is installed with {found}, correct packageManager; else commit the lockfile of what it names and `git rm {lockfile}`"
            ),
        }
    }
}

/// `packageManager` of package.json, understood: `pnpm@9.1.0+sha512.…`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedManager {
    /// Which manager.
    pub kind: ManagerKind,
    /// Which version.
    pub range: VersionRange,
}

impl NamedManager {
    /// Reads the field, if it is there.
    pub fn of(package: &PackageJson) -> Result<Option<Self>, ConfigError> {
        let Some(text) = package.package_manager.as_deref() else {
            return Ok(None);
        };
        Self::parse(text).map(Some).ok_or_else(|| {
            let source = Source {
                file: PackageJson::FILE,
                text: "",
            };
            ConfigError::one(source.somewhere(format!(
                "`packageManager` is {}; write npm, pnpm, yarn or bun with a version, as \"pnpm@9.1.0\"",
                quoted(text)
            )))
        })
    }

    fn parse(text: &str) -> Option<Self> {
        let (name, version) = text.trim().split_once('@')?;
        // The hash is Corepack's; npm checks what it downloads by the registry's own.
        let version = version.split('+').next()?;
        let range: VersionRange = version.parse().ok().filter(|_| !version.is_empty())?;
        let digits = version.trim_start_matches(|c: char| !c.is_ascii_digit());
        let first = digits.split(|c: char| !c.is_ascii_digit()).next()?;
        let kind = match name {
            "npm" => ManagerKind::Npm,
            "pnpm" => ManagerKind::Pnpm,
            "yarn" if first == "1" => ManagerKind::Yarn1,
            "yarn" => ManagerKind::Yarn,
            "bun" => ManagerKind::Bun,
            _ => return None,
        };
        Some(Self { kind, range })
    }
}

impl Manager {
    /// Whether two lockfiles lie side by side that are not of one manager: the files are some of [`super::LOCKFILES`].
    pub fn only_one(
        files: &[&'static str],
        named: Option<&NamedManager>,
    ) -> Result<(), ManagerError> {
        let owner = |file: &str| super::LOCKFILES.iter().find(|(name, _)| *name == file);
        let owner = |file: &str| owner(file).map(|(_, owner)| *owner);
        let Some(&first) = files.first() else {
            return Ok(());
        };
        let Some(&other) = files.iter().find(|file| owner(file) != owner(first)) else {
            return Ok(());
        };
        let named = named.map(|named| named.kind.name());
        let delete = match (named == owner(first), named == owner(other)) {
            (true, _) => Some(other),
            (_, true) => Some(first),
            _ => None,
        };
        Err(ManagerError::TwoLockfiles {
            files: [first, other],
            delete,
        })
    }

    /// With what `packageManager` names, which must be the manager of the lockfile.
    pub fn as_named(
        self,
        named: Option<&NamedManager>,
        written: Option<&str>,
    ) -> Result<Self, ManagerError> {
        match named {
            None => Ok(self),
            Some(named) if named.kind == self.kind => Ok(Self {
                wanted: Wanted::Named(named.range.clone()),
                ..self
            }),
            Some(_) => Err(ManagerError::Disagree {
                lockfile: self.lockfile,
                found: self.kind,
                named: written.unwrap_or_default().to_owned(),
            }),
        }
    }

    /// Takes what `.yarnrc.yml` says into account: which yarn, and whether it makes a `node_modules`.
    #[must_use]
    pub fn with_yarnrc(self, yarnrc: Option<&[u8]>) -> Self {
        let text = yarnrc.map(String::from_utf8_lossy).unwrap_or_default();
        if self.kind != ManagerKind::Yarn {
            return self;
        }
        let set = |key: &str| {
            text.lines().find_map(|line| {
                let value = line.strip_prefix(key)?.strip_prefix(':')?;
                let value = value.split(" #").next()?.trim();
                Some(value.trim_matches(['"', '\'']).to_owned())
            })
        };
        Self {
            yarn_path: set("yarnPath").filter(|path| !path.is_empty()),
            plug_and_play: set("nodeLinker").is_none_or(|linker| linker == "pnp"),
            ..self
        }
    }
}
