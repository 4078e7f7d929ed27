//! A server whose database lies on a small file system of its own, that can be filled, and made read-only.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use super::Server;

/// A file system of this size in the place of the server's home. Everything but the database and the settings is
/// elsewhere: what is to be full or fail is the database, not git.
#[derive(Debug)]
pub struct SmallHome {
    /// Dropped first: it writes to its home until its end.
    server: Server,
    mount: Mount,
    _elsewhere: TempDir,
}

impl SmallHome {
    /// A server that has not been started. Nothing where mounting is not allowed.
    pub fn prepare(settings: &str) -> Option<Self> {
        let server = Server::prepare("");
        let elsewhere = tempfile::Builder::new()
            .prefix("ho")
            .rand_bytes(5)
            .tempdir_in("/tmp")
            .unwrap();
        let mount = Mount::over(server.home())?;
        std::fs::write(server.home().join("handover.toml"), settings).unwrap();
        for name in ["apps", "run"] {
            std::fs::create_dir(elsewhere.path().join(name)).unwrap();
        }
        for name in ["apps", "run", "serve.log", "front.log"] {
            symlink(elsewhere.path().join(name), server.home().join(name)).unwrap();
        }
        Some(Self {
            server,
            mount,
            _elsewhere: elsewhere,
        })
    }

    pub fn server(&self) -> &Server {
        &self.server
    }

    pub fn server_mut(&mut self) -> &mut Server {
        &mut self.server
    }

    /// Leaves no byte on the disk.
    pub fn fill(&self) {
        let path = self.server.home().join("filling");
        let mut file = File::options()
            .create(true)
            .append(true)
            .open(path)
            .unwrap();
        for size in [4096, 1] {
            while file.write_all(&vec![0; size]).is_ok() {}
        }
    }

    /// There is room again.
    pub fn empty(&self) {
        std::fs::remove_file(self.server.home().join("filling")).unwrap();
    }

    /// Nothing can be written, as after an error of the disk.
    pub fn read_only(&self) {
        // A file that is open for writing would forbid it: this goes for the mount, not for the file system.
        self.mount.remount("remount,bind,ro");
    }

    /// Everything can be written again.
    pub fn writable(&self) {
        self.mount.remount("remount,bind,rw");
    }
}

#[derive(Debug)]
struct Mount(std::path::PathBuf);

impl Mount {
    fn over(dir: &Path) -> Option<Self> {
        let mut mount = Command::new("mount");
        mount
            .args(["-t", "tmpfs", "-o", "size=2m", "none"])
            .arg(dir);
        let mounted = mount.output().is_ok_and(|output| output.status.success());
        mounted.then(|| Self(dir.to_owned()))
    }

    fn remount(&self, options: &str) {
        let mut mount = Command::new("mount");
        let output = mount.args(["-o", options]).arg(&self.0).output().unwrap();
        let words = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "mount -o {options}: {words}");
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let umount = Command::new("umount").arg("-l").arg(&self.0).status();
        assert!(umount.unwrap().success());
        // The server's own could not remove it while this was mounted there.
        let _ = std::fs::remove_dir(&self.0);
    }
}
