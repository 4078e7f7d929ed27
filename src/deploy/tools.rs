//! node and package manager of a deploy.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use super::site::Site;
use super::stage::{Stage, broken};
use crate::build::{Ask, InstallRequest, Runtime, Toolbox, Toolchain, is_trash};
use crate::config::{AppFiles, Manager};
use crate::process::blocking;
use crate::process::files::names_in;
use crate::report::{Failure, Phase};

/// What a release is going to be built with, fetched where it is not there.
pub(super) async fn chosen(
    stage: &Stage,
    files: &AppFiles,
    release: &Path,
) -> Result<Toolchain, Failure> {
    let ask = ask(stage, files, release);
    let mut tell = |kind| stage.tell(kind);
    let chosen = async { Ok(stage.site.toolbox.choose(&ask, &mut tell).await?) };
    stage.unless_given_up(chosen).await
}

/// What the commands of a release find that was built before.
pub(super) async fn found_again(
    stage: &Stage,
    files: &AppFiles,
    release: &Path,
) -> Result<Runtime, Failure> {
    let ask = ask(stage, files, release);
    let mut tell = |kind| stage.tell(kind);
    let found = async { Ok(stage.site.toolbox.runtime(&ask, &mut tell).await?) };
    stage.unless_given_up(found).await
}

fn ask<'a>(stage: &'a Stage, files: &'a AppFiles, release: &'a Path) -> Ask<'a> {
    Ask {
        node: &files.node,
        manager: &files.manager,
        release,
        env: &stage.site.environment,
        mark: stage.paths.home(),
        afresh: stage.order.options.no_cache,
        limit: InstallRequest::LIMIT,
    }
}

/// Writes into a release what it was built with, so that it is found again.
pub(super) async fn record(
    release: &Path,
    toolchain: &Toolchain,
    manager: &Manager,
) -> Result<(), Failure> {
    let (release, toolchain) = (release.to_owned(), toolchain.clone());
    let manager = manager.clone();
    let recorded = blocking(move || Toolbox::record(&release, &toolchain, &manager));
    let recorded = recorded.await;
    recorded.map_err(|error| broken(Phase::Build, &error))
}

/// Removes nodes and package managers that no release of any app needs any more. Trouble is told in the log.
pub(super) async fn prune(site: &Arc<Site>) {
    let (own, age) = (Arc::clone(site), site.settings.borrow().store.max_age);
    let pruned = blocking(move || {
        let releases = releases(&own.layout.apps());
        own.toolbox
            .prune(&releases, age, SystemTime::now(), &own.remover)
    });
    match pruned.await {
        Ok(gone) => {
            for dir in gone {
                tracing::info!(dir = %dir.display(), "program that no release needs is removed");
            }
        }
        Err(error) => {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(error, "program that no release needs can't be removed");
        }
    }
}

/// The release directories of all apps.
fn releases(apps: &Path) -> Vec<PathBuf> {
    let homes = names_in(apps).into_iter().map(|app| apps.join(app));
    homes
        .map(|home| home.join("releases"))
        .flat_map(|releases| {
            let names = names_in(&releases).into_iter();
            names.map(move |name| releases.join(name))
        })
        .collect()
}

/// A command, with what runs it where that is not the system's.
pub(super) fn with_names(words: String, toolchain: &Toolchain) -> String {
    if toolchain.is_systems() {
        words
    } else {
        format!("{words}  ({toolchain})")
    }
}

/// `-o no-cache`: nothing that an earlier deploy has left is used, of any package manager. What is removed is looked for
/// again in the directory itself, which therefore stays.
pub(super) async fn empty_caches(stage: &Stage) -> Result<(), Failure> {
    let (remover, caches) = (Arc::clone(&stage.site.remover), stage.paths.caches());
    let emptied = blocking(move || {
        let names = names_in(&caches).into_iter();
        let mut left = names.filter(|name| !is_trash(name));
        left.try_for_each(|name| remover.remove(&caches.join(name)))
    });
    let emptied = emptied.await;
    emptied.map_err(|error| broken(Phase::Install, &error))
}
