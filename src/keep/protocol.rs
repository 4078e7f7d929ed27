//! What is said on a keeper's control socket: one JSON object a line, each request answered by one reply. After
//! `watch` the connection carries events until either side closes it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::ids::{GenerationNumber, ReleaseNumber};
use crate::report::Stream;
use crate::time::{Timestamp, Took};

use super::spec::millis;

/// What can be asked of a keeper.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "snake_case")]
pub enum Request {
    /// How it is. Answered with [`Reply::Status`].
    Status,
    /// The last lines that the instances printed. Answered with [`Reply::Tail`].
    Tail,
    /// Events from now on. Until the generation is committed they begin with what has happened so far.
    Watch,
    /// The generation has been published: from now on an instance that ends is started again.
    Commit,
    /// Wait for the connections to end, then stop. Answered with [`Reply::Draining`] when the instances know.
    Drain {
        /// When to use force; without it, what the spec says.
        #[serde(with = "optional_millis", default)]
        limit_ms: Option<Duration>,
    },
    /// It is live again: go on as before. Refused once instances have been told to stop.
    Undrain,
    /// Stop the instances now. Answered at once; the keeper ends when they have.
    Stop,
    /// Run this many instances. Answered when as many serve, and those that are too many accept no more.
    Scale {
        /// At least 1.
        instances: u32,
    },
}

/// The answer to a request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "reply", rename_all = "snake_case")]
pub enum Reply {
    /// Done.
    Done,
    /// Not done.
    Refused {
        /// Why, in words.
        reason: String,
    },
    /// How the generation is.
    Status(Status),
    /// The last lines, oldest first.
    Tail {
        /// Cleaned, without their ends.
        lines: Vec<String>,
    },
    /// The drain has begun.
    Draining(Open),
}

/// What is open at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Open {
    /// Accepted connections, as the kernel counts them.
    pub established: u64,
    /// Connections that wait to be accepted.
    pub queued: u64,
    /// Of those accepted, the ones that the app's processes call upgraded (`WebSockets`). `None`: none of them says so.
    pub upgraded: Option<u64>,
}

impl Open {
    /// Accepted or waiting.
    pub fn total(self) -> u64 {
        self.established + self.queued
    }
}

/// How a generation is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// Which one.
    pub generation: GenerationNumber,
    /// What it runs.
    pub release: ReleaseNumber,
    /// What it is about to do.
    pub mode: ModeName,
    /// Its instances, those that are being scaled away too.
    pub instances: Vec<InstanceStatus>,
    /// What is connected to it.
    pub connections: Open,
    /// When force is used, while it drains.
    pub deadline: Option<Timestamp>,
}

impl Status {
    /// Whether every instance serves.
    pub fn all_listening(&self) -> bool {
        let well = |instance: &InstanceStatus| instance.state == InstanceState::Listening;
        self.instances.iter().all(well)
    }
}

/// What a keeper is about to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ModeName {
    /// Its instances are starting, and not started again if they end.
    Starting,
    /// It serves.
    Serving,
    /// It waits for its connections to end.
    Draining,
    /// Its instances have been told to end.
    Stopping,
}

/// One instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstanceStatus {
    /// Its number, from 0.
    pub index: u32,
    /// The leader of its process group, while it runs.
    pub pid: Option<u32>,
    /// How often it was started again.
    pub restarts: u32,
    /// Resident memory of all its processes; pages that they share count more than once.
    pub rss_bytes: u64,
    /// What it is about.
    pub state: InstanceState,
    /// Since when.
    pub since: Timestamp,
}

/// What an instance is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InstanceState {
    /// It runs and does not listen yet.
    Starting,
    /// It serves.
    Listening,
    /// It ended and waits to be started again.
    BackingOff,
    /// It accepts no more connections and ends when it has none left.
    Leaving,
    /// It has been told to end.
    Stopping,
    /// It ended and is not started again.
    Ended,
}

/// What happens in a generation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum KeepEvent {
    /// An instance printed a line. Sent until the generation is committed.
    Output {
        /// Which instance.
        index: u32,
        /// To which of its outputs.
        stream: Stream,
        /// The line, cleaned, without its end.
        line: String,
    },
    /// An instance listens.
    Listening {
        /// Which one.
        index: u32,
        /// The address that the keeper relays to, where the instance does not accept from the socket itself.
        relayed_to: Option<String>,
    },
    /// All instances listen.
    Ready {
        /// How many.
        instances: u32,
    },
    /// An instance listens on something that is not its `PORT`.
    ListenElsewhere {
        /// Which one.
        index: u32,
        /// Where, as it said.
        address: String,
    },
    /// An instance could not be started at all.
    StartFailed {
        /// Which one.
        index: u32,
        /// Why, in words.
        error: String,
    },
    /// An instance ended without being told to.
    Exited {
        /// Which one.
        index: u32,
        /// How, in words.
        status: String,
        /// How long it ran.
        ran_ms: Took,
        /// After which time it is started again; `None`: it is not.
        restart_in_ms: Option<Took>,
    },
    /// The drain has begun.
    Draining {
        /// What was open then.
        open: Open,
        /// How long it may take.
        limit_ms: Took,
    },
    /// The drain was called off.
    Undrained,
    /// A drain is over and all processes have ended. The last event.
    Retired {
        /// Connections that were ended by force.
        forced: u64,
        /// From the beginning of the drain.
        took_ms: Took,
    },
}

mod optional_millis {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    use super::millis;

    #[allow(clippy::ref_option)] // the signature that serde asks for
    pub(super) fn serialize<S: Serializer>(
        duration: &Option<Duration>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match duration {
            Some(duration) => millis::serialize(duration, serializer),
            None => serializer.serialize_none(),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Duration>, D::Error> {
        let ms: Option<u64> = Option::deserialize(deserializer)?;
        Ok(ms.map(Duration::from_millis))
    }
}
