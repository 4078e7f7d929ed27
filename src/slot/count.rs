//! How many are connected to a socket, as the kernel counts them.
//!
//! Each line of `/proc/net/unix` is `Num: RefCount Protocol Flags Type St Inode Path`. What a listener accepted
//! carries the listener's path. `St` 03 is a connection that was accepted, 02 one that waits in the listener's queue
//! (its inode is 0: no descriptor leads to it yet). A connection that is being accepted while the table is read shows
//! as one or the other, and is never missed: both are states of the same entry.
//!
//! The table is read by hand and in pieces. It holds every UNIX socket of the machine, the `procfs` crate makes an
//! entry of each, and a keeper should stay small: with 5,000 connections (10,000 lines) that grew a process by 0.8 MB,
//! and this by 32 KB. Both take the time that the kernel takes to write the table.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::SlotError;

/// What is connected to one generation's socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Connections {
    /// Accepted and not closed by the app.
    pub established: u64,
    /// Connected, and not accepted by the app yet.
    pub queued: u64,
}

impl Connections {
    /// Both together.
    pub fn total(self) -> u64 {
        self.established + self.queued
    }
}

/// Counts the connections of the socket that was bound to this path, whatever it was renamed or linked to since.
pub fn connections(socket: &Path) -> Result<Connections, SlotError> {
    let mut found = Connections::default();
    scan(socket, |row| match row.state {
        State::Established => found.established += 1,
        State::Queued => found.queued += 1,
        State::Listening => {}
    })?;
    Ok(found)
}

/// The inodes of the accepted connections of a socket: what `/proc/PID/fd` shows as `socket:[inode]` tells which
/// process holds which.
pub fn established_inodes(socket: &Path) -> Result<Vec<u64>, SlotError> {
    let mut inodes = Vec::new();
    scan(socket, |row| {
        if row.state == State::Established {
            inodes.push(row.inode);
        }
    })?;
    Ok(inodes)
}

/// The inode of the socket that listens at a path, if one does. Whoever holds it can accept.
pub fn listener_inode(socket: &Path) -> Result<Option<u64>, SlotError> {
    let mut inode = None;
    scan(socket, |row| {
        if row.state == State::Listening {
            inode = Some(row.inode);
        }
    })?;
    Ok(inode)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Listening,
    Established,
    Queued,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Row {
    state: State,
    inode: u64,
}

fn scan(socket: &Path, visit: impl FnMut(Row)) -> Result<(), SlotError> {
    File::open("/proc/net/unix")
        .and_then(|table| scan_table(table, socket.as_os_str().as_bytes(), visit))
        .map_err(SlotError::Table)
}

/// Reads in pieces; what is left of a line at the end of a piece is moved to the front of the next.
fn scan_table(mut table: impl Read, path: &[u8], mut visit: impl FnMut(Row)) -> io::Result<()> {
    let mut piece = vec![0u8; 32 * 1024];
    let mut held = 0;
    loop {
        let read = match table.read(&mut piece[held..]) {
            Ok(0) => return Ok(()),
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        let filled = held + read;
        let lines_end = piece[..filled]
            .iter()
            .rposition(|&b| b == b'\n')
            .map_or(0, |at| at + 1);
        piece[..lines_end]
            .split(|&b| b == b'\n')
            .filter_map(|line| row_of(line, path))
            .for_each(&mut visit);
        piece.copy_within(lines_end..filled, 0);
        held = filled - lines_end;
        if held == piece.len() {
            return Err(io::ErrorKind::InvalidData.into());
        }
    }
}

/// The row of a socket that carries `path`, or nothing: another path, or an end without a name.
fn row_of(line: &[u8], path: &[u8]) -> Option<Row> {
    const LISTENS: &str = "00010000";
    let head = line.strip_suffix(path)?.strip_suffix(b" ")?;
    let head = std::str::from_utf8(head).ok()?;
    let mut fields = head.split_ascii_whitespace().skip(3);
    let flags = fields.next()?;
    let state = match (fields.nth(1)?, flags) {
        ("01", LISTENS) => State::Listening,
        ("03", _) => State::Established,
        ("02", _) => State::Queued,
        _ => return None,
    };
    let inode = fields.next()?.parse().ok()?;
    // Anything between inode and path means that `path` is only the end of a longer one.
    fields.next().is_none().then_some(Row { state, inode })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "\
Num       RefCount Protocol Flags    Type St Inode Path
0000000000000000: 00000002 00000000 00010000 0001 01 1001 /run/handover/shop/g57.sock
0000000000000000: 00000003 00000000 00000000 0001 03 1002 /run/handover/shop/g57.sock
0000000000000000: 00000003 00000000 00000000 0001 03 1003 /run/handover/shop/g5.sock
0000000000000000: 00000003 00000000 00000000 0001 03 1004
0000000000000000: 00000002 00000000 00000000 0001 02     0 /run/handover/shop/g57.sock
0000000000000000: 00000003 00000000 00000000 0001 03 1005 /x /run/handover/shop/g57.sock
0000000000000000: 00000003 00000000 00000000 0001 03 1006 /run/handover/shop/g57.sock
";

    fn rows(table: impl Read, path: &str) -> Vec<Row> {
        let mut rows = Vec::new();
        scan_table(table, path.as_bytes(), |row| rows.push(row)).unwrap();
        rows
    }

    #[test]
    fn only_sockets_of_the_very_path_count() {
        let row = |state, inode| Row { state, inode };
        let expected = [
            row(State::Listening, 1001),
            row(State::Established, 1002),
            row(State::Queued, 0),
            row(State::Established, 1006),
        ];
        let found = rows(TABLE.as_bytes(), "/run/handover/shop/g57.sock");
        assert_eq!(found, expected);
    }

    #[test]
    fn pieces_of_any_size_give_the_same_rows() {
        struct Dribble<'a>(&'a [u8]);
        impl Read for Dribble<'_> {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                let take = self.0.len().min(buffer.len()).min(7);
                buffer[..take].copy_from_slice(&self.0[..take]);
                self.0 = &self.0[take..];
                Ok(take)
            }
        }
        let path = "/run/handover/shop/g57.sock";
        assert_eq!(
            rows(Dribble(TABLE.as_bytes()), path),
            rows(TABLE.as_bytes(), path)
        );
    }
}
