//! A pusher whose deploy has ended, and whose `git receive-pack` does not.
//!
//! A client that was stopped, or whose line is dead, does not read; `receive-pack` then waits for ever for room in a
//! pipe, and only its end lets go of what it holds.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use crate::deploy::journal::Journal;
use crate::process::child::Signal;
use crate::process::identity::{Identity, PidFd, children, is_program, is_stopped};

/// How long a client may take, after the deploy's end, to read the last lines.
const PATIENCE: Duration = Duration::from_millis(3500);
/// How often it is looked whether a hook of the repository's own still runs, which may take its time.
const LOOK_AGAIN: Duration = Duration::from_millis(200);
/// How long `receive-pack` may take to end when told to.
const LAST_BREATH: Duration = Duration::from_millis(500);

/// Waits for the deploy's end and then ends a `receive-pack` that can't get rid of its output.
pub(super) async fn see_off(receive_pack: Identity, journal: Option<Arc<Journal>>) {
    let Ok(Some(process)) = PidFd::open(&receive_pack) else {
        return; // gone already, or another user's
    };
    if !is_program(receive_pack.pid, "receive-pack") {
        return; // whoever called the hook is not git
    }
    if let Some(journal) = journal {
        journal.ended().await;
    }
    if timeout(PATIENCE, process.exited()).await.is_ok() {
        return;
    }
    let stopped = loop {
        let children = children(receive_pack.pid);
        let stopped: Vec<u32> = children
            .iter()
            .copied()
            .filter(|pid| is_stopped(*pid))
            .collect();
        if children.is_empty() || !stopped.is_empty() {
            break stopped;
        }
        if timeout(LOOK_AGAIN, process.exited()).await.is_ok() {
            return;
        }
    };
    tracing::info!(
        pid = receive_pack.pid,
        "pusher does not read; its receive-pack is ended"
    );
    for signal in [Signal::SIGTERM, Signal::SIGKILL] {
        if let Err(error) = process.signal(signal) {
            return tracing::warn!(pid = receive_pack.pid, %error, "receive-pack can't be ended");
        }
        if timeout(LAST_BREATH, process.exited()).await.is_ok() {
            break;
        }
    }
    // Only now: a receive-pack that lives would tell its client that the hook has failed, and so the push.
    stopped.into_iter().for_each(end);
}

/// Ends a hook that was stopped together with its pusher: it would never end by itself.
fn end(pid: u32) {
    let opened = Identity::of(pid).and_then(|identity| PidFd::open(&identity));
    if let Ok(Some(process)) = opened
        && let Err(error) = process.signal(Signal::SIGKILL)
    {
        tracing::warn!(pid, %error, "hook can't be ended");
    }
}
