//! The names under which an app is reached, and how many are connected.
//!
//! ```text
//! <run>/<app>/g57.sock       bound by the generation's keeper, never used again
//!             live.sock      a link to the one that is live: what every front connects to
//!             previous.sock  a link to the one before, for the way back
//! ```
//!
//! Publishing is one rename(2): whoever connects gets the old generation or the new one, and never an error. A name
//! says where *new* connections go; those accepted stay with the process that accepted them, and the kernel's tables
//! go on showing them under the name that was bound, so that [`connections`] can count them.

mod count;
mod directory;
mod publish;

pub use count::{Connections, connections, established_inodes, listener_inode};
pub use directory::{left_behind, prepare, remove_generation, sweep};
pub use publish::{Published, live, previous, publish, unpublish};

use std::path::PathBuf;

/// What can go wrong with the sockets of an app.
#[derive(Debug, thiserror::Error)]
pub enum SlotError {
    /// The directory of the app's sockets can't be made or read.
    #[error("prepare the directory `{path}`", path = path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// A name could not be made to lead to a generation.
    #[error("point `{name}` to `{target}`", name = name.display(), target = target.display())]
    Point {
        /// The name.
        name: PathBuf,
        /// The generation's socket.
        target: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// A name could not be removed.
    #[error("remove `{path}`", path = path.display())]
    Remove {
        /// The name.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The kernel's table of sockets can't be read.
    #[error("read the kernel's table of sockets")]
    Table(#[source] std::io::Error),
}
