//! What follows when something has ended: a deploy, a keeper, a drain.

use std::sync::Arc;
use std::time::Duration;

use super::mend::MEND_AFTER;
use super::{Message, REVIVE_AFTER, Ticket, Worker};
use crate::deploy::branch::{BranchMove, Moved};
use crate::deploy::cancel::stopping_failure;
use crate::deploy::journal::Journal;
use crate::deploy::launch::NewlyLive;
use crate::deploy::launch::Replaced;
use crate::deploy::pipeline::Outcome;
use crate::deploy::retire::Ended;
use crate::deploy::stage::broken;
use crate::deploy::upkeep::{Trees, Upkeep};
use crate::git::{Repo, SetBranch};
use crate::ids::{DeployNumber, GenerationNumber, ReleaseNumber};
use crate::process::blocking;
use crate::process::rig::kill_point;
use crate::push::PushOptions;
use crate::report::{EventKind, Failure, Origin, Phase};
use crate::state::{DeployState, StateError};
use crate::time::Took;

use super::ask::{Answer, Wish};

/// The longest pause before a lost generation is started again.
const REVIVE_AT_MOST: Duration = Duration::from_secs(60);

impl Worker {
    /// A deploy task has ended: what it brought about becomes what is live, and only then is the verdict told.
    pub(super) async fn ended(&mut self, number: DeployNumber, outcome: Outcome, trees: Trees) {
        let Some(running) = self
            .running
            .take_if(|running| running.ticket.journal.deploy() == number)
        else {
            return;
        };
        let recorded = match outcome {
            Outcome::Live(newly, moved) => {
                self.refused = match moved {
                    Moved::Settled => None,
                    // What it names is not wanted just because it is still named.
                    Moved::Stuck => self.branch_commit().await,
                };
                self.went_live(running.ticket, *newly, moved, trees).await
            }
            Outcome::Failed(failure) => {
                tokio::spawn(self.upkeep().after_failure(trees));
                self.failed(running.ticket, failure).await
            }
        };
        self.log_trouble(recorded, "deploy can't be recorded");
        self.mend_soon();
        if self.begin_swap_back().await {
            return;
        }
        self.queue.next();
        match self.waiting.take() {
            Some(ticket) if self.stopping.is_none() => self.begin_or_fail(ticket).await,
            Some(ticket) => {
                let failure = stopping_failure(&ticket.branch);
                self.end_waiting(&ticket.journal, failure).await;
            }
            None => {
                self.revive().await;
                self.look().await;
            }
        }
    }

    /// A deploy that has its turn begins, or ends at once.
    pub(super) async fn begin_or_fail(&mut self, ticket: Ticket) {
        let journal = Arc::clone(&ticket.journal);
        if let Err(error) = self.begin(ticket).await {
            self.queue.next();
            self.end_waiting(&journal, broken(Phase::Receive, &error))
                .await;
        }
    }

    /// A deploy whose branch has yet to follow is live, and has not ended: recovery leads the branch, and ends it.
    async fn went_live(
        &mut self,
        ticket: Ticket,
        newly: NewlyLive,
        moved: Moved,
        trees: Trees,
    ) -> Result<(), StateError> {
        let (release, generation) = (newly.live.release, newly.live.generation);
        let before = self.live.as_ref().map(|live| live.release);
        self.draining.remove(&generation); // it serves again
        match ticket.wanted.origin {
            Origin::SwapBack => {
                let recorded = self.swapped_back(&newly.live).await;
                self.log_trouble(recorded, "way back can't be recorded");
            }
            Origin::Push | Origin::Command | Origin::Ref | Origin::Restart | Origin::Rollback => {
                self.put_on_trial(&newly.live, newly.events, newly.watch_for, &ticket.journal);
            }
        }
        self.revive_after = REVIVE_AFTER;
        self.mend_after = MEND_AFTER;
        self.app.live = Some(generation);
        self.set_live(newly.live);
        if let Some(replaced) = newly.replaced {
            self.await_retirement(replaced);
        }
        for (lost, release) in std::mem::take(&mut self.lost) {
            self.bury(lost, release, None);
        }
        self.publish_route();
        let recorded = match moved {
            Moved::Settled => {
                let (number, state) = (ticket.journal.deploy(), DeployState::Live { release });
                self.record_end(number, state, before).await
            }
            Moved::Stuck => Ok(()),
        };
        kill_point("deploy.ended");
        let took_ms = Took(ticket.asked.elapsed());
        ticket.journal.tell(EventKind::Live {
            release,
            generation,
            urls: self.urls(),
            took_ms,
        });
        kill_point("deploy.told");
        let spared = self.trial.as_ref().map(|trial| trial.former.release);
        tokio::spawn(self.upkeep().after_success(trees, spared));
        recorded
    }

    async fn failed(&mut self, ticket: Ticket, mut failure: Failure) -> Result<(), StateError> {
        let state = DeployState::Failed {
            phase: failure.phase,
            cause: failure.cause.clone(),
        };
        failure.serving = self.live.as_ref().map(|live| live.release);
        let number = ticket.journal.deploy();
        let recorded = self.record_end(number, state, failure.serving).await;
        kill_point("deploy.failed");
        match ticket.wanted.origin {
            Origin::Push | Origin::Ref if self.stopping.is_none() && !ticket.branch.by_deploy() => {
                self.refused = Some(ticket.wanted.commit.clone());
                failure.hints.extend(self.put_branch_back(&ticket).await);
            }
            Origin::Restart => self.revive_later(),
            Origin::SwapBack => self.not_swapped_back(&failure),
            Origin::Push | Origin::Ref | Origin::Command | Origin::Rollback => {}
        }
        ticket.journal.tell(EventKind::Failed(failure));
        recorded
    }

    /// The branch names the live commit again, so that the same commit can be pushed again. A branch that a newer push
    /// has moved on is left alone. Gives what to tell the pusher.
    async fn put_branch_back(&self, ticket: &Ticket) -> Option<String> {
        let live = self.live.as_ref().map(|live| live.commit.clone());
        let (repo, branch, failed) = (
            self.app.repo.clone(),
            self.app.branch.clone(),
            ticket.wanted.commit.clone(),
        );
        if live.as_ref() == Some(&failed) {
            return None;
        }
        let back = live.clone();
        let moved = blocking(move || {
            let why = format!("handover: the deploy of {} failed", failed.short());
            Repo::open(&repo)?.compare_and_set_branch(&branch, Some(&failed), back.as_ref(), &why)
        });
        let branch = &self.app.branch;
        match moved.await {
            Ok(SetBranch::Done) => Some(match live {
                Some(live) => format!(
                    "{branch} is back at {}; push the same commit again to try again",
                    live.short()
                ),
                None => {
                    format!("{branch} was removed again; push the same commit again to try again")
                }
            }),
            Ok(SetBranch::Differs { .. }) => None,
            Err(error) => {
                tracing::warn!(app = %self.name(), error = &error as &dyn std::error::Error, "branch can't be put back");
                Some(format!(
                    "{branch} still names the failed commit; to try again: handover deploy {}",
                    self.name()
                ))
            }
        }
    }

    /// A keeper is gone: as it should be, if its generation was draining; a loss, if it was live.
    pub(super) async fn keeper_gone(&mut self, generation: GenerationNumber) {
        if let Some(replaced) = self.draining.remove(&generation) {
            return self.retired(replaced);
        }
        let Some(live) = self
            .live
            .as_ref()
            .filter(|live| live.generation == generation)
        else {
            return;
        };
        tracing::error!(app = %self.name(), %generation, "keeper of the live generation is gone");
        if self.stopping.is_none() && self.running.is_none() && live.keeper.has_ended() {
            self.revive().await;
        }
    }

    fn retired(&mut self, replaced: Replaced) {
        self.bury(replaced.generation, replaced.release, replaced.journal);
    }

    /// Clears away a generation whose keeper has ended, in a task of its own: orphans may take their time.
    fn bury(
        &mut self,
        generation: GenerationNumber,
        release: ReleaseNumber,
        journal: Option<Arc<Journal>>,
    ) {
        let ended = Ended {
            app: self.name().clone(),
            paths: self.paths.clone(),
            generation,
            release,
            journal,
        };
        self.bury_ended(ended);
    }

    pub(super) fn bury_ended(&mut self, ended: Ended) {
        let (site, generation) = (Arc::clone(&self.site), ended.generation);
        self.burying.insert(generation);
        self.when(async move {
            ended.bury(site).await;
            Message::Buried(generation)
        });
    }

    /// Starts what should be live and is not.
    pub(super) async fn revive(&mut self) {
        let lost = self
            .live
            .as_ref()
            .is_some_and(|live| live.keeper.has_ended());
        let never_started = self.live.is_none() && self.app.live.is_some();
        if (lost || never_started) && self.running.is_none() && self.stopping.is_none() {
            let asked = self.ask(Wish::FreshStart { by: None }).await.map(drop);
            self.log_trouble(asked, "lost generation can't be started again");
        }
    }

    fn revive_later(&mut self) {
        let pause = self.revive_after;
        self.revive_after = (pause * 2).min(REVIVE_AT_MOST);
        self.when(async move {
            tokio::time::sleep(pause).await;
            Message::Revive
        });
    }

    /// Levels, not edges: whatever was missed, a branch that names another commit than the live one is deployed.
    pub(super) async fn look(&mut self) {
        if self.running.is_some() || self.stopping.is_some() {
            return;
        }
        let Some(commit) = self.branch_commit().await else {
            return;
        };
        if self.live.as_ref().map(|live| &live.commit) == Some(&commit) {
            self.refused = None;
            return;
        }
        if self.refused.as_ref() == Some(&commit) {
            return;
        }
        tracing::info!(app = %self.name(), %commit, "branch names a commit that is not live");
        let (repo, id) = (self.app.repo.clone(), commit.clone());
        let info = blocking(move || Repo::open(&repo)?.commit_info(&id)).await;
        let subject = info.map_or_else(|_| String::new(), |info| info.subject);
        let answer = self
            .ask(Wish::Commit {
                commit,
                subject,
                from: None,
                origin: Origin::Ref,
                branch: BranchMove::Settled,
                options: PushOptions::default(),
                by: None,
            })
            .await;
        match answer {
            Ok(
                Answer::Journal(_)
                | Answer::AlreadyLive { .. }
                | Answer::MovedOn { .. }
                | Answer::Refused(_)
                | Answer::NothingToStart,
            ) => {}
            Err(error) => self.log_trouble(Err(error), "branch can't be deployed"),
        }
    }

    fn upkeep(&self) -> Upkeep {
        Upkeep {
            site: Arc::clone(&self.site),
            app: self.name().clone(),
            paths: self.paths.clone(),
            store: Arc::clone(&self.store),
        }
    }

    /// What could not be written down now is seen and mended later.
    pub(super) fn log_trouble(&mut self, result: Result<(), StateError>, message: &'static str) {
        if let Err(error) = result {
            tracing::error!(app = %self.name(), error = &error as &dyn std::error::Error, message);
            self.mend_soon();
        }
    }
}
