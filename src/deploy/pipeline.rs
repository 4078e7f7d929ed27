//! A deploy from end to end: the first half here (checkout, install, build), the second in [`super::launch`].
//!
//! ```text
//!   commit ──checkout──► CheckedOut ──install──► Installed ──build──► Startable ──► start … drain
//! ```
//!
//! Up to the swap a deploy can fail or be given up, and everything that it has made is taken back; after it, it can't.

mod install;

use std::sync::Arc;
use std::time::Instant;

use tokio::task::JoinHandle;

use super::branch::{self, BranchMove, Moved};
use super::cancel::Cancelled;
use super::carried::{self, Carrying};
use super::journal::Journal;
use super::launch::{Live, NewlyLive, Ready, Replaced, Startable};
use super::room;
use super::site::Site;
use super::stage::{Stage, broken};
use super::tools;
use super::turns::Turn;
use super::upkeep::Trees;
use crate::build::{
    self, BuildRequest, Built, CheckoutError, Limits, Line, Listing, StepFailure, Toolchain,
};
use crate::git::Repo;
use crate::ids::ReleaseNumber;
use crate::paths::AppPaths;
use crate::process::blocking;
use crate::process::rig::kill_point;
use crate::push::PushOptions;
use crate::report::{EventKind, Failure, Phase};
use crate::state::{App, NewDeploy, Release};
use crate::store::Store;
use crate::time::Took;

/// What a deploy is to do.
#[derive(Debug)]
pub(super) struct Order {
    /// The app as it is remembered.
    pub app: App,
    /// Its directories.
    pub paths: AppPaths,
    /// Trees that its installs have made.
    pub store: Arc<Store>,
    /// Where everything is told.
    pub journal: Arc<Journal>,
    /// What was asked for.
    pub wanted: NewDeploy,
    /// How to bring it about.
    pub work: Work,
    /// Who moves the branch.
    pub branch: BranchMove,
    /// How the pusher wants it done.
    pub options: PushOptions,
    /// What is live now.
    pub live: Option<Arc<Live>>,
}

/// How a deploy brings about what it is to.
#[derive(Debug, Clone)]
pub(super) enum Work {
    /// Build the commit and start it.
    Build,
    /// Start a release that was built before.
    Start(Release),
    /// Go back to a release: to a generation of it that still drains, else to a fresh one.
    Return(Release, Option<Replaced>),
}

/// How a deploy has ended.
#[derive(Debug)]
pub(super) enum Outcome {
    /// What it was to make live is live.
    Live(Box<NewlyLive>, Moved),
    /// Nothing has changed.
    Failed(Failure),
}

/// Starts the deploy in a task of its own, which ends with an outcome whatever happens within.
pub(super) fn spawn(
    site: Arc<Site>,
    order: Order,
    cancelled: Cancelled,
) -> JoinHandle<(Outcome, Trees)> {
    tokio::spawn(async move {
        let deploy = tokio::spawn(run(Stage::new(site, order, cancelled)));
        deploy.await.unwrap_or_else(|panic| {
            tracing::error!(%panic, "deploy task panicked");
            let failure = broken(Phase::Receive, &panic);
            (Outcome::Failed(failure), Trees::None)
        })
    })
}

async fn run(mut stage: Stage) -> (Outcome, Trees) {
    // Until it has ended nothing is deleted beside it.
    let _pause = stage.site.remover.pause();
    let prepared = prepare(&mut stage).await;
    let outcome = match swap(&mut stage, prepared).await {
        Ok((newly, moved)) => Outcome::Live(Box::new(newly), moved),
        Err(failure) => {
            stage.undo().await;
            Outcome::Failed(failure)
        }
    };
    (outcome, stage.take_trees())
}

/// From here on the deploy can't be given up any more.
async fn swap(
    stage: &mut Stage,
    prepared: Result<Ready, Failure>,
) -> Result<(NewlyLive, Moved), Failure> {
    let ready = prepared?;
    stage.go_on()?;
    let before = branch::before_swap(stage).await?;
    kill_point("swap.intended");
    let swapped = ready.publish(stage).await?;
    let newly = swapped.drain(stage).await;
    kill_point("swap.drain_told");
    let moved = branch::follow(stage, before).await;
    kill_point("swap.branch_moved");
    Ok((newly, moved))
}

/// Everything before the swap.
async fn prepare(stage: &mut Stage) -> Result<Ready, Failure> {
    match stage.order.work.clone() {
        Work::Start(release) => {
            startable(stage, &release)
                .await?
                .start(stage)
                .await?
                .check(stage)
                .await
        }
        Work::Return(release, warm) => {
            if let Some(warm) = warm
                && let Some(ready) = resumed(stage, &release, &warm).await
            {
                return Ok(ready);
            }
            let cold = startable(stage, &release).await?;
            cold.start(stage).await?.check(stage).await
        }
        Work::Build => {
            branch::still_free(stage, Phase::Receive).await?;
            room::of_what_goes_anyway(stage).await;
            room::for_the_way_back(stage, Phase::Receive).await?;
            let built = build_release(stage).await?;
            room::for_the_way_back(stage, Phase::Start).await?;
            // What says that the release is complete may reach the disk only after the release itself.
            let dir = built.dir.clone();
            let synced = tokio::task::spawn_blocking(move || build::sync_release(&dir));
            let ready = built.start(stage).await?.check(stage).await?;
            match synced.await {
                Ok(synced) => synced.map_err(|error| broken(Phase::Swap, &error))?,
                Err(join) => std::panic::resume_unwind(join.into_panic()),
            }
            kill_point("release.synced");
            remember(stage, ready.release()).await?;
            kill_point("release.remembered");
            Ok(ready)
        }
    }
}

async fn remember(stage: &Stage, release: ReleaseNumber) -> Result<(), Failure> {
    let (app, wanted, deploy) = (
        stage.app().clone(),
        stage.order.wanted.clone(),
        stage.journal().deploy(),
    );
    let added = stage.site.database.run(move |database| {
        let message = wanted.message.as_deref();
        database.add_release(
            &app,
            release,
            &wanted.commit,
            &wanted.subject,
            deploy,
            message,
        )
    });
    added.await.map_err(|error| broken(Phase::Swap, &error))
}

/// A generation that still drains, if it can serve again and is well. If not, it drains on.
async fn resumed(stage: &mut Stage, release: &Release, warm: &Replaced) -> Option<Ready> {
    let resumed = match startable(stage, release).await {
        Ok(startable) => startable.resume(warm).await,
        Err(_) => return None, // told when the fresh start fails of it
    };
    let checked = match resumed {
        Ok(started) => started.check(stage).await,
        Err(error) => {
            let error = &error as &dyn std::error::Error;
            tracing::info!(generation = %warm.generation, error, "generation can't serve again");
            return None;
        }
    };
    match checked {
        Ok(ready) => Some(ready),
        Err(failure) => {
            tracing::warn!(generation = %warm.generation, cause = failure.cause, "generation is not well any more");
            if let Err(error) = warm.keeper.drain(None).await {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(generation = %warm.generation, error, "keeper can't be told to drain");
            }
            None
        }
    }
}

/// A release that was built before.
async fn startable(stage: &Stage, release: &Release) -> Result<Startable, Failure> {
    let dir = stage.paths.release(release.number);
    let read = {
        let dir = dir.clone();
        blocking(move || build::read_built_files(&dir)).await
    };
    let files = read.map_err(StepFailure::from)?;
    let runtime = tools::found_again(stage, &files, &dir).await?;
    Ok(Startable {
        release: release.number,
        commit: release.commit.clone(),
        dir,
        files,
        runtime,
    })
}

/// The first half: from the commit to a directory that can be started.
async fn build_release(stage: &mut Stage) -> Result<Startable, Failure> {
    let turn = async { Ok(turn_to_build(stage).await) };
    let turn = stage.unless_given_up(turn).await?;
    let checked_out = CheckedOut::make(stage).await?;
    let caches = carried::begin(stage, &checked_out.startable.files).await;
    let built = match checked_out.install(stage).await {
        Ok(installed) => installed.build(stage, caches).await?,
        Err(failure) => {
            caches.give_up().await;
            return Err(failure);
        }
    };
    // Nothing that they have sent into the background runs on beside the app.
    stage.end_build().await;
    kill_point("build.strays_ended");
    drop(turn);
    Ok(built)
}

/// As many builds run at once as the machine bears.
async fn turn_to_build(stage: &Stage) -> Turn {
    let told = |before: usize| {
        let place = match before {
            0 => "this is the next".to_owned(),
            1 => "1 waits before this".to_owned(),
            n => format!("{n} wait before this"),
        };
        let reason = format!("for the builds of other apps to end; {place}");
        stage.tell(EventKind::Waiting { reason });
    };
    stage.site.builds.take(told).await
}

/// A release directory with the commit's tree and nothing else.
struct CheckedOut {
    startable: Startable,
    listing: Listing,
}

impl CheckedOut {
    async fn make(stage: &mut Stage) -> Result<Self, Failure> {
        let began = Instant::now();
        let release = stage.number_release().await?;
        let dir = stage.paths.release(release);
        let (repo, commit) = (
            stage.order.app.repo.clone(),
            stage.order.wanted.commit.clone(),
        );
        let (staging, to) = (stage.paths.staging(stage.journal().deploy()), dir.clone());
        let written = blocking(move || {
            let repo = Repo::open(&repo).map_err(CheckoutError::from)?;
            let checkout = build::checkout(&repo, &commit, &staging, &to, &Limits::default())?;
            let files = build::read_app_files(&to)?;
            Ok::<_, StepFailure>((checkout, files))
        });
        let (checkout, files) = written.await?;
        for text in checkout.warnings {
            stage.tell(EventKind::Warned { text });
        }
        for idle in files.idle_types() {
            let text = format!(
                "the process type `{}` of Procfile is not run: only web is, so far",
                idle.name
            );
            stage.tell(EventKind::Warned { text });
        }
        let plural = if checkout.files == 1 { "" } else { "s" };
        let detail = format!("{} file{plural}", checkout.files);
        stage.tell(EventKind::Done {
            phase: Phase::Checkout,
            detail,
            took_ms: Took(began.elapsed()),
        });
        Ok(Self {
            startable: Startable {
                release,
                commit: stage.order.wanted.commit.clone(),
                dir,
                files,
                runtime: stage.site.toolbox.systems(&stage.site.environment),
            },
            listing: checkout.listing,
        })
    }

    async fn install(self, stage: &mut Stage) -> Result<Installed, Failure> {
        let (files, dir) = (&self.startable.files, &self.startable.dir);
        let toolchain = tools::chosen(stage, files, dir).await?;
        install::dependencies(stage, &self.startable, &toolchain, self.listing).await?;
        Ok(Installed {
            startable: self.startable,
            toolchain,
        })
    }
}

/// A release directory with the dependencies that the lockfile names.
struct Installed {
    startable: Startable,
    toolchain: Toolchain,
}

impl Installed {
    async fn build(self, stage: &Stage, carrying: Carrying) -> Result<Startable, Failure> {
        let caches = stage.paths.caches();
        let request = BuildRequest {
            release: &self.startable.dir,
            caches: &caches,
            mark: stage.paths.home(),
            env: &stage.site.environment,
            toolchain: &self.toolchain,
            command: &self.startable.files.build_command(),
            limit: self.startable.files.config.build.timeout,
        };
        let Some(words) = request.words() else {
            return self.built(stage).await;
        };
        stage.tell(EventKind::Began {
            phase: Phase::Build,
            command: Some(words.clone()),
        });
        carrying.place(stage, &self.startable.dir).await?;
        let mut tell = |line| tell_line(stage, line);
        let build = async { build::build(&request, &mut tell).await.map_err(shown) };
        match stage.unless_given_up(build).await? {
            Built::Nothing => {}
            Built::Ran { took } => {
                kill_point("build.done");
                stage.tell(EventKind::Done {
                    phase: Phase::Build,
                    detail: words,
                    took_ms: Took(took),
                });
            }
        }
        self.built(stage).await
    }

    /// What starts it finds what has built it, now and later.
    async fn built(self, stage: &Stage) -> Result<Startable, Failure> {
        let (dir, files) = (&self.startable.dir, &self.startable.files);
        tools::record(dir, &self.toolchain, &files.manager).await?;
        Ok(Startable {
            runtime: self.toolchain.runtime(&stage.site.path()),
            ..self.startable
        })
    }
}

fn tell_line(stage: &Stage, line: Line) {
    stage.tell(EventKind::Output {
        phase: line.phase,
        stream: line.stream,
        line: line.text,
    });
}

/// The failure of a step whose output the pusher has seen as it came.
fn shown(failure: StepFailure) -> Failure {
    failure.already_shown().into()
}
