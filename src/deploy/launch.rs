//! The second half of a deploy: start, health, swap, drain. A fresh start consists of it alone.
//!
//! ```text
//!   Startable ──start──► Started ──check──► Ready ──publish──► Swapped ──drain──► NewlyLive
//! ```
//!
//! Each step consumes what the one before made, so that nothing is published that has not passed its health check, and
//! nothing is drained that was not replaced.

mod check;
mod memory;
mod start;
mod swap;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::journal::Journal;
use crate::build::Runtime;
use crate::config::AppFiles;
use crate::ids::{CommitId, GenerationNumber, ReleaseNumber};
use crate::keep::{KeepEvent, Keeper, Watch};
use crate::report::Failure;
use crate::time::Timestamp;

/// The last lines of an app's output that a failure shows.
const TAIL_LINES: usize = 30;

/// The generation that serves.
#[derive(Debug)]
pub(in crate::deploy) struct Live {
    /// Its number.
    pub generation: GenerationNumber,
    /// Its release.
    pub release: ReleaseNumber,
    /// The commit that the release was built from.
    pub commit: CommitId,
    /// What runs it.
    pub keeper: Arc<Keeper>,
    /// Since when it serves.
    pub since: Timestamp,
}

/// A generation that was live, and waits for its connections to end.
#[derive(Debug, Clone)]
pub(in crate::deploy) struct Replaced {
    /// Its number.
    pub generation: GenerationNumber,
    /// Its release.
    pub release: ReleaseNumber,
    /// What runs it.
    pub keeper: Arc<Keeper>,
    /// When it is ended by force.
    pub deadline: Timestamp,
    /// Who is told when it is gone.
    pub journal: Option<Arc<Journal>>,
}

/// What a deploy has brought about.
#[derive(Debug)]
pub(in crate::deploy) struct NewlyLive {
    /// What serves now.
    pub live: Live,
    /// What served before.
    pub replaced: Option<Replaced>,
    /// What happens in the new generation.
    pub events: Watch,
    /// How long it must stay up.
    pub watch_for: Duration,
}

/// A release directory that is complete.
#[derive(Debug)]
pub(in crate::deploy) struct Startable {
    /// Its number.
    pub release: ReleaseNumber,
    /// The commit that it was built from.
    pub commit: CommitId,
    /// Where it lies.
    pub dir: PathBuf,
    /// What its author has set.
    pub files: AppFiles,
    /// What its commands find.
    pub runtime: Runtime,
}

/// A generation whose instances all listen.
pub(in crate::deploy) struct Started {
    from: Startable,
    generation: GenerationNumber,
    keeper: Arc<Keeper>,
    watch: Watch,
    deadline: tokio::time::Instant,
}

/// A generation that has passed its health check. Only [`Started::check`] makes one.
pub(in crate::deploy) struct Ready {
    from: Startable,
    generation: GenerationNumber,
    keeper: Arc<Keeper>,
    watch: Watch,
}

/// A generation that `live.sock` leads to. Only [`Ready::publish`] makes one.
pub(in crate::deploy) struct Swapped {
    live: Live,
    watch: Watch,
    watch_for: Duration,
}

const START_HINT: &str = "the app must keep running and listen on process.env.PORT; try it with: NODE_ENV=production PORT=3000 npm start";

/// Why this event means that a generation which is not live yet never will be.
fn fatal(event: &KeepEvent) -> Option<String> {
    match event {
        KeepEvent::Exited {
            index,
            status,
            ran_ms,
            ..
        } => Some(format!(
            "instance {index} ended after {ran_ms} with {status}"
        )),
        KeepEvent::StartFailed { index, error } => {
            Some(format!("instance {index} could not be started: {error}"))
        }
        KeepEvent::Output { .. }
        | KeepEvent::Listening { .. }
        | KeepEvent::Ready { .. }
        | KeepEvent::ListenElsewhere { .. }
        | KeepEvent::Draining { .. }
        | KeepEvent::Undrained
        | KeepEvent::Retired { .. } => None,
    }
}

async fn with_tail(failure: Failure, keeper: &Keeper) -> Failure {
    let mut lines = keeper.tail().await.unwrap_or_default();
    lines.drain(..lines.len().saturating_sub(TAIL_LINES));
    failure.tail(lines)
}
