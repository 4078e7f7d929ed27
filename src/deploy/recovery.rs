//! What is found of an app, at a start and now and then, and how the database, `live.sock`, the keepers and the
//! directories are made to agree.
//!
//! ```text
//!   look ──► Sight ──► plan (pure) ──► [Action] ──► act ──► Found: what a worker then looks after
//! ```

mod act;
mod plan;
mod prune;
mod sight;
mod untold;

use std::sync::Arc;

use super::fleet::FleetError;
use super::launch::{Live, Replaced};
use super::retire::Ended;
use super::site::Site;
use super::trial::Unfinished;
use crate::build::{self, Aside, Remover};
use crate::ids::{GenerationNumber, ReleaseNumber};
use crate::paths::AppPaths;
use crate::process::blocking;
use crate::slot;
use crate::state::App;
use crate::store::Store;

pub(super) use plan::Held;
pub(super) use prune::prune;

/// What of an app was found running.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// What serves.
    pub live: Option<Live>,
    /// What still drains.
    pub draining: Vec<Replaced>,
    /// What was live, and has no keeper any more: its instances may serve on until something else does.
    pub lost: Vec<(GenerationNumber, ReleaseNumber)>,
    /// What has no keeper any more, and is to be cleared away.
    pub ended: Vec<Ended>,
    /// Whether what serves has yet to prove itself.
    pub trial: Option<Unfinished>,
    /// What was not as it should be, and is now, in words.
    pub mended: Vec<String>,
}

/// Finds what runs of an app at a start, and makes everything agree with it.
pub(super) async fn recover(site: &Arc<Site>, app: &App) -> Result<Found, FleetError> {
    let paths = site.layout.app(&app.name);
    end_strays(app, &paths).await;
    sweep_store(app, &paths).await;
    let found = look_and_act(site, app, &paths, plan::at_start).await?;
    untold::tell(site, &app.name, &paths, site.urls(&app.hosts)).await;
    Ok(found)
}

/// The same for an app whose worker holds `held`, and has nothing else to do just now.
pub(super) async fn mend(site: &Arc<Site>, app: &App, held: &Held) -> Result<Found, FleetError> {
    let paths = site.layout.app(&app.name);
    let found = look_and_act(site, app, &paths, |sight| plan::in_passing(sight, held)).await?;
    untold::tell(site, &app.name, &paths, site.urls(&app.hosts)).await;
    Ok(found)
}

async fn look_and_act(
    site: &Arc<Site>,
    app: &App,
    paths: &AppPaths,
    decide: impl FnOnce(&sight::Sight) -> Vec<plan::Action>,
) -> Result<Found, FleetError> {
    let (sight, keepers) = sight::look(site, app, paths).await?;
    let plan = decide(&sight);
    tracing::debug!(app = %app.name, ?sight, ?plan, "looked");
    let hand = act::Hand {
        site,
        app,
        paths,
        keepers: &keepers,
    };
    let found = hand.carry_out(&plan).await;
    let (paths, remover) = (paths.clone(), Arc::clone(&site.remover));
    blocking(move || {
        sweep_names(&paths);
        remove_trash(&remover, &paths);
    })
    .await;
    if !found.mended.is_empty() {
        tracing::warn!(app = %app.name, "mended: {}", found.mended.join("; "));
    }
    Ok(found)
}

/// Nothing is stored or laid out yet: what does so was cut off.
async fn sweep_store(app: &App, paths: &AppPaths) {
    let store = Store::at(paths.store());
    if let Err(error) = blocking(move || store.sweep()).await {
        let error = &error as &dyn std::error::Error;
        tracing::warn!(app = %app.name, error, "what was cut off of stored trees can't be removed");
    }
}

/// Nothing is installed or built yet: what does so was left by a server that was killed, and would write into
/// releases that are about to be removed.
async fn end_strays(app: &App, paths: &AppPaths) {
    match build::end_strays(paths.home()).await {
        Ok(0) => {}
        Ok(count) => {
            tracing::warn!(app = %app.name, count, "processes of a build that was cut off were ended");
        }
        Err(error) => {
            tracing::error!(app = %app.name, %error, "processes of a build that was cut off can't be ended");
        }
    }
}

/// Removes what a generation has left in the run directory. Trouble is told in the log; the next start tries again.
pub(super) fn clear_away(paths: &AppPaths, number: GenerationNumber) {
    let removed = slot::remove_generation(paths, number).and_then(|()| slot::sweep(paths));
    if let Err(error) = removed {
        tracing::warn!(%number, error = &error as &dyn std::error::Error, "generation can't be cleared away");
    }
}

/// What was put aside, by a server that has ended since or without success, is deleted in its time.
fn remove_trash(remover: &Remover, paths: &AppPaths) {
    let dirs = paths.removed_from();
    for aside in dirs.iter().flat_map(|dir| Aside::all_in(dir)) {
        if let Err(error) = remover.take(aside) {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(home = %paths.home().display(), error, "what is left of an old release can't be deleted");
        }
    }
}

fn sweep_names(paths: &AppPaths) {
    if let Err(error) = slot::sweep(paths) {
        let error = &error as &dyn std::error::Error;
        tracing::warn!(run = %paths.run().display(), error, "names that lead nowhere can't be removed");
    }
}
