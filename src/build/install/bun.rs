//! `bun install --frozen-lockfile`.

use super::npm::npmrcs;
use super::recipe::Recipe;
use super::request::InstallRequest;

pub(super) fn recipe(request: &InstallRequest<'_>) -> Recipe {
    let omitted: Vec<_> = request
        .omit
        .iter()
        .map(|kind| format!("--omit={}", kind.name()))
        .collect();
    let omitted: Vec<_> = omitted.iter().map(String::as_str).collect();
    // Its own default may be hard links, by which an app could write into the cache.
    let args = [
        "install",
        "--frozen-lockfile",
        "--backend=copyfile",
        "--no-progress",
    ];
    let mut recipe = Recipe::of("bun install --frozen-lockfile", &args).said(&omitted);
    if request.verbose {
        recipe = recipe.quietly(&["--verbose"]);
    }
    let home = request.env.get("HOME").map(std::path::PathBuf::from);
    let user = home.map(|home| home.join(".bunfig.toml"));
    recipe
        .set(
            "BUN_INSTALL_CACHE_DIR",
            request.caches.join("bun").to_string_lossy(),
        )
        .set("DO_NOT_TRACK", "1")
        .reads([request.release.join("bunfig.toml")])
        .reads(user)
        .reads(npmrcs(request))
}
