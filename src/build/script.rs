//! The build script.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use super::failure::StepFailure;
use super::install::{explained, start_manager, work_env};
use super::step::{Lines, Step};
use super::toolchain::Toolchain;
use crate::config::{BuildCommand, ManagerKind, Place};
use crate::process::child::Spawn;
use crate::report::Phase;

/// What to build, where, and with what.
#[derive(Debug, Clone, Copy)]
pub struct BuildRequest<'r> {
    /// The release directory, installed.
    pub release: &'r Path,
    /// The caches of the package managers.
    pub caches: &'r Path,
    /// The app's directory, by which what is started is known.
    pub mark: &'r Path,
    /// The environment that programs of the app begin with. `NODE_ENV` is taken out: frameworks set it for their
    /// builds by themselves, and some leave out what they need where it is `production`.
    pub env: &'r BTreeMap<String, String>,
    /// node and the package manager.
    pub toolchain: &'r Toolchain,
    /// How.
    pub command: &'r BuildCommand,
    /// How long it may take.
    pub limit: Duration,
}

/// What building came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Built {
    /// The app has nothing to build.
    Nothing,
    /// It was built.
    Ran {
        /// How long it took.
        took: Duration,
    },
}

impl BuildRequest<'_> {
    /// The command as people would type it, for showing; nothing where there is none.
    pub fn words(&self) -> Option<String> {
        match self.command {
            BuildCommand::Script => {
                Some(format!("{} run build", self.toolchain.manager.kind.name()))
            }
            BuildCommand::Shell(command) => Some(command.clone()),
            BuildCommand::Nothing => None,
        }
    }

    fn spawn(&self) -> Spawn {
        let spawn = match self.command {
            BuildCommand::Shell(command) => Spawn::new("/bin/sh").args(["-c", command]),
            BuildCommand::Script | BuildCommand::Nothing => {
                start_manager(self.toolchain).args(["run", "build"])
            }
        };
        let mut env = work_env(self.env, self.toolchain, self.caches, self.mark);
        let place = Place {
            release: self.release,
            path: env.get("PATH").map_or("", String::as_str),
            node: Some(&self.toolchain.node.path),
        };
        let path = place.path_with_bin();
        env.insert("PATH".to_owned(), path);
        spawn.envs(env).cwd(self.release)
    }
}

/// Builds a release. Each line that the build prints is given out at once. Dropping the future kills all of it.
pub async fn build(request: &BuildRequest<'_>, lines: Lines<'_>) -> Result<Built, StepFailure> {
    let Some(words) = request.words() else {
        return Ok(Built::Nothing);
    };
    let step = Step {
        phase: Phase::Build,
        words,
        spawn: request.spawn(),
        limit: request.limit,
    };
    match step.run(lines).await {
        Ok(finished) => Ok(Built::Ran {
            took: finished.took,
        }),
        Err(failed) => {
            let kind = request.toolchain.manager.kind;
            Err(advised(explained(failed, request.release, kind), kind))
        }
    }
}

/// There is always something to do: see for oneself.
fn advised(failure: StepFailure, kind: ManagerKind) -> StepFailure {
    if !failure.hints.is_empty() {
        return failure;
    }
    let install = match kind {
        ManagerKind::Npm => "npm ci",
        ManagerKind::Pnpm => "pnpm install --frozen-lockfile",
        ManagerKind::Yarn1 => "yarn install --frozen-lockfile",
        ManagerKind::Yarn => "yarn install --immutable",
        ManagerKind::Bun => "bun install --frozen-lockfile",
    };
    failure.hint(format!(
        "what it printed is above; in a fresh clone, after `{install}`, it should fail in the same way"
    ))
}
