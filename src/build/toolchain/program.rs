//! The programs that were chosen.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use crate::config::{ManagerKind, Version};

/// Where a program comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Origin {
    /// It is installed on the server.
    System,
    /// handover has fetched it, and keeps it for all apps.
    Kept,
    /// It lies in the app's repository (`yarnPath`).
    Repository,
}

/// The C library that a node was made for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Libc {
    /// glibc, with the version that is at hand.
    Glibc(String),
    /// Another one: musl.
    Musl,
}

impl fmt::Display for Libc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Glibc(version) => write!(f, "glibc {version}"),
            Self::Musl => f.write_str("musl"),
        }
    }
}

/// A node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeProgram {
    /// The program.
    pub path: PathBuf,
    /// Its version.
    pub version: Version,
    /// `process.versions.modules`: native modules are made for one of these.
    pub abi: String,
    /// `process.arch`.
    pub arch: String,
    /// The C library.
    pub libc: Libc,
    /// Where it comes from.
    pub origin: Origin,
}

impl NodeProgram {
    /// The directory with `bin` and `include`, of a node that is kept.
    pub fn prefix(&self) -> Option<&Path> {
        match self.origin {
            Origin::Kept => self.path.parent()?.parent(),
            Origin::System | Origin::Repository => None,
        }
    }
}

/// A package manager.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManagerProgram {
    /// Which.
    pub kind: ManagerKind,
    /// Its version.
    pub version: Version,
    /// The program, and the arguments that come first.
    pub command: Vec<PathBuf>,
    /// The directory that scripts find it in, where they would not find it by themselves.
    pub bin: Option<PathBuf>,
    /// Where it comes from.
    pub origin: Origin,
}

/// All that an app is installed and built with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Toolchain {
    /// node.
    pub node: NodeProgram,
    /// The package manager.
    pub manager: ManagerProgram,
}

impl Toolchain {
    /// Whether it is all the system's.
    pub fn is_systems(&self) -> bool {
        self.node.origin == Origin::System && self.manager.origin == Origin::System
    }

    /// What the app finds when it runs.
    pub fn runtime(&self, path: &str) -> Runtime {
        let manager = &self.manager;
        let nodes = self.node.prefix().and_then(|_| self.node.path.parent());
        let dirs = [manager.bin.as_deref(), nodes].into_iter().flatten();
        let yarn = manager.command.last();
        let yarn = yarn.filter(|_| manager.origin == Origin::Repository);
        let variables = yarn.map(|yarn| {
            let yarn = yarn.to_string_lossy().into_owned();
            (Runtime::YARN.to_owned(), yarn)
        });
        Runtime {
            node: Some(self.node.path.clone()),
            path: with_dirs(dirs, path),
            variables: variables.into_iter().collect(),
        }
    }
}

/// As in "node 22.11.0, pnpm 9.1.0".
impl fmt::Display for Toolchain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (node, manager) = (&self.node, &self.manager);
        write!(
            f,
            "node {}, {} {}",
            node.version,
            manager.kind.name(),
            manager.version
        )
    }
}

/// What a command of the app finds: node and the package manager, along its `PATH`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Runtime {
    /// The node, where there is one.
    pub node: Option<PathBuf>,
    /// The search path.
    pub path: String,
    /// More variables.
    pub variables: BTreeMap<String, String>,
}

impl Runtime {
    /// The yarn that lies in the repository, for the `yarn` on the search path, which does no more than start it.
    pub(super) const YARN: &str = "HANDOVER_YARN";
}

pub(super) fn with_dirs<'d>(dirs: impl Iterator<Item = &'d Path>, path: &str) -> String {
    let dirs = dirs.map(|dir| dir.to_string_lossy().into_owned());
    let all: Vec<_> = dirs.chain([path.to_owned()]).collect();
    all.join(":")
}

/// A program is not where the server looks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no `{program}` on the server (PATH is `{path}`)")]
pub struct ToolsError {
    /// `node` or `npm`.
    pub program: &'static str,
    /// Where it was looked for.
    pub path: String,
}

impl ToolsError {
    /// What to do about it.
    pub const HINT: &'static str = "install Node.js on the server (npm comes with it), in a directory of the PATH that `handover serve` was started with";
}
