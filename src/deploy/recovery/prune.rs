//! Releases that nobody needs any more.

use crate::build;
use crate::deploy::site::Site;
use crate::ids::{AppName, ReleaseNumber};
use crate::paths::AppPaths;
use crate::process::rig::kill_point;
use crate::state::Release;

/// Deletes the releases that are beyond the number to keep: never one that runs, nor the one that is spared.
pub(in crate::deploy) async fn prune_releases(
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
            kill_point("prune.forgotten");
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
}
