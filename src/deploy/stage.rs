//! What the phases of one deploy share: where they are told, and what must be taken back if one of them fails.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use super::cancel::{Cancelled, Why, given_up};
use super::journal::Journal;
use super::launch::Live;
use super::pipeline::Order;
use super::recovery;
use super::retire::end_orphans;
use super::site::Site;
use super::upkeep::Trees;
use crate::build;
use crate::ids::{AppName, GenerationNumber, ReleaseNumber};
use crate::keep::{Keeper, Spec};
use crate::paths::AppPaths;
use crate::process::blocking;
use crate::process::rig::kill_point;
use crate::report::{EventKind, Failure, Phase, with_causes};
use crate::store::{EntryId, Pending, Store};

/// How long a keeper that was about to end by itself may take for it.
const LAST_BREATH: Duration = Duration::from_secs(5);

/// One deploy at work.
pub(super) struct Stage {
    pub(super) site: Arc<Site>,
    pub(super) paths: AppPaths,
    pub(super) order: Order,
    cancelled: Cancelled,
    traces: Traces,
    trees: Trees,
}

/// What the deploy has made so far.
#[derive(Debug, Default)]
struct Traces {
    release: Option<ReleaseNumber>,
    generation: Option<GenerationNumber>,
    keeper: Option<Arc<Keeper>>,
}

impl Stage {
    pub(super) fn new(site: Arc<Site>, order: Order, cancelled: Cancelled) -> Self {
        Self {
            paths: order.paths.clone(),
            site,
            order,
            cancelled,
            traces: Traces::default(),
            trees: Trees::default(),
        }
    }

    /// Remembers which stored tree was laid out.
    pub(super) fn used_tree(&mut self, id: EntryId) {
        self.trees = Trees::Used(id);
    }

    /// Remembers the tree that the install has made, until the deploy has ended.
    pub(super) fn made_tree(&mut self, tree: Pending) {
        self.trees = Trees::Made(Box::new(tree));
    }

    pub(super) fn take_trees(&mut self) -> Trees {
        std::mem::take(&mut self.trees)
    }

    /// Waits for what takes its time, unless the deploy is given up meanwhile. Only for work that ends with its future:
    /// what writes files or rows, or starts a keeper, is waited for, so that nothing is made after [`Stage::undo`].
    pub(super) async fn unless_given_up<T>(
        &self,
        work: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        let mut cancelled = self.cancelled.clone();
        tokio::select! {
            biased;
            why = cancelled.wished() => Err(self.failure_of(&why)),
            done = work => done,
        }
    }

    /// Whether the deploy has been given up, for work that looks for itself.
    pub(super) fn cancelled(&self) -> Cancelled {
        self.cancelled.clone()
    }

    /// Fails if the deploy has been given up.
    pub(super) fn go_on(&self) -> Result<(), Failure> {
        self.cancelled
            .already()
            .map_or(Ok(()), |why| Err(self.failure_of(&why)))
    }

    fn failure_of(&self, why: &Why) -> Failure {
        given_up(&self.order.branch, self.journal().under_way(), why)
    }

    pub(super) fn app(&self) -> &AppName {
        &self.order.app.name
    }

    pub(super) fn journal(&self) -> &Arc<Journal> {
        &self.order.journal
    }

    pub(super) fn tell(&self, kind: EventKind) {
        self.order.journal.tell(kind);
    }

    /// What was live when the deploy began, and is until it is replaced.
    pub(super) fn live(&self) -> Option<&Arc<Live>> {
        self.order.live.as_ref()
    }

    /// The `Host` that the health check asks for.
    pub(super) fn host(&self) -> String {
        self.order
            .app
            .hosts
            .first()
            .map_or_else(|| "localhost".to_owned(), ToString::to_string)
    }

    /// Numbers the release that is about to be made.
    pub(super) async fn number_release(&mut self) -> Result<ReleaseNumber, Failure> {
        let app = self.app().clone();
        let next = self
            .site
            .database
            .run(move |database| database.next_release(&app))
            .await;
        let number = next.map_err(|error| broken(Phase::Checkout, &error))?;
        self.traces.release = Some(number);
        kill_point("release.numbered");
        Ok(number)
    }

    /// Numbers a generation and announces it, so that a start after a crash finds what was begun.
    pub(super) async fn announce_generation(
        &mut self,
        release: ReleaseNumber,
    ) -> Result<GenerationNumber, Failure> {
        let (app, deploy) = (self.app().clone(), self.journal().deploy());
        let announced = self.site.database.run(move |database| {
            let number = database.take_generation(&app)?;
            database.add_generation(&app, number, release, deploy)?;
            Ok(number)
        });
        let number = announced
            .await
            .map_err(|error| broken(Phase::Start, &error))?;
        self.traces.generation = Some(number);
        kill_point("generation.announced");
        Ok(number)
    }

    /// Starts the keeper of an announced generation.
    pub(super) async fn start_keeper(
        &mut self,
        generation: GenerationNumber,
        spec: Spec,
    ) -> Result<Arc<Keeper>, Failure> {
        let group = spec.socket_group;
        let paths = self.paths.clone();
        blocking(move || crate::slot::prepare(&paths, group))
            .await
            .map_err(|error| broken(Phase::Start, &error))?;
        let started = Keeper::start(
            &self.site.executable,
            &self.paths.generation(generation),
            &spec,
        )
        .await;
        let keeper = Arc::new(started.map_err(|error| broken(Phase::Start, &error))?);
        self.traces.keeper = Some(Arc::clone(&keeper));
        kill_point("keeper.ready");
        Ok(keeper)
    }

    /// How many instances: what `handover scale` has said, else what the app's author has set.
    pub(super) async fn instances(&self, authors: u32) -> Result<u32, Failure> {
        let app = self.app().clone();
        let row = self
            .site
            .database
            .run(move |database| database.app(&app))
            .await;
        Ok(row
            .map_err(|error| broken(Phase::Start, &error))?
            .instances
            .unwrap_or(authors))
    }

    /// Remembers what the rename has made true. If that fails the next start learns it from `live.sock`.
    pub(super) async fn record_live(&mut self, generation: GenerationNumber) {
        self.traces = Traces::default();
        let app = self.app().clone();
        let recorded = self
            .site
            .database
            .run(move |database| database.set_live(&app, generation));
        if let Err(error) = recorded.await {
            tracing::error!(app = %self.app(), %generation, error = &error as &dyn std::error::Error, "swap can't be recorded");
        }
    }

    /// Ends what an install or a build has started and its own group does not hold.
    pub(super) async fn end_build(&self) {
        match build::end_strays(self.paths.home()).await {
            Ok(0) => {}
            Ok(count) => {
                tracing::warn!(app = %self.app(), count, "processes of the build had left its group and were ended");
            }
            Err(error) => {
                tracing::error!(app = %self.app(), %error, "processes of the build can't be ended");
            }
        }
    }

    /// Takes back everything that the deploy has made. What can't be taken back is told in the log and swept at the
    /// next start.
    pub(super) async fn undo(&mut self) {
        let traces = std::mem::take(&mut self.traces);
        if let Some(keeper) = &traces.keeper {
            stop_keeper(keeper).await;
        }
        if let Some(generation) = traces.generation {
            // Where the keeper was killed, its instances are still there.
            end_orphans(self.app(), &self.paths, generation, Some(Duration::ZERO)).await;
        }
        kill_point("undo.keeper_stopped");
        let (paths, app, database) = (
            self.paths.clone(),
            self.app().clone(),
            self.site.database.clone(),
        );
        let staging = self.paths.staging(self.journal().deploy());
        let remover = Arc::clone(&self.site.remover);
        let store = Arc::clone(&self.order.store);
        let mut trees = self.take_trees();
        self.end_build().await;
        self.trees = blocking(move || {
            // It needs the release.
            trees.write();
            if let Some(generation) = traces.generation {
                recovery::clear_away(&paths, generation);
                log(
                    database.remove_generation(&app, generation),
                    "generation can't be forgotten",
                );
            }
            kill_point("undo.generation_forgotten");
            if let Some(release) = traces.release {
                // It may have been remembered just before the swap was refused. As long as it is, it stays.
                match database.remove_release(&app, release) {
                    Ok(()) => {
                        kill_point("undo.release_forgotten");
                        give_back(&store, trees.used(), &paths.release(release));
                        let removed = remover.remove(&paths.release(release));
                        log(removed, "release can't be removed");
                    }
                    error => log(error, "release can't be forgotten"),
                }
            }
            log(
                remover.remove(&staging),
                "staging directory can't be removed",
            );
            trees
        })
        .await;
    }
}

/// The tree that a failed deploy has used is of use again, as far as it is still what it was.
fn give_back(store: &Store, used: Option<EntryId>, release: &Path) {
    let given = match used.map(|id| store.open(id)) {
        Some(Ok(Some(entry))) => store.donate(&entry, release),
        Some(Err(error)) => Err(error),
        Some(Ok(None)) | None => Ok(()),
    };
    log(given, "stored tree can't be taken back");
}

/// Stops a keeper and waits for its end, which its own limits bound.
pub(super) async fn stop_keeper(keeper: &Keeper) {
    if let Err(error) = keeper.stop().await
        && timeout(LAST_BREATH, keeper.gone()).await.is_err()
    {
        let error = &error as &dyn std::error::Error;
        tracing::error!(error, "keeper can't be told to stop");
        return;
    }
    gone(keeper).await;
}

/// Returns when a keeper has ended.
pub(super) async fn gone(keeper: &Keeper) {
    if let Err(error) = keeper.gone().await {
        tracing::error!(
            error = &error as &dyn std::error::Error,
            "keeper can't be watched"
        );
        std::future::pending::<()>().await;
    }
}

/// A failure that is ours and not the app's.
pub(super) fn broken(phase: Phase, error: &dyn std::error::Error) -> Failure {
    Failure::new(phase, format!("failed to {}", with_causes(error)))
        .hint("this is a fault of the server, not of the app: see `handover doctor`")
}

fn log<E: std::error::Error + 'static>(result: Result<(), E>, message: &'static str) {
    if let Err(error) = result {
        tracing::error!(error = &error as &dyn std::error::Error, message);
    }
}
