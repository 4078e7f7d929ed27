//! Build caches: which release they come from, and what the pusher reads of it.

use std::path::Path;
use std::time::{Duration, Instant};

use super::stage::Stage;
use crate::build::{Carried, CarryRequest, LeftOut, carry};
use crate::config::CachePath;
use crate::git::{GitError, ObjectId, Repo};
use crate::ids::ReleaseNumber;
use crate::process::blocking;
use crate::push::Verbosity;
use crate::report::{EventKind, Failure, Phase, Stream, size_text, with_causes};
use crate::time::Took;

/// What takes less is not worth a line.
const WORTH_A_LINE: Duration = Duration::from_millis(250);
/// The mode of a directory in a tree of git's.
const DIRECTORY: u32 = 0o040_000;

/// Carries the caches of the release that was built last into a new one. Whatever goes wrong is told in the log: the build
/// then begins without them. Fails only if the deploy is given up.
pub(super) async fn bring(stage: &Stage, to: &Path, caches: &[CachePath]) -> Result<(), Failure> {
    let limit = stage.site.settings.borrow().build_cache.max_bytes;
    if caches.is_empty() || limit == 0 || stage.order.options.no_cache {
        return Ok(());
    }
    let Some(before) = built_last(stage).await else {
        return Ok(());
    };
    let began = Instant::now();
    let (from, to) = (stage.paths.release(before), to.to_owned());
    let staging = stage.paths.staging(stage.journal().deploy());
    let (repo, commit) = (
        stage.order.app.repo.clone(),
        stage.order.wanted.commit.clone(),
    );
    let (caches, cancelled) = (caches.to_vec(), stage.cancelled());
    let carried = blocking(move || {
        let repo = Repo::open(&repo)?;
        let top = repo.commit_tree(&commit)?;
        let mut wanted = Vec::new();
        for cache in caches {
            if !holds(&repo, top, cache.as_path())? {
                wanted.push(cache);
            }
        }
        Ok::<_, GitError>(carry(&CarryRequest {
            from: &from,
            to: &to,
            staging: &staging,
            caches: &wanted,
            limit,
            go_on: &|| cancelled.already().is_none(),
        }))
    });
    match carried.await {
        Ok(carried) => tell(stage, before, &carried, began.elapsed()),
        Err(error) => {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(app = %stage.app(), error, "build caches can't be carried");
        }
    }
    stage.go_on()
}

/// The live release; where nothing is live, the newest that was. A deploy that failed has left none.
async fn built_last(stage: &Stage) -> Option<ReleaseNumber> {
    if let Some(live) = stage.live() {
        return Some(live.release);
    }
    let app = stage.app().clone();
    let releases = stage
        .site
        .database
        .run(move |database| database.releases(&app));
    Some(releases.await.ok()?.last()?.number)
}

/// Whether the commit itself has something at this path: that is what its author wants there.
fn holds(repo: &Repo, top: ObjectId, path: &Path) -> Result<bool, GitError> {
    let mut tree = Some(top);
    for name in path {
        let Some(id) = tree else { return Ok(false) };
        let name = name.as_encoded_bytes();
        let entries = repo.read_tree(id)?;
        let Some(entry) = entries.into_iter().find(|entry| entry.name == name) else {
            return Ok(false);
        };
        tree = (entry.mode == DIRECTORY).then_some(entry.id);
    }
    Ok(true)
}

fn tell(stage: &Stage, from: ReleaseNumber, carried: &Carried, took: Duration) {
    let verbose = stage.order.options.verbosity == Verbosity::Verbose;
    if !carried.caches.is_empty() && (verbose || took >= WORTH_A_LINE) {
        stage.tell(EventKind::Output {
            phase: Phase::Build,
            stream: Stream::Out,
            line: words(from, carried, took),
        });
    }
    for (cache, why) in &carried.left_out {
        match why {
            LeftOut::GivenUp => {}
            LeftOut::TooLarge { bytes, .. } => stage.tell(EventKind::Warned {
                text: format!(
                    "{cache} has {}, more than is carried from release to release: the build begins without it; leave it out with [build] cache in handover.toml, or raise the server's [build_cache] max_bytes",
                    size_text(*bytes)
                ),
            }),
            LeftOut::TooMany
            | LeftOut::NoRoom { .. }
            | LeftOut::Symlink { .. }
            | LeftOut::Io { .. } => {
                let error = with_causes(why);
                tracing::warn!(app = %stage.app(), release = %from, %cache, error, "build cache is not carried");
            }
        }
    }
    if !carried.caches.is_empty() {
        tracing::info!(app = %stage.app(), release = %from, files = carried.files, bytes = carried.bytes, changed = carried.changed, ?took, "build caches carried");
    }
}

fn words(from: ReleaseNumber, carried: &Carried, took: Duration) -> String {
    let names: Vec<_> = carried.caches.iter().map(ToString::to_string).collect();
    format!(
        "{} of release {from}: {} in {}",
        names.join(", "),
        size_text(carried.bytes),
        Took(took)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_carried_is_told_in_one_line() {
        let carried = Carried {
            caches: [".next/cache", ".turbo/cache"]
                .map(|path| CachePath::read(path).unwrap())
                .into(),
            files: 214,
            bytes: 38_400_000,
            ..Carried::default()
        };
        assert_eq!(
            words(ReleaseNumber(41), &carried, Duration::from_millis(420)),
            ".next/cache, .turbo/cache of release 41: 38 MB in 0.4 s"
        );
    }
}
