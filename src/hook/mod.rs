//! The role `hook`: run by git for a push, it hands the refs to `serve`, shows what happens, and returns the verdict.

mod output;
mod post_receive;

pub use post_receive::{HookError, post_receive};
