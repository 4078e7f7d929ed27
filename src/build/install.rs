//! `npm ci`.
//!
//! Without `--foreground-scripts`, unless the pusher wants to see it all: install scripts run side by side, and npm prints what they said when one fails.
//! `NODE_ENV` and `CI` are not set: a build needs devDependencies, and with `CI` some frameworks turn warnings into
//! errors, which nobody sees at home.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use super::failure::{StepFailure, io_hint};
use super::npm_advice::{Advice, advise};
use super::program::Programs;
use super::step::{Lines, Step, Unfinished};
use crate::config::Omit;
use crate::process::child::Spawn;
use crate::report::Phase;

/// What to install, where, and with what.
#[derive(Debug, Clone, Copy)]
pub struct InstallRequest<'r> {
    /// The release directory, checked out.
    pub release: &'r Path,
    /// npm's cache, made if need be.
    pub npm_cache: &'r Path,
    /// The environment that programs of the app begin with.
    pub env: &'r BTreeMap<String, String>,
    /// node and npm.
    pub programs: &'r Programs,
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
        let omitted = self
            .omit
            .iter()
            .map(|kind| format!(" --omit={}", kind.name()));
        format!("npm ci{}", omitted.collect::<String>())
    }

    fn spawn(&self) -> Spawn {
        let spawn = Spawn::new(&self.programs.npm)
            .args(["ci", "--no-audit", "--no-fund", "--prefer-offline"])
            .args(
                self.omit
                    .iter()
                    .map(|kind| format!("--omit={}", kind.name())),
            )
            .envs(npm_env(self.env, self.npm_cache))
            .cwd(self.release);
        let spawn = if self.verbose {
            spawn.args(["--foreground-scripts", "--loglevel=info"])
        } else {
            spawn
        };
        if self.omit.contains(&Omit::Dev) {
            return spawn;
        }
        // It stands above NODE_ENV and .npmrc.
        spawn.arg("--include=dev")
    }
}

/// Installs the dependencies of a release. Each line that npm prints is given out at once. Dropping the future kills
/// npm and all that it started.
pub async fn install(
    request: &InstallRequest<'_>,
    lines: Lines<'_>,
) -> Result<Installed, StepFailure> {
    fs::create_dir_all(request.npm_cache).map_err(|error| {
        let cause = format!(
            "make npm's cache `{}`: {error}",
            request.npm_cache.display()
        );
        StepFailure::new(Phase::Install, cause).hint(io_hint(&error))
    })?;
    let step = Step {
        phase: Phase::Install,
        words: request.words(),
        spawn: request.spawn(),
        limit: request.limit,
    };
    let finished = step
        .run(lines)
        .await
        .map_err(|failed| explained(failed, request.release))?;
    Ok(Installed {
        packages: packages(&finished.printed, request.release),
        took: finished.took,
        warnings: engine_warning(&finished.printed).into_iter().collect(),
    })
}

/// Where npm caches. It also tells the processes of installs and builds from all others.
pub(super) const CACHE_VARIABLE: &str = "npm_config_cache";

/// The environment for npm.
pub(super) fn npm_env(base: &BTreeMap<String, String>, cache: &Path) -> BTreeMap<String, String> {
    let mut env = base.clone();
    env.remove("NODE_ENV");
    for (name, value) in [
        (CACHE_VARIABLE, cache.to_string_lossy().into_owned()),
        ("npm_config_update_notifier", "false".to_owned()),
    ] {
        env.insert(name.to_owned(), value);
    }
    env
}

/// The failure with the cause in words and what to do, where npm's output tells.
pub(super) fn explained(failed: Unfinished, release: &Path) -> StepFailure {
    let mut failure = failed.failure;
    if let Some(Advice { cause, hints }) = advise(&failed.printed, release) {
        if let Some(cause) = cause {
            failure.cause = format!("{cause} ({})", failure.cause);
        }
        failure.hints.extend(hints);
    }
    failure
}

/// As npm says it (`added 312 packages in 8s`), else as its record in `node_modules` does.
fn packages(printed: &[String], release: &Path) -> usize {
    let said = printed.iter().rev().find_map(|line| {
        let mut words = line.strip_prefix("added ")?.split(' ');
        let count = words.next()?.parse().ok()?;
        words.next()?.starts_with("package").then_some(count)
    });
    said.or_else(|| recorded(release)).unwrap_or(0)
}

fn recorded(release: &Path) -> Option<usize> {
    let record = fs::read(release.join("node_modules/.package-lock.json")).ok()?;
    let record: Value = serde_json::from_slice(&record).ok()?;
    Some(record.get("packages")?.as_object()?.len())
}

/// npm only warns where a package wants another node; it is the usual reason why an app then fails to start.
fn engine_warning(printed: &[String]) -> Option<String> {
    let unsupported = printed
        .iter()
        .filter(|line| line.contains("EBADENGINE") && line.contains("package:"))
        .count();
    match unsupported {
        0 => None,
        1 => Some(
            "a package asks for another version of node than the server has (EBADENGINE above)"
                .to_owned(),
        ),
        n => Some(format!(
            "{n} packages ask for another version of node than the server has (EBADENGINE above)"
        )),
    }
}
