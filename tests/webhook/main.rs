//! Webhooks: what is sent, signed, tried again, and never waited for.

#![allow(clippy::unwrap_used, unreachable_pub)] // its modules are its own

#[path = "../support/mod.rs"]
mod support;

mod delivering;
mod node;
mod receiver;
mod settings;
mod tls;
