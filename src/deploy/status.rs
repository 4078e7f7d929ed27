//! What `handover status` shows; the field names are a contract.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::ids::{AppName, CommitId, DeployNumber, GenerationNumber, ReleaseNumber};
use crate::time::Timestamp;

/// How an app is, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AppState {
    /// Nothing has been deployed yet.
    Empty,
    /// A release serves, with all its instances.
    Live,
    /// A deploy runs or waits (a live release serves on meanwhile).
    Deploying,
    /// A release should serve, but an instance or its keeper is missing.
    Degraded,
    /// A release exists, but nothing runs.
    Stopped,
}

/// One app.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AppStatus {
    /// Its name.
    pub name: AppName,
    /// How it is.
    pub state: AppState,
    /// The branch whose pushes deploy.
    pub branch: String,
    /// What serves.
    pub live: Option<LiveStatus>,
    /// What still serves those who were connected before a swap.
    pub draining: Vec<DrainingStatus>,
    /// The deploy that runs.
    pub deploying: Option<DeployNumber>,
    /// How many directories that nobody needs any more are yet to be deleted.
    #[serde(default)]
    pub removing: usize,
    /// The socket that always leads to the app.
    pub socket: PathBuf,
    /// Where the front serves it.
    pub urls: Vec<String>,
    /// The repository to push to.
    pub repo: PathBuf,
}

/// The generation that serves.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LiveStatus {
    /// Its release.
    pub release: ReleaseNumber,
    /// Its number.
    pub generation: GenerationNumber,
    /// The commit that the release was built from.
    pub commit: CommitId,
    /// Since when it is live.
    pub since: Timestamp,
    /// Its processes.
    pub instances: Vec<InstanceStatus>,
    /// Connections that it holds, those waiting to be accepted included.
    pub connections: u64,
}

/// One process of a generation.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct InstanceStatus {
    /// Its place, from 0.
    pub index: u32,
    /// The process that leads its group; none while it is down.
    pub pid: Option<u32>,
    /// How often it had to be started again.
    pub restarts: u32,
    /// Resident memory of all its processes, in bytes.
    pub rss_bytes: u64,
}

/// A generation that waits for its connections to end.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DrainingStatus {
    /// Its number.
    pub generation: GenerationNumber,
    /// Its release.
    pub release: ReleaseNumber,
    /// Connections that are still open.
    pub connections: u64,
    /// When they are ended by force.
    pub deadline: Timestamp,
}
