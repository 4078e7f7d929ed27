//! How an instance is seen to listen that does not say so.
//!
//! Nothing is guessed from whether a connect works: the kernel's tables say who listens on which port, and
//! `/proc/PID/fd` whose socket that is. A stranger who happens to bind the port is never taken for the app.

use std::collections::HashSet;
use std::fs::{File, read_dir, read_link};
use std::io::{BufRead, BufReader};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::process::child::members;
use crate::slot;

use super::notes::{Note, Notes};

/// How often it is looked at first, and later.
const OFTEN: Duration = Duration::from_millis(50);
const SELDOM: Duration = Duration::from_millis(250);
const OFTEN_FOR: Duration = Duration::from_secs(5);

/// What to look at.
#[derive(Debug)]
pub(super) struct Start {
    pub(super) index: u32,
    pub(super) run: u64,
    pub(super) pid: u32,
    pub(super) port: u16,
    pub(super) socket: PathBuf,
    /// After which silence a connection to the socket is tried. Programs with the preload say `listening` by
    /// themselves and need none.
    pub(super) knock_after: Duration,
}

/// Looks until the instance listens one way or the other. Ends with one note.
pub(super) async fn watch(start: Start, notes: Notes) {
    let Start { index, run, .. } = start;
    let begun = Instant::now();
    let mut knock = None;
    loop {
        let silent_for = begun.elapsed();
        tokio::time::sleep(if silent_for < OFTEN_FOR {
            OFTEN
        } else {
            SELDOM
        })
        .await;
        if let Some(address) = listens_on(start.port, start.pid) {
            notes.send(Note::PortAnswers {
                index,
                run,
                address,
            });
            return;
        }
        if silent_for < start.knock_after {
            continue;
        }
        match knock.take() {
            Some(_accepted) if accepts(&start) => {
                notes.send(Note::ListenerAccepts { index, run });
                return;
            }
            // Still queued, or accepted by another instance: one connection of ours at a time.
            Some(waiting) if is_queued(&start) => knock = Some(waiting),
            // The listener is non-blocking and its queue long: this returns at once.
            _ => knock = UnixStream::connect(&start.socket).ok(),
        }
    }
}

fn accepts(start: &Start) -> bool {
    let accepted = slot::established_inodes(&start.socket).unwrap_or_default();
    let own = socket_inodes(&members(start.pid));
    accepted.iter().any(|inode| own.contains(inode))
}

fn is_queued(start: &Start) -> bool {
    slot::connections(&start.socket).is_ok_and(|open| open.queued > 0)
}

/// How many connections of a socket the processes of one group hold.
pub(super) fn held_by(group: u32, socket: &std::path::Path) -> Result<u64, slot::SlotError> {
    let accepted = slot::established_inodes(socket)?;
    let own = socket_inodes(&members(group));
    let held = accepted.iter().filter(|inode| own.contains(inode)).count();
    Ok(held.try_into().unwrap_or(u64::MAX))
}

/// The sockets that processes have open. Processes that may not be looked at have none.
fn socket_inodes(pids: &[u32]) -> HashSet<u64> {
    let descriptors = pids
        .iter()
        .filter_map(|pid| read_dir(format!("/proc/{pid}/fd")).ok())
        .flatten()
        .flatten();
    descriptors
        .filter_map(|entry| {
            let link = read_link(entry.path()).ok()?;
            let inode = link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?;
            inode.parse().ok()
        })
        .collect()
}

/// Where the group listens on a TCP port of the loopback, if it does.
fn listens_on(port: u16, group: u32) -> Option<SocketAddr> {
    let found: Vec<(SocketAddr, u64)> = ["/proc/net/tcp", "/proc/net/tcp6"]
        .into_iter()
        .filter_map(|table| listener(BufReader::new(File::open(table).ok()?), port))
        .collect();
    if found.is_empty() {
        return None;
    }
    let own = socket_inodes(&members(group));
    found
        .into_iter()
        .find(|(_, inode)| own.contains(inode))
        .map(|(address, _)| address)
}

/// Looks for a port among the listeners, which come first in the table: the rest is not read.
fn listener(table: impl BufRead, port: u16) -> Option<(SocketAddr, u64)> {
    const LISTEN: &str = "0A";
    for line in table.lines().skip(1) {
        let line = line.ok()?;
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        let [_, local, _, state, _, _, _, _, _, inode, ..] = fields[..] else {
            return None;
        };
        if state != LISTEN {
            return None;
        }
        let (address, hex_port) = local.split_once(':')?;
        if u16::from_str_radix(hex_port, 16) == Ok(port)
            && let Some(ip) = loopback_of(address)
        {
            return Some((SocketAddr::new(ip, port), inode.parse().ok()?));
        }
    }
    None
}

/// The loopback address by which a listener is reached that is bound to any address or to the loopback. The tables
/// show addresses as words in the machine's own order.
fn loopback_of(hex: &str) -> Option<IpAddr> {
    let words: Vec<u32> = (0..hex.len() / 8)
        .map(|at| u32::from_str_radix(&hex[at * 8..at * 8 + 8], 16).ok())
        .collect::<Option<_>>()?;
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
    if let Ok(bytes) = <[u8; 4]>::try_from(bytes.as_slice()) {
        let ip = Ipv4Addr::from(bytes);
        return (ip.is_unspecified() || ip.is_loopback()).then_some(IpAddr::V4(
            if ip.is_unspecified() {
                Ipv4Addr::LOCALHOST
            } else {
                ip
            },
        ));
    }
    let ip = Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?);
    match ip.to_ipv4_mapped() {
        Some(mapped) => mapped.is_loopback().then_some(IpAddr::V4(mapped)),
        None => {
            (ip.is_unspecified() || ip.is_loopback()).then_some(IpAddr::V6(Ipv6Addr::LOCALHOST))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn a_listener_is_found_with_its_owner_and_nobody_elses() {
        let own = nix_free_group();
        for bind in ["127.0.0.1:0", "0.0.0.0:0", "[::1]:0", "[::]:0"] {
            let Ok(listener) = TcpListener::bind(bind) else {
                continue; // a machine without IPv6
            };
            let port = listener.local_addr().unwrap().port();
            let found = listens_on(port, own).unwrap();
            assert!(found.ip().is_loopback() && found.port() == port, "{bind}");
            assert_eq!(listens_on(port, 1), None);
            drop(listener);
            assert_eq!(listens_on(port, own), None);
        }
    }

    /// The process group of this test, from `/proc`.
    fn nix_free_group() -> u32 {
        let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
        let rest = stat.rsplit_once(')').unwrap().1;
        rest.split_whitespace().nth(2).unwrap().parse().unwrap()
    }

    #[test]
    fn what_is_not_listening_ends_the_search() {
        let table = "  sl  local_address ...\n   0: 0100007F:1F90 00000000:0000 01 0:0 0:0 0 0 0 77 1\n   1: 0100007F:1F90 00000000:0000 0A 0:0 0:0 0 0 0 78 1\n";
        assert_eq!(listener(table.as_bytes(), 8080), None);
    }
}
