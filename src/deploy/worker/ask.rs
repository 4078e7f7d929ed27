//! How a wish becomes a deploy, joins one, or turns out to be met already.

use std::sync::Arc;
use std::time::Instant;

use super::{Message, Running, Ticket, Worker};
use crate::deploy::branch::{BranchMove, Refused};
use crate::deploy::cancel;
use crate::deploy::journal::Journal;
use crate::deploy::pipeline::{self, Order, Work};
use crate::deploy::queue::{Admission, Entry, Goal};
use crate::git::Repo;
use crate::ids::{CommitId, DeployNumber, ReleaseNumber};
use crate::process::blocking;
use crate::process::rig::kill_point;
use crate::push::PushOptions;
use crate::report::{EventKind, Origin};
use crate::state::{DeployState, NewDeploy, Release, StateError};

/// What somebody wants.
#[derive(Debug, Clone)]
pub enum Wish {
    /// This commit is to be live.
    Commit {
        /// The commit.
        commit: CommitId,
        /// The first line of its message.
        subject: String,
        /// What the branch named before, where a push moved it.
        from: Option<CommitId>,
        /// What makes the wish.
        origin: Origin,
        /// Who moves the branch.
        branch: BranchMove,
        /// How the pusher wants it done.
        options: PushOptions,
        /// Whose wish it is, where that is known.
        by: Option<String>,
    },
    /// A release that was built before is to be live: this one, or else the last that was.
    Rollback {
        /// Its number.
        to: Option<ReleaseNumber>,
        /// Whose wish it is, where that is known.
        by: Option<String>,
    },
    /// The live release is to be started afresh.
    FreshStart {
        /// Whose wish it is; nobody's where the server itself brings a version up again.
        by: Option<String>,
    },
}

/// What becomes of it.
#[derive(Debug)]
pub enum Answer {
    /// A deploy brings it about; this is its journal.
    Journal(Arc<Journal>),
    /// It is so already.
    AlreadyLive {
        /// The release that is live with that commit.
        release: ReleaseNumber,
        /// Where it can be reached.
        urls: Vec<String>,
    },
    /// The branch has been moved on by a newer push, which deploys its own commit.
    MovedOn {
        /// What the branch names now.
        to: Option<CommitId>,
    },
    /// The push may not move the branch.
    Refused(Refused),
    /// There is no release that could be started afresh.
    NothingToStart,
}

impl Worker {
    pub(super) async fn ask(&mut self, wish: Wish) -> Result<Answer, StateError> {
        match wish {
            Wish::FreshStart { by } => match self.startable_release().await? {
                None => Ok(Answer::NothingToStart),
                Some(release) => {
                    let wanted = self.fresh_start(&release, by);
                    let options = PushOptions::default();
                    self.enqueue(Goal::FreshStart, wanted, BranchMove::Settled, options)
                        .await
                }
            },
            Wish::Rollback { to, by } => self.roll_back(to, by).await,
            Wish::Commit {
                commit,
                subject,
                from,
                origin,
                branch,
                options,
                by,
            } => {
                if let Some(answer) = self.met_already(&commit, origin, &branch).await {
                    return Ok(answer);
                }
                let wanted = NewDeploy {
                    origin,
                    branch: self.app.branch.clone(),
                    commit: commit.clone(),
                    subject,
                    from,
                    moves_branch: branch.by_deploy(),
                    message: options.message.clone(),
                    by,
                };
                let branch = self.seen_by_pusher(branch);
                self.enqueue(Goal::Commit(commit), wanted, branch, options)
                    .await
            }
        }
    }

    async fn met_already(
        &self,
        commit: &CommitId,
        origin: Origin,
        branch: &BranchMove,
    ) -> Option<Answer> {
        if let BranchMove::Gated(force) = branch {
            return self.met_by_gate(commit, force).await;
        }
        match origin {
            // Whoever asks by hand for the commit that is live wants it built again.
            Origin::Command | Origin::Restart | Origin::SwapBack | Origin::Rollback => return None,
            Origin::Push | Origin::Ref => {}
        }
        // Two pushes at once may reach us in either order: what the branch names decides which is the newer.
        let names = self.branch_commit().await;
        if names.as_ref() != Some(commit) {
            return Some(Answer::MovedOn { to: names });
        }
        let live = self
            .live
            .as_ref()
            .filter(|live| live.commit == *commit && self.running.is_none())?;
        Some(self.already_live(live.release))
    }

    pub(super) fn already_live(&self, release: ReleaseNumber) -> Answer {
        Answer::AlreadyLive {
            release,
            urls: self.urls(),
        }
    }

    /// What the deploy branch names. An unreadable repository is told in the log and looks like no branch.
    pub(super) async fn branch_commit(&self) -> Option<CommitId> {
        let (repo, branch) = (self.app.repo.clone(), self.app.branch.clone());
        let read = blocking(move || Repo::open(&repo)?.branch_commit(&branch)).await;
        match read {
            Ok(commit) => commit,
            Err(error) => {
                tracing::warn!(app = %self.name(), error = &error as &dyn std::error::Error, "deploy branch can't be read");
                None
            }
        }
    }

    async fn enqueue(
        &mut self,
        goal: Goal,
        wanted: NewDeploy,
        branch: BranchMove,
        options: PushOptions,
    ) -> Result<Answer, StateError> {
        self.enqueue_for(None, goal, wanted, branch, options).await
    }

    pub(super) async fn enqueue_for(
        &mut self,
        release: Option<Release>,
        goal: Goal,
        wanted: NewDeploy,
        branch: BranchMove,
        options: PushOptions,
    ) -> Result<Answer, StateError> {
        let place = match self.queue.consider(&goal) {
            Admission::Join(number) => {
                self.claim(number, wanted.by).await?;
                let journal = self
                    .open_journal(Some(number))
                    .expect("who is in the queue has a journal");
                return Ok(Answer::Journal(journal));
            }
            Admission::Run => None,
            Admission::Wait { behind, .. } => Some(behind),
        };
        // First of all: what can't be written down changes nothing.
        let mut ticket = self.ticket(wanted, branch, options).await?;
        ticket.release = release;
        let journal = Arc::clone(&ticket.journal);
        if place.is_some() {
            self.supersede(&ticket.wanted.commit).await;
        }
        self.queue.admit(Entry {
            number: journal.deploy(),
            goal,
        });
        match place {
            None => self.begin_or_fail(ticket).await,
            Some(behind) => {
                journal.tell(EventKind::Waiting {
                    reason: format!(
                        "for deploy {behind} of this app to end; this is the next, unless a newer push comes"
                    ),
                });
                self.waiting = Some(ticket);
            }
        }
        Ok(Answer::Journal(journal))
    }

    /// Who joins a deploy that nobody has asked for yet has asked for it.
    async fn claim(&self, number: DeployNumber, by: Option<String>) -> Result<(), StateError> {
        let Some(by) = by else { return Ok(()) };
        let app = self.name().clone();
        self.site
            .database
            .run(move |database| database.claim_deploy(&app, number, &by))
            .await
    }

    pub(super) async fn ticket(
        &self,
        wanted: NewDeploy,
        branch: BranchMove,
        options: PushOptions,
    ) -> Result<Ticket, StateError> {
        let (app, row) = (self.name().clone(), wanted.clone());
        let number: DeployNumber = self
            .site
            .database
            .run(move |database| {
                let number = database.take_deploy(&app)?;
                database.add_deploy(&app, number, &row)?;
                Ok(number)
            })
            .await?;
        kill_point("deploy.added");
        let journal = Journal::create(self.paths.deploy_log(number), self.name().clone(), number);
        journal.tell(EventKind::Accepted {
            origin: wanted.origin,
            branch: wanted.branch.clone(),
            from: self.live.as_ref().map(|live| live.commit.clone()),
            to: wanted.commit.clone(),
            subject: wanted.subject.clone(),
            message: wanted.message.clone(),
            by: wanted.by.clone(),
        });
        kill_point("deploy.accepted");
        Ok(Ticket {
            journal,
            wanted,
            branch,
            options,
            release: None,
            asked: Instant::now(),
        })
    }

    async fn supersede(&mut self, by: &CommitId) {
        let Some(loser) = self.waiting.take() else {
            return;
        };
        let number = loser.journal.deploy();
        let recorded = self.record_end(number, DeployState::Superseded, None).await;
        self.log_trouble(recorded, "deploy that has lost its place can't be recorded");
        loser.journal.tell(EventKind::Superseded { by: by.clone() });
    }

    /// Starts the deploy task for a ticket that has its turn.
    pub(super) async fn begin(&mut self, ticket: Ticket) -> Result<(), StateError> {
        let number = ticket.journal.deploy();
        self.record(number, DeployState::Running).await?;
        kill_point("deploy.running");
        let work = match ticket.wanted.origin {
            Origin::Restart => self
                .startable_release()
                .await?
                .map_or(Work::Build, Work::Start),
            Origin::SwapBack => self.way_back().await?,
            Origin::Rollback => ticket
                .release
                .clone()
                .map_or(Work::Build, |release| self.back_to(release)),
            Origin::Push | Origin::Command | Origin::Ref => Work::Build,
        };
        let order = Order {
            app: self.app.clone(),
            paths: self.paths.clone(),
            store: Arc::clone(&self.store),
            journal: Arc::clone(&ticket.journal),
            wanted: ticket.wanted.clone(),
            work,
            branch: ticket.branch.clone(),
            options: ticket.options.clone(),
            live: self.live.clone(),
        };
        let (cancel, cancelled) = cancel::pair();
        let task = pipeline::spawn(Arc::clone(&self.site), order, cancelled);
        self.when(async move {
            let ended = task
                .await
                .expect("the outer task only waits for the one that may panic");
            Message::Ended(number, Box::new(ended))
        });
        self.running = Some(Running { ticket, cancel });
        Ok(())
    }

    /// The release that a fresh start means: the live one, else the newest.
    async fn startable_release(&self) -> Result<Option<Release>, StateError> {
        let (app, live) = (
            self.app.clone(),
            self.live.as_ref().map(|live| live.release),
        );
        self.site
            .database
            .run(move |database| {
                let remembered = database.generations(&app.name)?;
                let remembered = remembered
                    .iter()
                    .find(|row| Some(row.number) == app.live)
                    .map(|row| row.release);
                let releases = database.releases(&app.name)?;
                let wanted = live
                    .or(remembered)
                    .or(releases.last().map(|newest| newest.number));
                Ok(releases
                    .into_iter()
                    .find(|release| Some(release.number) == wanted))
            })
            .await
    }

    fn fresh_start(&self, release: &Release, by: Option<String>) -> NewDeploy {
        NewDeploy {
            origin: Origin::Restart,
            branch: self.app.branch.clone(),
            commit: release.commit.clone(),
            subject: release.subject.clone(),
            from: None,
            moves_branch: false,
            message: None,
            by,
        }
    }
}
