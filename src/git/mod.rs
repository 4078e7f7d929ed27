//! git: the only module that imports `git2`.
//!
//! Everything here blocks on the disk; a caller in an async task uses `process::blocking`. libgit2 runs no program, no
//! hook and no filter, so that reading a repository can't start anything that the repository names.

mod branch;
mod commit;
mod error;
pub mod hooks;
mod lock;
mod owner;
mod pack;
mod program;
mod repo;
mod revision;
mod settings;
mod tree;

pub use branch::{SetBranch, is_ref_name};
pub use commit::CommitInfo;
pub use error::GitError;
pub use lock::Lock;
pub use pack::{PackError, pack, wants_packing};
pub use program::{GATE_NEEDS, version};
pub use repo::Repo;
pub use tree::{ObjectId, RawEntry};
