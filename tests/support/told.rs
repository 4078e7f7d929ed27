//! What is written down of a deploy.

use std::time::SystemTime;

use handover::time::Timestamp;
use serde_json::Value;

use super::Server;
use super::wait::until_or;

/// How a deploy has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// `live`, `failed` or `superseded`.
    pub event: String,
    /// When it was told.
    pub at: SystemTime,
}

/// The events of a deploy so far, in their order.
pub fn events(server: &Server, app: &str, deploy: u32) -> Vec<Value> {
    let log = server
        .app_dir(app)
        .join(format!("logs/deploy-{deploy}.jsonl"));
    let text = std::fs::read_to_string(log).unwrap_or_default();
    // The last line may be half written.
    let lines = text
        .split_inclusive('\n')
        .filter(|line| line.ends_with('\n'));
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// Waits for an event and gives it.
#[track_caller]
pub fn until_event(
    server: &Server,
    app: &str,
    deploy: u32,
    what: &str,
    is_it: impl Fn(&Value) -> bool,
) -> Value {
    until_or(
        || {
            events(server, app, deploy)
                .into_iter()
                .find(|event| is_it(event))
        },
        || {
            format!(
                "deploy {deploy} of {app}: {what}: {:#?}",
                events(server, app, deploy)
            )
        },
    )
}

/// Waits until a program that the deploy runs has printed this line.
#[track_caller]
pub fn until_printed(server: &Server, app: &str, deploy: u32, line: &str) {
    until_event(server, app, deploy, line, |event| event["line"] == line);
}

/// Waits until a phase has begun (`began`) or is done (`done`).
#[track_caller]
pub fn until_phase(server: &Server, app: &str, deploy: u32, event: &str, phase: &str) {
    until_event(server, app, deploy, phase, |told| {
        told["event"] == event && told["phase"] == phase
    });
}

/// Waits for the verdict.
#[track_caller]
pub fn until_verdict(server: &Server, app: &str, deploy: u32) -> Verdict {
    until_or(
        || verdict(&events(server, app, deploy)),
        || {
            format!(
                "deploy {deploy} of {app} does not end: {:#?}",
                events(server, app, deploy)
            )
        },
    )
}

/// The verdict, if these events come so far.
pub fn verdict(events: &[Value]) -> Option<Verdict> {
    events.iter().find_map(|event| {
        let name = event["event"].as_str()?;
        ["live", "failed", "superseded"].contains(&name).then(|| {
            let at: Timestamp = event["at"].as_str().unwrap().parse().unwrap();
            Verdict {
                event: name.to_owned(),
                at: at.into(),
            }
        })
    })
}
