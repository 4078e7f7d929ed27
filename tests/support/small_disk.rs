//! A file system of a test's own that can be filled.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::fcntl::posix_fallocate;
use nix::sys::statvfs::statvfs;

use super::Server;

/// What takes the room. The scripts of apps may write to it, too.
const FILLER: &str = "filler";

/// A tmpfs, unmounted when this is dropped.
#[derive(Debug)]
pub struct SmallDisk {
    dir: PathBuf,
    under: Under,
}

/// What it is mounted over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Under {
    /// A directory that somebody looks after.
    Owned,
    /// A directory whose owner could not remove it, because it was mounted over.
    Left,
}

impl SmallDisk {
    /// A server that has not been started, whose whole home is on a disk of its own. Nothing where mounting is not allowed.
    /// Drop the server first.
    pub fn with_server(options: &str, settings: &str) -> Option<(Server, Self)> {
        let server = Server::prepare(settings);
        let mut disk = Self::mount(server.home(), options)?;
        disk.under = Under::Left;
        std::fs::write(server.home().join("handover.toml"), settings).unwrap();
        Some((server, disk))
    }

    /// Mounts it over a directory; `options` are tmpfs's, such as `size=1m`.
    pub fn mount(dir: &Path, options: &str) -> Option<Self> {
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", options, "none"]).arg(dir);
        let mounted = mount.output().is_ok_and(|output| output.status.success());
        mounted.then(|| Self {
            dir: dir.to_owned(),
            under: Under::Owned,
        })
    }

    /// Mounts it again with other options.
    pub fn remount(&self, options: &str) {
        let mut mount = Command::new("mount");
        let output = mount.args(["-o", options]).arg(&self.dir).output().unwrap();
        let words = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "mount -o {options}: {words}");
    }

    /// How many bytes are free.
    pub fn free_bytes(&self) -> u64 {
        let found = statvfs(&self.dir).unwrap();
        found.blocks_available() * found.fragment_size()
    }

    /// How many files can still be made.
    pub fn free_inodes(&self) -> u64 {
        statvfs(&self.dir).unwrap().files_available()
    }

    /// Fills it until only this many bytes are left. Others may take room meanwhile.
    pub fn leave_bytes(&self, left: u64) {
        let filler = File::options()
            .create(true)
            .append(true)
            .open(self.dir.join(FILLER))
            .unwrap();
        loop {
            let more = self.free_bytes().saturating_sub(left);
            let there = filler.metadata().unwrap().len();
            let (from, more) = (i64::try_from(there).unwrap(), i64::try_from(more).unwrap());
            if more == 0 || posix_fallocate(&filler, from, more).is_ok() {
                return;
            }
        }
    }

    /// Fills it until only this many files can be made.
    pub fn leave_inodes(&self, left: u64) {
        let dir = self.dir.join(format!("{FILLER}.d"));
        std::fs::create_dir_all(&dir).unwrap();
        let mut next = std::fs::read_dir(&dir).unwrap().count();
        while self.free_inodes() > left && File::create(dir.join(next.to_string())).is_ok() {
            next += 1;
        }
    }

    /// Takes away what has filled it.
    pub fn empty(&self) {
        let _ = std::fs::remove_file(self.dir.join(FILLER)); // there may be none
        let _ = std::fs::remove_dir_all(self.dir.join(format!("{FILLER}.d")));
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let umount = Command::new("umount").arg(&self.dir).output().unwrap();
        if !std::thread::panicking() {
            assert!(umount.status.success(), "{umount:?}");
        }
        if self.under == Under::Left {
            let _ = std::fs::remove_dir(&self.dir); // as far as that goes
        }
    }
}
