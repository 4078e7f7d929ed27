//! What a release was built with, written into its directory: a rollback years later finds the same node.

use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::choose_manager::{in_repository, same_manager};
use super::choose_node::{same_node, systems};
use super::program::{Origin, Runtime, Toolchain, with_dirs};
use super::toolbox::{Ask, Tell, Toolbox};
use crate::build::failure::StepFailure;
use crate::process::files::replace;

/// The file's name in the release directory.
const FILE: &str = ".handover-tools.json";

/// The tools of a release that are not the system's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    /// The version of the node that is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    node: Option<String>,
    /// The version of the package manager that is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    manager: Option<String>,
    /// The yarn that lies in the release.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    yarn_path: Option<String>,
}

impl Record {
    pub(super) fn of(toolchain: &Toolchain, release: &Path) -> Self {
        let (node, manager) = (&toolchain.node, &toolchain.manager);
        let yarn = manager
            .command
            .last()
            .filter(|_| manager.origin == Origin::Repository);
        let yarn = yarn.and_then(|yarn| yarn.strip_prefix(release).ok());
        Self {
            node: (node.origin == Origin::Kept).then(|| node.version.to_string()),
            // npm lies beside the node that it belongs to.
            manager: (manager.origin == Origin::Kept && manager.bin.is_some())
                .then(|| manager.version.to_string()),
            yarn_path: yarn.map(|yarn| yarn.to_string_lossy().into_owned()),
        }
    }

    /// Nothing where a release was built with the system's programs alone.
    pub(super) fn read(release: &Path) -> Option<Self> {
        serde_json::from_slice(&fs::read(release.join(FILE)).ok()?).ok()
    }

    pub(super) fn write(&self, release: &Path) -> std::io::Result<()> {
        let text = serde_json::to_vec(self).map_err(std::io::Error::other)?;
        replace(&release.join(FILE), &text, 0o644)
    }

    pub(super) async fn runtime(
        &self,
        toolbox: &Toolbox,
        ask: &Ask<'_>,
        tell: Tell<'_>,
    ) -> Result<Runtime, StepFailure> {
        let version = self
            .node
            .as_deref()
            .and_then(|version| version.parse().ok());
        let node = match &version {
            Some(version) => same_node(toolbox, ask, version, tell).await?,
            None => systems(toolbox, ask).await?,
        };
        let version = self
            .manager
            .as_deref()
            .and_then(|version| version.parse().ok());
        let manager = match (&self.yarn_path, &version) {
            (Some(yarn), _) => in_repository(toolbox, ask, &node, yarn).await?,
            (None, Some(version)) => same_manager(toolbox, ask, &node, version, tell).await?,
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
}
