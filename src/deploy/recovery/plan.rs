//! What is to be done about what was found. Pure.
//!
//! At a start nobody knows better than `live.sock`: it was changed by one rename, whatever else was cut off around it.
//! Later the worker knows better: what it holds is true, and `live.sock` is set right if somebody else has changed it.

use std::collections::BTreeSet;

use super::sight::{Built, Seen, Sight, Stranger};
use crate::git::Lock;
use crate::ids::{DeployNumber, GenerationNumber, ReleaseNumber};
use crate::state::GenerationState;

/// One thing to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::deploy) enum Action {
    /// A lock in the repository is held by nobody: whoever took it was killed.
    Unlock(Lock),
    /// A release was remembered just before its deploy was cut off, and was never live.
    Forget(ReleaseNumber),
    /// A deploy was cut off before its swap: it has not ended well.
    Interrupt(DeployNumber),
    /// A deploy was cut off after its swap: it is live, and its branch may have yet to follow.
    Complete(Swapped),
    /// A generation that runs and is not remembered, as with a database that was put back: it is remembered from now on.
    Enrol(GenerationNumber),
    /// `live.sock` is to lead to this generation (again).
    Publish(GenerationNumber),
    /// The generation serves, and the database does not know it.
    Record(GenerationNumber),
    /// The generation serves: go on with it.
    Adopt(GenerationNumber),
    /// It was replaced: it drains, or is told to.
    Drain(GenerationNumber),
    /// Nobody was ever sent to it: stop it.
    Stop(GenerationNumber),
    /// It was live and its keeper is gone: its instances may serve on, and it is remembered until another one serves.
    Await(GenerationNumber),
    /// Its keeper is gone: end what is left of it and forget it.
    Bury(GenerationNumber),
    /// The same for one that is not remembered.
    Clear(GenerationNumber),
    /// A directory that is no release that is remembered.
    Remove(String),
}

/// A deploy that has made `live.sock` lead to its generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::deploy) struct Swapped {
    pub deploy: DeployNumber,
    pub release: ReleaseNumber,
    /// The release that was live before.
    pub previous: Option<ReleaseNumber>,
}

/// What a worker holds, when no deploy runs or waits.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::deploy) struct Held {
    /// The generation that serves.
    pub live: Option<GenerationNumber>,
    /// All generations that it looks after: this one, those that drain, those that are being buried.
    pub all: BTreeSet<GenerationNumber>,
}

/// What is to be done at a start.
pub(in crate::deploy) fn at_start(sight: &Sight) -> Vec<Action> {
    let mut plan = unlock(sight);
    plan.extend(ends_of_deploys(sight, sight.leads_to.or(remembered(sight))));
    let serves = serves(sight);
    for seen in &sight.generations {
        let number = seen.number;
        let leads_here = sight.leads_to == Some(number);
        if serves == Some(number) {
            if !leads_here {
                plan.push(Action::Publish(number));
            }
            if seen.state != GenerationState::Live {
                plan.push(Action::Record(number));
            }
            plan.push(Action::Adopt(number));
            continue;
        }
        let was_live = seen.state == GenerationState::Live || leads_here;
        plan.push(match (seen.keeper, seen.state) {
            (false, _) if was_live && serves.is_none() => Action::Await(number),
            (false, _) => Action::Bury(number),
            (true, GenerationState::Starting) => Action::Stop(number),
            (true, GenerationState::Live | GenerationState::Draining) => Action::Drain(number),
        });
    }
    plan.extend(strangers(sight, &BTreeSet::new()));
    let stray = directories(sight, &plan);
    plan.extend(stray);
    plan
}

/// The generation that was written down as live: after a power cut nothing else says so.
fn remembered(sight: &Sight) -> Option<GenerationNumber> {
    let mut rows = sight.generations.iter();
    let live = rows.find(|seen| seen.state == GenerationState::Live);
    live.map(|seen| seen.number)
}

/// The generation that `live.sock` leads to and that is in good hands; where there is none, the one that was written
/// down as live, if it is, and nothing else may be serving under that name.
fn serves(sight: &Sight) -> Option<GenerationNumber> {
    let rows = sight.generations.iter();
    let row_there = rows
        .clone()
        .find(|seen| Some(seen.number) == sight.leads_to);
    let stranger_there = sight
        .strangers
        .iter()
        .find(|stranger| Some(stranger.number) == sight.leads_to);
    let keeper_there = row_there.is_some_and(|seen| seen.keeper)
        || stranger_there.is_some_and(|stranger| stranger.keeper);
    let just_swapped = row_there.is_some_and(|seen| seen.state != GenerationState::Draining);
    if keeper_there || just_swapped {
        return sight.leads_to.filter(|_| keeper_there);
    }
    let mut live = rows.filter(|seen| seen.state == GenerationState::Live && seen.keeper);
    live.next().map(|seen| seen.number)
}

/// What is to be done now and then, while no deploy runs or waits.
pub(in crate::deploy) fn in_passing(sight: &Sight, held: &Held) -> Vec<Action> {
    let mut plan = unlock(sight);
    plan.extend(ends_of_deploys(sight, held.live));
    let serves = |seen: &&Seen| Some(seen.number) == held.live && seen.keeper;
    if let Some(live) = sight.generations.iter().find(serves) {
        if sight.leads_to != Some(live.number) {
            plan.push(Action::Publish(live.number));
        }
        if live.state != GenerationState::Live {
            plan.push(Action::Record(live.number));
        }
    }
    let forgotten = |seen: &&Seen| !held.all.contains(&seen.number);
    for seen in sight.generations.iter().filter(forgotten) {
        plan.push(match (seen.keeper, seen.state) {
            (false, _) => Action::Bury(seen.number),
            (true, GenerationState::Starting) => Action::Stop(seen.number),
            (true, GenerationState::Live | GenerationState::Draining) => Action::Drain(seen.number),
        });
    }
    plan.extend(strangers(sight, &held.all));
    let stray = directories(sight, &plan);
    plan.extend(stray);
    plan
}

/// Before anything that moves the branch.
fn unlock(sight: &Sight) -> Vec<Action> {
    sight.locks.iter().cloned().map(Action::Unlock).collect()
}

/// Deploys that are open and are not under way: only one that has swapped has come to a good end. Of the others nothing
/// is left, as of those that have failed.
fn ends_of_deploys(sight: &Sight, live: Option<GenerationNumber>) -> Vec<Action> {
    let swapped = swapped(&sight.generations, live);
    let end = |&deploy: &DeployNumber| match swapped.filter(|swapped| swapped.deploy == deploy) {
        Some(swapped) => Action::Complete(swapped),
        None => Action::Interrupt(deploy),
    };
    let ends: Vec<Action> = sight.open.iter().map(end).collect();
    let vain = sight.releases.iter().filter(|built| {
        ends.contains(&Action::Interrupt(built.deploy)) && !is_started(sight, built.number)
    });
    let vain: Vec<Action> = vain.map(|built| Action::Forget(built.number)).collect();
    [vain, ends].concat()
}

/// The deploy that has made this generation live, whether that was written down or not.
fn swapped(rows: &[Seen], live: Option<GenerationNumber>) -> Option<Swapped> {
    let live = rows.iter().find(|row| Some(row.number) == live)?;
    let before = rows
        .iter()
        .filter(|row| row.number != live.number && row.state != GenerationState::Starting)
        .max_by_key(|row| row.number);
    Some(Swapped {
        deploy: live.deploy,
        release: live.release,
        previous: before.map(|row| row.release),
    })
}

/// Generations that have left something, or run, and are not remembered.
fn strangers(sight: &Sight, held: &BTreeSet<GenerationNumber>) -> Vec<Action> {
    let mut plan = Vec::new();
    for &Stranger { number, keeper, .. } in &sight.strangers {
        let serves = sight.leads_to == Some(number);
        match (keeper, serves) {
            _ if held.contains(&number) => {}
            (false, _) => plan.push(Action::Clear(number)),
            // Whoever holds another one as the live one makes `live.sock` lead there.
            (true, true) if held.is_empty() => plan.extend([
                Action::Enrol(number),
                Action::Record(number),
                Action::Adopt(number),
            ]),
            (true, _) => plan.extend([Action::Enrol(number), Action::Drain(number)]),
        }
    }
    plan
}

/// What lies beside the releases and is none. What users may be served from is one, remembered or not, as long as its
/// generation is.
fn directories(sight: &Sight, plan: &[Action]) -> Vec<Action> {
    let remembered = |number: ReleaseNumber| {
        let built = |built: &Built| built.number == number;
        sight.releases.iter().any(built) && !plan.contains(&Action::Forget(number))
    };
    let known = |name: &str| {
        let number = name.parse();
        number.is_ok_and(|number| remembered(number) || is_started(sight, number))
    };
    let unknown = sight.directories.iter().filter(|name| !known(name));
    unknown.map(|name| Action::Remove(name.clone())).collect()
}

/// Whether users may be served from a release.
fn is_started(sight: &Sight, release: ReleaseNumber) -> bool {
    let mut rows = sight.generations.iter();
    let mut strangers = sight.strangers.iter();
    rows.any(|seen| seen.release == release && may_serve(sight, seen))
        || strangers.any(|stranger| stranger.release == Some(release))
}

fn may_serve(sight: &Sight, seen: &Seen) -> bool {
    seen.state != GenerationState::Starting || sight.leads_to == Some(seen.number)
}

impl Action {
    /// What it has mended, in words; nothing where all was well.
    pub(in crate::deploy) fn mended(&self) -> Option<String> {
        Some(match self {
            Self::Adopt(_) | Self::Drain(_) => return None,
            Self::Unlock(lock) => {
                let lock = lock.path().display();
                format!("the lock `{lock}`, which nobody holds, is removed")
            }
            Self::Forget(release) => {
                format!("release {release}, which was never live, is forgotten")
            }
            Self::Interrupt(deploy) => format!("deploy {deploy} was cut off, and is at its end"),
            Self::Complete(swapped) => format!(
                "deploy {} was cut off after its swap, and release {} is live",
                swapped.deploy, swapped.release
            ),
            Self::Enrol(number) => format!("generation {number}, which runs, is remembered again"),
            Self::Publish(number) => format!("live.sock leads to generation {number} again"),
            Self::Record(number) => format!("generation {number} is remembered as the live one"),
            Self::Stop(number) => {
                format!("generation {number}, to which nobody was sent, is stopped")
            }
            Self::Await(number) => {
                format!(
                    "the keeper of generation {number} is gone, and another start of it follows"
                )
            }
            Self::Bury(number) | Self::Clear(number) => {
                format!("generation {number}, whose keeper is gone, is cleared away")
            }
            Self::Remove(name) => format!("`{name}`, which is no release, is removed"),
        })
    }
}

#[cfg(test)]
mod tests;
