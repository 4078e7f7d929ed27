//! How the deploy branch comes to name what is live.
//!
//! Without the gate git has moved it before a deploy begins. With the gate the deploy moves it, once the commit is live:
//!
//! ```text
//!   asked: may it move? ─► its turn: still? ─► before the swap: still, and free? ─► live ─► compare-and-set ─► ok
//!            └── refused        └── failed             └── failed                              └── ok, with a warning
//! ```
//!
//! git checks nothing for refs that `proc-receive` decides about, so what git would check is checked here.

use super::stage::{Stage, broken};
use crate::git::{GitError, Repo, SetBranch};
use crate::ids::CommitId;
use crate::process::blocking;
use crate::process::rig::kill_point;
use crate::report::{EventKind, Failure, Phase, with_causes};
use crate::state::{App, Database};

/// Who moves the branch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BranchMove {
    /// Nobody: it names the commit already, or is not concerned.
    Settled,
    /// The deploy, when its commit is live, from whatever the branch names then: somebody has asked for it by hand.
    Follows,
    /// The deploy, when its commit is live, if the push may move the branch: the gate.
    Gated(Force),
}

/// What the pusher says about commits that his own does not contain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Force {
    /// They must not be lost. This is what the branch names as far as he knows.
    No {
        /// Nothing, if it is new to him.
        seen: Option<CommitId>,
    },
    /// The branch may be moved away from these (nothing: from where there is none): what it named, and what was being
    /// deployed, when he pushed.
    Over(Vec<Option<CommitId>>),
}

impl BranchMove {
    /// Whether the deploy moves the branch.
    pub(super) fn by_deploy(&self) -> bool {
        match self {
            Self::Settled => false,
            Self::Follows | Self::Gated(_) => true,
        }
    }

    pub(super) fn is_gated(&self) -> bool {
        matches!(self, Self::Gated(_))
    }
}

/// Why a push may not move the branch. Told to the pusher.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// In one line.
    pub reason: String,
    /// What to do about it, a line each.
    pub hints: Vec<String>,
}

/// Whether the branch may be moved from `now`, given whether the new commit contains that. Pure.
fn may_move(force: &Force, now: Option<&CommitId>, contained: bool) -> bool {
    contained
        || match force {
            Force::No { .. } => false,
            Force::Over(seen) => seen.iter().any(|seen| seen.as_ref() == now),
        }
}

/// What the deploy branch names, if a push may move it from there to `commit`.
pub(super) fn check(
    app: &App,
    commit: &CommitId,
    force: &Force,
) -> Result<Result<Option<CommitId>, Refused>, GitError> {
    let repo = Repo::open(&app.repo)?;
    let now = repo.branch_commit(&app.branch)?;
    let contained = match &now {
        None => true,
        Some(now) => repo.is_ancestor(now, commit)?,
    };
    if !may_move(force, now.as_ref(), contained) {
        return Ok(Err(not_contained(app, commit, now.as_ref(), force)));
    }
    match force {
        Force::No { seen: Some(seen) } if !has_named(&repo, now.as_ref(), seen)? => {
            Ok(Err(never_named(app, now.as_ref(), seen)))
        }
        Force::No { .. } | Force::Over(_) => Ok(Ok(now)),
    }
}

/// Whether a branch that names `now` may have named what a push says it names. git compares that for other refs; here it
/// may also be what the branch named before a deploy that the pusher has not heard of.
fn has_named(repo: &Repo, now: Option<&CommitId>, seen: &CommitId) -> Result<bool, GitError> {
    let Some(now) = now else { return Ok(false) };
    Ok(seen == now || repo.is_commit(seen) && repo.is_ancestor(seen, now)?)
}

fn never_named(app: &App, now: Option<&CommitId>, seen: &CommitId) -> Refused {
    let (there, seen) = (now.map_or("nothing", CommitId::short), seen.short());
    Refused {
        reason: format!("{} names {there}, not {seen} as the push says", app.branch),
        hints: vec!["git fetch, look at it, and push again".to_owned()],
    }
}

fn not_contained(app: &App, commit: &CommitId, now: Option<&CommitId>, force: &Force) -> Refused {
    let (branch, new) = (&app.branch, commit.short());
    let there = now.map_or("nothing", CommitId::short);
    match force {
        Force::Over(_) => Refused {
            reason: format!(
                "{branch} was moved to {there} meanwhile, by a push that you had not seen"
            ),
            hints: vec!["git fetch, look at it, and push again".to_owned()],
        },
        Force::No { .. } => {
            let over_it = if app.allow_force {
                format!("to deploy it all the same: git push --force -o force <remote> {branch}")
            } else {
                format!(
                    "to allow -o force for this app: handover app set {} force on",
                    app.name
                )
            };
            Refused {
                reason: format!(
                    "not a fast-forward: {branch} names {there}, which {new} does not contain"
                ),
                hints: vec![
                    format!("git pull --rebase <remote> {branch}, and push again"),
                    over_it,
                ],
            }
        }
    }
}

/// It is this deploy's turn, or it is about to swap: what the branch names, if it may still be moved.
pub(super) async fn still_free(stage: &Stage, phase: Phase) -> Result<Option<CommitId>, Failure> {
    let (app, commit) = (stage.order.app.clone(), stage.order.wanted.commit.clone());
    let checked = match stage.order.branch.clone() {
        BranchMove::Settled => return Ok(None),
        BranchMove::Follows => {
            let read = move || Ok(Ok(Repo::open(&app.repo)?.branch_commit(&app.branch)?));
            blocking(read).await
        }
        BranchMove::Gated(force) => blocking(move || check(&app, &commit, &force)).await,
    };
    match checked.map_err(|error: GitError| broken(phase, &error))? {
        Ok(now) => Ok(now),
        Err(refused) => {
            let failure = Failure::new(phase, refused.reason);
            Err(refused.hints.into_iter().fold(failure, Failure::hint))
        }
    }
}

/// The last look before the swap: after it nothing but an accident keeps the branch from being moved. What the branch names is written down, so that a server that is cut off in the
/// middle knows at its next start whether the branch has yet to follow.
pub(super) async fn before_swap(stage: &Stage) -> Result<Option<CommitId>, Failure> {
    let now = still_free(stage, Phase::Swap).await?;
    if stage.order.branch.by_deploy() {
        try_lock(stage, now.clone()).await?;
        kill_point("branch.probed");
        let (app, number, from) = (stage.app().clone(), stage.journal().deploy(), now.clone());
        let intent =
            move |database: &Database| database.set_deploy_from(&app, number, from.as_ref());
        let written = stage.site.database.run(intent).await;
        written.map_err(|error| broken(Phase::Swap, &error))?;
    }
    Ok(now)
}

/// Fails if the branch could not be moved from `now`, because its lock is held or its directory can't be written.
async fn try_lock(stage: &Stage, now: Option<CommitId>) -> Result<(), Failure> {
    let app = stage.order.app.clone();
    let branch = app.branch.clone();
    let tried = blocking(move || {
        let repo = Repo::open(&app.repo)?;
        // From what it names to the same: the lock is taken and nothing is written.
        repo.compare_and_set_branch(&app.branch, now.as_ref(), now.as_ref(), "")
    });
    match tried.await {
        Ok(SetBranch::Done) => Ok(()),
        Ok(SetBranch::Differs { .. }) => Err(Failure::new(
            Phase::Swap,
            format!("{branch} was moved by somebody else just now"),
        )
        .hint("git fetch, look at it, and push again")),
        Err(error) => Err(broken(Phase::Swap, &error)),
    }
}

/// What came of moving the branch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Moved {
    /// It names the live commit, or is not ours to move, or somebody else has moved it elsewhere meanwhile.
    Settled,
    /// It could not be moved, and still names something else than the live commit.
    Stuck,
}

/// The commit is live: the branch follows, in one compare-and-set from what it named just before the swap.
pub(super) async fn follow(stage: &Stage, before: Option<CommitId>) -> Moved {
    let branch_move = stage.order.branch.clone();
    if !branch_move.by_deploy() {
        return Moved::Settled;
    }
    let (app, commit) = (stage.order.app.clone(), stage.order.wanted.commit.clone());
    let moved = blocking(move || {
        let why = if branch_move.is_gated() {
            "handover: live"
        } else {
            "handover: deployed by hand"
        };
        let repo = Repo::open(&app.repo)?;
        repo.compare_and_set_branch(&app.branch, before.as_ref(), Some(&commit), why)
    });
    let branch = &stage.order.app.branch;
    match moved.await {
        Ok(SetBranch::Done) => Moved::Settled,
        Ok(SetBranch::Differs { found }) => {
            let found = found.as_ref().map_or("nothing", CommitId::short);
            let text = format!("{branch} was moved to {found} by somebody else during the swap");
            stage.tell(EventKind::Warned { text });
            Moved::Settled
        }
        Err(error) => {
            let error = &error as &dyn std::error::Error;
            tracing::error!(app = %stage.app(), error, "branch can't be moved to what is live");
            let text = format!(
                "the commit is live, but {branch} can't be moved to it: {}",
                with_causes(error)
            );
            stage.tell(EventKind::Warned { text });
            Moved::Stuck
        }
    }
}

/// A server that was cut off between the swap and this: the branch follows now.
pub(super) fn catch_up(
    app: &App,
    from: Option<&CommitId>,
    live: &CommitId,
) -> Result<SetBranch, GitError> {
    let repo = Repo::open(&app.repo)?;
    repo.compare_and_set_branch(&app.branch, from, Some(live), "handover: live, told late")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_pusher_saw_may_be_left_behind_and_only_by_force() {
        let id = |digit: &str| Some(digit.repeat(40).parse::<CommitId>().unwrap());
        let (a, b) = (id("a"), id("b"));
        let gently = Force::No { seen: a.clone() };
        let over_a = Force::Over(vec![a.clone(), None]);
        assert!(may_move(&gently, a.as_ref(), true));
        assert!(!may_move(&gently, a.as_ref(), false));
        assert!(may_move(&over_a, a.as_ref(), false));
        assert!(may_move(&over_a, None, false));
        assert!(
            !may_move(&over_a, b.as_ref(), false),
            "a lease that is broken"
        );
        assert!(may_move(&over_a, b.as_ref(), true), "nothing is lost");
    }
}
