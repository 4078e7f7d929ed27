//! When in a push the server is asked.

use serde::{Deserialize, Serialize};

/// When in a push the server is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PushStage {
    /// Before the branch moves: whether it does hangs on the answer (`proc-receive`).
    Gate,
    /// After the refs have moved (`post-receive`).
    Moved,
}
