//! One start of one instance: its process group, and the task that owns it.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::paths::GenerationPaths;
use crate::process::child::{Ending, Group, Output, Spawn, SpawnError, describe_exit};
use crate::report::Stream;
use crate::time::limit_text;

use super::environment::{self, LISTENER_FD, OUTPUT_FDS, SPARE_LISTENER_FDS};
use super::output::{Outputs, pump};
use super::spec::Spec;

/// How long its output may go on after an instance has ended.
const LAST_OUTPUT: Duration = Duration::from_millis(200);

/// How an instance ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ended {
    /// In words.
    pub(super) status: String,
}

/// A started instance whose group nobody watches yet.
#[derive(Debug)]
pub(super) struct Started {
    group: Group,
    readers: [JoinHandle<()>; 2],
}

/// What can go wrong before there is a process.
#[derive(Debug, thiserror::Error)]
pub(super) enum StartError {
    #[error(transparent)]
    Spawn(#[from] SpawnError),
    #[error("make its pipes")]
    Pipes(#[from] io::Error),
}

impl Started {
    /// The leader's process id.
    pub(super) fn pid(&self) -> u32 {
        self.group.pid()
    }

    /// Owns the group until it has ended, by itself or because `stop` said so (with the time until SIGKILL).
    pub(super) async fn see_to_its_end(mut self, mut stop: oneshot::Receiver<Duration>) -> Ended {
        let asked = tokio::select! {
            ended = self.group.leader_ended() => ended.map(|()| None),
            Ok(grace) = &mut stop => Ok(Some(grace)),
        };
        let status = match asked {
            Ok(Some(grace)) => self
                .group
                .terminate(grace)
                .await
                .map(|ending| match ending {
                    Ending::Graceful(status) => describe_exit(status),
                    Ending::Forced(_) => format!("killed, {} after SIGTERM", limit_text(grace)),
                }),
            Ok(None) => self.group.wait().await.map(describe_exit),
            Err(error) => Err(error),
        };
        // What it printed last is told before its end. Somebody who left the group may hold the pipes open.
        let all_read = async {
            for reader in self.readers {
                // A reader that panicked has nothing more to tell.
                let _ = reader.await;
            }
        };
        let _ = timeout(LAST_OUTPUT, all_read).await;
        Ended {
            status: status.unwrap_or_else(|error| format!("lost: {error}")),
        }
    }
}

/// Starts an instance. Its output is read from the first byte.
pub(super) fn start(
    spec: &Spec,
    paths: &GenerationPaths,
    listener: &UnixListener,
    outputs: &Arc<Outputs>,
    index: u32,
    port: u16,
) -> Result<Started, StartError> {
    let (out, out_writer) = io::pipe()?;
    let (err, err_writer) = io::pipe()?;
    let command = spec.command.argv();
    let (program, args) = command
        .split_first()
        .ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
    let mut spawn = Spawn::new(program)
        .args(args)
        .cwd(&spec.release_dir)
        .envs(environment::of_instance(spec, paths, index, port))
        .stdout(Output::File(File::from(OwnedFd::from(out_writer))))
        .stderr(Output::File(File::from(OwnedFd::from(err_writer))))
        .inherit_fd(copy(listener)?, LISTENER_FD)
        .inherit_fd(copy(&out)?, OUTPUT_FDS[0])
        .inherit_fd(copy(&err)?, OUTPUT_FDS[1]);
    for number in SPARE_LISTENER_FDS {
        spawn = spawn.inherit_fd(copy(listener)?, number);
    }
    let group = spawn.spawn()?;
    let readers = [(Stream::Out, OwnedFd::from(out)), (Stream::Err, err.into())];
    let readers = readers.map(|(stream, reading_end)| {
        let outputs = Arc::clone(outputs);
        tokio::spawn(async move {
            if let Err(error) = pump(outputs, index, stream, reading_end).await {
                tracing::warn!(%error, index, ?stream, "can't read an instance's output");
            }
        })
    });
    Ok(Started { group, readers })
}

fn copy(fd: &impl AsFd) -> io::Result<OwnedFd> {
    fd.as_fd().try_clone_to_owned()
}
