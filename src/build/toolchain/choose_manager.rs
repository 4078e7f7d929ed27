//! Which package manager, and which version of it.

use std::path::Path;

use super::choose_node::npm_range;
use super::fetch::{
    Wanted, arrange_launcher, arrange_tool, cant_be_fetched, fetch, working_directory,
};
use super::kept::Shelf;
use super::probe::{ManagerAnswer, find, needed_node};
use super::program::{Libc, ManagerProgram, NodeProgram, Origin};
use super::registry::{Published, Registry, near, no_package};
use super::toolbox::{Ask, Tell, Toolbox};
use crate::build::failure::{StepFailure, io_hint};
use crate::config::{Manager, ManagerKind, Version, VersionRange, Wanted as Wish};
use crate::report::Phase;

/// The one in the repository, else the system's if it will do, else one that is kept, else the newest that will do.
pub(super) async fn choose_manager(
    toolbox: &Toolbox,
    ask: &Ask<'_>,
    node: &NodeProgram,
    tell: Tell<'_>,
) -> Result<ManagerProgram, StepFailure> {
    if let Some(yarn) = &ask.manager.yarn_path {
        return in_repository(toolbox, ask, node, yarn).await;
    }
    if let Some(installed) = installed(toolbox, ask, node).await? {
        return Ok(installed);
    }
    let kind = ask.manager.kind;
    let range = range(ask, node);
    let allowed = |version: &Version| range.contains(version);
    if !ask.afresh
        && let Some(kept) = kept(toolbox, kind, node, allowed).await
    {
        return Ok(kept);
    }
    let _turn = toolbox.turn_to_fetch(tell).await;
    if !ask.afresh
        && let Some(kept) = kept(toolbox, kind, node, allowed).await
    {
        return Ok(kept);
    }
    let version = newest(toolbox, ask, node, &range).await?;
    if let Some(kept) = kept(toolbox, kind, node, |kept| *kept == version).await {
        return Ok(kept);
    }
    get(toolbox, ask, kind, node, version, tell).await
}

/// Exactly this version, which a release was built with.
pub(super) async fn same_manager(
    toolbox: &Toolbox,
    ask: &Ask<'_>,
    node: &NodeProgram,
    version: &Version,
    tell: Tell<'_>,
) -> Result<ManagerProgram, StepFailure> {
    let kind = ask.manager.kind;
    if let Some(kept) = kept(toolbox, kind, node, |kept| kept == version).await {
        return Ok(kept);
    }
    let _turn = toolbox.turn_to_fetch(tell).await;
    if let Some(kept) = kept(toolbox, kind, node, |kept| kept == version).await {
        return Ok(kept);
    }
    get(toolbox, ask, kind, node, version.clone(), tell).await
}

/// `yarnPath`.
pub(super) async fn in_repository(
    toolbox: &Toolbox,
    ask: &Ask<'_>,
    node: &NodeProgram,
    yarn: &str,
) -> Result<ManagerProgram, StepFailure> {
    let path = ask.release.join(yarn);
    if !path.is_file() {
        return Err(StepFailure::new(
            Phase::Install,
            format!("yarnPath of .yarnrc.yml names {yarn}, which is not in the repository"),
        )
        .hint("commit it (.gitignore must not name .yarn/releases), or take yarnPath out and let packageManager of package.json name the version"));
    }
    let command = vec![node.path.clone(), path];
    let mut env = ask.marked();
    env.insert("YARN_IGNORE_PATH".to_owned(), "1".to_owned());
    let version = toolbox.probed.manager(&command, &env).await?.version;
    let launcher = toolbox.tools().join("yarn-path");
    arrange_launcher(&launcher).map_err(|error| {
        let cause = format!("write `{}`: {error}", launcher.display());
        StepFailure::new(Phase::Install, cause).hint(io_hint(&error))
    })?;
    Ok(ManagerProgram {
        kind: ask.manager.kind,
        version,
        command,
        bin: Some(launcher.join("bin")),
        origin: Origin::Repository,
    })
}

/// The npm that belongs to the node, and what the system has installed of others.
async fn installed(
    toolbox: &Toolbox,
    ask: &Ask<'_>,
    node: &NodeProgram,
) -> Result<Option<ManagerProgram>, StepFailure> {
    let kind = ask.manager.kind;
    let (program, origin) = match (kind, node.origin) {
        (ManagerKind::Npm, Origin::Kept) => (Some(node.path.with_file_name("npm")), Origin::Kept),
        (ManagerKind::Npm, _) => (Some(ask.find("npm")?), Origin::System),
        (other, _) => {
            let found = find(other.name(), ask.path());
            // Corepack's would go and fetch what it thinks right.
            let found = found.filter(|program| !is_corepacks(program));
            (found, Origin::System)
        }
    };
    let Some(program) = program else {
        return Ok(None);
    };
    let command = vec![program];
    let asked = toolbox.probed.manager(&command, &ask.marked()).await;
    let ManagerAnswer {
        version,
        node: needs,
    } = match (asked, kind) {
        (Ok(answer), _) => answer,
        (Err(failed), ManagerKind::Npm) => return Err(failed),
        // One that does not run is as good as none.
        (Err(failed), _) => {
            tracing::warn!(
                cause = failed.cause,
                "an installed package manager is not used"
            );
            return Ok(None);
        }
    };
    let same = kind != ManagerKind::Yarn || version.major() >= 2;
    let will_do = same && ask.manager.wanted.allows(&version) && runs_on(needs.as_ref(), node);
    Ok(will_do.then_some(ManagerProgram {
        kind,
        version,
        command,
        bin: None,
        origin,
    }))
}

/// Whether a manager that needs such a node runs on this one. No range speaks of what comes before a release.
fn runs_on(needs: Option<&VersionRange>, node: &NodeProgram) -> bool {
    node.version.is_prerelease() || needs.is_none_or(|range| range.contains(&node.version))
}

fn is_corepacks(program: &Path) -> bool {
    program
        .canonicalize()
        .is_ok_and(|real| real.components().any(|part| part.as_os_str() == "corepack"))
}

/// The newest that is kept, whole and allowed.
async fn kept(
    toolbox: &Toolbox,
    kind: ManagerKind,
    node: &NodeProgram,
    allowed: impl Fn(&Version) -> bool,
) -> Option<ManagerProgram> {
    let shelf = toolbox.tool(kind.name());
    let mut versions = shelf.versions();
    // Both yarns lie on one shelf.
    versions.retain(|version| allowed(version) && kind == kind_of(kind, version));
    versions.sort();
    while let Some(version) = versions.pop() {
        if !runs_on(needed_by(&shelf, kind, &version).as_ref(), node) {
            continue;
        }
        if let Some(dir) = toolbox.whole(&shelf, &version, kind.name()).await {
            return Some(at(kind, version, &dir));
        }
    }
    None
}

fn kind_of(kind: ManagerKind, version: &Version) -> ManagerKind {
    match kind {
        ManagerKind::Yarn1 | ManagerKind::Yarn if version.major() < 2 => ManagerKind::Yarn1,
        ManagerKind::Yarn1 | ManagerKind::Yarn => ManagerKind::Yarn,
        other => other,
    }
}

/// The node that a version which is kept needs, as its package says.
fn needed_by(shelf: &Shelf, kind: ManagerKind, version: &Version) -> Option<VersionRange> {
    let package = shelf.of(version).join("node_modules");
    let package = package.join(package_of(kind)).join("package.json");
    let text = std::fs::read(package).ok()?;
    needed_node(&serde_json::from_slice(&text).ok()?)
}

fn at(kind: ManagerKind, version: Version, dir: &Path) -> ManagerProgram {
    let bin = dir.join("bin");
    ManagerProgram {
        kind,
        version,
        command: vec![bin.join(kind.name())],
        bin: Some(bin),
        origin: Origin::Kept,
    }
}

/// The package that a manager is published as.
fn package_of(kind: ManagerKind) -> &'static str {
    match kind {
        ManagerKind::Npm => "npm",
        ManagerKind::Pnpm => "pnpm",
        ManagerKind::Yarn1 => "yarn",
        ManagerKind::Yarn => "@yarnpkg/cli-dist",
        ManagerKind::Bun => "bun",
    }
}

/// What is looked for where the system's will not do. Of npm, the only one that may be wanted in any version, it is what
/// comes with such a node.
fn range(ask: &Ask<'_>, node: &NodeProgram) -> VersionRange {
    match &ask.manager.wanted {
        Wish::Any => npm_range(&node.version),
        Wish::Reading(range) | Wish::Named(range) => range.clone(),
    }
}

/// The newest version in the range that runs on the node.
async fn newest(
    toolbox: &Toolbox,
    ask: &Ask<'_>,
    node: &NodeProgram,
    wanted: &VersionRange,
) -> Result<Version, StepFailure> {
    let (kind, name) = (ask.manager.kind, ask.manager.kind.name());
    let range = wanted.to_string();
    let words = format!("{name} {range}");
    let mut found = published(toolbox, ask, kind, &range, &words).await?;
    found.retain(|one| wanted.contains(&one.version));
    if found.is_empty() {
        return Err(not_there(toolbox, ask, &range).await);
    }
    let runs = |one: &&Published| runs_on(one.node.as_ref(), node);
    if let Some(newest) = found.iter().filter(runs).map(|one| &one.version).max() {
        return Ok(newest.clone());
    }
    let newest = found.iter().max_by_key(|one| &one.version);
    let needs = newest.and_then(|one| Some((&one.version, one.node.as_ref()?)));
    let needs = needs.map_or(words, |(version, range)| {
        format!("{name} {version} needs node {range}, and")
    });
    let cause = format!("{needs} the app has node {}", node.version);
    let other = match &ask.manager.wanted {
        Wish::Named(_) => format!(", or packageManager for another {name}"),
        Wish::Any | Wish::Reading(_) => String::new(),
    };
    Err(StepFailure::new(Phase::Install, cause).hint(format!(
        "let the app ask for a newer node (engines.node in package.json, .nvmrc or .node-version){other}"
    )))
}

async fn not_there(toolbox: &Toolbox, ask: &Ask<'_>, range: &str) -> StepFailure {
    let Manager {
        kind,
        lockfile,
        wanted,
        ..
    } = ask.manager;
    let words = format!("{} {range}", kind.name());
    let all = match published(toolbox, ask, *kind, "*", &words).await {
        Ok(all) if all.is_empty() => return no_package(package_of(*kind), &words),
        Ok(all) => all,
        Err(failed) => return failed,
    };
    let all: Vec<Version> = all.into_iter().map(|one| one.version).collect();
    let near: Vec<_> = near(range, &all).iter().map(ToString::to_string).collect();
    let remedy = match wanted {
        Wish::Named(_) => {
            "correct packageManager in package.json, commit and push again".to_owned()
        }
        Wish::Any | Wish::Reading(_) => {
            format!("{lockfile} can be read by none of them; install {words} on the server")
        }
    };
    let failure = StepFailure::new(Phase::Install, format!("there is no {words}"));
    failure.hint(format!(
        "the registry has, among others, {}: {remedy}",
        near.join(", ")
    ))
}

async fn published(
    toolbox: &Toolbox,
    ask: &Ask<'_>,
    kind: ManagerKind,
    range: &str,
    words: &str,
) -> Result<Vec<Published>, StepFailure> {
    let (npm, cwd) = (ask.find("npm")?, working_directory(toolbox)?);
    let registry = Registry {
        npm: &npm,
        ask,
        cwd: &cwd,
    };
    let found = registry.versions(package_of(kind), range).await;
    found.map_err(|failed| cant_be_fetched(failed, words))
}

async fn get(
    toolbox: &Toolbox,
    ask: &Ask<'_>,
    kind: ManagerKind,
    node: &NodeProgram,
    version: Version,
    tell: Tell<'_>,
) -> Result<ManagerProgram, StepFailure> {
    let package = match kind {
        ManagerKind::Bun => bun_package(node),
        other => package_of(other).to_owned(),
    };
    let wanted = Wanted {
        words: format!("{} {version}", kind.name()),
        shelf: toolbox.tool(kind.name()),
        version: &version,
        packages: vec![format!("{package}@{version}")],
        arrange: arrange_tool,
    };
    let dir = fetch(toolbox, ask, wanted, tell).await?;
    Ok(at(kind, version, &dir))
}

/// bun's own package only has a script that fetches one of these.
fn bun_package(node: &NodeProgram) -> String {
    let arch = if node.arch == "arm64" {
        "aarch64"
    } else {
        "x64"
    };
    let musl = if node.libc == Libc::Musl { "-musl" } else { "" };
    let baseline = if arch == "x64" && !has_avx2() {
        "-baseline"
    } else {
        ""
    };
    format!("@oven/bun-linux-{arch}{musl}{baseline}")
}

fn has_avx2() -> bool {
    std::fs::read_to_string("/proc/cpuinfo").is_ok_and(|text| {
        let mut flags = text.lines().filter(|line| line.starts_with("flags"));
        flags.any(|line| line.split_whitespace().any(|flag| flag == "avx2"))
    })
}

#[cfg(test)]
mod tests;
