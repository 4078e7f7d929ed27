//! What builds have left running whose server was killed.
//!
//! A build ends with the server that runs it, unless that gets no chance to end it. Its processes are known by their
//! environment, which they inherit whatever group or directory they go to: [`MARK`] names the app's directory, and nothing
//! but installs and builds is given it.

use std::collections::BTreeMap;
use std::fs::{read, read_dir};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;

use tokio::time::timeout;

use crate::process::child::Signal;
use crate::process::identity::{Identity, PidFd};

/// The variable that tells the processes of installs and builds from all others.
pub(super) const MARK: &str = "HANDOVER_BUILD";

/// How often it is looked for more: what is killed may have started something just before.
const ROUNDS: u32 = 5;
/// How long killed processes may take to vanish.
const PATIENCE: Duration = Duration::from_secs(5);

/// An environment with the mark of an app's builds.
pub(super) fn marked_env(env: &BTreeMap<String, String>, app: &Path) -> BTreeMap<String, String> {
    let mut env = env.clone();
    env.insert(MARK.to_owned(), app.to_string_lossy().into_owned());
    env
}

/// Kills what installs and builds of the app in this directory have left; gives how many processes there were. To be called while
/// none is meant to run.
pub async fn end_strays(app: &Path) -> io::Result<usize> {
    let mut mark = MARK.as_bytes().to_vec();
    mark.push(b'=');
    mark.extend_from_slice(app.as_os_str().as_bytes());
    let mut ended = 0;
    for _ in 0..ROUNDS {
        let strays = marked(&mark)?;
        if strays.is_empty() {
            break;
        }
        ended += strays.len();
        kill_all(&strays).await?;
    }
    Ok(ended)
}

/// The processes that were given this variable. Those that may not be looked at are not ours.
fn marked(mark: &[u8]) -> io::Result<Vec<Identity>> {
    let pids = read_dir("/proc")?.flatten();
    let pids = pids.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let marked = pids.filter(|pid: &u32| {
        let environment = read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environment.split(|&byte| byte == 0).any(|one| one == mark)
    });
    Ok(marked.filter_map(|pid| Identity::of(pid).ok()).collect())
}

async fn kill_all(strays: &[Identity]) -> io::Result<()> {
    let mut killed = Vec::with_capacity(strays.len());
    for stray in strays {
        if let Some(process) = PidFd::open(stray)? {
            process.signal(Signal::SIGKILL)?;
            killed.push(process);
        }
    }
    let gone = async {
        for process in killed {
            process.exited().await?;
        }
        Ok(())
    };
    // One that waits for a disk ends when that wait does.
    timeout(PATIENCE, gone).await.unwrap_or(Ok(()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[tokio::test]
    async fn all_that_a_build_has_started_is_ended_and_nothing_else() {
        let cache = tempfile::tempdir().unwrap();
        let other = tempfile::tempdir().unwrap();
        let start = |cache: &Path| {
            // In a session of its own, as what a build sends into the background.
            Command::new("setsid")
                .args(["sh", "-c", "sleep 1000 & sleep 1000 & wait"])
                .env(MARK, cache)
                .spawn()
                .unwrap()
        };
        let (mut mine, mut others) = (start(cache.path()), start(other.path()));
        while marked_by(cache.path()) < 3 || marked_by(other.path()) < 3 {
            tokio::task::yield_now().await;
        }
        assert_eq!(end_strays(cache.path()).await.unwrap(), 3);
        assert!(!mine.wait().unwrap().success());
        assert_eq!(others.try_wait().unwrap(), None);
        assert_eq!(end_strays(other.path()).await.unwrap(), 3);
        others.wait().unwrap();
    }

    fn marked_by(cache: &Path) -> usize {
        marked(format!("{MARK}={}", cache.display()).as_bytes())
            .unwrap()
            .len()
    }
}
