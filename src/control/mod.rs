//! The control API: HTTP with JSON over a UNIX socket, for the command line and the hooks.

mod away;
mod client;
mod lines;
mod server;
pub mod types;
mod viewer;

/// The header that says on behalf of which key a request is made.
pub(crate) const KEY_HEADER: &str = "handover-key";
/// The variable that tells what git runs for a key on whose behalf it runs.
pub const KEY_VARIABLE: &str = "HANDOVER_KEY";

pub use away::GONE_AWAY;
pub use client::{Client, ClientError, Lines};
pub use lines::LineBuffer;
pub use server::{Keyring, KeyringError, serve};
pub use viewer::{Outcome, Shown, Viewer};
