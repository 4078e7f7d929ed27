//! What is found at a start, and how the database, `live.sock` and the keepers are made to agree.

mod cut_off;

use std::sync::Arc;

use super::fleet::FleetError;
use super::launch::{Live, Replaced};
use super::retire::Ended;
use super::site::Site;
use super::stage::stop_keeper;
use super::trial::{self, Unfinished};
use crate::build;
use crate::ids::{AppName, GenerationNumber, ReleaseNumber};
use crate::keep::Keeper;
use crate::paths::AppPaths;
use crate::process::blocking;
use crate::slot;
use crate::state::{App, Generation, GenerationState, Release};
use crate::time::{Timestamp, now};

/// What of an app was found running.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// What serves.
    pub live: Option<Live>,
    /// What still drains.
    pub draining: Vec<Replaced>,
    /// What was live, and has no keeper any more: its instances may serve on until something else does.
    pub lost: Vec<(GenerationNumber, ReleaseNumber)>,
    /// Whether what serves has yet to prove itself.
    pub trial: Option<Unfinished>,
}

/// What is to be done about a generation that is remembered. Pure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// It serves: go on with it.
    Adopt,
    /// It was replaced: it drains, or is told to.
    Drain,
    /// Nobody was ever sent to it: stop it.
    Stop,
    /// Its keeper is gone and it was live: it is remembered until another one serves.
    Remember,
    /// Its keeper is gone: forget it.
    Forget,
}

/// Decides about a generation: what it was, whether `live.sock` leads to it, and whether its keeper lives.
fn judge(state: GenerationState, is_live: bool, keeper_lives: bool) -> Verdict {
    match (state, is_live, keeper_lives) {
        (_, true, true) => Verdict::Adopt,
        (GenerationState::Live, _, false) => Verdict::Remember,
        (GenerationState::Starting, _, false) if is_live => Verdict::Remember,
        (_, _, false) => Verdict::Forget,
        (GenerationState::Starting, false, true) => Verdict::Stop,
        (GenerationState::Live | GenerationState::Draining, false, true) => Verdict::Drain,
    }
}

/// Finds what runs of an app and makes database, sockets and directories agree with it.
pub(super) async fn recover(site: &Arc<Site>, app: &App) -> Result<Found, FleetError> {
    let paths = site.layout.app(&app.name);
    end_strays(app, &paths).await;
    let (name, database) = (app.name.clone(), site.database.clone());
    let (rows, releases) = database
        .run(move |database| Ok((database.generations(&name)?, database.releases(&name)?)))
        .await?;
    let leads_to = {
        let paths = paths.clone();
        blocking(move || slot::live(&paths)).await
    };
    cut_off::end_open_deploys(site, app, &rows, leads_to).await?;
    let mut found = Found::default();
    for row in rows {
        recover_generation(site, app, &paths, &row, leads_to, &releases, &mut found).await?;
    }
    let keep: Vec<ReleaseNumber> = releases.iter().map(|release| release.number).collect();
    blocking(move || sweep(&paths, &keep)).await;
    Ok(found)
}

/// Nothing is installed or built yet: what does so was left by a server that was killed, and would write into
/// releases that are about to be removed.
async fn end_strays(app: &App, paths: &AppPaths) {
    match build::end_strays(&paths.npm_cache()).await {
        Ok(0) => {}
        Ok(count) => {
            tracing::warn!(app = %app.name, count, "processes of a build that was cut off were ended");
        }
        Err(error) => {
            tracing::error!(app = %app.name, %error, "processes of a build that was cut off can't be ended");
        }
    }
}

async fn recover_generation(
    site: &Arc<Site>,
    app: &App,
    paths: &AppPaths,
    row: &Generation,
    leads_to: Option<GenerationNumber>,
    releases: &[Release],
    found: &mut Found,
) -> Result<(), FleetError> {
    let keeper = Keeper::find(&paths.generation(row.number)).unwrap_or_else(|error| {
        // Whoever holds its socket is found by that, and ended as an orphan.
        let error = &error as &dyn std::error::Error;
        tracing::error!(app = %app.name, generation = %row.number, error, "keeper can't be found");
        None
    });
    let keeper = keeper.map(Arc::new);
    let verdict = judge(row.state, leads_to == Some(row.number), keeper.is_some());
    tracing::info!(app = %app.name, generation = %row.number, ?verdict, "generation found");
    match (verdict, keeper) {
        (Verdict::Adopt, Some(keeper)) => {
            found.live = adopt(site, app, row, releases, keeper).await?;
            if let Some(live) = &found.live {
                found.trial = trial::unfinished(site, &app.name, paths, live, row.deploy).await?;
            }
        }
        (Verdict::Drain, Some(keeper)) => found.draining.push(drain(row, keeper).await),
        (Verdict::Stop, Some(keeper)) => {
            stop_keeper(&keeper).await;
            forget(site, app, paths, row.number).await?;
        }
        (Verdict::Forget, _) => {
            let (app, paths) = (app.name.clone(), paths.clone());
            let ended = Ended {
                app,
                paths,
                generation: row.number,
                release: row.release,
                journal: None,
            };
            tokio::spawn(ended.bury(Arc::clone(site)));
        }
        (Verdict::Remember, _) => found.lost.push((row.number, row.release)),
        (Verdict::Adopt | Verdict::Drain | Verdict::Stop, None) => {
            unreachable!("only a keeper that lives is adopted, drained or stopped")
        }
    }
    Ok(())
}

async fn adopt(
    site: &Site,
    app: &App,
    row: &Generation,
    releases: &[Release],
    keeper: Arc<Keeper>,
) -> Result<Option<Live>, FleetError> {
    let Some(release) = releases
        .iter()
        .find(|release| release.number == row.release)
    else {
        tracing::error!(app = %app.name, generation = %row.number, release = %row.release, "release of the live generation is not known");
        return Ok(None);
    };
    if row.state != GenerationState::Live {
        // The server was cut off between the rename and its record. What was live drains from now on.
        let (name, number) = (app.name.clone(), row.number);
        site.database
            .run(move |database| database.set_live(&name, number))
            .await?;
        if let Err(error) = keeper.commit().await {
            tracing::warn!(app = %app.name, error = &error as &dyn std::error::Error, "keeper can't be told that it is live");
        }
    }
    Ok(Some(Live {
        generation: row.number,
        release: release.number,
        commit: release.commit.clone(),
        keeper,
        since: row.since,
    }))
}

async fn drain(row: &Generation, keeper: Arc<Keeper>) -> Replaced {
    let mut deadline = deadline(&keeper).await;
    if deadline.is_none() {
        // The server was cut off after the swap, before it could say so to what was live.
        if let Err(error) = keeper.drain(None).await {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(generation = %row.number, error, "keeper can't be told to drain");
        }
        deadline = self::deadline(&keeper).await;
    }
    let deadline = deadline.unwrap_or_else(now);
    Replaced {
        generation: row.number,
        release: row.release,
        keeper,
        deadline,
        journal: None,
    }
}

async fn deadline(keeper: &Keeper) -> Option<Timestamp> {
    keeper.status().await.ok()?.deadline
}

async fn forget(
    site: &Site,
    app: &App,
    paths: &AppPaths,
    number: GenerationNumber,
) -> Result<(), FleetError> {
    let (name, paths) = (app.name.clone(), paths.clone());
    let forgotten = site.database.run(move |database| {
        clear_away(&paths, number);
        database.remove_generation(&name, number)
    });
    Ok(forgotten.await?)
}

/// Removes what a generation has left in the run directory. Trouble is told in the log; the next start tries again.
pub(super) fn clear_away(paths: &AppPaths, number: GenerationNumber) {
    let removed = slot::remove_generation(paths, number).and_then(|()| slot::sweep(paths));
    if let Err(error) = removed {
        tracing::warn!(%number, error = &error as &dyn std::error::Error, "generation can't be cleared away");
    }
}

/// Removes what belongs to no release: staging directories, releases that were never finished.
fn sweep(paths: &AppPaths, releases: &[ReleaseNumber]) {
    let known = |name: &str| name.parse().is_ok_and(|number| releases.contains(&number));
    let Ok(entries) = std::fs::read_dir(paths.releases()) else {
        return;
    };
    for entry in entries.flatten() {
        if !entry.file_name().to_str().is_some_and(known) {
            tracing::info!(path = %entry.path().display(), "left-over is removed");
            remove_quietly(&entry.path());
        }
    }
}

/// Deletes the releases that are beyond the number to keep: never one that runs, nor the one that is spared.
pub(super) async fn prune_releases(
    site: &Site,
    app: &AppName,
    paths: &AppPaths,
    spared: Option<ReleaseNumber>,
) {
    let keep = usize::from(site.settings.borrow().keep_releases);
    let (name, paths) = (app.clone(), paths.clone());
    let pruned = site.database.run(move |database| {
        let releases = database.releases(&name)?;
        let running: Vec<ReleaseNumber> = database
            .generations(&name)?
            .into_iter()
            .map(|generation| generation.release)
            .chain(spared)
            .collect();
        for number in beyond(&releases, &running, keep) {
            database.remove_release(&name, number)?;
            remove_quietly(&paths.release(number));
        }
        Ok(())
    });
    if let Err(error) = pruned.await {
        tracing::warn!(%app, error = &error as &dyn std::error::Error, "old releases can't be pruned");
    }
}

/// The releases to delete: all but the newest `keep` and those that run.
fn beyond(releases: &[Release], running: &[ReleaseNumber], keep: usize) -> Vec<ReleaseNumber> {
    let old = &releases[..releases.len().saturating_sub(keep)];
    old.iter()
        .map(|release| release.number)
        .filter(|number| !running.contains(number))
        .collect()
}

fn remove_quietly(path: &std::path::Path) {
    if let Err(error) = build::remove_release(path) {
        tracing::warn!(path = %path.display(), error = &error as &dyn std::error::Error, "directory can't be removed");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_live_sock_leads_to_and_lives_is_adopted_whatever_the_database_says() {
        let draining = GenerationState::Draining;
        for state in [GenerationState::Starting, GenerationState::Live, draining] {
            assert_eq!(judge(state, true, true), Verdict::Adopt);
        }
    }

    #[test]
    fn a_dead_keeper_is_remembered_only_where_it_was_live() {
        let draining = GenerationState::Draining;
        assert_eq!(judge(GenerationState::Live, true, false), Verdict::Remember);
        assert_eq!(
            judge(GenerationState::Live, false, false),
            Verdict::Remember,
            "after a reboot there is no socket"
        );
        assert_eq!(
            judge(GenerationState::Starting, true, false),
            Verdict::Remember,
            "cut off just after the rename"
        );
        assert_eq!(
            judge(GenerationState::Starting, false, false),
            Verdict::Forget
        );
        assert_eq!(judge(draining, false, false), Verdict::Forget);
    }

    #[test]
    fn a_living_keeper_that_nobody_is_sent_to_is_stopped_or_drained() {
        assert_eq!(judge(GenerationState::Starting, false, true), Verdict::Stop);
        assert_eq!(judge(GenerationState::Live, false, true), Verdict::Drain);
        assert_eq!(
            judge(GenerationState::Draining, false, true),
            Verdict::Drain
        );
    }

    #[test]
    fn pruning_keeps_the_newest_and_whatever_runs() {
        let release = |number| Release {
            number: ReleaseNumber(number),
            commit: "a".repeat(40).parse().unwrap(),
            subject: String::new(),
            deploy: crate::ids::DeployNumber(number),
            pushed_by: None,
            built_at: now(),
            message: None,
        };
        let releases: Vec<_> = (1..=8).map(release).collect();
        let doomed = beyond(&releases, &[ReleaseNumber(2)], 5);
        assert_eq!(doomed, [ReleaseNumber(1), ReleaseNumber(3)]);
        assert!(beyond(&releases[..3], &[], 5).is_empty());
    }
}
