//! The control API: HTTP with JSON over a UNIX socket, for the command line and the hooks.

mod client;
mod lines;
mod server;
pub mod types;
mod viewer;

pub use client::{Client, ClientError, Lines};
pub use lines::LineBuffer;
pub use server::serve;
pub use viewer::{Outcome, Viewer};
