//! A disk that can be full at will: a file system in memory, in a mount namespace of this test's own, so that nothing of
//! it outlives the test.

use std::path::{Path, PathBuf};
use std::process::Command;

use nix::sched::{CloneFlags, unshare};
use nix::sys::statvfs::statvfs;

/// Nothing is held in reserve: what isn't used costs nothing.
const ROOMY: &str = "1g";

/// A disk of one server.
#[derive(Debug)]
pub struct Disk {
    dir: PathBuf,
}

/// Takes this thread, and those that it starts, to where mounts are their own. Says why that can't be.
pub fn apart() -> Result<(), String> {
    unshare(CloneFlags::CLONE_NEWNS).map_err(|error| format!("no mount namespace: {error}"))?;
    mount(&["--make-rprivate", "/"])
}

impl Disk {
    /// Lies over what is in the directory.
    pub fn over(dir: &Path) -> Self {
        let size = format!("size={ROOMY},mode=0700");
        let path = dir.to_str().unwrap();
        mount(&["-t", "tmpfs", "-o", &size, "handover", path]).unwrap();
        Self {
            dir: dir.to_owned(),
        }
    }

    /// Leaves this much room, in KiB.
    pub fn fill_up_to(&self, left: u16) {
        // The server writes meanwhile: what was used a moment ago may be too little now.
        let mut result = Ok(());
        for _ in 0..20 {
            let size = self.used() + u64::from(left) * 1024;
            result = self.resize(&size.to_string());
            if result.is_ok() {
                return;
            }
        }
        result.unwrap();
    }

    /// Has room again.
    pub fn free(&self) {
        self.resize(ROOMY).unwrap();
    }

    fn used(&self) -> u64 {
        let found = statvfs(&self.dir).unwrap();
        (found.blocks() - found.blocks_free()) * found.fragment_size()
    }

    fn resize(&self, size: &str) -> Result<(), String> {
        let size = format!("remount,size={size}");
        mount(&["-o", &size, self.dir.to_str().unwrap()])
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // The namespace ends with the test at the latest. What was under it is an empty directory.
        let _ = Command::new("umount").arg("-l").arg(&self.dir).status();
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

fn mount(args: &[&str]) -> Result<(), String> {
    let output = Command::new("mount")
        .args(args)
        .output()
        .map_err(|error| error.to_string())?;
    if output.status.success() {
        Ok(())
    } else {
        Err(String::from_utf8_lossy(&output.stderr).into_owned())
    }
}
