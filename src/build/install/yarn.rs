//! `yarn install --immutable`, of yarn 2 and newer.
//!
//! Where there is no `node_modules` (Plug'n'Play), the app runs from the archives in yarn's cache: they must lie in the
//! release, and the app's own cache only mirrors them.

use super::recipe::Recipe;
use super::request::InstallRequest;

pub(super) fn recipe(request: &InstallRequest<'_>) -> Recipe {
    let own = request.caches.join("yarn");
    let mut recipe = Recipe::of("yarn install --immutable", &["install", "--immutable"])
        .set("YARN_ENABLE_GLOBAL_CACHE", "false")
        .set("YARN_ENABLE_MIRROR", "true")
        .set("YARN_GLOBAL_FOLDER", own.to_string_lossy())
        .set("YARN_ENABLE_TELEMETRY", "false")
        .set("YARN_ENABLE_PROGRESS_BARS", "false")
        .set("YARN_ENABLE_COLORS", "false")
        .set("YARN_ENABLE_HYPERLINKS", "false")
        // Hard links into the cache would let an app write into it.
        .set("YARN_NM_MODE", "classic");
    let committed = request.release.join(".yarn/cache").exists();
    if !request.manager.plug_and_play && !committed {
        recipe = recipe.set("YARN_CACHE_FOLDER", own.join("cache").to_string_lossy());
    }
    if request.verbose {
        recipe = recipe.quietly(&["--inline-builds"]);
    }
    if !request.omit.is_empty() {
        recipe = recipe.warn(
            "yarn 2 and newer can't leave out dependencies in a frozen install: [install] omit is ignored",
        );
    }
    let home = request.env.get("HOME").map(std::path::PathBuf::from);
    let user = home.map(|home| home.join(".yarnrc.yml"));
    let files = [".yarnrc.yml", ".yarn", ".pnp.cjs", ".pnp.loader.mjs"];
    recipe
        .reads(files.map(|file| request.release.join(file)))
        .reads(request.above(".yarnrc.yml"))
        .reads(user)
}
