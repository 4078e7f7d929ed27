//! The hook files in a repository: put in place, found, and taken out again without a trace.
//!
//! The files are the same bytes for every app (`hooks/` in handover's own repository); what they need they read from
//! the repository's configuration, section `handover`. A repository may have hooks of its own already: they are kept as
//! `<hook>.chained`, and `handover hook …` runs them first, with the same input.
//!
//! ```text
//! nothing ──install──▶ post-receive = ours
//! theirs  ──install──▶ post-receive = ours, post-receive.chained = theirs ──remove──▶ theirs
//! ```
//!
//! A `proc-receive` of the repository's own is the exception: it speaks for refs of its own and can't be chained. It
//! stays where it is, and the gate can't be had with it.
//!
//! Each change is one `rename`, so that a push at any moment runs either the old hook or the whole new one.

mod amiss;
mod error;
mod file;

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

pub use amiss::amiss;
pub use error::HookError;
use file::{Found, install_one, kept_aside, look_at, remove_one};

use super::branch::branch_ref;
use super::repo::Repo;
use super::settings;
use crate::ids::AppName;

/// The hooks that handover puts into a repository, by name, with their bytes.
const HOOKS: [(&str, &[u8]); 3] = [
    ("pre-receive", include_bytes!("../../hooks/pre-receive")),
    (PROC_RECEIVE, include_bytes!("../../hooks/proc-receive")),
    ("post-receive", include_bytes!("../../hooks/post-receive")),
];

/// The hook that decides about the deploy branch where the gate is on.
const PROC_RECEIVE: &str = "proc-receive";

/// The refs that git leaves to `proc-receive`. It may have several values.
const PROC_RECEIVE_REFS: &str = "receive.procReceiveRefs";

/// By this line a hook file of any version is known as handover's own.
const MARK: &[u8] = b"bin=$(git config --get handover.binary)";

/// What an existing repository's own configuration must say; what it said before is kept in `handover.previous.…`.
const NEEDED: [(&str, &str); 1] = [("receive.advertisePushOptions", "true")];

/// Stands for "was not set" among the previous values; no boolean of git's looks like it.
const WAS_UNSET: &str = "(unset)";

/// What the hook files and `handover hook` read from a repository's configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// The app that pushes deploy.
    pub app: AppName,
    /// The installation's directory.
    pub home: PathBuf,
    /// The control socket of its server.
    pub control: PathBuf,
    /// The program that the hook files run.
    pub binary: PathBuf,
    /// The branch whose pushes deploy.
    pub branch: String,
    /// Whether the branch moves only when its new commit is live.
    pub gate: Gate,
}

/// Whether a push to the deploy branch waits for the deploy's verdict before the branch moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gate {
    /// It does: a failed deploy is a rejected push.
    On,
    /// The branch moves first, and is put back after a failed deploy.
    Off,
}

impl From<bool> for Gate {
    fn from(on: bool) -> Self {
        if on { Self::On } else { Self::Off }
    }
}

/// Reads what [`install`] has left in a repository. `None`: it belongs to no app.
pub fn link(repo: &Path) -> Result<Option<Link>, HookError> {
    let repo = Repo::open(repo)?;
    let read = |key| settings::local(&repo, key);
    let app = read("handover.app")?.and_then(|app| app.parse().ok());
    let paths = (
        read("handover.home")?,
        read("handover.control")?,
        read("handover.binary")?,
    );
    let branch = read("handover.branch")?;
    let (Some(app), (Some(home), Some(control), Some(binary)), Some(branch)) = (app, paths, branch)
    else {
        return Ok(None);
    };
    let gated = settings::values(&repo, PROC_RECEIVE_REFS)?.contains(&branch_ref(&branch)?);
    Ok(Some(Link {
        app,
        home: home.into(),
        control: control.into(),
        binary: binary.into(),
        branch,
        gate: gated.into(),
    }))
}

/// What installing did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installed {
    /// Hook files written; empty where all of them were in place.
    pub written: Vec<PathBuf>,
    /// The repository's own hooks that are kept beside them, and run first.
    pub chained: Vec<PathBuf>,
}

/// What removing found in the place of a hook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Removed {
    /// Only ours: it is gone.
    Gone(PathBuf),
    /// The repository's own hook is back in its place.
    Restored(PathBuf),
    /// Somebody has replaced ours, or it was never there: left as it is.
    Left(PathBuf),
}

/// Puts the hook files into a bare repository and tells it which app it belongs to. A second time changes nothing; an
/// older version's file is replaced. A hook that was there is kept and chained.
///
/// The paths of `link` must be absolute.
pub fn install(repo: &Path, link: &Link) -> Result<Installed, HookError> {
    let repo = Repo::open(repo)?;
    let dir = repo.path().join("hooks");
    check(&repo, &dir, link)?;
    remember_and_set(&repo)?;
    for (key, value) in [
        ("handover.app", link.app.as_str()),
        ("handover.home", text(&link.home)?),
        ("handover.control", text(&link.control)?),
        ("handover.binary", text(&link.binary)?),
        ("handover.branch", &link.branch),
    ] {
        if settings::local(&repo, key)?.as_deref() != Some(value) {
            settings::set(&repo, key, value)?;
        }
    }
    let mut installed = Installed {
        written: Vec::new(),
        chained: Vec::new(),
    };
    fs::create_dir_all(&dir).map_err(io_error("make the directory", &dir))?;
    for (name, bytes) in HOOKS {
        let hook = dir.join(name);
        if name == PROC_RECEIVE && matches!(look_at(&hook)?, Found::Foreign(_)) {
            continue; // [`check`] has seen that the gate is off
        }
        if install_one(&hook, bytes)? {
            installed.written.push(hook);
        }
        installed.chained.extend(chained_hook(repo.path(), name));
    }
    // Last: from here on git leaves the branch to the hook, which must be there.
    set_gate(&repo, &link.branch, link.gate)?;
    Ok(installed)
}

/// Whether git leaves the branch to `proc-receive`. Refs that others have it decide about stay as they are.
fn set_gate(repo: &Repo, branch: &str, gate: Gate) -> Result<(), HookError> {
    let name = branch_ref(branch)?;
    let there = settings::values(repo, PROC_RECEIVE_REFS)?.contains(&name);
    match (gate, there) {
        (Gate::On, false) => settings::add_value(repo, PROC_RECEIVE_REFS, &name)?,
        (Gate::Off, true) => settings::remove_value(repo, PROC_RECEIVE_REFS, &name)?,
        (Gate::On, true) | (Gate::Off, false) => {}
    }
    Ok(())
}

/// Takes the hook files out again: hooks of the repository's own return to their names, and configuration that
/// [`install`] changed gets its former value. A repository without handover's hooks is left as it is.
pub fn remove(repo: &Path) -> Result<Vec<Removed>, HookError> {
    let repo = Repo::open(repo)?;
    let dir = repo.path().join("hooks");
    let mut removed = Vec::new();
    // First: git must not leave the branch to a hook that is gone.
    if let Some(branch) = settings::local(&repo, "handover.branch")? {
        set_gate(&repo, &branch, Gate::Off)?;
    }
    for (name, _) in HOOKS {
        removed.push(remove_one(&dir.join(name))?);
    }
    for (key, value) in NEEDED {
        let previous_key = previous_key(key);
        let Some(previous) = settings::local(&repo, &previous_key)? else {
            continue;
        };
        // Whoever changed it since meant it.
        if settings::local(&repo, key)?.as_deref() == Some(value) {
            match previous.as_str() {
                WAS_UNSET => settings::unset(&repo, key)?,
                previous => settings::set(&repo, key, previous)?,
            }
        }
        settings::unset(&repo, &previous_key)?;
    }
    for key in [
        "handover.app",
        "handover.home",
        "handover.control",
        "handover.binary",
        "handover.branch",
    ] {
        settings::unset(&repo, key)?;
    }
    Ok(removed)
}

/// The repository's own hook of this name, which ours must run first, if there is one that git would run.
pub fn chained_hook(git_dir: &Path, name: &str) -> Option<PathBuf> {
    let path = kept_aside(&git_dir.join("hooks").join(name));
    let found = fs::metadata(&path).ok()?;
    (found.is_file() && found.permissions().mode() & 0o111 != 0).then_some(path)
}

/// Refuses what can't be right, before anything is changed.
fn check(repo: &Repo, dir: &Path, link: &Link) -> Result<(), HookError> {
    if let Some((value, level)) = settings::effective(repo, "core.hooksPath")? {
        let flag = match level {
            "the system's" => "--system ",
            "this user's" => "--global ",
            _ => "",
        };
        return Err(HookError::HooksPath {
            repo: repo.path().to_owned(),
            level,
            flag,
            value,
        });
    }
    let owner = settings::local(repo, "handover.app")?;
    let owner_home = settings::local(repo, "handover.home")?.unwrap_or_default();
    if let Some(owner) = owner
        && (owner != link.app.as_str() || owner_home != text(&link.home)?)
    {
        return Err(HookError::OtherApp {
            repo: repo.path().to_owned(),
            app: owner.escape_debug().to_string(),
            home: owner_home.escape_debug().to_string(),
        });
    }
    if fs::symlink_metadata(dir).is_ok_and(|found| found.is_symlink()) {
        return Err(HookError::SharedDirectory {
            dir: dir.to_owned(),
        });
    }
    let proc_receive = dir.join(PROC_RECEIVE);
    match (link.gate, look_at(&proc_receive)?) {
        (Gate::On, Found::Foreign(_)) => Err(HookError::OwnProcReceive { hook: proc_receive }),
        _ => Ok(()),
    }
}

fn remember_and_set(repo: &Repo) -> Result<(), HookError> {
    for (key, value) in NEEDED {
        let now = settings::local(repo, key)?;
        if now.as_deref() == Some(value) {
            continue;
        }
        // First the memory, then the change: cut off in between, a second run finds the value still unchanged.
        settings::set(
            repo,
            &previous_key(key),
            now.as_deref().unwrap_or(WAS_UNSET),
        )?;
        settings::set(repo, key, value)?;
    }
    Ok(())
}

/// `handover.previous.receive.advertisePushOptions`: section, subsection `previous.receive`, name.
fn previous_key(key: &str) -> String {
    format!("handover.previous.{key}")
}

fn text(path: &Path) -> Result<&str, HookError> {
    path.to_str().ok_or_else(|| HookError::NotText {
        path: path.to_owned(),
    })
}

fn io_error(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> HookError {
    let path = path.to_owned();
    move |source| HookError::Io {
        doing,
        path,
        source,
    }
}
