//! A deploy whose end is written down, and whose record does not say so: the server was killed in between, or recovery
//! has brought it to its end. Whoever reads the record later learns how it ended.

use std::io;

use crate::deploy::journal::{Journal, last_events};
use crate::deploy::site::Site;
use crate::ids::{AppName, ReleaseNumber};
use crate::paths::AppPaths;
use crate::process::blocking;
use crate::report::{Event, EventKind, Failure, Phase};
use crate::state::{Deploy, DeployState, Generation, StateError};
use crate::time::{Took, now};

/// How many deploys are looked at: one that ran, one that waited, and some that recovery makes.
const LAST: u32 = 8;

/// Tells in the records of an app's last deploys how they have ended. Trouble is told in the log.
pub(super) async fn tell(site: &Site, app: &AppName, paths: &AppPaths, urls: Vec<String>) {
    let name = app.clone();
    let read = site.database.run(move |database| {
        let live = database.app(&name)?.live;
        Ok((
            database.deploys(&name, LAST)?,
            database.generations(&name)?,
            live,
        ))
    });
    let told: Result<(), StateError> = async {
        let (deploys, generations, live) = read.await?;
        let live = generations.iter().find(|row| Some(row.number) == live);
        let known = Known {
            live: live.map(|row| row.release),
            generations: &generations,
            urls,
        };
        for deploy in deploys {
            tell_one(app, paths, &deploy, &known).await;
        }
        Ok(())
    }
    .await;
    if let Err(error) = told {
        let error = &error as &dyn std::error::Error;
        tracing::error!(%app, error, "how deploys have ended can't be told");
    }
}

/// What more there is to know about the ends of deploys.
struct Known<'a> {
    live: Option<ReleaseNumber>,
    generations: &'a [Generation],
    urls: Vec<String>,
}

async fn tell_one(app: &AppName, paths: &AppPaths, deploy: &Deploy, known: &Known<'_>) {
    let path = paths.deploy_log(deploy.number);
    let record = path.clone();
    match blocking(move || last_events(&record)).await {
        Ok(told) => {
            if let Some(end) = untold(deploy, &told, known) {
                let (app, number) = (app.clone(), deploy.number);
                blocking(move || Journal::append(path, app, number).tell(end)).await;
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {} // pruned, or never begun
        Err(error) => tracing::warn!(path = %path.display(), %error, "deploy log can't be read"),
    }
}

/// How a deploy has ended, if its record does not say. Pure.
fn untold(deploy: &Deploy, told: &[Event], known: &Known<'_>) -> Option<EventKind> {
    let is_told = match deploy.state {
        DeployState::SwappedBack { .. } => told.iter().any(takes_back),
        DeployState::Waiting
        | DeployState::Running
        | DeployState::Live { .. }
        | DeployState::Failed { .. }
        | DeployState::Superseded
        | DeployState::Interrupted => told.iter().any(|event| event.verdict().is_some()),
    };
    if is_told {
        None
    } else {
        end(deploy, reached(told), known)
    }
}

fn end(deploy: &Deploy, reached: Phase, known: &Known<'_>) -> Option<EventKind> {
    let failed = |phase, cause: &str| {
        let mut failure = Failure::new(phase, cause);
        failure.serving = known.live;
        Some(EventKind::Failed(failure))
    };
    match &deploy.state {
        DeployState::Waiting | DeployState::Running => None,
        DeployState::Live { release } => {
            let of_deploy = |row: &&Generation| row.deploy == deploy.number;
            Some(EventKind::Live {
                release: *release,
                generation: known.generations.iter().find(of_deploy)?.number,
                urls: known.urls.clone(),
                took_ms: took(deploy),
            })
        }
        DeployState::SwappedBack { release, cause } => Some(EventKind::SwappedBack {
            from: *release,
            to: known.live?,
            cause: cause.clone(),
        }),
        DeployState::Failed { phase, cause } => failed(*phase, cause),
        DeployState::Superseded => failed(Phase::Receive, "superseded by a newer push"),
        DeployState::Interrupted => failed(reached, "the server ended before the deploy did"),
    }
}

fn takes_back(event: &Event) -> bool {
    matches!(event.kind, EventKind::SwappedBack { .. })
}

/// The phase that a record has come to.
fn reached(told: &[Event]) -> Phase {
    let phase = |event: &Event| {
        if let EventKind::Began { phase, .. } | EventKind::Output { phase, .. } = event.kind {
            Some(phase)
        } else {
            None
        }
    };
    told.iter().rev().find_map(phase).unwrap_or(Phase::Receive)
}

fn took(deploy: &Deploy) -> Took {
    let ended = deploy.ended_at.unwrap_or_else(now);
    let took = ended.duration_since(deploy.began_at);
    Took(took.try_into().unwrap_or_default()) // the clock may have been set back
}
