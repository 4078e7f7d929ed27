//! What installs have made, kept: so that the next deploy with the same dependencies does not wait for `npm ci`.
//!
//! ```text
//!   release ──snapshot, install, snapshot──► what the install made ──pack──► store/<entry>.tree
//!                                                                                 │ lay out
//!   release ◄──rename── store/spare/<entry> ◄──────────────────(in advance)───────┤
//!   release ◄─────────────────────────────────────────────────(at once)───────────┘
//! ```
//!
//! An entry is one file: whole or absent, never run in, never written after it has its name, and gone with one `unlink`.
//! What is laid out are files of their own, so that an app which writes into its `node_modules` writes to nobody else's.
//! Each file is compared with its digest as it is laid out.
//!
//! A tree costs thousands of inodes, and making so many takes its time, on ext4 ten times as long while as many have been
//! deleted in the minutes before. So one tree is kept in readiness, the *spare*: a deploy takes it by one rename. It is
//! made after a deploy, from the tree of a release that nobody needs any more, of which most is right already.

mod entry;
mod error;
mod format;
mod key;
mod lay;
mod pace;
mod pack;
mod pending;
mod shelf;
mod snapshot;
mod spare;

pub use entry::{About, Entry, EntryId};
pub use error::StoreError;
pub use format::{Item, Record};
pub use key::{Digest, Key};
pub use pack::PackError;
pub use pending::Pending;
pub use shelf::{Found, Kept, Limits, Store, Verified, differing};
pub use snapshot::{Made, Snapshot, Unfit};
pub use spare::Laid;

#[cfg(test)]
mod tests;
