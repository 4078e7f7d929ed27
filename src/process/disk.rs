//! How much room there is on a file system.

use std::io;
use std::path::Path;

use nix::sys::statvfs::statvfs;

/// Room on a file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Free {
    /// For users other than root, in bytes.
    pub bytes: u64,
    /// Files that can still be made. File systems that make inodes as they go may say 0.
    pub inodes: u64,
}

/// Asks how much room there is where `path` lies.
pub fn free(path: &Path) -> io::Result<Free> {
    let found = statvfs(path)?;
    Ok(Free {
        bytes: found.blocks_available() * found.fragment_size(),
        inodes: found.files_available(),
    })
}
