//! A keeper, as `serve` sees it: started, found again, asked.

use std::fs::OpenOptions;
use std::path::Path;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::UnixStream;

use crate::paths::GenerationPaths;
use crate::process::child::{Detached, Output, Spawn};
use crate::process::identity::{Identity, PidFd};
use crate::process::rig::{self, kill_point};

use super::KeepError;
use super::protocol::{KeepEvent, Open, Reply, Request, Status};
use super::record::Processes;
use super::spec::Spec;

/// A keeper that runs, or did when it was looked at last.
#[derive(Debug)]
pub struct Keeper {
    paths: GenerationPaths,
    identity: Identity,
    pidfd: PidFd,
}

impl Keeper {
    /// Makes the generation's directory, writes the spec and starts `exe keep --dir DIR`. Returns when the sockets
    /// are bound: the instances are starting then. The keeper outlives us.
    pub async fn start(
        exe: &Path,
        paths: &GenerationPaths,
        spec: &Spec,
    ) -> Result<Self, KeepError> {
        let file = |action, path: &Path| {
            let path = path.to_owned();
            move |source| KeepError::file(action, &path, source)
        };
        make_private(paths.dir()).map_err(file("create", paths.dir()))?;
        spec.write(&paths.spec())?;
        kill_point("keeper.specified");
        let log = paths.keeper_log();
        let log_file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&log)
            .map_err(file("open", &log))?;
        let keeper = Spawn::new(exe)
            .args(["keep", "--dir"])
            .arg(paths.dir())
            .cwd("/")
            .envs(rig::passed_on())
            .stdout(Output::Piped)
            .stderr(Output::File(log_file))
            .spawn_detached()
            .map_err(KeepError::Spawn)?;
        kill_point("keeper.spawned");
        let said = first_words(keeper)
            .await
            .map_err(|source| KeepError::file("read", &log, source))?;
        match said.trim() {
            "ready" => {}
            "" => {
                let log = std::fs::read_to_string(&log).unwrap_or_default();
                let reason = log.lines().next_back().unwrap_or("it said nothing");
                return Err(KeepError::NotReady(reason.to_owned()));
            }
            error => return Err(KeepError::NotReady(error.to_owned())),
        }
        Self::find(paths)?.ok_or_else(|| KeepError::NotReady("it ended at once".to_owned()))
    }

    /// The keeper of a generation, if that very process still runs.
    pub fn find(paths: &GenerationPaths) -> Result<Option<Self>, KeepError> {
        let Some(processes) = Processes::read(paths)? else {
            return Ok(None);
        };
        let identity = processes.keeper;
        let pidfd = PidFd::open(&identity).map_err(|source| KeepError::Processes {
            dir: paths.dir().to_owned(),
            source,
        })?;
        Ok(pidfd.map(|pidfd| Self {
            paths: paths.clone(),
            identity,
            pidfd,
        }))
    }

    /// Which process it is.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Returns once the keeper has ended, however that came.
    pub async fn gone(&self) -> Result<(), KeepError> {
        let gone = self.pidfd.exited().await;
        gone.map_err(|source| KeepError::Processes {
            dir: self.paths.dir().to_owned(),
            source,
        })
    }

    /// Whether the keeper has ended.
    pub fn has_ended(&self) -> bool {
        self.pidfd.has_exited()
    }

    /// How the generation is.
    pub async fn status(&self) -> Result<Status, KeepError> {
        match self.ask(&Request::Status).await? {
            Reply::Status(status) => Ok(status),
            other => Err(refused("tell the status", other)),
        }
    }

    /// The last lines that the instances printed, oldest first.
    pub async fn tail(&self) -> Result<Vec<String>, KeepError> {
        match self.ask(&Request::Tail).await? {
            Reply::Tail { lines } => Ok(lines),
            other => Err(refused("tell the last lines", other)),
        }
    }

    /// What happens from now on; until [`Keeper::commit`], what has happened so far comes first.
    pub async fn watch(&self) -> Result<Watch, KeepError> {
        let mut stream = self.connect().await?;
        match self.exchange(&mut stream, &Request::Watch).await? {
            Reply::Done => Ok(Watch {
                lines: stream.lines(),
            }),
            other => Err(refused("watch", other)),
        }
    }

    /// Says that the generation is published: instances that end are started again from now on.
    pub async fn commit(&self) -> Result<(), KeepError> {
        self.expect_done(&Request::Commit, "commit").await
    }

    /// Begins the drain; `None` takes the limit of the spec. Returns what is open, as soon as the app's processes
    /// have heard of it. The generation ends by itself after that.
    pub async fn drain(&self, limit: Option<Duration>) -> Result<Open, KeepError> {
        match self.ask(&Request::Drain { limit_ms: limit }).await? {
            Reply::Draining(open) => Ok(open),
            other => Err(refused("drain", other)),
        }
    }

    /// Calls the drain off. Refused when the instances have been told to end.
    pub async fn undrain(&self) -> Result<(), KeepError> {
        self.expect_done(&Request::Undrain, "end the drain").await
    }

    /// Stops the instances at once. The keeper ends when they have: see [`Keeper::gone`].
    pub async fn stop(&self) -> Result<(), KeepError> {
        self.expect_done(&Request::Stop, "stop").await
    }

    /// Runs this many instances. Returns when as many serve and the others accept no more.
    pub async fn scale(&self, instances: u32) -> Result<(), KeepError> {
        self.expect_done(&Request::Scale { instances }, "scale")
            .await
    }

    async fn expect_done(&self, request: &Request, what: &'static str) -> Result<(), KeepError> {
        match self.ask(request).await? {
            Reply::Done => Ok(()),
            other => Err(refused(what, other)),
        }
    }

    async fn ask(&self, request: &Request) -> Result<Reply, KeepError> {
        let mut stream = self.connect().await?;
        self.exchange(&mut stream, request).await
    }

    async fn connect(&self) -> Result<BufReader<UnixStream>, KeepError> {
        let connected = UnixStream::connect(self.paths.control_socket()).await;
        connected
            .map(BufReader::new)
            .map_err(|source| self.talk(source))
    }

    async fn exchange(
        &self,
        stream: &mut BufReader<UnixStream>,
        request: &Request,
    ) -> Result<Reply, KeepError> {
        let exchanged = async {
            let mut line = serde_json::to_vec(request)?;
            line.push(b'\n');
            stream.write_all(&line).await?;
            let mut answer = String::new();
            stream.read_line(&mut answer).await?;
            if answer.is_empty() {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
            Ok(serde_json::from_str(&answer)?)
        };
        exchanged.await.map_err(|source| self.talk(source))
    }

    fn talk(&self, source: std::io::Error) -> KeepError {
        KeepError::Talk {
            dir: self.paths.dir().to_owned(),
            source,
        }
    }
}

fn refused(what: &'static str, reply: Reply) -> KeepError {
    let reason = match reply {
        Reply::Refused { reason } => reason,
        other => format!("an answer to something else: {other:?}"),
    };
    KeepError::Refused { what, reason }
}

/// What the keeper says before it closes its standard output.
async fn first_words(keeper: Detached) -> std::io::Result<String> {
    const MOST: u64 = 8 * 1024;
    let mut said = String::new();
    if let Some(stdout) = keeper.stdout {
        stdout.take(MOST).read_to_string(&mut said).await?;
    }
    Ok(said)
}

fn make_private(dir: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
}

/// The events of one generation.
#[derive(Debug)]
pub struct Watch {
    lines: Lines<BufReader<UnixStream>>,
}

impl Watch {
    /// The next event, or `None` when the keeper has closed the connection: it has ended. May be cancelled and called
    /// again without missing anything.
    pub async fn next(&mut self) -> Option<KeepEvent> {
        while let Ok(Some(line)) = self.lines.next_line().await {
            match serde_json::from_str(&line) {
                Ok(event) => return Some(event),
                // From a keeper of another version: what is not known is no reason to miss the rest.
                Err(error) => tracing::debug!(%error, %line, "an unknown event"),
            }
        }
        None
    }
}
