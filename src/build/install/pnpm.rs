//! `pnpm install --frozen-lockfile`.

use super::npm::npmrcs;
use super::recipe::Recipe;
use super::request::InstallRequest;
use crate::config::Omit;

pub(super) fn recipe(request: &InstallRequest<'_>) -> Recipe {
    let own = request.caches.join("pnpm");
    let place = |option: &str, name: &str| format!("--{option}={}", own.join(name).display());
    let places = [
        place("store-dir", "store"),
        place("config.cache-dir", "cache"),
        place("config.state-dir", "state"),
    ];
    let places: Vec<_> = places.iter().map(String::as_str).collect();
    let mut recipe = Recipe::of(
        "pnpm install --frozen-lockfile",
        &[
            "install",
            "--frozen-lockfile",
            "--prefer-offline",
            "--reporter=append-only",
            // Its own default may be hard links, by which an app could write into the store.
            "--config.package-import-method=clone-or-copy",
        ],
    )
    .quietly(&places);
    for kind in request.omit {
        recipe = match kind {
            Omit::Dev => recipe.said(&["--prod"]),
            Omit::Optional => recipe.said(&["--no-optional"]),
            Omit::Peer => recipe.warn(
                "pnpm can't leave out peer dependencies in a frozen install: they are installed",
            ),
        };
    }
    let files = ["pnpm-workspace.yaml", ".pnpmfile.cjs", ".pnpmfile.mjs"];
    let project = files.iter().map(|file| request.release.join(file));
    let home = request.env.get("HOME").map(std::path::PathBuf::from);
    let user = home.map(|home| home.join(".config/pnpm"));
    recipe
        .reads(project)
        .reads(request.above("pnpm-workspace.yaml"))
        .reads(npmrcs(request))
        .reads(user)
}
