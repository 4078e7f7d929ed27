//! What nobody needs any more: old releases, what is remembered and written down of old deploys, and the many small files
//! of a repository that is pushed to.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use crate::build::Remover;
use crate::deploy::site::Site;
use crate::git;
use crate::ids::{AppName, DeployNumber, ReleaseNumber};
use crate::paths::{AppPaths, deploy_of_log};
use crate::process::blocking;
use crate::process::files::names_in;
use crate::process::rig::kill_point;
use crate::report::Origin;
use crate::state::{Database, Deploy, DeployState, Release, StateError};

/// How large the compile cache of an app may be, in bytes.
const COMPILED_MAX: u64 = 128 << 20;
/// How many deploys are looked through for the release that was live before.
const LOOK_BACK: u32 = 200;

/// Removes what nobody needs any more of an app: never a release that runs, nor the one that was live before, nor the one
/// that is spared. `parting` sees the directory of each before it goes. Trouble is told in the log.
pub(in crate::deploy) async fn prune(
    site: &Site,
    app: &AppName,
    paths: &AppPaths,
    spared: Option<ReleaseNumber>,
    parting: impl Fn(&Path) + Send + 'static,
) {
    let (keep, keep_deploys) = {
        let settings = site.settings.borrow();
        (settings.keep_releases, settings.keep_deploys)
    };
    let (name, own) = (app.clone(), paths.clone());
    let remover = Arc::clone(&site.remover);
    let pruned = site.database.run(move |database| {
        for old in forget_releases(database, &name, spared, usize::from(keep))? {
            parting(&own.release(old));
            remove_quietly(&remover, &own.release(old));
        }
        let remembered = database.forget_deploys(&name, u32::from(keep_deploys))?;
        remove_logs(&own.logs(), &remembered);
        Ok(())
    });
    if let Err(error) = pruned.await {
        let error = &error as &dyn std::error::Error;
        tracing::warn!(%app, error, "what is old can't be pruned");
    }
    let (remover, cache) = (Arc::clone(&site.remover), paths.compile_cache());
    blocking(move || prune_compiled(&remover, &cache)).await;
    pack(site, app, paths).await;
}

/// Forgets the releases that nobody needs; gives them.
fn forget_releases(
    database: &Database,
    app: &AppName,
    spared: Option<ReleaseNumber>,
    keep: usize,
) -> Result<Vec<ReleaseNumber>, StateError> {
    let releases = database.releases(app)?;
    let deploys = database.deploys(app, LOOK_BACK)?;
    let before = live_before(&deploys);
    let wanted = wanted_back(&deploys, &releases);
    let generations = database.generations(app)?;
    let running = generations.iter().map(|generation| generation.release);
    let needed: Vec<ReleaseNumber> = running.chain(before).chain(spared).chain(wanted).collect();
    let old = beyond(&releases, &needed, keep);
    for &number in &old {
        database.remove_release(app, number)?;
        kill_point("prune.forgotten");
    }
    Ok(old)
}

/// The releases that rollbacks are under way to, or wait to be. Pure.
fn wanted_back(deploys: &[Deploy], releases: &[Release]) -> Vec<ReleaseNumber> {
    let is_wanted = |release: &&Release| {
        deploys.iter().any(|deploy| {
            let is_open = matches!(deploy.state, DeployState::Waiting | DeployState::Running);
            is_open && deploy.origin == Origin::Rollback && deploy.commit == release.commit
        })
    };
    let wanted = releases.iter().filter(is_wanted);
    wanted.map(|release| release.number).collect()
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

/// node never removes anything from its cache. What it names by the path of a module is replaced when that changes; what
/// has a new name in each build (chunks of a bundler) is left behind. Too much of that, and all goes: which of it is of use
/// nobody can tell, and the next start leaves what it needs again.
fn prune_compiled(remover: &Remover, cache: &Path) {
    if size_of(cache) > COMPILED_MAX {
        tracing::info!(cache = %cache.display(), "compile cache has grown too large, and begins anew");
        remove_quietly(remover, cache);
    }
}

/// The sizes of all files, in bytes; what can't be read counts for nothing.
fn size_of(top: &Path) -> u64 {
    let (mut ahead, mut bytes) = (vec![top.to_owned()], 0);
    while let Some(dir) = ahead.pop() {
        for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
            match entry.metadata() {
                Ok(found) if found.is_dir() => ahead.push(entry.path()),
                Ok(found) => bytes += found.len(),
                Err(_) => {}
            }
        }
    }
    bytes
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

pub(super) fn remove_quietly(remover: &Remover, path: &Path) {
    if let Err(error) = remover.remove(path) {
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
    fn what_a_rollback_is_on_its_way_to_is_wanted() {
        let commit = |n: char| n.to_string().repeat(40).parse().unwrap();
        let release = |number, n| Release {
            number: ReleaseNumber(number),
            commit: commit(n),
            subject: String::new(),
            deploy: DeployNumber(number),
            pushed_by: None,
            built_at: now(),
            message: None,
        };
        let deploy = |origin, state, n| Deploy {
            number: DeployNumber(9),
            origin,
            branch: "main".to_owned(),
            commit: commit(n),
            subject: String::new(),
            from: None,
            moves_branch: false,
            message: None,
            pushed_by: None,
            state,
            began_at: now(),
            ended_at: None,
        };
        let live = DeployState::Live {
            release: ReleaseNumber(4),
        };
        let deploys = [
            deploy(Origin::Rollback, DeployState::Waiting, 'a'),
            deploy(Origin::Rollback, DeployState::Running, 'b'),
            deploy(Origin::Push, DeployState::Running, 'c'),
            deploy(Origin::Rollback, live, 'd'),
        ];
        let releases = [
            release(1, 'a'),
            release(2, 'b'),
            release(3, 'c'),
            release(4, 'd'),
        ];
        let wanted = [ReleaseNumber(1), ReleaseNumber(2)];
        assert_eq!(wanted_back(&deploys, &releases), wanted);
    }

    #[test]
    fn a_compile_cache_that_has_grown_too_large_begins_anew() {
        let dir = tempfile::tempdir().unwrap();
        let (remover, cache) = (Remover::start().unwrap(), dir.path().join("compile"));
        std::fs::create_dir_all(cache.join("v24/inner")).unwrap();
        let entry = std::fs::File::create(cache.join("v24/inner/entry")).unwrap();
        entry.set_len(COMPILED_MAX).unwrap();
        prune_compiled(&remover, &cache);
        assert!(cache.exists());
        std::fs::write(cache.join("v24/one-more"), "x").unwrap();
        prune_compiled(&remover, &cache);
        assert!(!cache.exists());
        prune_compiled(&remover, &cache); // where there is none, too
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
