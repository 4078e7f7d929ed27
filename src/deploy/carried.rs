//! Build caches: which release they come from, and what the pusher reads of it.
//!
//! ```text
//!   Nothing                      there is no build, or nobody wants them
//!   Copying ──place──► carried   while the install runs
//!   PutOff  ──place──► carried   after it: it comes first, where the disk may not have room for both
//! ```

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;

use super::stage::Stage;
use crate::build::{Carried, CarryRequest, Copies, LeftOut};
use crate::config::{AppFiles, BuildCommand, CachePath};
use crate::git::{GitError, ObjectId, Repo};
use crate::ids::{CommitId, ReleaseNumber};
use crate::process::blocking;
use crate::process::disk::free;
use crate::push::Verbosity;
use crate::report::{EventKind, Failure, Phase, Stream, size_text, with_causes};
use crate::time::Took;

/// What takes less is not worth a line.
const WORTH_A_LINE: Duration = Duration::from_millis(250);
/// The mode of a directory in a tree of git's.
const DIRECTORY: u32 = 0o040_000;
/// What is left on the disk to an install beside which caches are copied, in bytes: more than installs take.
const LEFT_TO_INSTALL: u64 = 2 << 30;

/// Caches on their way into a new release.
pub(super) enum Carrying {
    Nothing,
    Copying(ReleaseNumber, JoinHandle<Done>, Arc<AtomicBool>),
    PutOff(ReleaseNumber, Box<dyn FnOnce() -> Done + Send>),
}

/// The copies, and how long they took to make.
type Done = Result<(Copies, Duration), GitError>;

/// Begins to carry the caches of the release that was built last, if the new one is to be built.
pub(super) async fn begin(stage: &Stage, files: &AppFiles) -> Carrying {
    let limit = stage.site.settings.borrow().build_cache.max_bytes;
    let caches = &files.config.build.cache;
    let is_built = files.build_command() != BuildCommand::Nothing;
    if !is_built || caches.is_empty() || limit == 0 || stage.order.options.no_cache {
        return Carrying::Nothing;
    }
    let Some(before) = built_last(stage).await else {
        return Carrying::Nothing;
    };
    let is_over = Arc::new(AtomicBool::new(false));
    let work = copying(stage, before, caches.clone(), limit, Arc::clone(&is_over));
    let from = stage.paths.release(before);
    let roomy = blocking(move || {
        free(&from).is_ok_and(|left| left.bytes >= limit.saturating_add(LEFT_TO_INSTALL))
    });
    if roomy.await {
        Carrying::Copying(before, tokio::task::spawn_blocking(work), is_over)
    } else {
        Carrying::PutOff(before, Box::new(work))
    }
}

/// Copies what the commit does not hold itself.
fn copying(
    stage: &Stage,
    before: ReleaseNumber,
    caches: Vec<CachePath>,
    limit: u64,
    is_over: Arc<AtomicBool>,
) -> impl FnOnce() -> Done + Send + 'static {
    let from = stage.paths.release(before);
    let staging = stage.paths.staging(stage.journal().deploy());
    let (repo, commit) = (
        stage.order.app.repo.clone(),
        stage.order.wanted.commit.clone(),
    );
    let cancelled = stage.cancelled();
    move || {
        let began = Instant::now();
        let wanted = not_held(&repo, &commit, caches)?;
        let copies = CarryRequest {
            from: &from,
            staging: &staging,
            caches: &wanted,
            limit,
            go_on: &|| !is_over.load(Ordering::Relaxed) && cancelled.already().is_none(),
        }
        .copy();
        Ok((copies, began.elapsed()))
    }
}

impl Carrying {
    /// Puts the caches into the new release, which is installed. Whatever goes wrong is told in the log: the build then
    /// begins without them. Fails only if the deploy is given up.
    pub(super) async fn place(self, stage: &Stage, to: &Path) -> Result<(), Failure> {
        let (before, done) = match self {
            Self::Nothing => return Ok(()),
            Self::Copying(before, copies, _) => (before, joined(copies).await),
            Self::PutOff(before, work) => (before, blocking(work).await),
        };
        match done {
            Ok((copies, took)) => {
                let to = to.to_owned();
                let carried = blocking(move || copies.place(&to)).await;
                tell(stage, before, &carried, took);
            }
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(app = %stage.app(), error, "build caches can't be carried");
            }
        }
        stage.go_on()
    }

    /// Nothing is to be built any more. When this returns nothing is written any more; what was goes with the deploy.
    pub(super) async fn give_up(self) {
        if let Self::Copying(_, copies, is_over) = self {
            is_over.store(true, Ordering::Relaxed);
            if let Err(error) = joined(copies).await {
                let error = &error as &dyn std::error::Error;
                tracing::debug!(error, "build caches can't be carried");
            }
        }
    }
}

async fn joined(copies: JoinHandle<Done>) -> Done {
    match copies.await {
        Ok(done) => done,
        Err(join) => std::panic::resume_unwind(join.into_panic()),
    }
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

/// Those at whose paths the commit has nothing itself.
fn not_held(
    repo: &Path,
    commit: &CommitId,
    caches: Vec<CachePath>,
) -> Result<Vec<CachePath>, GitError> {
    let repo = Repo::open(repo)?;
    let top = repo.commit_tree(commit)?;
    let mut wanted = Vec::new();
    for cache in caches {
        if !holds(&repo, top, cache.as_path())? {
            wanted.push(cache);
        }
    }
    Ok(wanted)
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
