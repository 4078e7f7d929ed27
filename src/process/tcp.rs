//! Public TCP listeners that were opened by another process.

use std::io;
use std::net::TcpListener;
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use nix::sys::socket::{getsockopt, setsockopt, sockopt};

use super::socket::set_close_on_exec;

/// Seconds of silence after which the kernel asks a client whether it is still there.
const KEEPALIVE_IDLE_S: u32 = 60;
/// Seconds between such questions.
const KEEPALIVE_INTERVAL_S: u32 = 15;
/// Questions without an answer after which the connection is given up.
const KEEPALIVE_PROBES: u32 = 4;

/// Takes over a listening socket that this process was started with, by its number, and marks it close-on-exec.
///
/// Fails with `InvalidInput` when the number is not an open, listening socket. Each number may be given once only: who
/// calls this owns the descriptor from then on.
pub fn inherited_listener(number: RawFd) -> io::Result<TcpListener> {
    if number <= 2 || !is_listening(number) {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("descriptor {number} is not a listening socket"),
        ));
    }
    // SAFETY: the descriptor is open (it answered just now) and was handed to this process for this purpose, by a
    // number that nothing else in this program uses.
    let owned = unsafe { OwnedFd::from_raw_fd(number) };
    set_close_on_exec(&owned, true)?;
    Ok(TcpListener::from(owned))
}

fn is_listening(number: RawFd) -> bool {
    // SAFETY: the borrow ends with this call, and a number that is not open only gives EBADF.
    let fd = unsafe { BorrowedFd::borrow_raw(number) };
    matches!(getsockopt(&fd, sockopt::AcceptConn), Ok(true))
}

/// Sets what every accepted connection inherits from the listener: no delay for small writes, and keep-alive probes,
/// so that a client that vanished without a word is noticed within two minutes (an idle WebSocket would otherwise hold
/// its generation until the drain limit).
pub fn tune_listener(listener: &TcpListener) -> io::Result<()> {
    let fd = listener.as_fd();
    setsockopt(&fd, sockopt::TcpNoDelay, &true)?;
    setsockopt(&fd, sockopt::KeepAlive, &true)?;
    setsockopt(&fd, sockopt::TcpKeepIdle, &KEEPALIVE_IDLE_S)?;
    setsockopt(&fd, sockopt::TcpKeepInterval, &KEEPALIVE_INTERVAL_S)?;
    setsockopt(&fd, sockopt::TcpKeepCount, &KEEPALIVE_PROBES)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpStream;
    use std::os::fd::{AsRawFd, IntoRawFd};

    #[test]
    fn an_inherited_listener_accepts() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let taken = inherited_listener(listener.into_raw_fd()).unwrap();
        let _client = TcpStream::connect(address).unwrap();
        taken.accept().unwrap();
    }

    #[test]
    fn what_does_not_listen_is_refused_by_its_number() {
        let file = std::fs::File::open("/dev/null").unwrap();
        for number in [0, file.as_raw_fd(), 9999] {
            let error = inherited_listener(number).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        }
    }

    #[test]
    fn accepted_connections_inherit_the_probes() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        tune_listener(&listener).unwrap();
        let _client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (accepted, _) = listener.accept().unwrap();
        assert!(getsockopt(&accepted.as_fd(), sockopt::KeepAlive).unwrap());
        assert!(accepted.nodelay().unwrap());
    }
}
