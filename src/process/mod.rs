//! What handover asks of the operating system: the only module that imports `nix`, and the only one with `unsafe`.

mod blocking;
pub mod child;
pub mod copy;
pub mod cwd;
pub mod delete;
pub mod disk;
pub mod fd_passing;
pub mod files;
pub mod identity;
pub mod memory;
pub mod opened;
pub mod own;
pub mod passed;
pub mod random;
pub mod reserve;
pub mod rig;
pub mod socket;
pub mod stream;
pub mod tcp;
pub mod users;

pub use blocking::{blocking, runtime, start_threads};
