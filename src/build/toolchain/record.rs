//! What a release was built with, written into its directory: a rollback years later finds the same node.
//!
//! Of the system's node that is its ABI: what the system's updates bring within it is wanted. Where the system has gone on
//! to another, native modules of the release would not be loaded, and it gets the version that it was built with.

use std::fs;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::choose_manager::{in_repository, same_manager};
use super::choose_node::{same_node, systems};
use super::program::{ManagerProgram, NodeProgram, Origin, Runtime, Toolchain, with_dirs};
use super::toolbox::{Ask, Tell, Toolbox};
use crate::build::failure::StepFailure;
use crate::config::{Manager, ManagerKind, Version};
use crate::report::EventKind;

/// The file's name in the release directory.
const FILE: &str = ".handover-tools.json";

/// The tools of a release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::build) struct Record {
    /// Not there in older records, where it was the system's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    node: Option<NodeRecord>,
    /// The same holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    manager: Option<ManagerRecord>,
    /// The yarn that lies in the release.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    yarn_path: Option<String>,
    /// Whether yarn made no `node_modules`. Older records do not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    plug_and_play: Option<bool>,
}

/// Where a tool was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Place {
    /// Installed on the server.
    System,
    /// Fetched.
    Kept,
    /// Beside the node that was fetched, as its npm.
    Node,
    /// In the release.
    Repository,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Written<NodeWritten>")]
struct NodeRecord {
    version: Version,
    /// Not there in older records, which tell only of nodes that are kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    abi: Option<String>,
    from: Place,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Written<ManagerWritten>")]
struct ManagerRecord {
    /// Not there in older records: it was told from the lockfile.
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<ManagerKind>,
    version: Version,
    from: Place,
}

/// Older records have just the version of what is kept.
#[derive(Deserialize)]
#[serde(untagged)]
enum Written<T> {
    Kept(Version),
    Whole(T),
}

#[derive(Deserialize)]
struct NodeWritten {
    version: Version,
    abi: Option<String>,
    from: Place,
}

#[derive(Deserialize)]
struct ManagerWritten {
    kind: Option<ManagerKind>,
    version: Version,
    from: Place,
}

impl From<Written<NodeWritten>> for NodeRecord {
    fn from(written: Written<NodeWritten>) -> Self {
        let NodeWritten { version, abi, from } = match written {
            Written::Whole(whole) => whole,
            Written::Kept(version) => NodeWritten {
                version,
                abi: None,
                from: Place::Kept,
            },
        };
        Self { version, abi, from }
    }
}

impl From<Written<ManagerWritten>> for ManagerRecord {
    fn from(written: Written<ManagerWritten>) -> Self {
        let ManagerWritten {
            kind,
            version,
            from,
        } = match written {
            Written::Whole(whole) => whole,
            Written::Kept(version) => ManagerWritten {
                kind: None,
                version,
                from: Place::Kept,
            },
        };
        Self {
            kind,
            version,
            from,
        }
    }
}

impl Record {
    pub(super) fn of(toolchain: &Toolchain, wanted: &Manager, release: &Path) -> Self {
        let (node, manager) = (&toolchain.node, &toolchain.manager);
        let yarn = manager
            .command
            .last()
            .filter(|_| manager.origin == Origin::Repository);
        let yarn = yarn.and_then(|yarn| yarn.strip_prefix(release).ok());
        Self {
            node: Some(NodeRecord {
                version: node.version.clone(),
                abi: Some(node.abi.clone()),
                from: of_node(node),
            }),
            manager: Some(ManagerRecord {
                kind: Some(manager.kind),
                version: manager.version.clone(),
                from: of_manager(manager),
            }),
            yarn_path: yarn.map(|yarn| yarn.to_string_lossy().into_owned()),
            plug_and_play: Some(wanted.plug_and_play),
        }
    }

    /// Nothing where a release was built before anything was recorded of the system's programs.
    pub(in crate::build) fn read(release: &Path) -> Option<Self> {
        serde_json::from_slice(&fs::read(release.join(FILE)).ok()?).ok()
    }

    /// In the place of whatever the app's repository or its build has put there. It is on the disk when its release is:
    /// none is remembered before that.
    pub(super) fn write(&self, release: &Path) -> io::Result<()> {
        let (path, text) = (release.join(FILE), serde_json::to_vec(self)?);
        match fs::symlink_metadata(&path) {
            Ok(found) if found.is_dir() => fs::remove_dir_all(&path)?,
            Ok(_) => fs::remove_file(&path)?, // a symlink is not followed
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        fs::write(path, text)
    }

    /// The manager that a release was installed with: a build may have written the lockfile of another. What an older
    /// record does not tell is as it is guessed.
    pub(in crate::build) fn manager(&self, guessed: Manager) -> Manager {
        let recorded = self.manager.as_ref().and_then(|manager| manager.kind);
        Manager {
            kind: recorded.unwrap_or(guessed.kind),
            plug_and_play: self.plug_and_play.unwrap_or(guessed.plug_and_play),
            ..guessed
        }
    }

    /// Whether the release may need this version of node or of a package manager.
    pub(super) fn names(&self, tool: &str, version: &Version) -> bool {
        let node = self.node.as_ref().filter(|_| tool == "node");
        let manager = self.manager.as_ref().filter(|manager| {
            // An older record does not tell which it is.
            manager.kind.is_none_or(|kind| kind.name() == tool)
        });
        node.is_some_and(|node| node.version == *version)
            || manager.is_some_and(|manager| manager.version == *version)
    }

    pub(super) async fn runtime(
        &self,
        toolbox: &Toolbox,
        ask: &Ask<'_>,
        tell: Tell<'_>,
    ) -> Result<Runtime, StepFailure> {
        let node = self.node_again(toolbox, ask, tell).await?;
        let kept = self
            .manager
            .as_ref()
            .filter(|manager| manager.from == Place::Kept);
        let manager = match (&self.yarn_path, kept) {
            (Some(yarn), _) => in_repository(toolbox, ask, &node, yarn).await?,
            (None, Some(kept)) => same_manager(toolbox, ask, &node, &kept.version, tell).await?,
            (None, None) => {
                let mut runtime = toolbox.systems(ask.env);
                let bin = node.prefix().and_then(|_| node.path.parent());
                runtime.path = with_dirs(bin.into_iter(), &runtime.path);
                runtime.node = Some(node.path);
                return Ok(runtime);
            }
        };
        Ok(Toolchain { node, manager }.runtime(ask.path()))
    }

    /// A release that can't have its node any more is started with the system's: most have no native modules.
    async fn node_again(
        &self,
        toolbox: &Toolbox,
        ask: &Ask<'_>,
        tell: Tell<'_>,
    ) -> Result<NodeProgram, StepFailure> {
        let Some(built) = &self.node else {
            return systems(toolbox, ask).await;
        };
        if built.from == Place::Kept {
            return same_node(toolbox, ask, &built.version, tell).await;
        }
        let system = systems(toolbox, ask).await?;
        if built.abi.as_ref().is_none_or(|abi| *abi == system.abi) {
            return Ok(system);
        }
        match same_node(toolbox, ask, &built.version, tell).await {
            Ok(node) => Ok(node),
            Err(failed) => {
                let text = format!(
                    "the release was built with node {} and is started with the server's {}, on which its native modules may not run: {}; push again to build it for node {}",
                    built.version, system.version, failed.cause, system.version
                );
                tell(EventKind::Warned { text });
                Ok(system)
            }
        }
    }
}

fn of_node(node: &NodeProgram) -> Place {
    match node.origin {
        Origin::System => Place::System,
        Origin::Kept => Place::Kept,
        Origin::Repository => Place::Repository,
    }
}

fn of_manager(manager: &ManagerProgram) -> Place {
    match (manager.origin, &manager.bin) {
        (Origin::System, _) => Place::System,
        (Origin::Kept, Some(_)) => Place::Kept,
        (Origin::Kept, None) => Place::Node,
        (Origin::Repository, _) => Place::Repository,
    }
}

#[cfg(test)]
mod tests;
