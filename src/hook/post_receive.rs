//! After a push has moved refs: the repository's own hook first, then `serve`.

use std::io::{self, Read};
use std::path::Path;

use super::chained;
use super::error::HookError;
use super::output::PusherOutput;
use super::pre_receive::{options_of_git, updates};
use super::viewing::{LAST_WORDS, hand_over};
use crate::control::Outcome;
use crate::control::types::Push;
use crate::git::hooks;
use crate::process::identity::of_parent;
use crate::push::{PushOptions, PushStage};

/// Runs as post-receive in the repository that is the current directory.
pub async fn post_receive(repo: &Path) -> Result<Outcome, HookError> {
    let mut input = Vec::new();
    io::stdin()
        .read_to_end(&mut input)
        .map_err(HookError::Input)?;
    chained::run(repo, "post-receive", &input).await?;
    let updates = updates(&input)?;
    let link = hooks::link(repo)?.ok_or_else(|| HookError::NoApp {
        repo: repo.to_owned(),
    })?;
    // What pre-receive has refused does not come here.
    let options = PushOptions::parse(&options_of_git()).unwrap_or_default();
    let mut output = PusherOutput::new();
    let push = Push {
        stage: PushStage::Moved,
        updates,
        options,
        receive_pack: of_parent().ok(),
    };
    let verdict = hand_over(&link, push, &mut output).await;
    output.finish(LAST_WORDS).await;
    Ok(verdict.outcome)
}
