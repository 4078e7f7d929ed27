//! What can be asked and said of a connection through a shared reference, beside reading and writing it.

use std::io;
use std::os::fd::{AsFd, AsRawFd};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{MsgFlags, Shutdown, recv, shutdown};

/// Whether the other side has closed an idle connection, or sent something that nobody asked for.
///
/// Asks the kernel, at the cost of one system call: what an event loop was told last may be older than the close.
pub fn has_ended(stream: &impl AsFd) -> bool {
    let flags = MsgFlags::MSG_PEEK | MsgFlags::MSG_DONTWAIT;
    let peeked = recv(stream.as_fd().as_raw_fd(), &mut [0], flags);
    !matches!(peeked, Err(Errno::EAGAIN))
}

/// Waits until nobody is left who could read what is written: the other end of a pipe or socket is closed for good. For a
/// file or a terminal this may never return.
pub fn wait_for_hang_up(stream: &impl AsFd) -> io::Result<()> {
    loop {
        // Hang-up and error are told without being asked for.
        let mut asked = [PollFd::new(stream.as_fd(), PollFlags::empty())];
        match poll(&mut asked, PollTimeout::NONE) {
            Ok(0) | Err(Errno::EINTR) => {}
            Ok(_) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
    }
}

/// Closes the direction to the other side; the other direction stays open.
pub fn end_writing(stream: &impl AsFd) -> io::Result<()> {
    Ok(shutdown(stream.as_fd().as_raw_fd(), Shutdown::Write)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;

    #[test]
    fn a_quiet_connection_has_not_ended_and_a_closed_one_has() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        assert!(!has_ended(&ours));
        drop(theirs);
        assert!(has_ended(&ours));
    }

    #[test]
    fn a_reader_who_closes_has_hung_up_and_one_who_only_says_nothing_more_has_not() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let waiting = std::thread::spawn(move || wait_for_hang_up(&ours));
        end_writing(&theirs).unwrap();
        assert!(!waiting.is_finished());
        drop(theirs);
        waiting.join().unwrap().unwrap();

        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        wait_for_hang_up(&writer).unwrap();
    }

    #[test]
    fn ending_one_direction_leaves_the_other() {
        let (mut ours, mut theirs) = UnixStream::pair().unwrap();
        end_writing(&ours).unwrap();
        assert_eq!(theirs.read(&mut [0]).unwrap(), 0);
        theirs.write_all(b"x").unwrap();
        assert_eq!(ours.read(&mut [0]).unwrap(), 1);
    }
}
