//! Which generation is live: what `live.sock` is at this moment.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// The socket file behind a `live.sock`. Two looks that give equal values saw the same generation.
///
/// Inode numbers are used again soon after a file is removed, so the time at which the socket was bound (its
/// modification time, which linking and renaming leave alone) is part of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LiveGeneration {
    device: u64,
    inode: u64,
    bound_s: i64,
    bound_ns: i64,
}

impl LiveGeneration {
    /// Looks, with one `stat` (about a microsecond, so that every request can look for itself and nothing is cached).
    pub(super) fn look(socket: &Path) -> io::Result<Self> {
        let found = std::fs::metadata(socket)?;
        Ok(Self {
            device: found.dev(),
            inode: found.ino(),
            bound_s: found.mtime(),
            bound_ns: found.mtime_nsec(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;

    #[test]
    fn a_rename_changes_the_generation_and_a_link_does_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        let _first = UnixListener::bind(path("g1.sock")).unwrap();
        let _second = UnixListener::bind(path("g2.sock")).unwrap();
        std::fs::hard_link(path("g1.sock"), path("live.sock")).unwrap();
        let before = LiveGeneration::look(&path("live.sock")).unwrap();
        std::fs::hard_link(path("g1.sock"), path("previous.sock")).unwrap();
        assert_eq!(before, LiveGeneration::look(&path("live.sock")).unwrap());

        std::fs::hard_link(path("g2.sock"), path("tmp")).unwrap();
        std::fs::rename(path("tmp"), path("live.sock")).unwrap();
        let after = LiveGeneration::look(&path("live.sock")).unwrap();
        assert_ne!(before, after);
        assert_eq!(before, LiveGeneration::look(&path("g1.sock")).unwrap());
    }
}
