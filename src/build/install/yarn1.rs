//! `yarn install --frozen-lockfile`, of yarn 1.

use super::npm::npmrcs;
use super::recipe::Recipe;
use super::request::InstallRequest;
use crate::config::Omit;

pub(super) fn recipe(request: &InstallRequest<'_>) -> Recipe {
    let cache = format!("--cache-folder={}", request.caches.join("yarn").display());
    let mut recipe = Recipe::of(
        "yarn install --frozen-lockfile",
        &[
            "install",
            "--frozen-lockfile",
            "--non-interactive",
            "--prefer-offline",
            "--no-progress",
            &cache,
        ],
    );
    if !request.omit.contains(&Omit::Dev) {
        // It stands above NODE_ENV and .yarnrc.
        recipe = recipe.quietly(&["--production=false"]);
    }
    for kind in request.omit {
        recipe = match kind {
            Omit::Dev => recipe.said(&["--production"]),
            Omit::Optional => recipe.said(&["--ignore-optional"]),
            Omit::Peer => recipe, // yarn 1 never installs them by itself
        };
    }
    let home = request.env.get("HOME").map(std::path::PathBuf::from);
    let user = home.map(|home| home.join(".yarnrc"));
    recipe
        .reads([request.release.join(".yarnrc")])
        .reads(request.above(".yarnrc"))
        .reads(request.above(".npmrc"))
        .reads(user)
        .reads(npmrcs(request))
}
