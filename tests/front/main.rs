//! The front as a process of its own, in front of real servers on UNIX sockets: raw ones in Rust where exact bytes
//! matter, node where its behaviour does.

#![allow(clippy::unwrap_used)] // a panic is how a test fails

mod backend;
mod control;
mod framing;
mod nginx;
mod nodes;
mod peer;
mod reuse;
mod rig;
mod routing;
mod streaming;
mod swap;
mod upgrade;
