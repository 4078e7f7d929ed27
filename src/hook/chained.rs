//! The repository's own hooks, which ours run with the same input.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};

use tokio::io::AsyncWriteExt;

use super::error::HookError;
use crate::git::hooks::chained_hook;

/// Runs the repository's own hook of this name. `None`: it has none.
pub(super) async fn run(
    repo: &Path,
    name: &str,
    input: &[u8],
) -> Result<Option<ExitStatus>, HookError> {
    let Some(path) = chained_hook(repo, name) else {
        return Ok(None);
    };
    let ran = feed(&path, input).await;
    ran.map(Some)
        .map_err(|source| HookError::Chained { path, source })
}

async fn feed(path: &PathBuf, input: &[u8]) -> io::Result<ExitStatus> {
    let mut child = tokio::process::Command::new(path)
        .stdin(Stdio::piped())
        .spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        // A hook that does not read its input is in its right.
        let _ = stdin.write_all(input).await;
    }
    child.wait().await
}
