//! After a push has moved refs: the repository's own hook first, then `serve`.

use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use hyper::Method;
use tokio::io::AsyncWriteExt;

use super::output::PusherOutput;
use crate::control::types::Push;
use crate::control::{Client, ClientError, Outcome, Viewer};
use crate::git::hooks::{self, Link, chained_hook};
use crate::ids::AppName;
use crate::push::{RefError, RefUpdate};

/// How long a pusher may take to read the last lines.
const LAST_WORDS: Duration = Duration::from_secs(3);

/// Why the hook can't do its work.
#[derive(Debug, thiserror::Error)]
pub enum HookError {
    /// The repository does not say whose it is.
    #[error("learn which app `{repo}` belongs to; put the hooks in again: handover hooks install {repo} APP", repo = repo.display())]
    NoApp {
        /// The repository.
        repo: PathBuf,
    },
    /// The repository's configuration.
    #[error(transparent)]
    Repository(#[from] hooks::HookError),
    /// What git tells.
    #[error(transparent)]
    Refs(#[from] RefError),
    /// Standard input.
    #[error("read what git tells the hook")]
    Input(#[source] io::Error),
    /// The repository's own hook.
    #[error("run the repository's own hook `{path}`", path = path.display())]
    Chained {
        /// The hook.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// Runs as post-receive in the repository that is the current directory.
pub async fn post_receive(repo: &Path) -> Result<Outcome, HookError> {
    let mut input = String::new();
    io::stdin()
        .read_to_string(&mut input)
        .map_err(HookError::Input)?;
    if let Some(path) = chained_hook(repo, "post-receive") {
        let ran = run_chained(&path, &input).await;
        ran.map_err(|source| HookError::Chained { path, source })?;
    }
    let updates = input
        .lines()
        .map(str::parse)
        .collect::<Result<Vec<RefUpdate>, _>>()?;
    let link = hooks::link(repo)?.ok_or_else(|| HookError::NoApp {
        repo: repo.to_owned(),
    })?;
    let mut output = PusherOutput::new();
    let outcome = hand_over(&link, updates, &mut output).await;
    output.finish(LAST_WORDS).await;
    Ok(outcome)
}

async fn run_chained(path: &Path, input: &str) -> io::Result<()> {
    let mut child = tokio::process::Command::new(path)
        .stdin(Stdio::piped())
        .spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        // A hook that does not read its input is in its right.
        let _ = stdin.write_all(input.as_bytes()).await;
    }
    child.wait().await.map(drop)
}

async fn hand_over(link: &Link, updates: Vec<RefUpdate>, output: &mut PusherOutput) -> Outcome {
    let path = format!("/v1/apps/{}/push", link.app);
    let answer = Client::for_hook(link.control.clone())
        .lines(Method::POST, &path, &Push { updates })
        .await;
    match answer {
        Ok(lines) => show(Viewer::new(lines), output, &link.app).await,
        Err(error) => {
            say_unreachable(&error, output, &link.app);
            Outcome::Unknown
        }
    }
}

async fn show(mut viewer: Viewer, output: &mut PusherOutput, app: &AppName) -> Outcome {
    loop {
        tokio::select! {
            biased;
            line = viewer.next() => match line {
                Ok(Some(line)) => output.line(&line),
                Ok(None) => break,
                Err(error) => {
                    output.line(&format!("warning: the server has gone away: {error}"));
                    break;
                }
            },
            () = output.room(), if output.is_behind() => {}
        }
    }
    if viewer.outcome() == Outcome::Unknown {
        output.line("warning: the verdict is not known; the server finishes or repeats the deploy when it is back");
        output.line(&format!("hint: watch it with: handover follow {app}"));
    }
    viewer.outcome()
}

fn say_unreachable(error: &ClientError, output: &mut PusherOutput, app: &AppName) {
    match error {
        ClientError::Unreachable { socket, .. } => {
            output.line(&format!(
                "warning: the handover server is not running (no answer on {})",
                socket.display()
            ));
            output.line("your push is stored, and is deployed when the server is started");
            output.line(&format!(
                "hint: start it with `handover serve`; then watch with `handover follow {app}`"
            ));
        }
        other => output.line(&format!("error: failed to {other}")),
    }
}
