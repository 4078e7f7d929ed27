//! What the kernel knows of a connection that nobody reads at the moment.

use std::os::fd::{AsFd, AsRawFd};

use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, recv};

/// Whether the other side has closed an idle connection, or sent something that nobody asked for.
///
/// Asks the kernel, at the cost of one system call: what an event loop was told last may be older than the close.
pub fn has_ended(stream: &impl AsFd) -> bool {
    let flags = MsgFlags::MSG_PEEK | MsgFlags::MSG_DONTWAIT;
    let peeked = recv(stream.as_fd().as_raw_fd(), &mut [0], flags);
    !matches!(peeked, Err(Errno::EAGAIN))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixStream;

    #[test]
    fn a_quiet_connection_has_not_ended_and_a_closed_one_has() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        assert!(!has_ended(&ours));
        drop(theirs);
        assert!(has_ended(&ours));
    }
}
