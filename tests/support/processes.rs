//! Processes and their connections, as the kernel shows them.

use std::collections::BTreeSet;
use std::fs::{read_dir, read_link, read_to_string};
use std::path::Path;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use super::until;

/// An instance's process group, named by the process that leads it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Group(pub u32);

impl Group {
    /// The processes of the group that run, zombies not.
    pub fn members(self) -> Vec<u32> {
        let pids = read_dir("/proc")
            .unwrap()
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok()?.parse().ok());
        pids.filter(|pid| stat(*pid).is_some_and(|(state, group)| group == self.0 && state != 'Z'))
            .collect()
    }

    pub fn signal(self, signal: Signal) {
        killpg(Pid::from_raw(self.0.cast_signed()), signal).unwrap();
    }

    /// Freezes every process of the group: from here on it accepts no connection.
    pub fn freeze(self) {
        self.signal(Signal::SIGSTOP);
        until("all of the group is stopped", || {
            let mut members = self.members().into_iter();
            members
                .all(|pid| stat(pid).is_none_or(|(state, _)| state == 'T'))
                .then_some(())
        });
    }

    /// How many accepted connections of a listener the group holds.
    pub fn connections(self, socket: &Path) -> usize {
        let accepted = accepted_by(socket);
        let held: BTreeSet<String> = self.members().into_iter().flat_map(sockets_of).collect();
        accepted.intersection(&held).count()
    }
}

/// State and process group (`proc_pid_stat(5)`).
fn stat(pid: u32) -> Option<(char, u32)> {
    let line = read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut rest = line.rsplit_once(')')?.1.split_whitespace();
    let state = rest.next()?.chars().next()?;
    Some((state, rest.nth(1)?.parse().ok()?))
}

/// The inodes of the sockets that a process has open.
pub fn sockets_of(pid: u32) -> Vec<String> {
    let descriptors = read_dir(format!("/proc/{pid}/fd")).into_iter().flatten();
    descriptors
        .filter_map(|entry| {
            let link = read_link(entry.ok()?.path()).ok()?;
            let inode = link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?;
            Some(inode.to_owned())
        })
        .collect()
}

/// The inodes of the connections that were accepted from the listener of this name. Each keeps the name that the
/// listener was bound to.
fn accepted_by(socket: &Path) -> BTreeSet<String> {
    const CONNECTED: &str = "03";
    let table = read_to_string("/proc/net/unix").unwrap();
    let rows = table.lines().map(|line| line.split_whitespace().collect());
    rows.filter_map(|row: Vec<&str>| match row[..] {
        [_, _, _, _, _, CONNECTED, inode, path] if Path::new(path) == socket => {
            Some(inode.to_owned())
        }
        _ => None,
    })
    .collect()
}
