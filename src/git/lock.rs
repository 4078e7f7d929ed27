//! Lock files that nobody holds any more.
//!
//! git and libgit2 lock by making a file beside the one that they are about to replace. Whoever is killed in between, or
//! whose machine loses power, leaves it behind, and everybody after him is refused.

use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::branch::LOCK_RETRY;
use super::error::GitError;
use super::repo::Repo;
use crate::process::cwd::working_in;
use crate::process::identity::is_program;

/// What git locks besides the branch when it takes a push: `HEAD`, whose log follows the branch; the refs that are
/// packed; where a shallow clone ends; the repository's settings.
const BESIDES: [&str; 4] = [
    "HEAD.lock",
    "packed-refs.lock",
    "shallow.lock",
    "config.lock",
];

/// How long git holds a lock at most, where no command of its own is at work: it gives up waiting for another's after
/// 100 ms itself (`core.filesRefLockTimeout`). And a server that was killed with a lock in its hand is to be right within
/// 2 s of its start.
const HELD_AT_MOST: Duration = Duration::from_millis(1500);

/// A lock file that was there for longer than git holds one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lock {
    path: PathBuf,
    /// Which file it was: another one of the same name is somebody else's.
    file: (u64, i64, i64),
}

impl Repo {
    /// The locks in the way of a push to the branch that stay for longer than a push holds them, where no other git command
    /// works in the repository, which may hold them for as long as it likes. Waits for that long if there are some.
    pub fn lasting_locks(&self, branch: &str) -> Vec<Lock> {
        let own = format!("refs/heads/{branch}.lock");
        let names = BESIDES.into_iter().chain([own.as_str()]);
        let mut locks: Vec<Lock> = names
            .filter_map(|name| Lock::at(self.path().join(name)))
            .collect();
        let deadline = Instant::now() + HELD_AT_MOST;
        while !locks.is_empty() && Instant::now() < deadline {
            sleep(LOCK_RETRY);
            locks.retain(Lock::is_there);
        }
        if !locks.is_empty() && self.is_worked_in() {
            locks.clear();
        }
        locks
    }

    /// Whether a git command works here. What takes a push does not count: it may wait for us, without a lock.
    fn is_worked_in(&self) -> bool {
        let mut pids = working_in(self.path()).into_iter();
        pids.any(|pid| is_program(pid, "git") && !is_program(pid, "receive-pack"))
    }
}

impl Lock {
    fn at(path: PathBuf) -> Option<Self> {
        let found = path.symlink_metadata().ok()?;
        let file = (found.ino(), found.ctime(), found.ctime_nsec());
        Some(Self { path, file })
    }

    fn is_there(&self) -> bool {
        Self::at(self.path.clone()).as_ref() == Some(self)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Takes it away, unless somebody has done so.
    pub fn remove(&self) -> Result<(), GitError> {
        if !self.is_there() {
            return Ok(());
        }
        match std::fs::remove_file(&self.path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => Err(GitError::Unlock {
                lock: self.path.clone(),
                source,
            }),
            _ => Ok(()),
        }
    }

    /// One that is nowhere.
    #[cfg(test)]
    pub(crate) fn made_up(path: &str) -> Self {
        Self {
            path: path.into(),
            file: (0, 0, 0),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::process::Stdio;

    use super::*;

    #[test]
    fn locks_that_stay_are_found_and_removed_and_those_of_the_living_are_not() {
        let dir = tempfile::tempdir().unwrap();
        git2::Repository::init_bare(dir.path()).unwrap();
        let repo = Repo::open(dir.path()).unwrap();
        assert_eq!(repo.lasting_locks("main"), []);
        for name in ["HEAD.lock", "refs/heads/main.lock", "shallow.lock"] {
            std::fs::write(dir.path().join(name), "").unwrap();
        }
        let locks = std::thread::scope(|scope| {
            // Somebody has it, lets it go, and somebody else takes it.
            let shallow = dir.path().join("shallow.lock");
            scope.spawn(move || {
                sleep(HELD_AT_MOST / 4);
                std::fs::remove_file(&shallow).unwrap();
                sleep(HELD_AT_MOST / 4);
                std::fs::write(&shallow, "").unwrap();
            });
            repo.lasting_locks("main")
        });
        let found: Vec<_> = locks.iter().map(|lock| lock.path().to_owned()).collect();
        let expected = ["HEAD.lock", "refs/heads/main.lock"];
        assert_eq!(found, expected.map(|name| repo.path().join(name)));
        // Another file of the same name is left alone.
        std::fs::remove_file(&found[0]).unwrap();
        std::fs::write(&found[0], "mine").unwrap();
        for lock in &locks {
            lock.remove().unwrap();
        }
        assert!(found[0].exists());
        assert!(!found[1].exists());
    }
    #[test]
    fn what_a_git_command_holds_for_long_is_left_to_it() {
        let dir = tempfile::tempdir().unwrap();
        git2::Repository::init_bare(dir.path()).unwrap();
        let repo = Repo::open(dir.path()).unwrap();
        let mut git = std::process::Command::new("git");
        git.current_dir(dir.path()).args(["cat-file", "--batch"]);
        let mut git = git.stdin(Stdio::piped()).spawn().unwrap();
        std::fs::write(dir.path().join("HEAD.lock"), "").unwrap();
        assert_eq!(repo.lasting_locks("main"), []);
        drop(git.stdin.take());
        git.wait().unwrap();
        assert_eq!(repo.lasting_locks("main").len(), 1);
    }
}
