//! The gate: git asks whether the deploy branch may move, and `serve` answers when it has moved it.

use std::io::{stdin, stdout};
use std::path::Path;

use super::error::HookError;
use super::output::PusherOutput;
use super::viewing::{LAST_WORDS, Verdict, hand_over};
use crate::control::Outcome;
use crate::control::types::Push;
use crate::git::hooks::{self, Link};
use crate::process::identity::of_parent;
use crate::push::{Answer, Conversation, PushOptions, PushStage, RefUpdate};

/// Runs as proc-receive in the repository that is the current directory. That a push is refused is in what git is
/// answered, not in the hook's own outcome.
pub async fn proc_receive(repo: &Path) -> Result<Outcome, HookError> {
    let asked = Conversation::open(stdin().lock(), stdout().lock())?;
    let link = hooks::link(repo)?.ok_or_else(|| HookError::NoApp {
        repo: repo.to_owned(),
    })?;
    let mut output = PusherOutput::new();
    let mut answers = Vec::with_capacity(asked.updates.len());
    let mut deployed = false;
    for update in &asked.updates {
        let answer = if let Some(reason) = refused(&link, update, deployed) {
            Answer::Refused(reason)
        } else {
            deployed = true;
            decide(&link, update, &asked.options, &mut output).await
        };
        answers.push(answer);
    }
    output.finish(LAST_WORDS).await;
    asked.answer(stdout().lock(), &answers)?;
    Ok(Outcome::Good)
}

/// What is refused without asking anybody.
fn refused(link: &Link, update: &RefUpdate, deployed: bool) -> Option<String> {
    let branch = &link.branch;
    if update.name != format!("refs/heads/{branch}") {
        return Some(format!("only {branch} itself deploys, nothing beneath it"));
    }
    if update.new.is_null() {
        return Some(format!(
            "receive: {branch} is the branch that deploys, and can't be deleted"
        ));
    }
    deployed.then(|| "receive: the push names the branch twice".to_owned())
}

async fn decide(
    link: &Link,
    update: &RefUpdate,
    options: &[Vec<u8>],
    output: &mut PusherOutput,
) -> Answer {
    let options = match PushOptions::parse(options) {
        Ok(options) => options,
        Err(error) => return Answer::Refused(format!("receive: {error}")),
    };
    let push = Push {
        stage: PushStage::Gate,
        updates: vec![update.clone()],
        options,
        receive_pack: of_parent().ok(),
    };
    let Verdict { outcome, reason } = hand_over(link, push, output).await;
    match outcome {
        Outcome::Good => Answer::Ok,
        Outcome::Bad | Outcome::Unknown => Answer::Refused(reason),
    }
}
