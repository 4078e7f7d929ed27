//! Descriptors sent over UNIX sockets (`SCM_RIGHTS`).
//!
//! Both functions make one system call and never wait: on a non-blocking socket they fail with `WouldBlock`, which is
//! what `tokio::net::UnixStream::try_io` wants to hear.

use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use nix::sys::socket::{ControlMessage, ControlMessageOwned, MsgFlags, recvmsg, sendmsg};

/// The most descriptors that one message carries. The kernel allows 253; nobody here has more than a few.
pub const DESCRIPTORS_MAX: usize = 64;

/// Sends `bytes`, and with their first byte `descriptors`. Gives the number of bytes that were taken, which may be
/// less than all; once it is at least one the descriptors have gone and must not be sent again with the rest.
///
/// Fails with `InvalidInput` when there are more than [`DESCRIPTORS_MAX`] descriptors or no byte to carry them.
pub fn send(socket: &impl AsFd, bytes: &[u8], descriptors: &[BorrowedFd<'_>]) -> io::Result<usize> {
    if descriptors.len() > DESCRIPTORS_MAX || bytes.is_empty() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let raw: Vec<RawFd> = descriptors.iter().map(AsRawFd::as_raw_fd).collect();
    let rights = [ControlMessage::ScmRights(&raw)];
    let control: &[ControlMessage<'_>] = if raw.is_empty() { &[] } else { &rights };
    let flags = MsgFlags::MSG_NOSIGNAL;
    let fd = socket.as_fd().as_raw_fd();
    Ok(sendmsg::<()>(
        fd,
        &[IoSlice::new(bytes)],
        control,
        flags,
        None,
    )?)
}

/// Receives bytes into `buffer` and appends the descriptors that came with them, close-on-exec, to `descriptors`.
/// Gives the number of bytes, 0 at the end of the stream.
///
/// Fails with `InvalidData` when the sender sent more descriptors than fit; those that did come are closed.
pub fn receive(
    socket: &impl AsFd,
    buffer: &mut [u8],
    descriptors: &mut Vec<OwnedFd>,
) -> io::Result<usize> {
    let mut control = nix::cmsg_space!([RawFd; DESCRIPTORS_MAX]);
    let mut parts = [IoSliceMut::new(buffer)];
    let flags = MsgFlags::MSG_CMSG_CLOEXEC;
    let fd = socket.as_fd().as_raw_fd();
    let message = recvmsg::<()>(fd, &mut parts, Some(&mut control), flags)?;
    let mut received = Vec::new();
    for part in message.cmsgs()? {
        if let ControlMessageOwned::ScmRights(raw) = part {
            // SAFETY: the kernel made these descriptors for this message; nothing else in this process knows them.
            received.extend(
                raw.into_iter()
                    .map(|fd| unsafe { OwnedFd::from_raw_fd(fd) }),
            );
        }
    }
    if message.flags.contains(MsgFlags::MSG_CTRUNC) {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "more descriptors were sent than fit",
        ));
    }
    descriptors.append(&mut received);
    Ok(message.bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::os::unix::net::UnixStream;

    #[test]
    fn a_listener_that_was_sent_goes_on_accepting_when_the_sender_has_closed_it() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let mut waiting = TcpStream::connect(address).unwrap();
        assert_eq!(send(&ours, b"ok\n", &[listener.as_fd()]).unwrap(), 3);
        drop(listener);

        let (mut bytes, mut descriptors) = ([0; 16], Vec::new());
        assert_eq!(receive(&theirs, &mut bytes, &mut descriptors).unwrap(), 3);
        let taken_over = TcpListener::from(descriptors.pop().unwrap());
        assert_eq!(taken_over.local_addr().unwrap(), address);
        waiting.write_all(b"x").unwrap();
        let (mut accepted, _) = taken_over.accept().unwrap();
        accepted.read_exact(&mut bytes[..1]).unwrap();
    }

    #[test]
    fn bytes_without_descriptors_and_the_end_of_the_stream_are_told_apart() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let (mut bytes, mut descriptors) = ([0; 16], Vec::new());
        send(&ours, b"x", &[]).unwrap();
        assert_eq!(receive(&theirs, &mut bytes, &mut descriptors).unwrap(), 1);
        drop(ours);
        assert_eq!(receive(&theirs, &mut bytes, &mut descriptors).unwrap(), 0);
        assert!(descriptors.is_empty());
    }

    #[test]
    fn a_socket_with_nothing_to_read_says_so_at_once() {
        let (_ours, theirs) = UnixStream::pair().unwrap();
        theirs.set_nonblocking(true).unwrap();
        let error = receive(&theirs, &mut [0; 1], &mut Vec::new()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
    }
}
