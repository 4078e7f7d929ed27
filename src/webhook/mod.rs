//! Tells an app's webhook how its deploys end: signed JSON over HTTP, tried again until it is taken.
//!
//! ```text
//!   notice ──► delivery (id, body) ──► a row in the database, in the transaction that ends the deploy
//!                                        │
//!   outbox: the rows that are due ◄──────┘
//!      └─► attempt: sign, post ──► verdict (pure) ──► the row goes, or is put off
//! ```
//!
//! A delivery is made at least once: where `serve` is killed between the receiver's answer and its own record, it is
//! made again, with the same id. Only [`Outbox`] changes the rows, and nobody waits for it.

mod attempt;
mod notice;
mod outbox;
mod post;
mod schedule;
mod signature;
mod tls;

pub use attempt::{Attempt, ping};
pub use notice::{Happened, Notice};
pub use outbox::Outbox;
pub use post::PostError;
