//! Listening sockets that systemd passes to a service, as `sd_listen_fds(3)` tells.
//!
//! The variables stay in the environment: they name this process by its pid, and every program that handover starts
//! gets an environment made anew.

use std::ffi::OsString;
use std::io;
use std::net::TcpListener;
use std::os::fd::RawFd;

use super::socket::set_nonblocking;
use super::tcp::inherited_listener;

/// The number of the first descriptor that is passed.
const FIRST: RawFd = 3;

/// Takes the sockets that were passed to this process, and marks them close-on-exec; none where nothing was passed to
/// it. To be called once only: who calls this owns them from then on.
///
/// Fails with `InvalidInput` when the variables make no sense, or a descriptor is not a listening TCP socket.
pub fn listeners() -> io::Result<Vec<TcpListener>> {
    let own = std::process::id();
    let count = count(
        own,
        std::env::var_os("LISTEN_PID"),
        std::env::var_os("LISTEN_FDS"),
    )?;
    (FIRST..FIRST + count).map(take).collect()
}

fn take(number: RawFd) -> io::Result<TcpListener> {
    let listener = inherited_listener(number)?;
    // The flag belongs to the socket, and a front that runs may share it: it must never wait in `accept`. systemd clears
    // it at each start of a service without `NonBlocking=yes`.
    set_nonblocking(&listener, true)?;
    // A UNIX socket listens too, and has no address of this kind.
    listener.local_addr().map_err(|_| {
        invalid(format!(
            "descriptor {number}, passed by LISTEN_FDS, is not a TCP socket"
        ))
    })?;
    Ok(listener)
}

/// How many were passed to the process `own`.
fn count(own: u32, pid: Option<OsString>, count: Option<OsString>) -> io::Result<RawFd> {
    let (Some(pid), Some(count)) = (pid, count) else {
        return Ok(0);
    };
    let pid: u32 = number("LISTEN_PID", &pid)?;
    if pid != own {
        return Ok(0);
    }
    let count: u16 = number("LISTEN_FDS", &count)?;
    Ok(count.into())
}

fn number<T: std::str::FromStr>(name: &str, value: &OsString) -> io::Result<T> {
    let parsed = value.to_str().and_then(|text| text.parse().ok());
    let value = value.display();
    parsed.ok_or_else(|| invalid(format!("{name} is `{value}`, which is not a number for it")))
}

fn invalid(words: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, words)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(pid: &str, fds: &str) -> io::Result<RawFd> {
        count(7, Some(pid.into()), Some(fds.into()))
    }

    #[test]
    fn only_what_names_this_process_is_meant() {
        assert_eq!(counted("7", "2").unwrap(), 2);
        assert_eq!(counted("8", "2").unwrap(), 0);
        assert_eq!(count(7, None, Some("2".into())).unwrap(), 0);
        assert_eq!(count(7, Some("7".into()), None).unwrap(), 0);
    }

    #[test]
    fn what_is_no_number_is_refused_by_its_name() {
        for (pid, fds, name) in [
            ("x", "1", "LISTEN_PID"),
            ("7", "-1", "LISTEN_FDS"),
            ("7", "99999", "LISTEN_FDS"),
        ] {
            let error = counted(pid, fds).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
            assert!(error.to_string().contains(name), "{error}");
        }
    }

    #[test]
    fn a_unix_socket_is_refused_by_its_number() {
        use std::os::fd::IntoRawFd;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.sock");
        let raw = std::os::unix::net::UnixListener::bind(path)
            .unwrap()
            .into_raw_fd();
        let error = take(raw).unwrap_err();
        assert!(error.to_string().contains("not a TCP socket"), "{error}");
    }
}
