//! What travels over the control socket, as JSON.

mod keys;
mod store;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::deploy::repair::Seen;
pub use crate::deploy::settings::{
    AppSettings, ChangeSettings, ChangedSettings, LastDelivery, NewSecret, WebhookAt, WebhookStatus,
};
pub use keys::{AddKey, AuthorizedKeys, Greeting, KeyApp, KeyStatus, Keys, Repository};
pub use store::{PruneStore, PrunedStore, StoreList, StoredTree, VerifiedTree};

pub use crate::deploy::status::{AppState, AppStatus, DrainingStatus, InstanceStatus, LiveStatus};
use crate::ids::{AppName, CommitId, DeployNumber, HostName, ReleaseNumber};
use crate::process::identity::Identity;
use crate::push::{PushOptions, PushStage, RefUpdate};
use crate::report::Event;
use crate::time::Timestamp;

/// The server itself.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ServerStatus {
    /// Its version.
    pub version: String,
    /// Its process.
    pub pid: u32,
    /// Where the front listens.
    pub listen: Vec<String>,
}

/// What is not as it should be.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Faults {
    /// In no order that means anything.
    pub faults: Vec<Seen>,
}

/// All apps.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Status {
    /// By name.
    pub apps: Vec<AppStatus>,
}

/// An app that is to be created.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CreateApp {
    /// Its name.
    pub name: AppName,
    /// The branch whose pushes deploy.
    pub branch: Option<String>,
    /// Whether pushes are to wait for the verdict before the ref moves.
    pub gate: bool,
    /// Its host names.
    pub hosts: Vec<HostName>,
    /// A bare repository that exists already and is to be used.
    pub repo: Option<PathBuf>,
}

/// An app that has been created.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CreatedApp {
    /// Its name.
    pub name: AppName,
    /// The branch whose pushes deploy.
    pub branch: String,
    /// The repository to push to.
    pub repo: PathBuf,
    /// What was found and changed in a repository that existed.
    pub notes: Vec<String>,
}

/// A push, as git's hooks hand it over.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Push {
    /// When in the push.
    pub stage: PushStage,
    /// The refs that are concerned.
    pub updates: Vec<RefUpdate>,
    /// What the pusher has said with `-o`.
    #[serde(default)]
    pub options: PushOptions,
    /// The `git receive-pack` that runs the hook. It is ended if it is stuck after the deploy's end because its client
    /// does not read.
    pub receive_pack: Option<Identity>,
}

/// What came of `handover cancel`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "result", rename_all = "snake_case")]
pub enum Cancelled {
    /// The deploy has been given up; everything that it had made is gone.
    Cancelled {
        /// The deploy.
        deploy: DeployNumber,
    },
    /// It had ended, or was past the swap, before it could be given up.
    TooLate {
        /// The deploy.
        deploy: DeployNumber,
    },
    /// No deploy runs.
    Nothing,
}

/// What `handover deploy` asks for.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct DeployCommit {
    /// A commit id, abbreviated or not, or a branch or tag; none for the deploy branch.
    pub revision: Option<String>,
}

/// What `handover rollback` asks for.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct RollBack {
    /// The release to go back to; none for the last that was live before.
    pub release: Option<ReleaseNumber>,
}

/// What `handover scale` asks for.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Scale {
    /// How many web instances.
    pub web: u32,
}

/// A host name that is to be added or removed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Domain {
    /// The host name.
    pub host: HostName,
}

/// The host names of an app.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Domains {
    /// In the order in which they were added.
    pub domains: Vec<HostName>,
}

/// How nginx is set up for an app.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Nginx {
    /// The configuration, complete.
    pub config: String,
    /// What else is to be done, a line each.
    pub advice: Vec<String>,
}

/// A repository whose hooks are to be taken out.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RemoveHooks {
    /// The bare repository.
    pub repo: PathBuf,
}

/// One line of an answer that tells what happens while it happens.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Line {
    /// Something about the request itself.
    Note {
        /// The words.
        note: String,
    },
    /// Nothing had to be done.
    AlreadyLive {
        /// The release that is live with the wanted commit.
        already_live: ReleaseNumber,
        /// Where it can be reached.
        urls: Vec<String>,
    },
    /// The request can't be met.
    Refused {
        /// Why, in one line.
        refused: String,
        /// What to do about it, a line each.
        #[serde(default)]
        hints: Vec<String>,
    },
    /// Something happened in a deploy.
    Event(Box<Event>),
}

/// One release in `handover releases`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ReleaseStatus {
    /// Its number.
    pub release: ReleaseNumber,
    /// Whether it is the one that serves.
    pub live: bool,
    /// The commit that it was built from.
    pub commit: CommitId,
    /// The first line of the commit's message.
    pub subject: String,
    /// The deploy that built it.
    pub deploy: DeployNumber,
    /// Who asked for that deploy, where that is known: the name of a key, or of a user of the server's machine.
    pub pushed_by: Option<String>,
    /// When it was built.
    pub built_at: Timestamp,
    /// What the pusher said about it, with `-o message=…`.
    pub message: Option<String>,
}

/// The releases of an app.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Releases {
    /// Oldest first.
    pub releases: Vec<ReleaseStatus>,
}

/// Why a request was not met.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Refusal {
    /// In words.
    pub error: String,
}
