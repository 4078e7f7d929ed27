//! Repositories and hook files, with the real git.

#![allow(clippy::unwrap_used)] // a panic is how a test fails

#[path = "git/branches.rs"]
mod branches;
#[path = "git/hooks.rs"]
mod hooks;
#[path = "git/place.rs"]
mod place;
#[path = "git/repositories.rs"]
mod repositories;
#[path = "git/revisions.rs"]
mod revisions;
