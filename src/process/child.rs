//! Children in groups of their own: started, signalled, reaped.
//!
//! [`Spawn`] says what to start, [`Group`] owns what was started:
//!
//! ```text
//! Spawn ──spawn──▶ Group: leader runs ──leader ends (a zombie, not reaped)──▶ rest of the group is killed ──▶ reaped
//! ```
//!
//! The leader is reaped last. As long as it is a zombie its pid, and so the group's number, can't be given to anybody
//! else: a signal to the group never reaches a stranger. npm that is killed leaves its node behind, and so does a
//! shell; that is why the end of a leader ends its group.

mod group;
mod spawn;

pub use group::{Ending, Group, describe_exit, in_group, members};
/// A signal, for [`Group::signal`].
pub use nix::sys::signal::Signal;
pub use spawn::{Detached, Output, Priority, Spawn, SpawnError};

#[cfg(test)]
mod tests;
