//! Listening UNIX sockets whose permissions are right from the first moment.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::Path;

use nix::fcntl::{AT_FDCWD, AtFlags, FcntlArg, FdFlag, OFlag, fcntl};
use nix::libc;
use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, UnixAddr, bind, getsockopt, listen, socket, sockopt,
};
use nix::sys::stat::{FchmodatFlags, Mode, fchmod, fchmodat};
use nix::unistd::{Gid, Group, Uid, fchownat};

/// Binds and listens at `path`. The path must not exist yet, and must fit into `sun_path` (107 bytes).
///
/// `mode` holds whatever the umask is, and `group` (when given) owns the socket before it gets any permission: the
/// socket is bound for its owner only (`fchmod` on the descriptor, which `bind` copies to the name), listens, changes
/// its group, and is opened to `mode` last. Whoever can connect therefore finds it listening, and nobody who should
/// not connect ever can. Binding elsewhere and renaming would be shorter, but the kernel's tables go on showing the
/// path of `bind`, by which connections are counted.
pub fn bind_listener(
    path: &Path,
    mode: u32,
    group: Option<u32>,
    backlog: i32,
) -> io::Result<UnixListener> {
    let address = UnixAddr::new(path)?;
    let backlog = Backlog::new(backlog)?;
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let fd: OwnedFd = socket(AddressFamily::Unix, SockType::Stream, flags, None)?;
    fchmod(&fd, Mode::S_IRUSR | Mode::S_IWUSR)?;
    bind(fd.as_raw_fd(), &address)?;
    let opened = listen(&fd, backlog)
        .and_then(|()| hand_to_group(path, group))
        .and_then(|()| {
            let mode = Mode::from_bits_truncate(mode);
            fchmodat(AT_FDCWD, path, mode, FchmodatFlags::FollowSymlink)
        });
    if let Err(error) = opened {
        // Best effort: the error that is returned says more than a name left behind.
        let _ = std::fs::remove_file(path);
        return Err(error.into());
    }
    Ok(UnixListener::from(fd))
}

fn hand_to_group(path: &Path, group: Option<u32>) -> nix::Result<()> {
    match group {
        Some(gid) => {
            let gid = Some(Gid::from_raw(gid));
            fchownat(AT_FDCWD, path, None, gid, AtFlags::AT_SYMLINK_NOFOLLOW)
        }
        None => Ok(()),
    }
}

/// Gives a file or directory to a group. Fails for who is neither root nor a member of it.
pub fn give_to_group(path: &Path, gid: u32) -> io::Result<()> {
    hand_to_group(path, Some(gid)).map_err(io::Error::from)
}

/// The number of a group by its name, from the system's group database. `None`: there is no such group.
pub fn group_id(name: &str) -> io::Result<Option<u32>> {
    Ok(Group::from_name(name)?.map(|group| group.gid.as_raw()))
}

/// Whether this process runs with root's rights.
pub fn is_root() -> bool {
    Uid::effective().is_root()
}

/// The user that this process acts as.
pub fn effective_uid() -> u32 {
    Uid::effective().as_raw()
}

/// Who is at the other end of a UNIX stream socket, as it was when the connection was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer {
    /// Process id; 0 where the process is in another pid namespace.
    pub pid: i32,
    /// Effective user.
    pub uid: u32,
    /// Effective group.
    pub gid: u32,
}

/// Asks the kernel (`SO_PEERCRED`) who is at the other end.
pub fn peer(stream: &impl AsFd) -> io::Result<Peer> {
    let credentials = getsockopt(&stream.as_fd(), sockopt::PeerCredentials)?;
    Ok(Peer {
        pid: credentials.pid(),
        uid: credentials.uid(),
        gid: credentials.gid(),
    })
}

/// Sets or clears `O_NONBLOCK`. The flag belongs to the open file: every process that shares it is affected.
pub fn set_nonblocking(fd: &impl AsFd, on: bool) -> io::Result<()> {
    let fd = fd.as_fd();
    let mut flags = OFlag::from_bits_retain(fcntl(fd, FcntlArg::F_GETFL)?);
    flags.set(OFlag::O_NONBLOCK, on);
    fcntl(fd, FcntlArg::F_SETFL(flags))?;
    Ok(())
}

/// Sets or clears close-on-exec.
pub fn set_close_on_exec(fd: &impl AsFd, on: bool) -> io::Result<()> {
    let flags = if on {
        FdFlag::FD_CLOEXEC
    } else {
        FdFlag::empty()
    };
    fcntl(fd.as_fd(), FcntlArg::F_SETFD(flags))?;
    Ok(())
}

/// Takes the exclusive lock of an open file (`flock`), waiting for whoever holds it. It ends with the open file.
pub fn lock_exclusive(file: &std::fs::File) -> io::Result<()> {
    // SAFETY: the descriptor is open for as long as `file` is borrowed.
    match unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_EX) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    use std::os::unix::net::UnixStream;

    #[test]
    fn a_bound_socket_has_its_mode_and_is_listening() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.sock");
        let _listener = bind_listener(&path, 0o666, None, 16).unwrap();
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o666);
        UnixStream::connect(&path).unwrap();
    }

    #[test]
    fn a_taken_name_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.sock");
        let _listener = bind_listener(&path, 0o600, None, 16).unwrap();
        let error = bind_listener(&path, 0o600, None, 16).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    }

    #[test]
    fn the_group_owns_the_socket() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.sock");
        let own = nix::unistd::getegid().as_raw();
        let gid = if is_root() { 4242 } else { own };
        let _listener = bind_listener(&path, 0o660, Some(gid), 16).unwrap();
        let meta = std::fs::metadata(&path).unwrap();
        assert_eq!((meta.gid(), meta.mode() & 0o777), (gid, 0o660));
    }

    #[test]
    fn a_failed_bind_leaves_no_name() {
        if is_root() {
            return; // root may give files to any group
        }
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.sock");
        assert!(bind_listener(&path, 0o660, Some(0), 16).is_err());
        assert!(!path.exists());
    }

    #[test]
    fn the_peer_of_an_own_connection_is_this_process() {
        let (one, _other) = UnixStream::pair().unwrap();
        let peer = peer(&one).unwrap();
        assert_eq!(peer.pid, i32::try_from(std::process::id()).unwrap());
        assert_eq!(peer.uid, effective_uid());
    }

    #[test]
    fn groups_are_found_by_name() {
        assert_eq!(group_id("root").unwrap(), Some(0));
        assert_eq!(group_id("no-such-group-here").unwrap(), None);
    }
}
