//! How much room there is on a file system.

use std::io;
use std::path::Path;

use nix::sys::statvfs::statvfs;

/// Room on a file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Free {
    /// For users other than root, in bytes.
    pub bytes: u64,
    /// Files that can still be made; nothing where the file system makes inodes as it goes.
    pub inodes: Option<u64>,
}

impl Free {
    /// Whether fewer files than this can still be made.
    pub fn lacks_inodes(&self, wanted: u64) -> bool {
        self.inodes.is_some_and(|there| there < wanted)
    }
}

/// Asks how much room there is where `path` lies.
pub fn free(path: &Path) -> io::Result<Free> {
    let found = statvfs(path)?;
    Ok(Free {
        bytes: found.blocks_available() * found.fragment_size(),
        inodes: (found.files() > 0).then(|| found.files_available()),
    })
}
