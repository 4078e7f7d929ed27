//! What is not as it should be, and neither a start nor a look decides alone, because somebody may have meant it: shown
//! by `handover doctor`, and mended by `handover doctor --repair`.
//!
//! ```text
//!   find (changes nothing) ──► [Fault] ──shown──► mend (one by one; nothing is lost)
//! ```

mod find;
mod mend;
mod seen;

use std::path::PathBuf;

use crate::ids::{AppName, CommitId, ReleaseNumber};
use crate::paths::Layout;
use crate::state::{App, Database};

pub use find::find;
pub use mend::{RepairError, mend};
pub use seen::{Outcome, Seen, look, look_and_mend};

/// Where to look.
#[derive(Debug, Clone)]
pub struct Place {
    /// The installation.
    pub layout: Layout,
    /// What is remembered.
    pub database: Database,
    /// The binary that hooks are to run.
    pub executable: PathBuf,
}

/// Something that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// Pushes do not reach the app.
    Hooks {
        /// The app.
        app: Box<App>,
        /// Why.
        amiss: String,
    },
    /// The repository is gone.
    Repository {
        /// Its app.
        app: Box<App>,
    },
    /// A lock that a killed git has left.
    Lock {
        /// Its app.
        app: AppName,
        /// The file.
        path: PathBuf,
    },
    /// A release is remembered, and its directory is gone.
    Release {
        /// Its app.
        app: AppName,
        /// Its number.
        release: ReleaseNumber,
    },
    /// The branch was moved away from what is live, to a commit that does not contain it.
    Branch {
        /// The app.
        app: Box<App>,
        /// What the branch names.
        names: CommitId,
        /// What is live.
        live: CommitId,
    },
    /// A directory where those of apps are, that belongs to none.
    Unknown {
        /// The directory.
        path: PathBuf,
    },
    /// The same, and somebody works in it.
    Inhabited {
        /// The directory.
        path: PathBuf,
        /// Who.
        pids: Vec<u32>,
    },
    /// Others may do with a file what they must not.
    Mode {
        /// The file or directory.
        path: PathBuf,
        /// Its mode.
        is: u32,
        /// What it should be.
        should: u32,
    },
    /// A file that was to be renamed, and whose writer was killed.
    Leftover {
        /// The file.
        path: PathBuf,
    },
    /// Something that was put aside long ago, and is not deleted.
    Trash {
        /// The directory.
        path: PathBuf,
    },
    /// A damaged database that was kept aside.
    Kept {
        /// The file.
        path: PathBuf,
        /// What was told of it.
        told: String,
    },
}

impl Fault {
    /// What it is about, in a word.
    pub fn check(&self) -> &'static str {
        match self {
            Self::Hooks { .. } => "hooks",
            Self::Repository { .. } => "repository",
            Self::Lock { .. } => "locks",
            Self::Release { .. } => "releases",
            Self::Branch { .. } => "branch",
            Self::Unknown { .. }
            | Self::Inhabited { .. }
            | Self::Leftover { .. }
            | Self::Trash { .. } => "files",
            Self::Mode { .. } => "modes",
            Self::Kept { .. } => "database",
        }
    }

    /// What was found, in a line.
    pub fn found(&self) -> String {
        match self {
            Self::Hooks { app, amiss } => {
                let (app, repo) = (&app.name, app.repo.display());
                format!("pushes do not reach {app}: {amiss} ({repo})")
            }
            Self::Repository { app } => {
                format!(
                    "the repository of {} is gone: {}",
                    app.name,
                    app.repo.display()
                )
            }
            Self::Lock { app, path } => {
                format!(
                    "a git that was killed has left a lock in the repository of {app}: {}",
                    path.display()
                )
            }
            Self::Release { app, release } => {
                format!("the directory of release {release} of {app} is gone")
            }
            Self::Branch { app, names, live } => format!(
                "{} of {} names {}, which does not contain the live commit {}: a start deploys it",
                app.branch,
                app.name,
                names.short(),
                live.short()
            ),
            Self::Unknown { path } => format!("{} belongs to no app", path.display()),
            Self::Inhabited { path, pids } => {
                let pids: Vec<String> = pids.iter().map(ToString::to_string).collect();
                format!(
                    "{} belongs to no app, and these processes work in it: {}",
                    path.display(),
                    pids.join(" ")
                )
            }
            Self::Mode { path, is, should } => {
                format!("{} has the mode {is:04o}, not {should:04o}", path.display())
            }
            Self::Leftover { path } => {
                format!("{} was left by somebody who was killed", path.display())
            }
            Self::Trash { path } => format!(
                "{} is to be deleted, and has not been for a while: a deploy has gone on all the time, or it can't be (the server's log says why)",
                path.display()
            ),
            Self::Kept { path, told } => {
                let first = told
                    .lines()
                    .next()
                    .unwrap_or("a damaged database was kept aside");
                format!("{first} (all that was told: {}.txt)", path.display())
            }
        }
    }

    /// How it is mended, after "handover doctor --repair": nothing where somebody has to decide.
    pub fn remedy(&self) -> Option<&'static str> {
        Some(match self {
            Self::Hooks { .. } => {
                "puts handover's hooks in; one that was there is kept, and runs first"
            }
            Self::Repository { .. } => "makes an empty one with its hooks; push again to fill it",
            Self::Lock { .. } | Self::Leftover { .. } => "removes it",
            Self::Trash { .. } => "deletes it now",
            Self::Release { .. } => "forgets the release, which can't be started any more",
            Self::Branch { .. } => {
                "leads the branch to the live commit, and keeps what it names as a branch `aside-…`"
            }
            Self::Unknown { .. } => "moves it into the directory `aside` of the home",
            Self::Mode { .. } => "sets it right",
            Self::Inhabited { .. } | Self::Kept { .. } => return None,
        })
    }

    /// What somebody has to do where nothing is mended without him; empty elsewhere.
    pub fn by_hand(&self) -> &'static str {
        match self {
            Self::Inhabited { .. } => {
                "put back the database that knows the app, or end the processes and look again"
            }
            Self::Kept { .. } => "when nothing is missing any more, delete the files of that name",
            Self::Hooks { .. }
            | Self::Repository { .. }
            | Self::Lock { .. }
            | Self::Release { .. }
            | Self::Branch { .. }
            | Self::Unknown { .. }
            | Self::Mode { .. }
            | Self::Leftover { .. }
            | Self::Trash { .. } => "",
        }
    }
}

#[cfg(test)]
mod tests;
