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
    node: NodeRecord,
    manager: ManagerRecord,
    /// The yarn that lies in the release.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    yarn_path: Option<String>,
    /// Whether yarn made no `node_modules`.
    plug_and_play: bool,
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
struct NodeRecord {
    version: Version,
    abi: String,
    from: Place,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct ManagerRecord {
    kind: ManagerKind,
    version: Version,
    from: Place,
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
            node: NodeRecord {
                version: node.version.clone(),
                abi: node.abi.clone(),
                from: of_node(node),
            },
            manager: ManagerRecord {
                kind: manager.kind,
                version: manager.version.clone(),
                from: of_manager(manager),
            },
            yarn_path: yarn.map(|yarn| yarn.to_string_lossy().into_owned()),
            plug_and_play: wanted.plug_and_play,
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

    /// The manager that a release was installed with: a build may have written the lockfile of another.
    pub(in crate::build) fn manager(&self, guessed: Manager) -> Manager {
        Manager {
            kind: self.manager.kind,
            plug_and_play: self.plug_and_play,
            ..guessed
        }
    }

    /// Whether the release may need this version of node or of a package manager.
    pub(super) fn names(&self, tool: &str, version: &Version) -> bool {
        let is_node = tool == "node" && self.node.version == *version;
        let is_manager = tool == self.manager.kind.name() && self.manager.version == *version;
        is_node || is_manager
    }

    pub(super) async fn runtime(
        &self,
        toolbox: &Toolbox,
        ask: &Ask<'_>,
        tell: Tell<'_>,
    ) -> Result<Runtime, StepFailure> {
        let node = self.node_again(toolbox, ask, tell).await?;
        let kept = Some(&self.manager).filter(|manager| manager.from == Place::Kept);
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
        let built = &self.node;
        if built.from == Place::Kept {
            return same_node(toolbox, ask, &built.version, tell).await;
        }
        let system = systems(toolbox, ask).await?;
        if built.abi == system.abi {
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
