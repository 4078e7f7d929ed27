//! What systemd is told about this server, as `sd_notify(3)` says: one datagram to the socket that it names.

use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// What there is to tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Notice {
    /// Pushes and requests are taken.
    Ready,
    /// The server ends.
    Stopping,
}

impl Notice {
    fn text(self) -> &'static [u8] {
        match self {
            Self::Ready => b"READY=1",
            Self::Stopping => b"STOPPING=1",
        }
    }
}

/// Tells it to whoever started this process and wants to know (`NOTIFY_SOCKET`); nobody, mostly.
pub(super) fn tell(notice: Notice) {
    let Some(name) = std::env::var_os("NOTIFY_SOCKET") else {
        return;
    };
    if let Err(error) = send(&name, notice) {
        tracing::warn!(?name, %error, "systemd can't be told");
    }
}

fn send(name: &OsStr, notice: Notice) -> io::Result<()> {
    let socket = UnixDatagram::unbound()?;
    socket.send_to_addr(notice.text(), &address(name)?)?;
    Ok(())
}

/// A path, or the name of an abstract socket after an `@`.
fn address(name: &OsStr) -> io::Result<SocketAddr> {
    match name.as_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name),
        None => SocketAddr::from_pathname(name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(socket: &UnixDatagram) -> String {
        let mut bytes = [0; 64];
        let length = socket.recv(&mut bytes).unwrap();
        String::from_utf8_lossy(&bytes[..length]).into_owned()
    }

    #[test]
    fn a_socket_with_a_path_hears_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        send(path.as_os_str(), Notice::Ready).unwrap();
        assert_eq!(heard(&socket), "READY=1");
    }

    #[test]
    fn an_abstract_socket_hears_it() {
        let name = format!("@handover-notice-{}", std::process::id());
        let socket = UnixDatagram::bind_addr(&address(name.as_ref()).unwrap()).unwrap();
        send(name.as_ref(), Notice::Stopping).unwrap();
        assert_eq!(heard(&socket), "STOPPING=1");
    }
}
