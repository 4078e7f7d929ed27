//! Before git lets a push in: what can be judged without running anything, while its objects lie in quarantine and vanish
//! with a refusal.

use std::ffi::OsString;
use std::io::{self, Read};
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};

use super::chained;
use super::error::HookError;
use super::output::PusherOutput;
use super::viewing::LAST_WORDS;
use crate::build::{Limits, StepFailure, inspect};
use crate::control::Outcome;
use crate::git::Repo;
use crate::git::hooks::{self, Link};
use crate::push::{PushOptions, REFS_MAX, RefUpdate, check_name, name_in_line, named_twice};
use crate::report::Phase;

/// Why a push is not let in.
#[derive(Debug)]
struct Refusal {
    phase: Phase,
    reason: String,
    more: Vec<String>,
    hints: Vec<String>,
}

impl Refusal {
    fn new(reason: impl Into<String>) -> Self {
        Self {
            phase: Phase::Receive,
            reason: reason.into(),
            more: Vec::new(),
            hints: Vec::new(),
        }
    }

    fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    fn lines(&self) -> impl Iterator<Item = String> {
        let more = self.more.iter().map(|line| format!("    {line}"));
        let hints = self.hints.iter().map(|hint| format!("hint: {hint}"));
        let reason = format!("error: {}: {}", self.phase, self.reason);
        std::iter::once(reason).chain(more).chain(hints)
    }
}

impl From<StepFailure> for Refusal {
    fn from(failed: StepFailure) -> Self {
        Self {
            phase: failed.phase,
            reason: failed.cause,
            more: failed.last_lines,
            hints: failed.hints,
        }
    }
}

/// Runs as pre-receive in the repository that is the current directory.
pub async fn pre_receive(repo: &Path) -> Result<Outcome, HookError> {
    let mut input = Vec::new();
    io::stdin()
        .read_to_end(&mut input)
        .map_err(HookError::Input)?;
    let link = hooks::link(repo)?.ok_or_else(|| HookError::NoApp {
        repo: repo.to_owned(),
    })?;
    let mut output = PusherOutput::new();
    if let Err(refusal) = judge(repo, &link, &input) {
        refusal.lines().for_each(|line| output.line(&line));
        output.finish(LAST_WORDS).await;
        return Ok(Outcome::Bad);
    }
    match chained::run(repo, "pre-receive", &input).await? {
        Some(status) if !status.success() => Ok(Outcome::Bad),
        _ => Ok(Outcome::Good),
    }
}

/// Cheap things first.
fn judge(repo: &Path, link: &Link, input: &[u8]) -> Result<(), Refusal> {
    PushOptions::parse(&options_of_git()).map_err(|error| Refusal::new(error.to_string()))?;
    check_names(input)?;
    let updates = updates(input).map_err(|error| Refusal::new(error.to_string()))?;
    if let Some(name) = named_twice(&updates) {
        return Err(Refusal::new(format!("the push names {name} twice")));
    }
    let branch = format!("refs/heads/{}", link.branch);
    for update in updates.iter().filter(|update| update.name == branch) {
        check_deploy(repo, link, update)?;
    }
    Ok(())
}

/// Before anything else looks at the names.
fn check_names(input: &[u8]) -> Result<(), Refusal> {
    let lines = input
        .split(|&byte| byte == b'\n')
        .filter(|line| !line.is_empty());
    let mut count = 0;
    for line in lines {
        count += 1;
        if count > REFS_MAX {
            let reason = format!("the push has more than {REFS_MAX} refs");
            return Err(Refusal::new(reason).hint("push the branch that deploys, by its name"));
        }
        let checked = name_in_line(line).and_then(check_name);
        checked.map_err(|error| Refusal::new(error.to_string()))?;
    }
    Ok(())
}

/// The deploy branch: what is to become of it must be a commit that can be deployed as far as that can be seen.
fn check_deploy(repo: &Path, link: &Link, update: &RefUpdate) -> Result<(), Refusal> {
    if update.new.is_null() {
        let reason = format!(
            "{} is the branch that deploys, and can't be deleted",
            link.branch
        );
        return Err(Refusal::new(reason).hint(format!(
            "to take the app away: handover app destroy {}",
            link.app
        )));
    }
    let opened = Repo::open(repo).and_then(|opened| {
        if let Some(quarantine) = std::env::var_os("GIT_QUARANTINE_PATH") {
            opened.also_read(Path::new(&quarantine))?;
        }
        Ok(opened)
    });
    let opened = opened.map_err(|error| Refusal::new(format!("failed to {error}")))?;
    if !opened.is_commit(&update.new) {
        let reason = format!("{} is not a commit", update.new.short());
        return Err(Refusal::new(reason).hint("push a commit: a tag of it won't do"));
    }
    let app = link.home.join("apps").join(link.app.as_str());
    let releases = existing(&app.join("releases"));
    let inspected = inspect(&opened, &update.new, &releases, &Limits::default());
    inspected
        .map(drop)
        .map_err(|error| StepFailure::from(error).into())
}

/// The nearest directory that is there: where room is asked for.
fn existing(path: &Path) -> PathBuf {
    let found = path.ancestors().find(|above| above.exists());
    found.unwrap_or(Path::new("/")).to_owned()
}

/// Each line of a hook's input.
pub(super) fn updates(input: &[u8]) -> Result<Vec<RefUpdate>, HookError> {
    let lines = input.split(|&byte| byte == b'\n');
    let lines = lines.filter(|line| !line.is_empty());
    Ok(lines.map(RefUpdate::from_bytes).collect::<Result<_, _>>()?)
}

/// The push options as git hands them to hooks: in the environment.
pub(super) fn options_of_git() -> Vec<Vec<u8>> {
    let count = std::env::var("GIT_PUSH_OPTION_COUNT").ok();
    let count: usize = count.and_then(|count| count.parse().ok()).unwrap_or(0);
    (0..count)
        .map(|n| std::env::var_os(format!("GIT_PUSH_OPTION_{n}")))
        .map(|option| option.map(OsString::into_vec).unwrap_or_default())
        .collect()
}
