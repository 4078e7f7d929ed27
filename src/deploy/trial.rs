//! The watch phase: for some time after the swap a new version must stay up, or what was live before it comes back.
//!
//! ```text
//!   swapped ──[watch] for──► stays
//!      │
//!      └── an instance ends for the second time, or none serves at the end ──► fails ──► the worker goes back
//! ```
//!
//! One end may be an accident (a kill, the machine's memory, one poisoned request), and the keeper starts the instance
//! again. The second one of the same instance is taken for the version's own doing. Connections that nobody has
//! accepted wait in the generation's queue meanwhile: they outlive the crashes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::journal::Journal;
use super::launch::Live;
use super::site::Site;
use crate::build;
use crate::ids::{AppName, CommitId, DeployNumber, GenerationNumber, ReleaseNumber};
use crate::keep::{InstanceState, KeepError, KeepEvent, Keeper, Status, Watch};
use crate::paths::AppPaths;
use crate::process::blocking;
use crate::state::{DeployState, Release, StateError};
use crate::time::{Timestamp, limit_text, now};

/// How often an instance may end.
const ENDS_MAX: u32 = 1;
/// How many deploys are looked through for the one before.
const LOOK_BACK: u32 = 100;

/// A generation that has yet to prove itself. Owned by the app's worker.
#[derive(Debug)]
pub(super) struct Trial {
    /// The generation.
    pub generation: GenerationNumber,
    /// What to go back to.
    pub former: Former,
    /// Where the deploy is told that has made the generation live.
    pub journal: Arc<Journal>,
    /// How far it has come.
    pub state: State,
}

/// How far a trial has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum State {
    /// It is watched.
    Watched,
    /// It has failed, for this reason, and the way back waits for the deploy that runs.
    Failed(String),
}

/// The release that was live before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Former {
    /// Its number.
    pub release: ReleaseNumber,
    /// The commit that it was built from.
    pub commit: CommitId,
}

impl Former {
    /// What is live now, for the time when something else is.
    pub(super) fn of(live: &Live) -> Self {
        Self {
            release: live.release,
            commit: live.commit.clone(),
        }
    }
}

/// What to go back to if the next generation fails: what is live, unless that has failed itself, or is the same
/// release, whose own trial then goes on.
pub(super) fn former(live: Former, trial: Option<Trial>, next: ReleaseNumber) -> Option<Former> {
    let inherited = trial.filter(|trial| live.release == next || trial.state != State::Watched);
    let former = inherited.map_or(live, |trial| trial.former);
    (former.release != next).then_some(former)
}

/// What came of a trial.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It stays.
    Stays,
    /// It does not stay up, for this reason.
    Fails(String),
    /// Its keeper is gone, which says nothing about the version.
    KeeperGone,
}

/// Counts how often each instance has ended. Pure.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Ends(BTreeMap<u32, u32>);

impl Ends {
    /// The count so far of a generation that was not watched from its beginning.
    fn of(status: &Status) -> Self {
        let instances = status.instances.iter();
        Self(
            instances
                .map(|instance| (instance.index, instance.restarts))
                .collect(),
        )
    }

    /// Takes an event; gives why the version fails, if it does.
    fn after(&mut self, event: &KeepEvent) -> Option<String> {
        let (index, how) = match event {
            KeepEvent::Exited {
                index,
                status,
                ran_ms,
                ..
            } => (
                *index,
                format!("it ran for {ran_ms} and ended with {status}"),
            ),
            KeepEvent::StartFailed { index, error } => {
                (*index, format!("it could not be started: {error}"))
            }
            KeepEvent::Output { .. }
            | KeepEvent::Listening { .. }
            | KeepEvent::Ready { .. }
            | KeepEvent::ListenElsewhere { .. }
            | KeepEvent::Draining { .. }
            | KeepEvent::Undrained
            | KeepEvent::Retired { .. } => return None,
        };
        let ends = self.0.entry(index).or_default();
        *ends += 1;
        (*ends > ENDS_MAX).then(|| format!("instance {index} keeps crashing: at last {how}"))
    }
}

/// Watches a generation from its swap on.
pub(super) async fn watch(mut events: Watch, keeper: Arc<Keeper>, limit: Duration) -> Verdict {
    attend(&mut events, &keeper, Ends::default(), limit).await
}

/// Watches a generation that was found running, for what is left of its time.
pub(super) async fn watch_on(keeper: Arc<Keeper>, left: Duration) -> Verdict {
    let begun = async {
        let events = keeper.watch().await?;
        Ok::<_, KeepError>((events, Ends::of(&keeper.status().await?)))
    };
    match begun.await {
        Ok((mut events, ends)) => attend(&mut events, &keeper, ends, left).await,
        Err(_) => Verdict::KeeperGone, // told by whoever waits for its end
    }
}

async fn attend(events: &mut Watch, keeper: &Keeper, mut ends: Ends, limit: Duration) -> Verdict {
    let deadline = Instant::now() + limit;
    loop {
        match timeout_at(deadline, events.next()).await {
            Ok(Some(event)) => {
                if let Some(cause) = ends.after(&event) {
                    return Verdict::Fails(cause);
                }
            }
            Ok(None) => return Verdict::KeeperGone,
            Err(_) => return at_the_end(keeper, limit).await,
        }
    }
}

/// An instance that ended once and did not come back does not crash, and is not up either.
async fn at_the_end(keeper: &Keeper, limit: Duration) -> Verdict {
    match keeper.status().await {
        Ok(status) if any_serves(&status) => Verdict::Stays,
        Ok(_) => Verdict::Fails(format!(
            "no instance listens, {} after the swap",
            limit_text(limit)
        )),
        Err(_) => Verdict::KeeperGone,
    }
}

fn any_serves(status: &Status) -> bool {
    let serves = |state| matches!(state, InstanceState::Listening);
    status.instances.iter().any(|one| serves(one.state))
}

/// A trial that was under way when the server ended.
#[derive(Debug)]
pub(super) struct Unfinished {
    pub(super) former: Former,
    pub(super) journal: Arc<Journal>,
    pub(super) left: Duration,
}

/// The trial of a generation that is found live, if its time is not over.
pub(super) async fn unfinished(
    site: &Site,
    app: &AppName,
    paths: &AppPaths,
    live: &Live,
    deploy: DeployNumber,
) -> Result<Option<Unfinished>, StateError> {
    let dir = paths.release(live.release);
    let Ok(files) = blocking(move || build::read_built_files(&dir)).await else {
        return Ok(None);
    };
    let Some(left) = left_of(files.config.watch, live.since, now()) else {
        return Ok(None);
    };
    let (name, release) = (app.clone(), live.release);
    let former = site.database.run(move |database| {
        let deploys = database.deploys(&name, LOOK_BACK)?;
        let before = deploys.iter().rev().filter(|before| before.number < deploy);
        let live_before = before.filter_map(|before| match before.state {
            DeployState::Live { release } => Some(release),
            _ => None,
        });
        let former = live_before.into_iter().find(|&former| former != release);
        let releases = database.releases(&name)?;
        Ok(former.and_then(|former| releases.into_iter().find(|one| one.number == former)))
    });
    Ok(former.await?.map(|former: Release| Unfinished {
        former: Former {
            release: former.number,
            commit: former.commit,
        },
        journal: Journal::append(paths.deploy_log(deploy), app.clone(), deploy),
        left,
    }))
}

/// What is left at `now` of a time that began at `since`, if anything is. A clock that was set back leaves all of it.
fn left_of(limit: Duration, since: Timestamp, now: Timestamp) -> Option<Duration> {
    let passed = Duration::try_from(now.duration_since(since)).unwrap_or_default();
    limit.checked_sub(passed).filter(|left| !left.is_zero())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Took;

    fn exited(index: u32) -> KeepEvent {
        KeepEvent::Exited {
            index,
            status: "exit code 1".into(),
            ran_ms: Took(Duration::from_secs(1)),
            restart_in_ms: None,
        }
    }

    #[test]
    fn the_second_end_of_the_same_instance_fails_the_version() {
        let mut ends = Ends::default();
        assert_eq!(ends.after(&exited(0)), None);
        assert_eq!(ends.after(&exited(1)), None);
        assert_eq!(ends.after(&KeepEvent::Ready { instances: 2 }), None);
        assert_eq!(
            ends.after(&exited(1)).unwrap(),
            "instance 1 keeps crashing: at last it ran for 1.0 s and ended with exit code 1"
        );
    }

    #[test]
    fn the_way_back_leads_past_what_has_failed_and_past_the_same_release() {
        let dir = tempfile::tempdir().unwrap();
        let release = |number| Former {
            release: ReleaseNumber(number),
            commit: "a".repeat(40).parse().unwrap(),
        };
        let trial = |state| {
            let deploy = DeployNumber(2);
            Some(Trial {
                generation: GenerationNumber(2),
                former: release(1),
                journal: Journal::create(dir.path().join("2"), "shop".parse().unwrap(), deploy),
                state,
            })
        };
        let back = |trial, next| {
            let former = former(release(2), trial, ReleaseNumber(next));
            former.map(|former| former.release.0)
        };
        let failed = || State::Failed("it crashes".into());
        assert_eq!(back(None, 3), Some(2));
        assert_eq!(
            back(trial(State::Watched), 3),
            Some(2),
            "nothing is wrong with it"
        );
        assert_eq!(back(trial(failed()), 3), Some(1), "it has failed");
        assert_eq!(back(None, 2), None, "started afresh, long after its swap");
        assert_eq!(back(trial(State::Watched), 2), Some(1), "started afresh");
        assert_eq!(back(trial(failed()), 1), None, "somebody went back by hand");
    }

    #[test]
    fn a_trial_is_over_when_its_time_has_passed_even_while_nobody_watched() {
        let since: Timestamp = "2026-11-23T06:00:00Z".parse().unwrap();
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let limit = Duration::from_secs(30);
        let left = left_of(limit, since, at("2026-11-23T06:00:10Z"));
        assert_eq!(left, Some(Duration::from_secs(20)));
        assert_eq!(left_of(limit, since, at("2026-11-23T06:00:30Z")), None);
        assert_eq!(
            left_of(limit, since, at("2026-11-23T05:00:00Z")),
            Some(limit)
        );
        assert_eq!(left_of(Duration::ZERO, since, since), None);
    }
}
