//! handover: `git push production main` deploys a Node.js app and hands the running app over to the new version
//! without one dropped request.
//!
//! The modules are layers and import downwards only (`tests/layers.rs` checks it):
//!
//! ```text
//! cli                             what was typed; printing
//! daemon                          composition of `serve`
//! control    hook                 API: types, server, client · what git runs
//! deploy                          queue (pure) · pipeline · worker · recovery
//! front      keep                 the roles of the data plane: no knowledge of deploys
//! build      slot     push        checkout, install · publish, count · refs
//! webhook                         tells others how deploys end
//! git        state    store       git2 · SQLite · trees that installs have made
//! process    report               children (nix) · events and their renderers
//! access     config   paths       ids · time
//! ```

pub mod access;
pub mod build;
pub mod cli;
pub mod config;
pub mod control;
pub mod daemon;
pub mod deploy;
pub mod front;
pub mod git;
pub mod hook;
pub mod ids;
pub mod keep;
pub mod paths;
pub mod process;
pub mod push;
pub mod report;
pub mod slot;
pub mod state;
pub mod store;
pub mod time;
pub mod webhook;
