//! A database that can't be written, is damaged, or was written by another version: what then stops, what goes on, and
//! how it is put right.

#![allow(clippy::unwrap_used)] // tests end where something unexpected is

mod support;

#[path = "database/damaged.rs"]
mod damaged;
#[path = "database/unwritable.rs"]
mod unwritable;
#[path = "database/versions.rs"]
mod versions;
