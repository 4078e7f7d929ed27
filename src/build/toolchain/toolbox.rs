//! All that handover knows of nodes and package managers on this server.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, MutexGuard};

use super::choose_manager::choose_manager;
use super::choose_node::choose_node;
use super::kept::{Shelf, Verified};
use super::probe::{Probed, find};
use super::program::{Runtime, Toolchain, ToolsError};
use super::prune::freshen;
use super::record::Record;
use crate::build::failure::StepFailure;
use crate::build::strays;
use crate::config::{Manager, NodeWishes, Version};
use crate::process::blocking;
use crate::report::EventKind;

/// Where it is told what is waited for and what is fetched.
pub type Tell<'t> = &'t mut (dyn FnMut(EventKind) + Send);

/// For which app it is asked.
#[derive(Debug, Clone, Copy)]
pub struct Ask<'a> {
    /// Which node the app wants.
    pub node: &'a NodeWishes,
    /// Which package manager.
    pub manager: &'a Manager,
    /// The release directory, checked out.
    pub release: &'a Path,
    /// The environment that programs begin with. The system's programs are looked for along its `PATH`.
    pub env: &'a BTreeMap<String, String>,
    /// The app's directory, by which what is started for it is known.
    pub mark: &'a Path,
    /// Whether a newer version is looked for though an older one that is kept would do.
    pub afresh: bool,
    /// How long fetching may take.
    pub limit: Duration,
}

impl Ask<'_> {
    pub(super) fn path(&self) -> &str {
        self.env.get("PATH").map_or("", String::as_str)
    }

    /// The environment for a program of this deploy.
    pub(super) fn marked(&self) -> BTreeMap<String, String> {
        strays::marked_env(self.env, self.mark)
    }

    /// A program that the server can't do without.
    pub(super) fn find(&self, program: &'static str) -> Result<PathBuf, StepFailure> {
        let path = self.path();
        find(program, path).ok_or_else(|| {
            let path = path.to_owned();
            ToolsError { program, path }.into()
        })
    }
}

/// The tools of one server: what is kept, and what was learned of what is installed.
#[derive(Debug)]
pub struct Toolbox {
    home: PathBuf,
    pub(super) probed: Probed,
    pub(super) verified: Arc<Verified>,
    /// Whoever fetches something holds it.
    pub(super) fetching: Mutex<()>,
    /// Whoever marks a version as used holds it, or finds that it was not.
    pub(super) freshening: Arc<std::sync::Mutex<()>>,
}

impl Toolbox {
    /// The tools that are kept in this home. What was cut off is removed.
    pub fn open(home: &Path) -> Self {
        let toolbox = Self {
            home: home.to_owned(),
            probed: Probed::default(),
            verified: Arc::default(),
            fetching: Mutex::default(),
            freshening: Arc::default(),
        };
        for (_, shelf) in toolbox.named_shelves() {
            shelf.sweep();
        }
        toolbox
    }

    /// Finds node and package manager for an app, and fetches what is missing. Dropping the future ends what it has
    /// started.
    pub async fn choose(&self, ask: &Ask<'_>, tell: Tell<'_>) -> Result<Toolchain, StepFailure> {
        let node = choose_node(self, ask, tell).await?;
        let manager = choose_manager(self, ask, &node, tell).await?;
        Ok(Toolchain { node, manager })
    }

    /// What a release finds that was built before: what it was built with, which is fetched again if it is not there
    /// any more. Of the system's programs, whatever the system has now, as long as native modules run on its node.
    pub async fn runtime(&self, ask: &Ask<'_>, tell: Tell<'_>) -> Result<Runtime, StepFailure> {
        match Record::read(ask.release) {
            Some(record) => record.runtime(self, ask, tell).await,
            None => Ok(self.systems(ask.env)),
        }
    }

    /// What a command finds that uses the system's programs.
    pub fn systems(&self, env: &BTreeMap<String, String>) -> Runtime {
        let path = env.get("PATH").cloned().unwrap_or_default();
        Runtime {
            node: find("node", &path),
            path,
            variables: BTreeMap::new(),
        }
    }

    /// Writes into a release what it was built with. Blocks.
    pub fn record(release: &Path, toolchain: &Toolchain, manager: &Manager) -> std::io::Result<()> {
        Record::of(toolchain, manager, release).write(release)
    }

    /// The nodes that are kept.
    pub(super) fn nodes(&self) -> Shelf {
        Shelf::at(self.home.join("node"))
    }

    /// The versions of a package manager that are kept.
    pub(super) fn tool(&self, name: &str) -> Shelf {
        Shelf::at(self.tools().join(name))
    }

    /// Where npm is run that fetches.
    pub(super) fn tools(&self) -> PathBuf {
        self.home.join("tools")
    }

    /// All that is kept, by the programs' names.
    pub(super) fn named_shelves(&self) -> Vec<(&'static str, Shelf)> {
        let tools = ["npm", "pnpm", "yarn", "bun"].map(|name| (name, self.tool(name)));
        std::iter::once(("node", self.nodes()))
            .chain(tools)
            .collect()
    }

    /// Waits until nobody else fetches anything, and says so.
    pub(super) async fn turn_to_fetch(&self, tell: Tell<'_>) -> MutexGuard<'_, ()> {
        if let Ok(turn) = self.fetching.try_lock() {
            return turn;
        }
        let reason = "for another deploy to fetch node or a package manager".to_owned();
        tell(EventKind::Waiting { reason });
        self.fetching.lock().await
    }

    /// The directory of a version that is kept and whole. One that is not is fetched again, into its place.
    pub(super) async fn whole(
        &self,
        shelf: &Shelf,
        version: &Version,
        program: &str,
    ) -> Option<PathBuf> {
        let dir = shelf.of(version);
        let file = dir.join("bin").join(program);
        if !dir.exists() {
            return None;
        }
        let (verified, freshening) = (Arc::clone(&self.verified), Arc::clone(&self.freshening));
        let looked_at = dir.clone();
        let is_whole =
            move || verified.is_whole(&looked_at, &file) && freshen(&freshening, &looked_at);
        if blocking(is_whole).await {
            return Some(dir);
        }
        tracing::warn!(dir = %dir.display(), "a program that was kept is damaged, and fetched again");
        None
    }
}
