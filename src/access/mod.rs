//! Who may do what over ssh: keys, what each is granted, the one function that decides, and the command that a client
//! asks for. Pure.
//!
//! ```text
//!   a public key ──PublicKey──► authorized_keys: restrict,command="handover ssh … NAME" ──► sshd
//!   a client's words ──command::parse──► Command ──► Action ──authorise(Grant, Action, app)──► Decision
//! ```

mod authorise;
pub mod authorized;
pub mod command;
mod grant;
mod key;

pub use authorise::{Action, Decision, authorise};
pub use grant::{Grant, Level};
pub use key::{KeyError, PublicKey};
