//! What to install, and installing it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::advice::explained;
use super::recipe::Recipe;
use super::{bun, count, npm, pnpm, yarn, yarn1};
use crate::build::failure::{StepFailure, io_hint};
use crate::build::step::{Lines, Step};
use crate::build::strays;
use crate::build::toolchain::Toolchain;
use crate::config::{Manager, ManagerKind, Omit};
use crate::process::child::Spawn;
use crate::report::Phase;

/// What to install, where, and with what.
#[derive(Debug, Clone, Copy)]
pub struct InstallRequest<'r> {
    /// The release directory, checked out.
    pub release: &'r Path,
    /// The caches of the package managers, each in a directory of its own; made if need be.
    pub caches: &'r Path,
    /// The app's directory, by which what is started is known.
    pub mark: &'r Path,
    /// The environment that programs of the app begin with.
    pub env: &'r BTreeMap<String, String>,
    /// node and the package manager.
    pub toolchain: &'r Toolchain,
    /// What the app says of its package manager.
    pub manager: &'r Manager,
    /// Which dependencies are left out.
    pub omit: &'r [Omit],
    /// Whether install scripts are shown at work.
    pub verbose: bool,
    /// How long it may take.
    pub limit: Duration,
}

/// What was installed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installed {
    /// How many packages.
    pub packages: usize,
    /// How long it took.
    pub took: Duration,
    /// What the pusher should know, a line each.
    pub warnings: Vec<String>,
}

impl InstallRequest<'_> {
    /// How long installing may take, where nothing else is said.
    pub const LIMIT: Duration = Duration::from_secs(15 * 60);

    /// The command as people would type it, for showing.
    pub fn words(&self) -> String {
        self.recipe().words
    }

    /// The arguments that the package manager is given.
    pub fn args(&self) -> Vec<String> {
        self.recipe().args
    }

    /// The whole environment that it is given.
    pub fn environment(&self) -> BTreeMap<String, String> {
        let mut env = work_env(self.env, self.toolchain, self.caches, self.mark);
        for (name, value) in self.recipe().env {
            env.insert(name.to_owned(), value);
        }
        env
    }

    /// The settings that it reads beside package.json and lockfile, whether they are there or not. A directory stands for
    /// all that is in it.
    pub fn config_files(&self) -> Vec<PathBuf> {
        self.recipe().config_files
    }

    /// The files of this name in the directories above the release: some look for their settings there too.
    pub(super) fn above(&self, name: &str) -> impl Iterator<Item = PathBuf> {
        let above = self.release.ancestors().skip(1);
        above.map(move |directory| directory.join(name))
    }

    fn recipe(&self) -> Recipe {
        match self.toolchain.manager.kind {
            ManagerKind::Npm => npm::recipe(self),
            ManagerKind::Pnpm => pnpm::recipe(self),
            ManagerKind::Yarn1 => yarn1::recipe(self),
            ManagerKind::Yarn => yarn::recipe(self),
            ManagerKind::Bun => bun::recipe(self),
        }
    }

    fn spawn(&self) -> Spawn {
        start_manager(self.toolchain)
            .args(self.args())
            .envs(self.environment())
            .cwd(self.release)
    }
}

/// Installs the dependencies of a release. Each line that the package manager prints is given out at once. Dropping the
/// future kills it and all that it started.
pub async fn install(
    request: &InstallRequest<'_>,
    lines: Lines<'_>,
) -> Result<Installed, StepFailure> {
    fs::create_dir_all(request.caches).map_err(|error| {
        let cause = format!("make the cache `{}`: {error}", request.caches.display());
        StepFailure::new(Phase::Install, cause).hint(io_hint(&error))
    })?;
    let kind = request.toolchain.manager.kind;
    let step = Step {
        phase: Phase::Install,
        words: request.words(),
        spawn: request.spawn(),
        limit: request.limit,
    };
    let finished = step
        .run(lines)
        .await
        .map_err(|failed| explained(failed, request.release, kind))?;
    let mut warnings = request.recipe().warnings;
    warnings.extend(count::engine_warning(&finished.printed));
    Ok(Installed {
        packages: count::packages(kind, &finished.printed, request.release),
        took: finished.took,
        warnings,
    })
}

/// The package manager, still without a command.
pub(in crate::build) fn start_manager(toolchain: &Toolchain) -> Spawn {
    let mut words = toolchain.manager.command.iter();
    let program = words.next().map_or(Path::new(""), PathBuf::as_path);
    Spawn::new(program).args(words)
}

/// The environment of installs and builds.
pub(in crate::build) fn work_env(
    base: &BTreeMap<String, String>,
    toolchain: &Toolchain,
    caches: &Path,
    mark: &Path,
) -> BTreeMap<String, String> {
    let mut env = strays::marked_env(base, mark);
    env.remove("NODE_ENV");
    let runtime = toolchain.runtime(base.get("PATH").map_or("", String::as_str));
    let text = |path: PathBuf| path.to_string_lossy().into_owned();
    let mut set = |name: &str, value: String| _ = env.insert(name.to_owned(), value);
    set("PATH", runtime.path);
    // Whatever the manager: scripts may run npm.
    set("npm_config_cache", text(caches.join("npm")));
    set("npm_config_update_notifier", "false".to_owned());
    if let Some(prefix) = toolchain.node.prefix() {
        // Native modules are made for this node, whose headers lie beside it; and what is installed globally goes
        // elsewhere than into the directory that all apps share.
        set(
            "npm_package_config_node_gyp_nodedir",
            text(prefix.to_owned()),
        );
        let manager = &toolchain.manager;
        // npm 11 takes offence at the older name, which older ones of node-gyp need.
        if manager.kind != ManagerKind::Npm || manager.version.major() < 11 {
            set("npm_config_nodedir", text(prefix.to_owned()));
        }
        set("npm_config_prefix", text(caches.join("global")));
    }
    env.extend(runtime.variables);
    env
}
