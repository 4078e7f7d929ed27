//! What nobody needs any more: old releases, what is remembered and written down of old deploys, and the many small files
//! of a repository that is pushed to.

use std::collections::BTreeSet;
use std::path::Path;

use crate::build;
use crate::deploy::site::Site;
use crate::git;
use crate::ids::{AppName, DeployNumber, ReleaseNumber};
use crate::paths::{AppPaths, deploy_of_log};
use crate::process::blocking;
use crate::process::files::names_in;
use crate::process::rig::kill_point;
use crate::state::{Database, Deploy, DeployState, Release, StateError};

/// How many deploys are looked through for the release that was live before.
const LOOK_BACK: u32 = 200;

/// Removes what nobody needs any more of an app: never a release that runs, nor the one that was live before, nor the one
/// that is spared. Trouble is told in the log.
pub(in crate::deploy) async fn prune(
    site: &Site,
    app: &AppName,
    paths: &AppPaths,
    spared: Option<ReleaseNumber>,
) {
    let (keep, keep_deploys) = {
        let settings = site.settings.borrow();
        (settings.keep_releases, settings.keep_deploys)
    };
    let (name, own) = (app.clone(), paths.clone());
    let pruned = site.database.run(move |database| {
        prune_releases(database, &name, &own, spared, usize::from(keep))?;
        let remembered = database.forget_deploys(&name, u32::from(keep_deploys))?;
        remove_logs(&own.logs(), &remembered);
        Ok(())
    });
    if let Err(error) = pruned.await {
        let error = &error as &dyn std::error::Error;
        tracing::warn!(%app, error, "what is old can't be pruned");
    }
    pack(site, app, paths).await;
}

fn prune_releases(
    database: &Database,
    app: &AppName,
    paths: &AppPaths,
    spared: Option<ReleaseNumber>,
    keep: usize,
) -> Result<(), StateError> {
    let releases = database.releases(app)?;
    let before = live_before(&database.deploys(app, LOOK_BACK)?);
    let generations = database.generations(app)?;
    let running = generations.iter().map(|generation| generation.release);
    let needed: Vec<ReleaseNumber> = running.chain(before).chain(spared).collect();
    for number in beyond(&releases, &needed, keep) {
        database.remove_release(app, number)?;
        kill_point("prune.forgotten");
        remove_quietly(&paths.release(number));
    }
    Ok(())
}

/// The release that was live before the one that is. Pure.
fn live_before(deploys: &[Deploy]) -> Option<ReleaseNumber> {
    let mut live = deploys
        .iter()
        .rev()
        .filter_map(|deploy| match deploy.state {
            DeployState::Live { release } => Some(release),
            DeployState::Waiting
            | DeployState::Running
            | DeployState::Failed { .. }
            | DeployState::SwappedBack { .. }
            | DeployState::Superseded
            | DeployState::Interrupted => None,
        });
    let now = live.next()?;
    live.find(|&release| release != now)
}

/// Removes the logs of deploys that are not remembered.
fn remove_logs(logs: &Path, remembered: &BTreeSet<DeployNumber>) {
    let forgotten =
        |name: &String| deploy_of_log(name).is_some_and(|number| is_forgotten(number, remembered));
    for name in names_in(logs).into_iter().filter(forgotten) {
        let path = logs.join(name);
        if let Err(error) = std::fs::remove_file(&path) {
            tracing::warn!(path = %path.display(), %error, "log of an old deploy can't be removed");
        }
    }
}

/// One that is newer than all that are remembered has begun just now.
fn is_forgotten(number: DeployNumber, remembered: &BTreeSet<DeployNumber>) -> bool {
    !remembered.contains(&number) && remembered.last().is_some_and(|&newest| number < newest)
}

/// Packs the app's repository, if it was made here: one that was given is looked after by whoever gave it.
async fn pack(site: &Site, app: &AppName, paths: &AppPaths) {
    let repo = paths.repo();
    let asked = {
        let repo = repo.clone();
        blocking(move || repo.exists() && git::wants_packing(&repo).unwrap_or(false)).await
    };
    if asked && let Err(error) = git::pack(&repo, &site.path()).await {
        let error = &error as &dyn std::error::Error;
        tracing::warn!(%app, error, "repository can't be packed");
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

pub(super) fn remove_quietly(path: &std::path::Path) {
    if let Err(error) = build::remove_release(path) {
        tracing::warn!(path = %path.display(), error = &error as &dyn std::error::Error, "directory can't be removed");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::now;

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

    #[test]
    fn logs_of_deploys_that_are_remembered_or_have_just_begun_stay() {
        let dir = tempfile::tempdir().unwrap();
        for number in [1, 2, 3, 5, 7] {
            std::fs::write(dir.path().join(format!("deploy-{number}.jsonl")), "").unwrap();
        }
        std::fs::write(dir.path().join("app.log"), "").unwrap();
        let remembered = [DeployNumber(2), DeployNumber(5)].into();
        remove_logs(dir.path(), &remembered);
        let entries = std::fs::read_dir(dir.path()).unwrap().flatten();
        let mut left: Vec<_> = entries
            .map(|entry| entry.file_name().into_string().unwrap())
            .collect();
        left.sort();
        let expected = [
            "app.log",
            "deploy-2.jsonl",
            "deploy-5.jsonl",
            "deploy-7.jsonl",
        ];
        assert_eq!(left, expected);
    }
}
