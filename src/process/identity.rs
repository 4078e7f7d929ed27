//! Which process is meant: boot id + pid + start time, held as a pidfd.
//!
//! A pid alone is used again (soon, where `pid_max` is 32768), and a start time alone is counted from the boot.
//! [`Identity`] is what is written to disk; [`PidFd`] is what is waited for and signalled, and it can never mean
//! another process than the one it was opened for.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::libc;
use nix::sys::signal::Signal;
use serde::{Deserialize, Serialize};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// One process on one boot of this machine.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Identity {
    /// `/proc/sys/kernel/random/boot_id`.
    pub boot_id: String,
    /// The process id.
    pub pid: u32,
    /// When it started, in clock ticks since the boot (`/proc/PID/stat`, field 22).
    pub start_time: u64,
}

impl Identity {
    /// The process that has this pid now. `NotFound`: there is none.
    pub fn of(pid: u32) -> io::Result<Self> {
        Ok(Self {
            boot_id: boot_id()?,
            pid,
            start_time: Stat::read(pid)?.start_time,
        })
    }

    /// This process.
    pub fn of_self() -> io::Result<Self> {
        Self::of(std::process::id())
    }

    /// Whether that very process still runs. A zombie does not.
    pub fn is_alive(&self) -> bool {
        let same_process = || {
            let stat = Stat::read(self.pid).ok()?;
            (stat.start_time == self.start_time && !stat.is_dead()).then_some(())
        };
        same_process().is_some() && boot_id().is_ok_and(|boot| boot == self.boot_id)
    }

    /// Whether the process runs the very file that has this name now: not one that had it before.
    pub fn runs(&self, program: &Path) -> io::Result<bool> {
        // The link leads to the file even when its name is gone.
        let running = std::fs::metadata(format!("/proc/{}/exe", self.pid))?;
        let named = std::fs::metadata(program)?;
        Ok((running.dev(), running.ino()) == (named.dev(), named.ino()))
    }
}

/// Which boot of the machine this is.
pub fn boot_id() -> io::Result<String> {
    let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id")?;
    Ok(text.trim().to_owned())
}

/// What is needed of `/proc/PID/stat`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stat {
    pub(super) state: u8,
    pub(super) group: i32,
    pub(super) start_time: u64,
}

impl Stat {
    pub(super) fn read(pid: u32) -> io::Result<Self> {
        let bytes = std::fs::read(format!("/proc/{pid}/stat")).map_err(|error| {
            // A process that goes away between open and read.
            if error.raw_os_error() == Some(libc::ESRCH) {
                io::ErrorKind::NotFound.into()
            } else {
                error
            }
        })?;
        Self::parse(&bytes).ok_or_else(|| io::ErrorKind::InvalidData.into())
    }

    /// The second field is the program's name in brackets and may hold anything, brackets too: what counts comes
    /// after the last one.
    fn parse(bytes: &[u8]) -> Option<Self> {
        let end = bytes.iter().rposition(|&b| b == b')')?;
        let rest = std::str::from_utf8(&bytes[end + 1..]).ok()?;
        let mut fields = rest.split_ascii_whitespace();
        let state = *fields.next()?.as_bytes().first()?;
        let group = fields.nth(1)?.parse().ok()?;
        let start_time = fields.nth(16)?.parse().ok()?;
        Some(Self {
            state,
            group,
            start_time,
        })
    }

    pub(super) fn is_dead(&self) -> bool {
        matches!(self.state, b'Z' | b'X' | b'x')
    }
}

/// The children of a process that are not dead, as far as the system tells. One that has ended and was not waited for is
/// dead: `receive-pack` waits for its hook only when it is rid of what that has printed.
pub fn children(pid: u32) -> Vec<u32> {
    let list = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
    let list = list.unwrap_or_default();
    list.split_whitespace()
        .filter_map(|child| child.parse().ok())
        .filter(|child| Stat::read(*child).is_ok_and(|stat| !stat.is_dead()))
        .collect()
}

/// Whether a process has been stopped, as Ctrl-Z does, and has not been told to go on.
pub fn is_stopped(pid: u32) -> bool {
    Stat::read(pid).is_ok_and(|stat| matches!(stat.state, b'T' | b't'))
}

/// The process that has started this one.
pub fn of_parent() -> io::Result<Identity> {
    Identity::of(nix::unistd::getppid().as_raw().cast_unsigned())
}

/// Whether one of the first words of a process's command line ends with this.
pub fn is_program(pid: u32, name: &str) -> bool {
    let words = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let mut first = words.split(|&byte| byte == 0).take(2);
    first.any(|word| word.ends_with(name.as_bytes()))
}

/// A descriptor for one process, child or not.
#[derive(Debug)]
pub struct PidFd {
    fd: OwnedFd,
}

impl PidFd {
    /// Opens that very process, or `None` when it is gone (or a zombie).
    pub fn open(identity: &Identity) -> io::Result<Option<Self>> {
        let fd = match pidfd_open(identity.pid) {
            Ok(fd) => fd,
            Err(error) if is_gone(&error) => return Ok(None),
            Err(error) => return Err(error),
        };
        // Checked after opening: from here on the descriptor can't come to mean another process.
        Ok(identity.is_alive().then_some(Self { fd }))
    }

    /// Opens a child that has not been reaped, so that its pid can't mean another process.
    pub(super) fn of_child(pid: u32) -> io::Result<Self> {
        pidfd_open(pid).map(|fd| Self { fd })
    }

    /// Returns once the process has ended (its parent may not have reaped it yet).
    pub async fn exited(&self) -> io::Result<()> {
        // A duplicate, so that several tasks can wait for the same process.
        let fd = self.fd.try_clone()?;
        // SAFETY: the duplicate is owned by the `AsyncFd`, stays open and keeps its number.
        let fd = unsafe { AsyncFd::register_with_interest(fd, Interest::READABLE) }?;
        fd.readable().await?.retain_ready();
        Ok(())
    }

    /// Whether the process has ended.
    pub fn has_exited(&self) -> bool {
        let mut poll = [nix::poll::PollFd::new(
            self.fd.as_fd(),
            nix::poll::PollFlags::POLLIN,
        )];
        nix::poll::poll(&mut poll, nix::poll::PollTimeout::ZERO).is_ok_and(|ready| ready > 0)
    }

    /// Sends a signal to the process (not to its group). `false`: it was gone.
    pub fn signal(&self, signal: Signal) -> io::Result<bool> {
        // SAFETY: plain numbers and a null `siginfo`, which the call allows.
        let sent = unsafe {
            libc::syscall(
                libc::SYS_pidfd_send_signal,
                self.fd.as_raw_fd(),
                signal as libc::c_int,
                std::ptr::null::<libc::siginfo_t>(),
                0,
            )
        };
        if sent == 0 {
            return Ok(true);
        }
        let error = io::Error::last_os_error();
        if is_gone(&error) {
            Ok(false)
        } else {
            Err(error)
        }
    }
}

impl AsFd for PidFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

fn is_gone(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::ESRCH)
}

fn pidfd_open(pid: u32) -> io::Result<OwnedFd> {
    // SAFETY: plain numbers. On success the result is a new descriptor (close-on-exec) that nobody else owns.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, libc::c_long::from(pid), 0) };
    match i32::try_from(fd) {
        // SAFETY: see above.
        Ok(fd) if fd >= 0 => Ok(unsafe { OwnedFd::from_raw_fd(fd) }),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_brackets_and_spaces_does_not_shift_the_fields() {
        let line = b"7 (a) b) c) S 1 42 42 0 -1 4194560 0 0 0 0 0 0 0 0 20 0 1 0 9876 0 0";
        let stat = Stat::parse(line).unwrap();
        assert_eq!((stat.state, stat.group, stat.start_time), (b'S', 42, 9876));
    }

    #[test]
    fn an_identity_survives_json_and_means_this_process_only() {
        let own = Identity::of_self().unwrap();
        let json = serde_json::to_string(&own).unwrap();
        let read: Identity = serde_json::from_str(&json).unwrap();
        assert!(read == own && read.is_alive());
        let later = Identity {
            start_time: own.start_time + 1,
            ..own.clone()
        };
        let other_boot = Identity {
            boot_id: "another".into(),
            ..own
        };
        assert!(!later.is_alive() && !other_boot.is_alive());
        assert!(PidFd::open(&later).unwrap().is_none());
    }

    #[test]
    fn a_child_that_has_ended_counts_no_more_even_where_nobody_has_waited_for_it() {
        // Children are listed with the thread that has started them: this one has a process of its own for that.
        let script = "sleep 0 & echo started; kill -STOP $$; sleep 1000";
        let mut parent = std::process::Command::new("sh")
            .args(["-c", script])
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let listed = || {
            let pid = parent.id();
            let path = format!("/proc/{pid}/task/{pid}/children");
            std::fs::read_to_string(path).unwrap_or_default()
        };
        let child = loop {
            if let Some(child) = listed().split_ascii_whitespace().next() {
                break child.parse().unwrap();
            }
            std::thread::yield_now();
        };
        while !Stat::read(child).unwrap().is_dead() {
            std::thread::yield_now();
        }
        assert!(children(parent.id()).is_empty(), "{}", listed());
        parent.kill().unwrap();
        parent.wait().unwrap();
    }

    #[tokio::test]
    async fn the_end_of_a_process_is_seen_without_reaping_it() {
        let mut child = std::process::Command::new("sleep")
            .arg("60")
            .spawn()
            .unwrap();
        let identity = Identity::of(child.id()).unwrap();
        let pidfd = PidFd::open(&identity).unwrap().unwrap();
        assert!(!pidfd.has_exited());
        assert!(pidfd.signal(Signal::SIGKILL).unwrap());
        tokio::join!(async { pidfd.exited().await.unwrap() }, async {
            pidfd.exited().await.unwrap();
        });
        assert!(pidfd.has_exited() && !identity.is_alive());
        child.wait().unwrap();
        assert!(!pidfd.signal(Signal::SIGTERM).unwrap());
        assert!(PidFd::open(&identity).unwrap().is_none());
    }
}
