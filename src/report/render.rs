//! The plain lines that pushers read.

use std::fmt::Write as _;
use std::time::Duration;

use super::event::{Event, EventKind, Failure, Phase, open_text};
use crate::ids::ReleaseNumber;
use crate::time::{Took, limit_text};

/// Where a phase's duration ends, in columns.
const WIDTH: usize = 72;

/// Turns events into lines. It knows what is under way, so that silence can be filled too.
#[derive(Debug, Default)]
pub struct Renderer {
    under_way: Option<&'static str>,
}

impl Renderer {
    /// The lines for the next event, without their ends. Git's client colours those that begin with `success:`,
    /// `error:`, `warning:` and `hint:`.
    pub fn lines(&mut self, event: &Event) -> Vec<String> {
        match &event.kind {
            EventKind::Waiting { reason } => {
                self.under_way = Some("waiting");
                vec![format!("  {:<10} {reason}", "waiting")]
            }
            EventKind::Began { phase, command } => {
                self.under_way = Some(phase.name());
                command
                    .iter()
                    .map(|command| format!("  {phase:<10} {command}"))
                    .collect()
            }
            EventKind::Done {
                phase,
                detail,
                took_ms,
            } => {
                self.under_way = None;
                let done = format!("  {phase:<10} {detail}");
                vec![timed(&done, &took_ms.to_string())]
            }
            EventKind::Output { line, .. } => {
                vec![format!("             {line}").trim_end().to_owned()]
            }
            EventKind::Warned { text } => vec![format!("warning: {text}")],
            EventKind::Accepted {
                branch,
                from,
                to,
                subject,
                message,
                ..
            } => {
                let from = from.as_ref().map_or("(nothing)", |commit| commit.short());
                let (app, to) = (&event.app, to.short());
                let first = format!("handover  {app}  {branch} {from} → {to}  “{subject}”");
                let said = message
                    .iter()
                    .map(|message| format!("           {message}"));
                std::iter::once(first)
                    .chain(said)
                    .chain([String::new()])
                    .collect()
            }
            EventKind::Draining {
                release,
                connections,
                upgraded,
                limit_ms,
                ..
            } => {
                let open = open_text(*connections, *upgraded);
                let limit = limit_text(limit_ms.0);
                let phase = Phase::Drain;
                vec![format!(
                    "  {phase:<10} release {release}: {open}, {limit} at most"
                )]
            }
            EventKind::Live {
                release,
                urls,
                took_ms,
                ..
            } => live(*release, urls, *took_ms),
            EventKind::Failed(failure) => failed(failure),
            EventKind::Superseded { by } => {
                vec![
                    String::new(),
                    format!("error: superseded by {}", by.short()),
                ]
            }
            EventKind::SwappedBack { from, to, cause } => vec![
                String::new(),
                format!("error: watch: {cause}"),
                format!("release {to} serves again in place of release {from}"),
                format!("hint: what it printed: handover logs {}", event.app),
            ],
            EventKind::Retired {
                release,
                forced,
                took_ms,
                ..
            } => vec![retired(*release, *forced, *took_ms)],
        }
    }

    /// A sign of life for a phase that has been silent, or nothing where none is under way.
    pub fn still_at_it(&self, silent_for: Duration) -> Option<String> {
        let silence = limit_text(Duration::from_secs(silent_for.as_secs()));
        self.under_way
            .map(|doing| format!("  {doing:<10} … {silence} without output"))
    }
}

fn live(release: ReleaseNumber, urls: &[String], took: Took) -> Vec<String> {
    let at = if urls.is_empty() {
        String::new()
    } else {
        format!(" at {}", urls.join(", "))
    };
    let success = format!("success: release {release} is live{at}");
    vec![String::new(), timed(&success, &took.to_string())]
}

fn retired(release: ReleaseNumber, forced: u64, took: Took) -> String {
    let how = match forced {
        0 => "all connections ended".to_owned(),
        1 => "1 connection was ended at the limit".to_owned(),
        n => format!("{n} connections were ended at the limit"),
    };
    let line = format!("  {:<10} release {release}: {how}", "retire");
    timed(&line, &took.to_string())
}

/// A line whose duration stands in the right column.
fn timed(line: &str, took: &str) -> String {
    let used = line.chars().count();
    let gap = WIDTH.saturating_sub(used + took.chars().count()).max(2);
    format!("{line}{:gap$}{took}", "")
}

fn failed(failure: &Failure) -> Vec<String> {
    let mut lines = vec![
        String::new(),
        format!("error: {}: {}", failure.phase, failure.cause),
    ];
    lines.extend(
        failure
            .tail
            .iter()
            .map(|line| format!("    {line}").trim_end().to_owned()),
    );
    lines.extend(failure.hints.iter().map(|hint| format!("hint: {hint}")));
    let mut last = String::new();
    match failure.serving {
        Some(release) => _ = write!(last, "release {release} serves on; nothing has changed"),
        None => last.push_str("nothing was live before, and nothing is now"),
    }
    lines.push(last);
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::GenerationNumber;
    use crate::report::Origin;

    fn lines(kind: EventKind) -> Vec<String> {
        let event = Event {
            at: crate::time::now(),
            app: "shop".parse().unwrap(),
            deploy: crate::ids::DeployNumber(1),
            kind,
        };
        Renderer::default().lines(&event)
    }

    #[test]
    fn the_first_line_names_app_branch_commits_and_subject() {
        let to = "7e41d08".to_owned() + &"0".repeat(33);
        let accepted = EventKind::Accepted {
            origin: Origin::Push,
            branch: "main".into(),
            from: Some(("3f2a9c1".to_owned() + &"0".repeat(33)).parse().unwrap()),
            to: to.parse().unwrap(),
            subject: "Add the basket".into(),
            message: None,
            by: Some("ada".into()),
        };
        assert_eq!(
            lines(accepted)[0],
            "handover  shop  main 3f2a9c1 → 7e41d08  “Add the basket”"
        );
    }

    #[test]
    fn durations_stand_in_one_column() {
        let done = |phase, detail: &str, ms| EventKind::Done {
            phase,
            detail: detail.into(),
            took_ms: Took(Duration::from_millis(ms)),
        };
        let checkout = lines(done(Phase::Checkout, "142 files", 41)).remove(0);
        let install = lines(done(Phase::Install, "312 packages", 8300)).remove(0);
        assert_eq!(checkout.chars().count(), install.chars().count());
        assert!(checkout.starts_with("  checkout   142 files  ") && checkout.ends_with("  41 ms"));
    }

    #[test]
    fn a_drain_tells_requests_from_web_sockets() {
        let drain = EventKind::Draining {
            generation: GenerationNumber(56),
            release: ReleaseNumber(41),
            connections: 121,
            upgraded: Some(118),
            limit_ms: Took(Duration::from_secs(300)),
        };
        assert_eq!(
            lines(drain),
            ["  drain      release 41: 3 connections, 118 WebSockets, 5 min at most"]
        );
    }

    #[test]
    fn a_failure_ends_with_what_to_do_and_what_serves() {
        let mut failure = Failure::new(Phase::Build, "`npm run build` ended with exit code 2")
            .hint("run it locally");
        failure.serving = Some(ReleaseNumber(41));
        let text = lines(EventKind::Failed(failure)).join("\n");
        assert_eq!(
            text,
            "\nerror: build: `npm run build` ended with exit code 2\nhint: run it locally\nrelease 41 serves on; nothing has changed"
        );
    }
}
