//! A server whose database lies on a small file system of its own, that can be filled, and made read-only.

use std::os::unix::fs::symlink;

use tempfile::TempDir;

use super::{Server, SmallDisk};

/// A file system of this size in the place of the server's home. Everything but the database and the settings is
/// elsewhere: what is to be full or fail is the database, not git.
#[derive(Debug)]
pub struct SmallHome {
    /// Dropped first: it writes to its home until its end.
    server: Server,
    disk: SmallDisk,
    _elsewhere: TempDir,
}

impl SmallHome {
    /// A server that has not been started. Nothing where mounting is not allowed.
    pub fn prepare(settings: &str) -> Option<Self> {
        let (server, disk) = SmallDisk::with_server("size=24m", settings)?;
        let elsewhere = tempfile::Builder::new()
            .prefix("ho")
            .rand_bytes(5)
            .tempdir_in("/tmp")
            .unwrap();
        for name in ["apps", "run"] {
            std::fs::create_dir(elsewhere.path().join(name)).unwrap();
        }
        for name in ["apps", "run", "serve.log", "front.log"] {
            symlink(elsewhere.path().join(name), server.home().join(name)).unwrap();
        }
        Some(Self {
            server,
            disk,
            _elsewhere: elsewhere,
        })
    }

    pub fn server(&self) -> &Server {
        &self.server
    }

    pub fn server_mut(&mut self) -> &mut Server {
        &mut self.server
    }

    /// Leaves no byte on the disk, and nothing that could be given up.
    pub fn fill(&self) {
        let reserve = self.server.home().join("reserve");
        let is_held = || std::fs::read_dir(&reserve).is_ok_and(|mut files| files.next().is_some());
        while is_held() {
            // The server may be about to make it anew; the next round finds that.
            let _ = std::fs::remove_dir_all(&reserve);
            self.disk.leave_bytes(0);
        }
        self.disk.leave_bytes(0);
    }

    /// There is room again.
    pub fn empty(&self) {
        self.disk.empty();
    }

    /// Nothing can be written, as after an error of the disk.
    pub fn read_only(&self) {
        // A file that is open for writing would forbid it: this goes for the mount, not for the file system.
        self.disk.remount("remount,bind,ro");
    }

    /// Everything can be written again.
    pub fn writable(&self) {
        self.disk.remount("remount,bind,rw");
    }
}
