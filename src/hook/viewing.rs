//! What `serve` answers, shown to the pusher while it comes.

use std::time::Duration;

use hyper::Method;

use super::output::PusherOutput;
use crate::control::types::Push;
use crate::control::{Client, ClientError, Outcome, Viewer};
use crate::git::hooks::{Gate, Link};
use crate::ids::AppName;
use crate::push::{PushStage, Verbosity};

/// How long a pusher may take to read the last lines.
pub(super) const LAST_WORDS: Duration = Duration::from_secs(2);

/// How a push ended, as far as its hook has learned.
#[derive(Debug)]
pub(super) struct Verdict {
    pub(super) outcome: Outcome,
    /// Why it did not come to a good end, in one line.
    pub(super) reason: String,
}

/// Hands a push to `serve` and shows what happens until its verdict.
pub(super) async fn hand_over(link: &Link, push: Push, output: &mut PusherOutput) -> Verdict {
    let path = format!("/v1/apps/{}/push", link.app);
    let answer = Client::for_hook(link.control.clone())
        .lines(Method::POST, &path, &push)
        .await;
    match answer {
        Ok(lines) => {
            let viewer = Viewer::new(lines);
            let viewer = match push.options.verbosity {
                Verbosity::Quiet => viewer.quiet(),
                Verbosity::Usual | Verbosity::Verbose => viewer,
            };
            show(viewer, output, link).await
        }
        Err(error) => unreachable(&error, output, push.stage, &link.app),
    }
}

async fn show(mut viewer: Viewer, output: &mut PusherOutput, link: &Link) -> Verdict {
    loop {
        tokio::select! {
            biased;
            line = viewer.next() => match line {
                Ok(Some(line)) => output.line(&line),
                Ok(None) => break,
                Err(error) => {
                    output.line(&format!("warning: the server has gone away: {error}"));
                    break;
                }
            },
            () = output.room(), if output.is_behind() => {}
        }
    }
    let outcome = viewer.outcome();
    let reason = viewer.reason().map_or_else(String::new, str::to_owned);
    if outcome != Outcome::Unknown {
        return Verdict { outcome, reason };
    }
    match link.gate {
        Gate::On => output.line("warning: the verdict is not known; what serves, serves on: push again when the server is back"),
        Gate::Off => output.line("warning: the verdict is not known; the server finishes or repeats the deploy when it is back"),
    }
    output.line(&format!(
        "hint: watch it with: handover follow {}",
        link.app
    ));
    Verdict {
        outcome,
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
