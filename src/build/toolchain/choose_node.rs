//! Which node.

use super::fetch::{Wanted, arrange_node, cant_be_fetched, fetch, working_directory};
use super::program::{Libc, NodeProgram, Origin};
use super::registry::{Published, Registry, near, no_package};
use super::toolbox::{Ask, Tell, Toolbox};
use crate::build::failure::StepFailure;
use crate::config::{Version, VersionRange};
use crate::report::Phase;

/// The system's node if it will do, else one that is kept, else the newest that the registry has.
pub(super) async fn choose_node(
    toolbox: &Toolbox,
    ask: &Ask<'_>,
    tell: Tell<'_>,
) -> Result<NodeProgram, StepFailure> {
    let system = systems(toolbox, ask).await?;
    if ask.node.allow(&system.version) {
        return Ok(system);
    }
    let package = package_of(&system, &ask.node.to_string())?;
    if !ask.afresh
        && let Some(node) = kept(toolbox, ask, |version| ask.node.allow(version)).await?
    {
        return Ok(node);
    }
    let _turn = toolbox.turn_to_fetch(tell).await;
    // Whoever had the turn before may have fetched it.
    if !ask.afresh
        && let Some(node) = kept(toolbox, ask, |version| ask.node.allow(version)).await?
    {
        return Ok(node);
    }
    let version = newest(toolbox, ask, &package, &system).await?;
    if let Some(node) = kept(toolbox, ask, |kept| *kept == version).await? {
        return Ok(node);
    }
    get(toolbox, ask, &package, &version, tell).await
}

/// Exactly this version, which a release was built with.
pub(super) async fn same_node(
    toolbox: &Toolbox,
    ask: &Ask<'_>,
    version: &Version,
    tell: Tell<'_>,
) -> Result<NodeProgram, StepFailure> {
    if let Some(node) = kept(toolbox, ask, |kept| kept == version).await? {
        return Ok(node);
    }
    let _turn = toolbox.turn_to_fetch(tell).await;
    if let Some(node) = kept(toolbox, ask, |kept| kept == version).await? {
        return Ok(node);
    }
    let system = systems(toolbox, ask).await?;
    let package = package_of(&system, "a release that was built before")?;
    get(toolbox, ask, &package, version, tell).await
}

/// The system's.
pub(super) async fn systems(toolbox: &Toolbox, ask: &Ask<'_>) -> Result<NodeProgram, StepFailure> {
    let path = ask.find("node")?;
    toolbox
        .probed
        .node(&path, Origin::System, &ask.marked())
        .await
}

/// The newest that is kept, whole, and allowed.
async fn kept(
    toolbox: &Toolbox,
    ask: &Ask<'_>,
    allowed: impl Fn(&Version) -> bool,
) -> Result<Option<NodeProgram>, StepFailure> {
    let shelf = toolbox.nodes();
    let mut versions = shelf.versions();
    versions.retain(allowed);
    versions.sort();
    while let Some(version) = versions.pop() {
        if let Some(dir) = toolbox.whole(&shelf, &version, "node").await {
            let node = dir.join("bin/node");
            let env = ask.marked();
            let probed = toolbox.probed.node(&node, Origin::Kept, &env);
            return probed.await.map(Some);
        }
    }
    Ok(None)
}

/// The registry's package of node for this kind of machine.
fn package_of(system: &NodeProgram, who: &str) -> Result<String, StepFailure> {
    let why = match (&system.libc, system.arch.as_str()) {
        (Libc::Glibc(_), "x64" | "arm64") => return Ok(format!("node-linux-{}", system.arch)),
        (Libc::Musl, _) => {
            "the system's C library is musl, which those of the registry are not made for"
                .to_owned()
        }
        (_, arch) => format!("the registry has none for {arch}"),
    };
    Err(StepFailure::new(
        Phase::Install,
        format!(
            "{who} asks for another node than the server's {}, and none can be fetched: {why}",
            system.version
        ),
    )
    .hint("install such a node on the server, in a directory of the PATH that `handover serve` was started with"))
}

async fn newest(
    toolbox: &Toolbox,
    ask: &Ask<'_>,
    package: &str,
    system: &NodeProgram,
) -> Result<Version, StepFailure> {
    let words = format!("a node for {}", ask.node);
    let all = versions(toolbox, ask, package, "*", &words).await?;
    if all.is_empty() {
        return Err(no_package(package, &words));
    }
    let all: Vec<Version> = all.into_iter().map(|one| one.version).collect();
    let allowed = all.iter().filter(|version| ask.node.allow(version));
    if let Some(newest) = allowed.max() {
        return Ok(newest.clone());
    }
    let near = ask
        .node
        .iter()
        .last()
        .map_or_else(Vec::new, |wish| near(&wish.text, &all));
    let near: Vec<_> = near.iter().map(ToString::to_string).collect();
    Err(StepFailure::new(
        Phase::Install,
        format!("there is no node that satisfies {}", ask.node),
    )
    .hint(format!(
        "the server has {}, and the registry, among others, {}: correct it, commit and push again",
        system.version,
        near.join(", ")
    )))
}

async fn versions(
    toolbox: &Toolbox,
    ask: &Ask<'_>,
    package: &str,
    range: &str,
    words: &str,
) -> Result<Vec<Published>, StepFailure> {
    let (npm, cwd) = (ask.find("npm")?, working_directory(toolbox)?);
    let registry = Registry {
        npm: &npm,
        ask,
        cwd: &cwd,
    };
    let found = registry.versions(package, range).await;
    found.map_err(|failed| cant_be_fetched(failed, words))
}

async fn get(
    toolbox: &Toolbox,
    ask: &Ask<'_>,
    package: &str,
    version: &Version,
    tell: Tell<'_>,
) -> Result<NodeProgram, StepFailure> {
    let words = format!("node {version}");
    let range = npm_range(version).to_string();
    let npms = versions(toolbox, ask, "npm", &range, &words).await?;
    let npm = npm_for(version, npms).ok_or_else(|| {
        StepFailure::new(Phase::Install, format!("no npm runs on node {version}"))
            .hint("let the app ask for another node: engines.node in package.json, .nvmrc or .node-version")
    })?;
    let wanted = Wanted {
        words: format!("{words}, npm {npm}"),
        shelf: toolbox.nodes(),
        version,
        packages: vec![format!("{package}@{version}"), format!("npm@{npm}")],
        arrange: arrange_node,
    };
    let dir = fetch(toolbox, ask, wanted, tell).await?;
    let node = dir.join("bin/node");
    toolbox
        .probed
        .node(&node, Origin::Kept, &ask.marked())
        .await
}

/// The npm versions that come into question for a node. The registry's packages of node have no npm in them, so it is the
/// newest of the line that this node was distributed with; a line later npm may do other things with the same lockfile
/// (12 does not run install scripts that were not approved).
pub(super) fn npm_range(node: &Version) -> VersionRange {
    let read = |range: &str| range.parse().expect("it is written here");
    let line = match node.major() {
        ..=14 => 6,
        15 => 7,
        16 | 17 => 8,
        18 | 20..=23 => 10,
        19 => 9,
        24..=26 => 11,
        _ => return read(">=11"),
    };
    // The first of a line of node may be too old for the last of its npms.
    read(&format!(">={} <{}", line - 1, line + 1))
}

fn npm_for(node: &Version, npms: Vec<Published>) -> Option<Version> {
    let runs = npms
        .into_iter()
        .filter(|npm| !npm.version.is_prerelease())
        .filter(|npm| npm.node.as_ref().is_none_or(|range| range.contains(node)));
    runs.map(|npm| npm.version).max()
}
