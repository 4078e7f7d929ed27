//! What handover has left on this machine: asked of the server where it runs, looked at here where it does not.

use hyper::Method;

use super::checks::finding;
use super::{Finding, Result};
use crate::cli::roles::block_on;
use crate::cli::say::Failed;
use crate::control::types::Faults;
use crate::control::{Client, ClientError};
use crate::daemon::{self, DaemonError};
use crate::deploy::repair::{self, Outcome, Place, Seen};
use crate::paths::Layout;
use crate::report::with_causes;
use crate::state::{Database, StateError};

/// Looks, and mends if that is wished.
pub(super) fn check(layout: &Layout, repair: bool) -> std::result::Result<Vec<Finding>, Failed> {
    let socket = layout.control_socket();
    match std::os::unix::net::UnixStream::connect(&socket) {
        Ok(_) => {
            let found = format!("answers on {}", socket.display());
            let mut findings = vec![finding("server", Result::Good { found })];
            findings.extend(block_on(asked(layout, repair))?);
            Ok(findings)
        }
        Err(error) => {
            let away = Result::Warning {
                found: format!("does not answer on {}: {error}", socket.display()),
                remedy: "start it: handover serve (as the user who owns the home, or as root)"
                    .into(),
            };
            let mut findings = vec![finding("server", away)];
            findings.extend(looked_at(layout, repair)?);
            Ok(findings)
        }
    }
}

async fn asked(layout: &Layout, repair: bool) -> Vec<Finding> {
    let client = Client::new(layout.control_socket());
    let answer: std::result::Result<Faults, ClientError> = if repair {
        client.call(Method::POST, "/v1/faults", &()).await
    } else {
        client.get("/v1/faults").await
    };
    match answer {
        Ok(answer) => told(answer.faults),
        Err(error) => vec![finding(
            "database",
            Result::Bad {
                found: format!("the server failed to {}", with_causes(&error)),
                remedy: "see the server's log".to_owned(),
            },
        )],
    }
}

fn looked_at(layout: &Layout, repair: bool) -> std::result::Result<Vec<Finding>, Failed> {
    if !layout.home().exists() {
        return Ok(Vec::new()); // nothing was ever begun
    }
    let executable = std::env::current_exe().map_err(Failed::new)?;
    let place = |database| Place {
        layout: layout.clone(),
        database,
        executable,
    };
    let seen = if repair {
        daemon::open_alone(layout).map(|(lock, database)| {
            let seen = repair::look_and_mend(&place(database));
            drop(lock);
            seen
        })
    } else {
        if !layout.database().exists() && !daemon::had_apps(layout) {
            return Ok(Vec::new());
        }
        Database::read(&layout.database())
            .map(|database| repair::look(&place(database)))
            .map_err(DaemonError::from)
    };
    Ok(match seen {
        Ok(Ok(seen)) => told(seen),
        Ok(Err(error)) => vec![bad(&DaemonError::from(error))],
        Err(error) => vec![bad(&error)],
    })
}

fn bad(error: &DaemonError) -> Finding {
    let remedy = match error {
        DaemonError::State(StateError::Newer { .. }) => "install the newer handover again",
        DaemonError::Locked { .. } => "a server is about to start, or does not answer; try again",
        _ => {
            "`handover serve` and `handover doctor --repair` keep a damaged one aside and rebuild it; for anything else see `dmesg` and `df -h`"
        }
    };
    let result = Result::Bad {
        found: format!("failed to {}", with_causes(error)),
        remedy: remedy.to_owned(),
    };
    finding("database", result)
}

/// Where nothing is wrong, that is told, too.
fn told(seen: Vec<Seen>) -> Vec<Finding> {
    if seen.is_empty() {
        let found = "database, repositories, releases and files agree".to_owned();
        return vec![finding("database", Result::Good { found })];
    }
    let finding = |seen: Seen| {
        let (found, remedy) = (seen.found, seen.remedy);
        let result = match seen.outcome {
            Outcome::Stays => Result::Warning { found, remedy },
            Outcome::Mended { done } => Result::Mended { found, done },
            Outcome::Fails { error } => Result::Bad {
                found,
                remedy: error,
            },
        };
        finding(&seen.check, result)
    };
    seen.into_iter().map(finding).collect()
}
