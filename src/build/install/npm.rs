//! `npm ci`.
//!
//! Without `--foreground-scripts`, unless the pusher wants to see it all: install scripts run side by side, and npm prints what they said when one fails.

use std::path::PathBuf;

use super::recipe::Recipe;
use super::request::InstallRequest;
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

/// The settings of npm, which some others read too: the project's, the user's, the whole server's, npm's own.
pub(super) fn npmrcs(request: &InstallRequest<'_>) -> Vec<PathBuf> {
    let set = |name: &str| {
        let mut named = request
            .env
            .iter()
            .filter(|(key, value)| key.eq_ignore_ascii_case(name) && !value.is_empty());
        named.next().map(|(_, value)| PathBuf::from(value))
    };
    // Without HOME, npm asks the system whose home it is.
    let home = request.env.get("HOME").map(PathBuf::from);
    let home = home.or_else(std::env::home_dir);
    let user = set("npm_config_userconfig").or_else(|| home.map(|home| home.join(".npmrc")));
    let node = &request.toolchain.node.path;
    let prefix = set("npm_config_prefix").or_else(|| {
        let real = node.canonicalize().unwrap_or_else(|_| node.clone());
        Some(real.parent()?.parent()?.to_owned())
    });
    let global =
        set("npm_config_globalconfig").or_else(|| prefix.map(|prefix| prefix.join("etc/npmrc")));
    let npm = request.toolchain.manager.command.last();
    let builtin = npm
        .and_then(|npm| npm.canonicalize().ok())
        .and_then(|npm| Some(npm.parent()?.parent()?.join("npmrc")));
    let project = request.release.join(".npmrc");
    let all = [Some(project), user, global, builtin];
    all.into_iter().flatten().collect()
}
