//! What is live is on trial, and what follows where it fails: the way back.

use std::sync::Arc;
use std::time::Duration;

use super::{Message, Worker};
use crate::deploy::branch::BranchMove;
use crate::deploy::journal::Journal;
use crate::deploy::launch::Live;
use crate::deploy::pipeline::Work;
use crate::deploy::queue::{Entry, Goal};
use crate::deploy::trial::{self, Former, State, Trial, Unfinished, Verdict};
use crate::git::{Repo, SetBranch};
use crate::ids::{CommitId, GenerationNumber};
use crate::keep::Watch;
use crate::process::blocking;
use crate::push::PushOptions;
use crate::report::{EventKind, Failure, Origin};
use crate::state::{DeployState, NewDeploy, Release, StateError};

impl Worker {
    /// What is about to be live is watched, if there is something to go back to. Whatever was watched is not any more.
    pub(super) fn put_on_trial(
        &mut self,
        next: &Live,
        events: Watch,
        watch_for: Duration,
        journal: &Arc<Journal>,
    ) {
        let before = self.trial.take();
        let live = self.live.as_deref().map(Former::of);
        let former = live.and_then(|live| trial::former(live, before, next.release));
        let (Some(former), false) = (former, watch_for.is_zero()) else {
            return;
        };
        let (generation, keeper) = (next.generation, Arc::clone(&next.keeper));
        self.trial = Some(Trial {
            generation,
            former,
            journal: Arc::clone(journal),
            state: State::Watched,
        });
        self.when(async move {
            let verdict = trial::watch(events, keeper, watch_for).await;
            Message::TrialOver(generation, verdict)
        });
    }

    /// The server has started again during a trial.
    pub(super) fn go_on_watching(&mut self, unfinished: Unfinished) {
        let Some(live) = &self.live else { return };
        let (generation, keeper) = (live.generation, Arc::clone(&live.keeper));
        self.trial = Some(Trial {
            generation,
            former: unfinished.former,
            journal: unfinished.journal,
            state: State::Watched,
        });
        self.when(async move {
            let verdict = trial::watch_on(keeper, unfinished.left).await;
            Message::TrialOver(generation, verdict)
        });
    }

    /// A trial is over. That of a generation that has been replaced meanwhile means nothing any more.
    pub(super) async fn trial_over(&mut self, generation: GenerationNumber, verdict: Verdict) {
        let app = self.app.name.clone();
        let Some(trial) = self
            .trial
            .as_mut()
            .filter(|trial| trial.generation == generation)
        else {
            return;
        };
        match verdict {
            Verdict::Stays => {
                tracing::info!(%app, %generation, "new version has stayed up");
                self.trial = None;
            }
            Verdict::Fails(cause) => {
                tracing::error!(%app, %generation, cause, "new version does not stay up");
                trial.state = State::Failed(cause);
                if self.running.is_none() && !self.begin_swap_back().await {
                    self.queue.next(); // nothing runs
                }
            }
            // A fresh start is under way, and takes the trial over.
            Verdict::KeeperGone => {}
        }
    }

    /// Starts the way back if it is due, before anything that waits. Nothing may run.
    pub(super) async fn begin_swap_back(&mut self) -> bool {
        let Some(former) = self.failed_trial().map(|trial| trial.former.commit.clone()) else {
            return false;
        };
        let begun = self.try_begin_swap_back(former).await;
        let done = begun.is_ok();
        self.log_trouble(begun, "way back can't be recorded");
        done
    }

    fn failed_trial(&self) -> Option<&Trial> {
        let due = |trial: &&Trial| trial.state != State::Watched && self.stopping.is_none();
        self.trial.as_ref().filter(due)
    }

    async fn try_begin_swap_back(&mut self, former: CommitId) -> Result<(), StateError> {
        let wanted = NewDeploy {
            origin: Origin::SwapBack,
            branch: self.app.branch.clone(),
            commit: former.clone(),
            subject: self
                .release_before()
                .await?
                .map_or_else(String::new, |release| release.subject),
            from: self.live.as_ref().map(|live| live.commit.clone()),
            moves_branch: false,
            message: None,
            by: None,
        };
        let ticket = self
            .ticket(wanted, BranchMove::Settled, PushOptions::default())
            .await?;
        self.queue.put_first(Entry {
            number: ticket.journal.deploy(),
            goal: Goal::Commit(former),
        });
        self.begin(ticket).await
    }

    /// The release that was live before the one on trial.
    async fn release_before(&self) -> Result<Option<Release>, StateError> {
        let Some(wanted) = self.trial.as_ref().map(|trial| trial.former.release) else {
            return Ok(None);
        };
        let app = self.name().clone();
        let releases = self
            .site
            .database
            .run(move |database| database.releases(&app));
        Ok(releases.await?.into_iter().find(|one| one.number == wanted))
    }

    /// How to get back: over the generation that still drains, if there is one.
    pub(super) async fn way_back(&self) -> Result<Work, StateError> {
        let Some(release) = self.release_before().await? else {
            return Ok(Work::Build);
        };
        let warm = self.draining.values().rev();
        let warm = warm.into_iter().find(|old| old.release == release.number);
        Ok(Work::Return(release, warm.cloned()))
    }

    /// What was live before serves again: the deploy that was on trial learns of it, and the branch follows.
    pub(super) async fn swapped_back(&mut self, now: &Live) -> Result<(), StateError> {
        let (Some(trial), Some(failed)) = (self.trial.take(), self.live.clone()) else {
            return Ok(());
        };
        let State::Failed(cause) = trial.state else {
            return Ok(());
        };
        self.refused = Some(failed.commit.clone());
        self.lead_branch_back(&failed.commit, &now.commit).await;
        let state = DeployState::SwappedBack {
            release: failed.release,
            cause: cause.clone(),
        };
        let number = trial.journal.deploy();
        let recorded = self.record_end(number, state, Some(now.release)).await;
        trial.journal.tell(EventKind::SwappedBack {
            from: failed.release,
            to: now.release,
            cause,
        });
        recorded
    }

    /// There is no way back: what crashes stays live, and is started again and again by its keeper.
    pub(super) fn not_swapped_back(&mut self, failure: &Failure) {
        let Some(trial) = self.trial.take() else {
            return;
        };
        let State::Failed(cause) = trial.state else {
            return;
        };
        let text = format!(
            "{cause}; and release {} can't be brought back: {}: {}",
            trial.former.release, failure.phase, failure.cause
        );
        trial.journal.tell(EventKind::Warned { text });
    }

    /// A branch that a newer push has moved on is left alone.
    async fn lead_branch_back(&self, failed: &CommitId, former: &CommitId) {
        let (repo, branch) = (self.app.repo.clone(), self.app.branch.clone());
        let (failed, former) = (failed.clone(), former.clone());
        let moved = blocking(move || {
            let why = format!("handover: {} did not stay up", failed.short());
            Repo::open(&repo)?.compare_and_set_branch(&branch, Some(&failed), Some(&former), &why)
        });
        match moved.await {
            Ok(SetBranch::Done | SetBranch::Differs { .. }) => {}
            Err(error) => {
                tracing::warn!(app = %self.name(), error = &error as &dyn std::error::Error, "branch can't be led back");
            }
        }
    }
}
