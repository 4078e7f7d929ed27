//! One worker per app: it owns the app's queue, what is live and what is draining, and nobody else changes them.
//!
//! ```text
//!   ask ───────────────► queue ──► deploy task ──ended──► live ──keeper gone──► ask for a fresh start
//!   look (ref ≠ live) ──►      ▲                     └────► draining ──keeper gone──► forgotten
//!                              └───── swap back ◄── trial fails
//! ```
//!
//! The worker never waits for a deploy: it is told when one has ended, as it is told everything else.

mod ask;
mod ended;
mod gate;
mod handle;
mod mend;
mod record;
mod rollback;
mod status;
mod swap_back;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};

pub use ask::{Answer, Wish};
pub use handle::Handle;

use super::branch::BranchMove;
use super::cancel::{Cancel, Why, stopping_failure};
use super::journal::Journal;
use super::launch::{Live, Replaced};
use super::pipeline::Outcome;
use super::queue::Queue;
use super::recovery::Found;
use super::retire::Ended;
use super::site::{AppRoute, Site};
use super::stage::{gone, stop_keeper};
use super::status::AppStatus;
use super::trial::{self, Trial};
use super::upkeep::Trees;
use crate::ids::{AppName, CommitId, DeployNumber, GenerationNumber, ReleaseNumber};
use crate::paths::AppPaths;
use crate::process::blocking;
use crate::push::PushOptions;
use crate::report::{EventKind, Failure};
use crate::slot;
use crate::state::{App, DeployState, NewDeploy, Release, StateError};
use crate::store::Store;

/// How soon a lost generation is started again after a fresh start that failed; doubled each time, up to a minute.
const REVIVE_AFTER: Duration = Duration::from_secs(2);

/// What a worker is asked and told.
#[derive(Debug)]
pub(super) enum Message {
    /// Somebody wants something deployed.
    Ask(Wish, oneshot::Sender<Result<Answer, StateError>>),
    /// The branch may have moved.
    Look,
    /// How is the app?
    Status(oneshot::Sender<AppStatus>),
    /// What is live?
    Live(oneshot::Sender<Option<Arc<Live>>>),
    /// The deploy that runs is to be given up, because somebody (who, where that is known) wishes it. Its journal.
    Cancel(Option<String>, oneshot::Sender<Option<Arc<Journal>>>),
    /// The journal of a deploy that has not ended; of the one that runs, where no number is given.
    Journal(Option<DeployNumber>, oneshot::Sender<Option<Arc<Journal>>>),
    /// The app's host names or its number of instances have changed.
    Changed(App),
    /// The deploy task has ended.
    Ended(DeployNumber, Box<(Outcome, Trees)>),
    /// A keeper is gone.
    KeeperGone(GenerationNumber),
    /// What a keeper had left is cleared away.
    Buried(GenerationNumber),
    /// It is time to look whether everything is as it should be.
    Mend(mend::Look),
    /// A generation has proved itself, or has not.
    TrialOver(GenerationNumber, trial::Verdict),
    /// It is time to start a lost generation again.
    Revive,
    /// The deploy that runs is to be given up, all keepers are to be stopped, and the worker is to end.
    Stop(oneshot::Sender<()>),
}

/// A deploy that has its place in the queue.
#[derive(Debug)]
struct Ticket {
    journal: Arc<Journal>,
    wanted: NewDeploy,
    branch: BranchMove,
    options: PushOptions,
    /// The release to go back to, where that is what was asked for.
    release: Option<Release>,
    asked: Instant,
}

/// The deploy that runs.
#[derive(Debug)]
struct Running {
    ticket: Ticket,
    cancel: Cancel,
}

/// The worker of one app.
#[derive(Debug)]
pub(super) struct Worker {
    site: Arc<Site>,
    app: App,
    paths: AppPaths,
    store: Arc<Store>,
    queue: Queue,
    running: Option<Running>,
    waiting: Option<Ticket>,
    live: Option<Arc<Live>>,
    draining: BTreeMap<GenerationNumber, Replaced>,
    /// Generations whose keeper is gone and that are being cleared away.
    burying: BTreeSet<GenerationNumber>,
    /// Generations that were live, and whose keeper was gone when the server started: their instances may serve on
    /// until something else does.
    lost: Vec<(GenerationNumber, ReleaseNumber)>,
    /// What is live has yet to prove itself.
    trial: Option<Trial>,
    /// The commit whose deploy failed last: it is not tried again just because the branch still names it.
    refused: Option<CommitId>,
    /// Deploys that have ended, as the database has yet to learn; with the release that was live before.
    unrecorded: BTreeMap<DeployNumber, (DeployState, Option<ReleaseNumber>)>,
    revive_after: Duration,
    mend_after: Duration,
    stopping: Option<oneshot::Sender<()>>,
    inbox: mpsc::UnboundedReceiver<Message>,
    me: mpsc::WeakUnboundedSender<Message>,
}

impl Worker {
    /// Starts the worker of an app, with what has been found running.
    fn start(site: Arc<Site>, app: App, found: Found) -> Handle {
        let (sender, inbox) = mpsc::unbounded_channel();
        let paths = site.layout.app(&app.name);
        let store = Arc::new(Store::at(paths.store()));
        let mut worker = Self {
            store: Arc::clone(&store),
            paths,
            site,
            app,
            queue: Queue::default(),
            running: None,
            waiting: None,
            live: None,
            draining: BTreeMap::new(),
            burying: BTreeSet::new(),
            lost: found.lost,
            trial: None,
            refused: None,
            unrecorded: BTreeMap::new(),
            revive_after: REVIVE_AFTER,
            mend_after: mend::MEND_AFTER,
            stopping: None,
            inbox,
            me: sender.downgrade(),
        };
        worker.take_over(found.draining, found.ended);
        worker.mend_later();
        if let Some(live) = found.live {
            worker.set_live(live);
        }
        if let Some(unfinished) = found.trial {
            worker.go_on_watching(unfinished);
        }
        worker.publish_route();
        if worker.live.is_none() && worker.app.live.is_some() {
            let _ = sender.send(Message::Revive); // the worker is about to receive it
        }
        tokio::spawn(worker.run());
        Handle {
            inbox: sender,
            store,
        }
    }

    async fn run(mut self) {
        while let Some(message) = self.inbox.recv().await {
            match message {
                Message::Ask(wish, reply) => {
                    let answer = self.ask(wish).await;
                    let _ = reply.send(answer); // who asked may have gone
                }
                Message::Look => self.look().await,
                Message::Status(reply) => self.tell_status(reply),
                Message::Live(reply) => {
                    let _ = reply.send(self.live.clone()); // likewise
                }
                Message::Cancel(by, reply) => {
                    let _ = reply.send(self.cancel(by)); // likewise
                }
                Message::Journal(number, reply) => {
                    let _ = reply.send(self.open_journal(number)); // likewise
                }
                Message::Changed(app) => {
                    self.app = app;
                    self.publish_route();
                }
                Message::Ended(number, ended) => {
                    let (outcome, trees) = *ended;
                    self.ended(number, outcome, trees).await;
                }
                Message::KeeperGone(generation) => self.keeper_gone(generation).await,
                Message::Buried(generation) => {
                    self.burying.remove(&generation);
                    self.mend_soon();
                }
                Message::Mend(look) => self.mend_for(look).await,
                Message::TrialOver(generation, verdict) => {
                    self.trial_over(generation, verdict).await;
                }
                Message::Revive => self.revive().await,
                Message::Stop(reply) => self.begin_stop(reply).await,
            }
            if self.stopping.is_some() && self.running.is_none() {
                return self.finish_stop().await;
            }
        }
    }

    fn name(&self) -> &AppName {
        &self.app.name
    }

    /// Sends a message to this worker when `event` has come to pass.
    fn when(&self, event: impl Future<Output = Message> + Send + 'static) {
        let me = self.me.clone();
        tokio::spawn(async move {
            let message = event.await;
            if let Some(me) = me.upgrade() {
                let _ = me.send(message); // the worker has ended
            }
        });
    }

    fn cancel(&self, by: Option<String>) -> Option<Arc<Journal>> {
        let running = self.running.as_ref()?;
        running.cancel.cancel(Why::Wished { by });
        Some(Arc::clone(&running.ticket.journal))
    }

    fn open_journal(&self, number: Option<DeployNumber>) -> Option<Arc<Journal>> {
        let running = self.running.as_ref().map(|running| &running.ticket.journal);
        let waiting = self.waiting.as_ref().map(|waiting| &waiting.journal);
        match number {
            None => running.cloned(),
            Some(number) => [running, waiting]
                .into_iter()
                .flatten()
                .find(|journal| journal.deploy() == number)
                .cloned(),
        }
    }

    fn set_live(&mut self, live: Live) {
        let live = Arc::new(live);
        let watched = Arc::clone(&live);
        self.when(async move {
            gone(&watched.keeper).await;
            Message::KeeperGone(watched.generation)
        });
        self.live = Some(live);
    }

    fn await_retirement(&mut self, replaced: Replaced) {
        let (generation, keeper) = (replaced.generation, Arc::clone(&replaced.keeper));
        self.when(async move {
            gone(&keeper).await;
            Message::KeeperGone(generation)
        });
        self.draining.insert(generation, replaced);
    }

    fn publish_route(&self) {
        let route = AppRoute {
            socket: self.paths.live_socket(),
            hosts: self.app.hosts.clone(),
            live: self.live.as_ref().map(|live| live.generation),
        };
        self.site.routes.send_modify(|routes| {
            routes.insert(self.app.name.clone(), route);
        });
    }

    fn urls(&self) -> Vec<String> {
        self.site.urls(&self.app.hosts)
    }

    /// Gives up what runs; [`Worker::finish_stop`] comes when it has ended.
    async fn begin_stop(&mut self, reply: oneshot::Sender<()>) {
        self.stopping = Some(reply);
        if let Some(waiting) = self.waiting.take() {
            let failure = stopping_failure(&waiting.branch);
            self.end_waiting(&waiting.journal, failure).await;
        }
        if let Some(running) = &self.running {
            running.cancel.cancel(Why::Stopping);
        }
    }

    /// A deploy that waited does not get its turn.
    async fn end_waiting(&mut self, journal: &Journal, failure: Failure) {
        let state = DeployState::Failed {
            phase: failure.phase,
            cause: failure.cause.clone(),
        };
        let recorded = self.record_end(journal.deploy(), state, None).await;
        self.log_trouble(recorded, "end of a waiting deploy can't be recorded");
        journal.tell(EventKind::Failed(failure));
    }

    async fn finish_stop(&mut self) {
        let live = self.live.take();
        let live = live.iter().map(|live| {
            (
                live.generation,
                live.release,
                Some(Arc::clone(&live.keeper)),
            )
        });
        let draining = self.draining.values();
        let draining =
            draining.map(|old| (old.generation, old.release, Some(Arc::clone(&old.keeper))));
        let lost = self
            .lost
            .iter()
            .map(|&(generation, release)| (generation, release, None));
        let ends = live
            .chain(draining)
            .chain(lost)
            .map(|(generation, release, keeper)| {
                let (app, paths) = (self.name().clone(), self.paths.clone());
                let ended = Ended {
                    app,
                    paths,
                    generation,
                    release,
                    journal: None,
                };
                async move {
                    if let Some(keeper) = keeper {
                        stop_keeper(&keeper).await;
                    }
                    // Where the keeper was killed before, its instances are still there.
                    ended.retire_orphans(Some(Duration::ZERO)).await;
                }
            });
        futures_util::future::join_all(ends.collect::<Vec<_>>()).await;
        // A name that leads to nobody: whoever connects is to learn that there is no such app just now.
        let paths = self.paths.clone();
        if let Err(error) = blocking(move || slot::unpublish(&paths)).await {
            tracing::warn!(app = %self.name(), error = &error as &dyn std::error::Error, "app can't be taken off its name");
        }
        self.site.routes.send_modify(|routes| {
            routes.remove(&self.app.name);
        });
        if let Some(reply) = self.stopping.take() {
            let _ = reply.send(()); // who asked may have gone
        }
    }
}
