//! Pushers who get lost, who come back, who give up, and who come all at once.

#![allow(clippy::unwrap_used, unreachable_pub)] // its modules are its own

#[path = "../support/mod.rs"]
mod support;

mod cancelled;
mod crowd;
mod gone;
mod joins;
mod line;
mod scene;
