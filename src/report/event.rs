//! The vocabulary.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::ids::{AppName, CommitId, DeployNumber, GenerationNumber, ReleaseNumber};
use crate::time::{Timestamp, Took};

/// One thing that happened in a deploy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// When, on the server's clock.
    pub at: Timestamp,
    /// To which app.
    pub app: AppName,
    /// In which of its deploys.
    pub deploy: DeployNumber,
    /// What.
    #[serde(flatten)]
    pub kind: EventKind,
}

/// The phases of a deploy, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Refs and options are checked and the deploy finds its place.
    Receive,
    /// The commit's tree is written to a release directory.
    Checkout,
    /// Dependencies are installed.
    Install,
    /// The build script runs.
    Build,
    /// A new generation is started.
    Start,
    /// It is asked over HTTP whether it is well.
    Health,
    /// `live.sock` is made to lead to it.
    Swap,
    /// What was live before waits for its connections to end.
    Drain,
}

impl Phase {
    /// The name as pushers read it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Receive => "receive",
            Self::Checkout => "checkout",
            Self::Install => "install",
            Self::Build => "build",
            Self::Start => "start",
            Self::Health => "health",
            Self::Swap => "swap",
            Self::Drain => "drain",
        }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl std::str::FromStr for Phase {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        const ALL: [Phase; 8] = [
            Phase::Receive,
            Phase::Checkout,
            Phase::Install,
            Phase::Build,
            Phase::Start,
            Phase::Health,
            Phase::Swap,
            Phase::Drain,
        ];
        ALL.into_iter()
            .find(|phase| phase.name() == text)
            .ok_or_else(|| format!("`{text}` is not a phase"))
    }
}

/// Which of its two outputs a program wrote to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stream {
    /// Standard output.
    Out,
    /// Standard error.
    Err,
}

/// What made a deploy begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// A `git push`.
    Push,
    /// `handover deploy`.
    Command,
    /// The branch named a commit that was not live, and nobody had asked: a push while `serve` was away, or a ref
    /// that was moved by hand.
    Ref,
    /// `handover restart` or `handover scale`, or a keeper that was lost: a new generation of the live release.
    Restart,
    /// A version that kept crashing after its swap: back to the release before.
    SwapBack,
    /// `handover rollback`: a release that was built before.
    Rollback,
}

impl Origin {
    /// The name as it is stored.
    pub fn name(self) -> &'static str {
        match self {
            Self::Push => "push",
            Self::Command => "command",
            Self::Ref => "ref",
            Self::Restart => "restart",
            Self::SwapBack => "swap_back",
            Self::Rollback => "rollback",
        }
    }
}

impl std::str::FromStr for Origin {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        const ALL: [Origin; 6] = [
            Origin::Push,
            Origin::Command,
            Origin::Ref,
            Origin::Restart,
            Origin::SwapBack,
            Origin::Rollback,
        ];
        ALL.into_iter()
            .find(|origin| origin.name() == text)
            .ok_or_else(|| format!("`{text}` is not an origin"))
    }
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum EventKind {
    /// The deploy exists.
    Accepted {
        /// What made it begin.
        origin: Origin,
        /// The branch it belongs to.
        branch: String,
        /// The commit that was live.
        from: Option<CommitId>,
        /// The commit to deploy.
        to: CommitId,
        /// The first line of the commit's message, cleaned.
        subject: String,
        /// What the pusher said about it, cleaned.
        #[serde(default)]
        message: Option<String>,
        /// Who asked for it, where that is known: the name of a key, or of a user of the server's machine.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<String>,
    },
    /// It can't begin yet.
    Waiting {
        /// What it waits for.
        reason: String,
    },
    /// A phase has begun.
    Began {
        /// The phase.
        phase: Phase,
        /// The command that it runs, if it runs one.
        command: Option<String>,
    },
    /// A program that handover runs printed a line.
    Output {
        /// In which phase.
        phase: Phase,
        /// Where it was printed.
        stream: Stream,
        /// The line, cleaned, without its end.
        line: String,
    },
    /// A phase is done.
    Done {
        /// The phase.
        phase: Phase,
        /// What came of it.
        detail: String,
        /// How long it took.
        took_ms: Took,
    },
    /// Something that the pusher should know, and that stops nothing.
    Warned {
        /// What.
        text: String,
    },
    /// What was live before waits for its connections to end.
    Draining {
        /// The generation that was live.
        generation: GenerationNumber,
        /// Its release.
        release: ReleaseNumber,
        /// Connections still open, as the kernel counts them.
        connections: u64,
        /// Of these, those that the app itself calls upgraded (WebSockets), where it says so.
        upgraded: Option<u64>,
        /// When it is ended by force, counted from now.
        limit_ms: Took,
    },
    /// The deploy is live. Ends what a pusher is shown.
    Live {
        /// The release that is live.
        release: ReleaseNumber,
        /// The generation that is live.
        generation: GenerationNumber,
        /// Where it can be reached.
        urls: Vec<String>,
        /// The whole deploy.
        took_ms: Took,
    },
    /// The deploy failed and changed nothing. Ends what a pusher is shown.
    Failed(Failure),
    /// A newer push took its place before it began. Ends what a pusher is shown.
    Superseded {
        /// The commit of the newer push.
        by: CommitId,
    },
    /// What this deploy had made live did not stay up, and what was live before serves again. Comes after the end.
    SwappedBack {
        /// The release of this deploy.
        from: ReleaseNumber,
        /// The release that serves again.
        to: ReleaseNumber,
        /// Why, in one line.
        cause: String,
    },
    /// A generation that was drained is gone. Comes after the end.
    Retired {
        /// The generation.
        generation: GenerationNumber,
        /// Its release.
        release: ReleaseNumber,
        /// Connections that were ended by force.
        forced: u64,
        /// How long the drain took.
        took_ms: Took,
    },
}

/// Why a deploy failed, and what to do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Failure {
    /// The phase that failed.
    pub phase: Phase,
    /// The cause in one line.
    pub cause: String,
    /// The last lines of what failed, where they were not shown already.
    pub tail: Vec<String>,
    /// What to do about it, a line each.
    pub hints: Vec<String>,
    /// The release that serves on.
    pub serving: Option<ReleaseNumber>,
    /// Whether nothing went wrong: somebody wished that the deploy be given up.
    #[serde(default)]
    pub cancelled: bool,
}

impl Failure {
    /// A failure without output.
    pub fn new(phase: Phase, cause: impl Into<String>) -> Self {
        Self {
            phase,
            cause: cause.into(),
            tail: Vec::new(),
            hints: Vec::new(),
            serving: None,
            cancelled: false,
        }
    }

    /// Adds what to do.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// A deploy that somebody gave up in this phase.
    pub fn cancelled(phase: Phase, cause: impl Into<String>) -> Self {
        Self {
            cancelled: true,
            ..Self::new(phase, cause)
        }
    }

    /// Adds the last lines of what failed.
    #[must_use]
    pub fn tail(mut self, tail: Vec<String>) -> Self {
        self.tail = tail;
        self
    }
}

/// How a deploy ended, for whoever watched it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The commit is live.
    Live,
    /// The deploy failed.
    Failed,
    /// Somebody gave it up.
    Cancelled,
    /// A newer one took its place.
    Superseded,
}

impl Event {
    /// The verdict, if this event is the last that a pusher is shown, or, for whoever looks later, takes that one back.
    pub fn verdict(&self) -> Option<Verdict> {
        match &self.kind {
            EventKind::Live { .. } => Some(Verdict::Live),
            EventKind::Failed(failure) if failure.cancelled => Some(Verdict::Cancelled),
            EventKind::Failed(_) | EventKind::SwappedBack { .. } => Some(Verdict::Failed),
            EventKind::Superseded { .. } => Some(Verdict::Superseded),
            EventKind::Accepted { .. }
            | EventKind::Waiting { .. }
            | EventKind::Began { .. }
            | EventKind::Output { .. }
            | EventKind::Done { .. }
            | EventKind::Warned { .. }
            | EventKind::Draining { .. }
            | EventKind::Retired { .. } => None,
        }
    }
}

impl Event {
    /// Whether even a pusher is shown it who wants to read as little as possible.
    pub fn is_important(&self) -> bool {
        self.verdict().is_some() || matches!(self.kind, EventKind::Warned { .. })
    }

    /// Why the deploy did not go live, in one line, if this says so.
    pub fn reason(&self) -> Option<String> {
        match &self.kind {
            EventKind::Failed(failure) => Some(format!("{}: {}", failure.phase, failure.cause)),
            EventKind::Superseded { by } => Some(format!("superseded by {}", by.short())),
            EventKind::SwappedBack { cause, .. } => Some(format!("watch: {cause}")),
            EventKind::Accepted { .. }
            | EventKind::Waiting { .. }
            | EventKind::Began { .. }
            | EventKind::Output { .. }
            | EventKind::Done { .. }
            | EventKind::Warned { .. }
            | EventKind::Draining { .. }
            | EventKind::Live { .. }
            | EventKind::Retired { .. } => None,
        }
    }
}

/// What a drain waits for, in words: `3 connections, 118 WebSockets`.
pub(super) fn open_text(connections: u64, upgraded: Option<u64>) -> String {
    let count = |n: u64, one: &str| format!("{n} {one}{}", if n == 1 { "" } else { "s" });
    let upgraded = upgraded.unwrap_or(0).min(connections);
    match (connections - upgraded, upgraded) {
        (0, 0) => "no connections".to_owned(),
        (others, 0) => count(others, "connection"),
        (0, upgraded) => count(upgraded, "WebSocket"),
        (others, upgraded) => format!(
            "{}, {}",
            count(others, "connection"),
            count(upgraded, "WebSocket")
        ),
    }
}

/// A duration for events.
impl From<Duration> for Took {
    fn from(duration: Duration) -> Self {
        Took(duration)
    }
}
