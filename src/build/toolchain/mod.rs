//! The node and the package manager that an app is installed, built and started with.
//!
//! ```text
//!   what the app says ──► the system's, if it will do ──► one that is kept on this server ──► one from the registry
//! ```
//!
//! What comes from the registry is fetched by the system's npm, which checks its integrity, and kept once for all apps:
//! `<home>/node/22.11.0/` looks like node's own distribution, `<home>/tools/pnpm/9.1.0/` has a `bin` and a `node_modules`.

mod choose_manager;
mod choose_node;
mod fetch;
mod kept;
mod probe;
mod program;
mod prune;
mod record;
mod registry;
#[cfg(test)]
mod rig;
mod toolbox;

pub use probe::NODE_QUESTION;
pub use program::{Libc, ManagerProgram, NodeProgram, Origin, Runtime, Toolchain, ToolsError};
pub(super) use record::Record;
pub use toolbox::{Ask, Tell, Toolbox};
