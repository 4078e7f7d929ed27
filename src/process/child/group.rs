//! What was started: waited for, signalled and reaped as one group.

use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::process::{Child, ChildStderr, ChildStdout};
use tokio::time::{Instant, sleep, timeout_at};

use crate::process::identity::{PidFd, Stat};

/// How long a group may take to vanish after SIGKILL before it is left to the kernel (a process in an uninterruptible
/// wait ends when that wait does).
const KILL_PATIENCE: Duration = Duration::from_secs(5);

/// How a group ended that was asked to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// All of it went by itself within the grace.
    Graceful(ExitStatus),
    /// SIGKILL was needed for at least one process.
    Forced(ExitStatus),
}

impl Ending {
    /// How the leader ended.
    pub fn status(self) -> ExitStatus {
        match self {
            Self::Graceful(status) | Self::Forced(status) => status,
        }
    }
}

/// A child that leads a process group, and the whole of that group. Dropping it kills the group.
#[derive(Debug)]
pub struct Group {
    child: Child,
    pidfd: PidFd,
    pid: u32,
    ended: Option<ExitStatus>,
}

impl Group {
    pub(super) fn of(mut child: Child) -> io::Result<Self> {
        let pid = child.id().ok_or(io::ErrorKind::NotFound)?;
        let pidfd = PidFd::of_child(pid).inspect_err(|_| {
            // Out of descriptors: better no child than one that nobody owns. It can only have ended already.
            let _ = child.start_kill();
        })?;
        Ok(Self {
            child,
            pidfd,
            pid,
            ended: None,
        })
    }

    /// The leader's process id, which is also the group's number.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// The leader's standard output, where piped; once.
    pub fn take_stdout(&mut self) -> Option<ChildStdout> {
        self.child.stdout.take()
    }

    /// The leader's standard error, where piped; once.
    pub fn take_stderr(&mut self) -> Option<ChildStderr> {
        self.child.stderr.take()
    }

    /// Waits for the leader to end, kills what is left of its group, and tells how the leader ended. May be cancelled
    /// and called again.
    pub async fn wait(&mut self) -> io::Result<ExitStatus> {
        if let Some(status) = self.ended {
            return Ok(status);
        }
        self.pidfd.exited().await?;
        self.kill_group();
        self.empty_by(Instant::now() + KILL_PATIENCE).await;
        self.reap().await
    }

    /// Returns once the leader has ended. It stays un-reaped and the rest of its group untouched until
    /// [`Group::wait`] or [`Group::terminate`].
    pub async fn leader_ended(&self) -> io::Result<()> {
        if self.ended.is_some() {
            return Ok(());
        }
        self.pidfd.exited().await
    }

    /// Sends a signal to every process of the group. Does nothing once the leader is reaped.
    pub fn signal(&self, signal: Signal) {
        if self.ended.is_none() {
            // ESRCH is impossible while the leader is not reaped, EPERM means that all of them changed their user.
            let _ = killpg(self.raw_pid(), signal);
        }
    }

    /// SIGKILL for every process of the group.
    pub fn kill_group(&self) {
        self.signal(Signal::SIGKILL);
    }

    /// Asks the group to end (SIGTERM), gives *all* of it `grace` to do so, then kills what is left.
    pub async fn terminate(&mut self, grace: Duration) -> io::Result<Ending> {
        if let Some(status) = self.ended {
            return Ok(Ending::Graceful(status));
        }
        let deadline = Instant::now() + grace;
        self.signal(Signal::SIGTERM);
        // A stopped process would keep the signal pending.
        self.signal(Signal::SIGCONT);
        let left_in_time = timeout_at(deadline, self.pidfd.exited()).await.is_ok()
            && self.empty_by(deadline).await;
        if left_in_time {
            return self.reap().await.map(Ending::Graceful);
        }
        self.kill_group();
        self.pidfd.exited().await?;
        self.empty_by(Instant::now() + KILL_PATIENCE).await;
        self.reap().await.map(Ending::Forced)
    }

    async fn reap(&mut self) -> io::Result<ExitStatus> {
        let status = self.child.wait().await?;
        self.ended = Some(status);
        Ok(status)
    }

    /// Waits until the leader's zombie is all that is left of the group; `false` at the deadline.
    async fn empty_by(&self, deadline: Instant) -> bool {
        let mut pause = Duration::from_millis(1);
        while !members(self.pid).is_empty() {
            if Instant::now() >= deadline {
                return false;
            }
            sleep(pause).await;
            pause = (pause * 2).min(Duration::from_millis(20));
        }
        true
    }

    fn raw_pid(&self) -> Pid {
        Pid::from_raw(self.pid.cast_signed())
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // The leader itself is reaped by tokio's orphan queue.
        self.kill_group();
    }
}

/// The processes of a group that still run, from `/proc`: the kernel has no call that tells zombies from others.
pub fn members(group: u32) -> Vec<u32> {
    let Ok(entries) = std::fs::read_dir("/proc") else {
        return Vec::new();
    };
    entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|&pid| in_group(pid, group))
        .collect()
}

/// Whether a process belongs to a group and still runs.
pub fn in_group(pid: u32, group: u32) -> bool {
    Stat::read(pid).is_ok_and(|stat| stat.group == group.cast_signed() && !stat.is_dead())
}

/// How a program ended, in words: `exit code 2`, `killed by SIGKILL`.
pub fn describe_exit(status: ExitStatus) -> String {
    if let Some(code) = status.code() {
        return format!("exit code {code}");
    }
    let Some(number) = status.signal() else {
        return status.to_string();
    };
    let name = Signal::try_from(number)
        .map_or_else(|_| format!("signal {number}"), |name| name.to_string());
    let core = if status.core_dumped() {
        " (core dumped)"
    } else {
        ""
    };
    format!("killed by {name}{core}")
}
