//! What `serve` asks of a keeper, written before it is started.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::ids::{AppName, CommitId, GenerationNumber, ReleaseNumber};

use super::KeepError;

/// Everything that a keeper needs: once it runs it asks nothing of `serve`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spec {
    /// The app.
    pub app: AppName,
    /// This start of it.
    pub generation: GenerationNumber,
    /// What is started.
    pub release: ReleaseNumber,
    /// The commit that the release was built from.
    pub commit: CommitId,
    /// Where the release lies: the working directory of the instances.
    pub release_dir: PathBuf,
    /// How an instance is started.
    pub command: Command,
    /// How many instances, at least 1.
    pub instances: u32,
    /// The environment that all instances have in common; the keeper adds what differs (`PORT` …).
    pub env: BTreeMap<String, String>,
    /// Whether node loads handover's preload.
    pub preload: bool,
    /// Where node keeps what it has compiled, for the starts that follow; nothing, where it is not to.
    #[serde(default)]
    pub compile_cache: Option<PathBuf>,
    /// The generation's socket, bound by the keeper.
    pub socket: PathBuf,
    /// The socket's permissions, such as `0o660`.
    pub socket_mode: u32,
    /// The group that the socket is given to (the front's), by number.
    pub socket_group: Option<u32>,
    /// The app's log, shared with the keepers of its other generations.
    pub log: PathBuf,
    /// How large the log may grow.
    pub log_limits: LogLimits,
    /// How long a drain may take where the request to drain says nothing else.
    #[serde(with = "millis")]
    pub drain_limit: Duration,
    /// How long an instance may take between SIGTERM and SIGKILL.
    #[serde(with = "millis")]
    pub stop_timeout: Duration,
}

/// How an instance is started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Command {
    /// A program and its arguments, as they are.
    Argv(Vec<String>),
    /// Shell text (a start script, a line of a Procfile), run by `/bin/sh -c` as npm does.
    Shell(String),
}

impl Command {
    /// Program and arguments.
    pub fn argv(&self) -> Vec<String> {
        match self {
            Self::Argv(argv) => argv.clone(),
            Self::Shell(text) => vec!["/bin/sh".to_owned(), "-c".to_owned(), text.clone()],
        }
    }
}

/// How large a log may grow: `app.log` and `app.log.1` to `app.log.<files>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLimits {
    /// A file that has reached this many bytes is rotated.
    pub file_bytes: u64,
    /// How many rotated files are kept beside the one that is written.
    pub files: u32,
}

impl Default for LogLimits {
    fn default() -> Self {
        Self {
            file_bytes: 10 * 1024 * 1024,
            files: 4,
        }
    }
}

impl Spec {
    /// Writes it where the keeper looks for it.
    pub fn write(&self, path: &Path) -> Result<(), KeepError> {
        super::record::write_json(path, self)
    }

    /// Reads what [`Spec::write`] wrote.
    pub fn read(path: &Path) -> Result<Self, KeepError> {
        super::record::read_json(path)
    }
}

/// Durations as whole milliseconds.
pub(super) mod millis {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    pub(in crate::keep) fn serialize<S: Serializer>(
        duration: &Duration,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(duration.as_millis().try_into().unwrap_or(u64::MAX))
    }

    pub(in crate::keep) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Duration, D::Error> {
        u64::deserialize(deserializer).map(Duration::from_millis)
    }
}
