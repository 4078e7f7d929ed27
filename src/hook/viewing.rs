//! What `serve` answers, shown to the pusher while it comes.

use std::time::Duration;

use hyper::Method;
use tokio::time::{Instant, sleep};

use super::output::PusherOutput;
use crate::control::types::Push;
use crate::control::{Client, ClientError, Outcome, Viewer};
use crate::git::hooks::{Gate, Link};
use crate::ids::AppName;
use crate::push::{PushStage, Verbosity};
use crate::time::limit_text;

/// How long a pusher may take to read the last lines.
pub(super) const LAST_WORDS: Duration = Duration::from_secs(2);

/// How long a server that went away in the middle of a push is waited for.
const AWAY_AT_MOST: Duration = Duration::from_secs(60);
/// How often it is looked for.
const LOOK_AGAIN: Duration = Duration::from_millis(200);
/// How often the pusher is told that it is.
const SIGN_OF_LIFE: Duration = Duration::from_secs(5);

/// How a push ended, as far as its hook has learned.
#[derive(Debug)]
pub(super) struct Verdict {
    pub(super) outcome: Outcome,
    /// Why it did not come to a good end, in one line.
    pub(super) reason: String,
}

/// Hands a push to `serve` and shows what happens until its verdict. A server that goes away before that is waited for,
/// and handed the push again: it knows what has become of it, or does it anew.
pub(super) async fn hand_over(link: &Link, push: Push, output: &mut PusherOutput) -> Verdict {
    let path = format!("/v1/apps/{}/push", link.app);
    let client = Client::for_hook(link.control.clone());
    let mut taken = false;
    loop {
        match client.lines(Method::POST, &path, &push).await {
            Ok(lines) => {
                taken = true;
                let viewer = Viewer::new(lines);
                let viewer = match push.options.verbosity {
                    Verbosity::Quiet => viewer.quiet(),
                    Verbosity::Usual | Verbosity::Verbose => viewer,
                };
                if let Some(verdict) = show(viewer, output).await {
                    return verdict;
                }
            }
            // It has just gone again.
            Err(ClientError::Unreachable { .. } | ClientError::Broken(_)) if taken => {}
            Err(error) => return unreachable(&error, output, push.stage, &link.app),
        }
        output.line("the server has gone away; waiting until it is back");
        if !is_back(&client, output).await {
            return stays_away(link, output);
        }
    }
}

/// Shows what comes; nothing, if it breaks off before the verdict.
async fn show(mut viewer: Viewer, output: &mut PusherOutput) -> Option<Verdict> {
    loop {
        tokio::select! {
            biased;
            line = viewer.next() => match line {
                Ok(Some(line)) => output.line(&line),
                Ok(None) | Err(_) => break,
            },
            () = output.room(), if output.is_behind() => {}
        }
    }
    let outcome = viewer.outcome();
    let reason = viewer.reason().map_or_else(String::new, str::to_owned);
    (outcome != Outcome::Unknown).then_some(Verdict { outcome, reason })
}

/// Returns when the server can be reached again, or false after [`AWAY_AT_MOST`].
async fn is_back(client: &Client, output: &mut PusherOutput) -> bool {
    let began = Instant::now();
    let mut said = began;
    while began.elapsed() < AWAY_AT_MOST {
        sleep(LOOK_AGAIN).await;
        if client.reaches().await {
            return true;
        }
        if said.elapsed() >= SIGN_OF_LIFE {
            said = Instant::now();
            output.line(&format!(
                "  … {} without the server",
                limit_text(Duration::from_secs(began.elapsed().as_secs()))
            ));
        }
    }
    false
}

fn stays_away(link: &Link, output: &mut PusherOutput) -> Verdict {
    match link.gate {
        Gate::On => output.line("warning: the verdict is not known; what serves, serves on: push again when the server is back"),
        Gate::Off => output.line("warning: the verdict is not known; the server finishes or repeats the deploy when it is back"),
    }
    output.line(&format!(
        "hint: watch it with: handover follow {}",
        link.app
    ));
    Verdict {
        outcome: Outcome::Unknown,
        reason: "the server has gone away before the verdict".to_owned(),
    }
}

fn unreachable(
    error: &ClientError,
    output: &mut PusherOutput,
    stage: PushStage,
    app: &AppName,
) -> Verdict {
    let verdict = |reason: &str| Verdict {
        outcome: Outcome::Unknown,
        reason: reason.to_owned(),
    };
    let ClientError::Unreachable { socket, .. } = error else {
        output.line(&format!("error: failed to {error}"));
        return verdict("the server could not take it; see above");
    };
    let trouble = format!(
        "the handover server is not running (no answer on {})",
        socket.display()
    );
    match stage {
        PushStage::Moved => {
            output.line(&format!("warning: {trouble}"));
            output.line("your push is stored, and is deployed when the server is started");
            output.line(&format!(
                "hint: start it with `handover serve`; then watch with `handover follow {app}`"
            ));
        }
        PushStage::Gate => {
            output.line(&format!("error: {trouble}"));
            output
                .line("hint: start it with `handover serve`, then push again; nothing has changed");
        }
    }
    verdict("the handover server is not running")
}
