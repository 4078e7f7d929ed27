//! A step that failed because of the app or its surroundings: a value, told to whoever pushed.

use std::io;

use super::checkout::CheckoutError;
use super::inspect::InspectError;

use super::required::RequiredError;
use super::toolchain::ToolsError;
use crate::git::GitError;
use crate::report::{Failure, Phase, with_causes};

/// Why checkout, install or build did not succeed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepFailure {
    /// In which phase.
    pub phase: Phase,
    /// The cause in one line.
    pub cause: String,
    /// The last lines that the program printed, 30 at most. They have been given out as they came, too.
    pub last_lines: Vec<String>,
    /// What to do about it, a line each.
    pub hints: Vec<String>,
}

impl StepFailure {
    pub(super) fn new(phase: Phase, cause: impl Into<String>) -> Self {
        Self {
            phase,
            cause: cause.into(),
            last_lines: Vec::new(),
            hints: Vec::new(),
        }
    }

    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// Without the last lines: for whoever saw them come.
    #[must_use]
    pub fn already_shown(mut self) -> Self {
        self.last_lines.clear();
        self
    }
}

impl From<StepFailure> for Failure {
    fn from(failed: StepFailure) -> Self {
        let hints = failed.hints.into_iter();
        let failure = Failure::new(failed.phase, failed.cause).tail(failed.last_lines);
        hints.fold(failure, Failure::hint)
    }
}

impl From<CheckoutError> for StepFailure {
    fn from(error: CheckoutError) -> Self {
        let failed = Self::new(Phase::Checkout, with_causes(&error));
        match &error {
            CheckoutError::Refused(refusal) => failed.hint(refusal.hint()),
            CheckoutError::Io { source, .. } => failed.hint(io_hint(source)),
            CheckoutError::Git(GitError::BrokenTree { .. }) => {
                failed.hint("commit the files anew, with git, and push again")
            }
            CheckoutError::Git(_) | CheckoutError::Exists { .. } => failed.hint(SERVER_HINT),
        }
    }
}

impl From<InspectError> for StepFailure {
    fn from(error: InspectError) -> Self {
        match error {
            InspectError::Tree(error) => error.into(),
            InspectError::Required(error) => error.into(),
            InspectError::Room { .. } => {
                Self::new(Phase::Checkout, with_causes(&error)).hint(DISK_HINT)
            }
            InspectError::Disk { .. } => {
                Self::new(Phase::Checkout, with_causes(&error)).hint(SERVER_HINT)
            }
        }
    }
}

impl From<RequiredError> for StepFailure {
    fn from(error: RequiredError) -> Self {
        let (cause, rest) = match &error {
            // One problem is the cause, further ones follow it.
            RequiredError::Broken(broken) => {
                let mut lines = broken.problems().iter().map(ToString::to_string);
                (lines.next().unwrap_or_default(), lines.collect())
            }
            other => (with_causes(other), Vec::new()),
        };
        let mut failed = Self::new(Phase::Checkout, cause).hint(error.hint());
        failed.last_lines = rest;
        failed
    }
}

impl From<ToolsError> for StepFailure {
    fn from(error: ToolsError) -> Self {
        Self::new(Phase::Install, error.to_string()).hint(ToolsError::HINT)
    }
}

pub(super) const SERVER_HINT: &str =
    "this is not the app's fault: `handover doctor` on the server looks for the cause";

/// What to do about an error of the system's.
pub(super) fn io_hint(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => DISK_HINT.to_owned(),
        _ => SERVER_HINT.to_owned(),
    }
}

/// What to do about a full disk.
pub const DISK_HINT: &str = "the server's disk is full: `df -h` shows where, and `keep_releases` in the server's handover.toml limits how many releases are kept, `handover store prune APP --all` frees what installs have left";
