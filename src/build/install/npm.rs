//! `npm ci`.
//!
//! Without `--foreground-scripts`, unless the pusher wants to see it all: install scripts run side by side, and npm prints what they said when one fails.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::recipe::Recipe;
use super::request::{InstallRequest, work_env};
use crate::config::Omit;

pub(super) fn recipe(request: &InstallRequest<'_>) -> Recipe {
    let omitted: Vec<_> = request
        .omit
        .iter()
        .map(|kind| format!("--omit={}", kind.name()))
        .collect();
    let omitted: Vec<_> = omitted.iter().map(String::as_str).collect();
    let args = ["ci", "--no-audit", "--no-fund", "--prefer-offline"];
    let mut recipe = Recipe::of("npm ci", &args).said(&omitted);
    if request.verbose {
        recipe = recipe.quietly(&["--foreground-scripts", "--loglevel=info"]);
    }
    if !request.omit.contains(&Omit::Dev) {
        // It stands above NODE_ENV and .npmrc.
        recipe = recipe.quietly(&["--include=dev"]);
    }
    recipe.reads(npmrcs(request))
}

/// The settings of npm, which some others read too: the project's, the user's, the whole server's, npm's own. The first two
/// may say where the third is; each place where it may be is among them.
pub(super) fn npmrcs(request: &InstallRequest<'_>) -> Vec<PathBuf> {
    let env = work_env(request.env, request.toolchain, request.caches, request.mark);
    let set = |name: &str| {
        let mut named = env
            .iter()
            .filter(|(key, value)| key.eq_ignore_ascii_case(name) && !value.is_empty());
        named.next().map(|(_, value)| PathBuf::from(value))
    };
    // Without HOME, npm asks the system whose home it is.
    let home = env.get("HOME").map(PathBuf::from);
    let home = home.or_else(std::env::home_dir);
    let of_home = home.as_ref().map(|home| home.join(".npmrc"));
    let user = set("npm_config_userconfig").or(of_home);
    let project = request.release.join(".npmrc");
    let node = &request.toolchain.node.path;
    let node = node.canonicalize().unwrap_or_else(|_| node.clone());
    let nodes = node.ancestors().nth(2).map(Path::to_owned);
    let written = |key: &str| {
        let files = [Some(&project), user.as_ref()].into_iter().flatten();
        files
            .filter_map(|file| setting(file, key, home.as_deref(), &env))
            .collect::<Vec<_>>()
    };
    let prefixes = [nodes, set("npm_config_prefix")].into_iter().flatten();
    let global = prefixes
        .chain(written("prefix"))
        .map(|prefix| prefix.join("etc/npmrc"))
        .chain(set("npm_config_globalconfig"))
        .chain(written("globalconfig"))
        .collect::<Vec<_>>();
    let npm = request.toolchain.manager.command.last();
    let builtin = npm
        .and_then(|npm| npm.canonicalize().ok())
        .and_then(|npm| Some(npm.ancestors().nth(2)?.join("npmrc")));
    let all = [Some(project.clone()), user.clone(), builtin];
    all.into_iter().flatten().chain(global).collect()
}

/// A path that a file of npm's settings gives to a key, with `~` and `${VARIABLE}` as npm takes them.
fn setting(
    file: &Path,
    key: &str,
    home: Option<&Path>,
    env: &BTreeMap<String, String>,
) -> Option<PathBuf> {
    let text = fs::read_to_string(file).ok()?;
    let mut values = text.lines().filter_map(|line| {
        let (name, value) = line.split_once('=')?;
        (name.trim() == key).then(|| value.trim().trim_matches(['"', '\'']).to_owned())
    });
    let mut value = values.next_back()?;
    for (name, content) in env {
        value = value.replace(&format!("${{{name}}}"), content);
    }
    match (value.strip_prefix("~/"), home) {
        (Some(rest), Some(home)) => Some(home.join(rest)),
        _ => Some(PathBuf::from(value)),
    }
}
