//! From the registry to a shelf.

use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::time::Instant;

use serde_json::Value;

use super::kept::Shelf;
use super::registry::Registry;
use super::toolbox::{Ask, Tell, Toolbox};
use crate::build::failure::{StepFailure, io_hint};
use crate::config::Version;
use crate::process::blocking;
use crate::report::{EventKind, Phase};
use crate::time::Took;

/// What is to be fetched.
pub(super) struct Wanted<'w> {
    /// As people call it: `node 22.11.0, npm 10.9.4`.
    pub(super) words: String,
    /// Where it goes.
    pub(super) shelf: Shelf,
    /// Under which version.
    pub(super) version: &'w Version,
    /// Of which packages it consists.
    pub(super) packages: Vec<String>,
    /// What makes a directory with a `bin` of what npm has installed there.
    pub(super) arrange: fn(&Path) -> io::Result<()>,
}

/// Fetches it; gives its directory. Nobody else may be fetching anything.
pub(super) async fn fetch(
    toolbox: &Toolbox,
    ask: &Ask<'_>,
    wanted: Wanted<'_>,
    tell: Tell<'_>,
) -> Result<PathBuf, StepFailure> {
    let began = Instant::now();
    tell(EventKind::Began {
        phase: Phase::Install,
        command: Some(format!("{}, from the npm registry", wanted.words)),
    });
    let npm = ask.find("npm")?;
    let cwd = working_directory(toolbox)?;
    let registry = Registry {
        npm: &npm,
        ask,
        cwd: &cwd,
    };
    let kept = |error: io::Error| {
        StepFailure::new(Phase::Install, format!("keep {}: {error}", wanted.words))
            .hint(io_hint(&error))
    };
    let staging = wanted.shelf.stage().map_err(kept)?;
    let installed = registry.install(&wanted.packages, staging.dir()).await;
    installed.map_err(|failed| cant_be_fetched(failed, &wanted.words))?;
    let (shelf, version) = (wanted.shelf.clone(), wanted.version.clone());
    let (packages, arrange) = (wanted.packages.clone(), wanted.arrange);
    let put = blocking(move || {
        fs::remove_dir_all(staging.dir().join(".cache"))?;
        arrange(staging.dir())?;
        shelf.put(&staging, &version, &packages)
    });
    let dir = put.await.map_err(kept)?;
    tell(EventKind::Done {
        phase: Phase::Install,
        detail: format!("{}, kept for all apps", wanted.words),
        took_ms: Took(began.elapsed()),
    });
    Ok(dir)
}

/// Where npm works: without the settings of any app.
pub(super) fn working_directory(toolbox: &Toolbox) -> Result<PathBuf, StepFailure> {
    let tools = toolbox.tools();
    fs::create_dir_all(&tools).map_err(|error| {
        let cause = format!("make the directory `{}`: {error}", tools.display());
        StepFailure::new(Phase::Install, cause).hint(io_hint(&error))
    })?;
    Ok(tools)
}

/// What a failure of npm's means here. Whoever can't wait for the network installs the thing himself.
pub(super) fn cant_be_fetched(mut failed: StepFailure, words: &str) -> StepFailure {
    failed.cause = format!("{words} can't be fetched: {}", failed.cause);
    failed.hint(format!(
        "or install {words} on the server, in a directory of the PATH that `handover serve` was started with"
    ))
}

/// node and npm in one directory, as node's own distribution has them.
pub(super) fn arrange_node(dir: &Path) -> io::Result<()> {
    let modules = dir.join("node_modules");
    let names = fs::read_dir(&modules)?.collect::<io::Result<Vec<_>>>()?;
    let node = names.iter().map(fs::DirEntry::path).find(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with("node-linux-")
    });
    let node = node.ok_or_else(|| io::Error::other("the package of node is not there"))?;
    for part in ["bin", "include", "share", "LICENSE"] {
        match fs::rename(node.join(part), dir.join(part)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && part != "bin" => {}
            moved => moved?,
        }
    }
    fs::create_dir_all(dir.join("lib/node_modules"))?;
    let npm = dir.join("lib/node_modules/npm");
    fs::rename(modules.join("npm"), &npm)?;
    for (name, script) in [("npm", "npm-cli.js"), ("npx", "npx-cli.js")] {
        link(dir, name, &npm.join("bin").join(script))?;
    }
    fs::remove_dir_all(modules)
}

/// A `bin` with the programs of the package managers that were installed.
pub(super) fn arrange_tool(dir: &Path) -> io::Result<()> {
    let modules = dir.join("node_modules");
    for package in ["npm", "pnpm", "yarn", "@yarnpkg/cli-dist"] {
        let package = modules.join(package);
        for (name, script) in programs_of(&package) {
            link(dir, &name, &package.join(script))?;
        }
    }
    // Programs that are not scripts come in packages of their own, one for each kind of machine.
    for (scope, name) in [("@pnpm", "pnpm"), ("@oven", "bun")] {
        let Ok(packages) = fs::read_dir(modules.join(scope)) else {
            continue;
        };
        for package in packages {
            let package = package?.path();
            let places = [package.join(name), package.join("bin").join(name)];
            if let Some(program) = places.iter().find(|place| place.is_file()) {
                let _ = fs::remove_file(dir.join("bin").join(name)); // the script that would look for it
                link(dir, name, program)?;
            }
        }
    }
    if dir.join("bin/bun").exists() {
        symlink("bun", dir.join("bin/bunx"))?;
    }
    Ok(())
}

/// What `bin` of a `package.json` names.
fn programs_of(package: &Path) -> Vec<(String, String)> {
    let read = || {
        let text = fs::read(package.join("package.json")).ok()?;
        let parsed: Value = serde_json::from_slice(&text).ok()?;
        let programs = parsed.get("bin")?.as_object()?.clone();
        Some(programs)
    };
    let named = read().unwrap_or_default().into_iter();
    named
        .filter(|(name, _)| !name.contains('/'))
        .filter_map(|(name, script)| Some((name, script.as_str()?.to_owned())))
        .collect()
}

/// `bin/NAME`, which leads to a program in the same directory, wherever that is moved to.
fn link(dir: &Path, name: &str, program: &Path) -> io::Result<()> {
    let bin = dir.join("bin");
    fs::create_dir_all(&bin)?;
    fs::set_permissions(program, fs::Permissions::from_mode(0o755))?;
    let below = program.strip_prefix(dir).map_err(io::Error::other)?;
    symlink(Path::new("..").join(below), bin.join(name))
}

/// The program that a yarn in the repository is started by: it lies at another place in each release.
pub(super) fn arrange_launcher(dir: &Path) -> io::Result<()> {
    let bin = dir.join("bin");
    fs::create_dir_all(&bin)?;
    let launcher = bin.join("yarn");
    let script = format!(
        "#!/bin/sh\nexec node \"${{{}:?}}\" \"$@\"\n",
        super::program::Runtime::YARN
    );
    if fs::read_to_string(&launcher).is_ok_and(|found| found == script) {
        return Ok(());
    }
    crate::process::files::replace(&launcher, script.as_bytes(), 0o755)
}
