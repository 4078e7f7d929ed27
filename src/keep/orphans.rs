//! Instances whose keeper was killed.
//!
//! They serve on, because they hold the listener themselves; that is also how they are found: whoever has the
//! generation's listening socket open, by the kernel's own account, belongs to the generation, npm's children and
//! cluster workers included, and nobody else does. A cluster may have used up all its copies, so those of whose group
//! the keeper wrote down the leader, and whose leader still runs, belong to it too.

use std::fs::{read_dir, read_link};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::timeout;

use crate::paths::GenerationPaths;
use crate::process::child::{Signal, in_group, members};
use crate::process::identity::{Identity, PidFd};
use crate::slot;

use super::KeepError;
use super::drain::{DrainEnd, until_empty};
use super::record::Processes;

/// How long killed processes may take to vanish.
const KILL_PATIENCE: Duration = Duration::from_secs(5);

/// The processes of a generation. Where the keeper runs it is among them.
pub fn find(paths: &GenerationPaths, socket: &Path) -> Result<Vec<Identity>, KeepError> {
    let mut found = holders(socket)?;
    let recorded = Processes::read(paths)?.map(|processes| processes.instances);
    let leaders = recorded.unwrap_or_default();
    for leader in leaders {
        let members = members_now(leader.pid);
        // The group is the leader's only if the leader has had it all the while.
        if leader.is_alive() {
            found.extend(members);
        }
    }
    found.sort_by_key(|identity| identity.pid);
    found.dedup();
    Ok(found)
}

fn holders(socket: &Path) -> Result<Vec<Identity>, KeepError> {
    let failed = |source| KeepError::Processes {
        dir: socket.to_owned(),
        source,
    };
    let inode =
        slot::listener_inode(socket).map_err(|error| failed(std::io::Error::other(error)))?;
    let Some(inode) = inode else {
        return Ok(Vec::new());
    };
    let wanted = PathBuf::from(format!("socket:[{inode}]"));
    let pids = read_dir("/proc").map_err(failed)?.flatten();
    let pids = pids.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    Ok(pids
        .filter_map(|pid| identified(pid, |pid| holds(pid, &wanted)))
        .collect())
}

fn members_now(group: u32) -> Vec<Identity> {
    let pids = members(group).into_iter();
    pids.filter_map(|pid| identified(pid, |pid| in_group(pid, group)))
        .collect()
}

/// Who a process is, if it is one of ours. Which process has the pid is settled before it is looked at: another one
/// that gets the pid afterwards is not who was identified, and no signal can reach it.
fn identified(pid: u32, ours: impl Fn(u32) -> bool) -> Option<Identity> {
    let identity = Identity::of(pid).ok()?;
    ours(pid).then_some(identity)
}

fn holds(pid: u32, socket: &Path) -> bool {
    let descriptors = read_dir(format!("/proc/{pid}/fd")).into_iter().flatten();
    descriptors
        .flatten()
        .any(|entry| read_link(entry.path()).is_ok_and(|link| link == socket))
}

/// Retires a generation without its keeper: waits for its connections to end, for `limit` at most, then ends its
/// processes (SIGTERM, `stop_timeout`, SIGKILL). Returns how many connections were ended by force. What is left on
/// disk is for [`slot::remove_generation`].
pub async fn retire(
    paths: &GenerationPaths,
    socket: &Path,
    limit: Duration,
    stop_timeout: Duration,
) -> Result<u64, KeepError> {
    let forced = match until_empty(socket.to_owned(), limit).await {
        DrainEnd::Empty => 0,
        DrainEnd::Limit { open } => open,
    };
    signal_and_wait(paths, socket, Signal::SIGTERM, stop_timeout).await?;
    signal_and_wait(paths, socket, Signal::SIGKILL, KILL_PATIENCE).await?;
    Ok(forced)
}

/// Signals all that there are, and waits until they have ended.
async fn signal_and_wait(
    paths: &GenerationPaths,
    socket: &Path,
    signal: Signal,
    patience: Duration,
) -> Result<(), KeepError> {
    let failed = |source| KeepError::Processes {
        dir: socket.to_owned(),
        source,
    };
    let mut open = Vec::new();
    for identity in find(paths, socket)? {
        if let Some(pidfd) = PidFd::open(&identity).map_err(failed)? {
            pidfd.signal(signal).map_err(failed)?;
            open.push(pidfd);
        }
    }
    let all_ended = async {
        for pidfd in open {
            pidfd.exited().await?;
        }
        Ok(())
    };
    // Who is still there after the patience is found again by the next signal.
    timeout(patience, all_ended)
        .await
        .unwrap_or(Ok(()))
        .map_err(failed)
}
