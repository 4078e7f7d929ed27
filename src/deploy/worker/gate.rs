//! Pushes that wait for the verdict: which of several is the newest, and what may be left behind.

use super::Worker;
use super::ask::Answer;
use crate::deploy::branch::{self, BranchMove, Force, Refused};
use crate::git::Repo;
use crate::ids::CommitId;
use crate::process::blocking;
use crate::report::with_causes;

impl Worker {
    /// Whoever forces a push has also seen what is being deployed just then: he is told that he waits for it.
    pub(super) fn seen_by_pusher(&self, branch: BranchMove) -> BranchMove {
        match branch {
            BranchMove::Gated(Force::Over(mut seen)) => {
                let running = self.running.iter();
                seen.extend(running.map(|running| Some(running.ticket.wanted.commit.clone())));
                BranchMove::Gated(Force::Over(seen))
            }
            other => other,
        }
    }

    /// With the gate it is not the branch that says which of several pushes is the newest, but what they contain.
    pub(super) async fn met_by_gate(&self, commit: &CommitId, force: &Force) -> Option<Answer> {
        let (app, wanted, owned) = (self.app.clone(), commit.clone(), force.clone());
        match blocking(move || branch::check(&app, &wanted, &owned)).await {
            Ok(Ok(now)) => {
                if let Some(live) = self.live.as_ref().filter(|live| live.commit == *commit)
                    && now.as_ref() == Some(commit)
                {
                    // He has not heard the verdict, or somebody else was quicker.
                    return Some(self.already_live(live.release));
                }
            }
            Ok(Err(refused)) => return Some(Answer::Refused(refused)),
            Err(error) => {
                let reason = format!("failed to {}", with_causes(&error));
                let hints = vec!["see `handover doctor` on the server".to_owned()];
                return Some(Answer::Refused(Refused { reason, hints }));
            }
        }
        if matches!(force, Force::No { .. })
            && let Some(newer) = self.contained_in_queue(commit).await
        {
            return Some(Answer::MovedOn { to: Some(newer) });
        }
        None
    }

    /// A commit that is being deployed or waits for it, and contains this one.
    async fn contained_in_queue(&self, commit: &CommitId) -> Option<CommitId> {
        let running = self.running.as_ref().map(|running| &running.ticket);
        let queued = [self.waiting.as_ref(), running].into_iter().flatten();
        let queued: Vec<CommitId> = queued
            .map(|ticket| ticket.wanted.commit.clone())
            .filter(|queued| queued != commit)
            .collect();
        let (repo, commit) = (self.app.repo.clone(), commit.clone());
        blocking(move || {
            let repo = Repo::open(&repo).ok()?;
            let contains = |queued: &CommitId| repo.is_ancestor(&commit, queued).unwrap_or(false);
            queued.into_iter().find(contains)
        })
        .await
    }
}
