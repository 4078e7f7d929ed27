//! What `serve` answers, shown to the pusher while it comes.

use std::time::Duration;

use hyper::Method;

use super::output::PusherOutput;
use crate::control::types::Push;
use crate::control::{Client, ClientError, GONE_AWAY, Outcome, Shown, Viewer};
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
                let shown = match push.options.verbosity {
                    Verbosity::Quiet => Shown::Important,
                    Verbosity::Usual | Verbosity::Verbose => Shown::Everything,
                };
                if let Some(verdict) = show(Viewer::new(lines, shown), output).await {
                    return verdict;
                }
            }
            // It has just gone again.
            Err(ClientError::Unreachable { .. } | ClientError::Broken(_)) if taken => {}
            Err(error) => return unreachable(&error, output, push.stage, &link.app),
        }
        output.line(GONE_AWAY);
        if !client.is_back(|sign| output.line(sign)).await {
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
