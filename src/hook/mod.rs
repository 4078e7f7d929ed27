//! The role `hook`: run by git for a push, it hands the refs to `serve`, shows what happens, and returns the verdict.
//!
//! ```text
//!   pre-receive ── judges what lies in quarantine ──► exit code
//!   proc-receive ── the gate: asks `serve`, shows ──► ok / ng
//!   post-receive ── hands over, shows ──► (git takes no verdict any more)
//! ```

mod chained;
mod error;
mod output;
mod post_receive;
mod pre_receive;
mod proc_receive;
mod viewing;

pub use error::HookError;
pub use post_receive::post_receive;
pub use pre_receive::pre_receive;
pub use proc_receive::proc_receive;
