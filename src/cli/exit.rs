//! Exit codes; a contract.

use std::process::{ExitCode, Termination};

/// How a verb has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// What was asked for is done.
    Done = 0,
    /// What was asked for failed.
    Failed = 1,
    /// What was typed makes no sense.
    Usage = 2,
    /// The server can't be reached.
    Unreachable = 3,
}

impl Termination for Exit {
    fn report(self) -> ExitCode {
        ExitCode::from(self as u8)
    }
}
