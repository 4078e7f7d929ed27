//! Mends one fault. Nothing is lost: what is taken away is moved aside, or can be made again.

use std::fs::Permissions;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::{Fault, Place};
use crate::deploy::fleet::create;
use crate::git::hooks::{self, HookError};
use crate::git::{GitError, Repo, SetBranch};
use crate::ids::CommitId;
use crate::process::delete::delete_now;
use crate::process::files;
use crate::state::{App, StateError};
use crate::time::now;

/// Why something can't be mended.
#[derive(Debug, thiserror::Error)]
pub enum RepairError {
    /// The database.
    #[error(transparent)]
    State(#[from] StateError),
    /// A repository.
    #[error(transparent)]
    Git(#[from] GitError),
    /// Hook files.
    #[error(transparent)]
    Hooks(#[from] HookError),
    /// The system refused a step.
    #[error("{doing} `{path}`", path = path.display())]
    File {
        /// Which step.
        doing: &'static str,
        /// On which file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Somebody else has moved the branch.
    #[error("lead the branch `{0}` to what is live: somebody has moved it just now")]
    BranchMoved(String),
}

/// Mends a fault that can be mended without asking somebody; says what was done. `None`: nothing was.
pub fn mend(place: &Place, fault: &Fault) -> Result<Option<String>, RepairError> {
    Ok(Some(match fault {
        Fault::Hooks { app, .. } => {
            put_hooks(place, app)?;
            format!("pushes reach {} again", app.name)
        }
        Fault::Repository { app } => {
            Repo::init_bare(&app.repo, &app.branch)?;
            put_hooks(place, app)?;
            format!("{} has an empty repository: push again", app.name)
        }
        Fault::Lock { path, .. } | Fault::Leftover { path } => {
            files::remove_if_there(path).map_err(failed("remove", path))?;
            format!("{} is removed", path.display())
        }
        Fault::Trash { path } => {
            delete_now(path).map_err(|error| RepairError::File {
                doing: error.doing,
                path: error.path,
                source: error.source,
            })?;
            format!("{} is deleted", path.display())
        }
        Fault::Release { app, release } => {
            place.database.remove_release(app, *release)?;
            format!("release {release} of {app} is forgotten")
        }
        Fault::Branch { app, names, live } => lead_back(app, names, live)?,
        Fault::Unknown { path } => {
            let aside = move_aside(place, path)?;
            format!("{} is now {}", path.display(), aside.display())
        }
        Fault::Mode { path, should, .. } => {
            let set = std::fs::set_permissions(path, Permissions::from_mode(*should));
            set.map_err(failed("set the mode of", path))?;
            format!("{} has the mode {should:04o}", path.display())
        }
        Fault::Inhabited { .. } | Fault::Kept { .. } => return Ok(None),
    }))
}

fn put_hooks(place: &Place, app: &App) -> Result<(), HookError> {
    let link = create::link(&place.layout, app, &place.executable);
    hooks::install(&app.repo, &link).map(drop)
}

/// First what the branch names gets a second name.
fn lead_back(app: &App, names: &CommitId, live: &CommitId) -> Result<String, RepairError> {
    let repo = Repo::open(&app.repo)?;
    let aside = format!("aside-{}-{}", app.branch, names.short());
    let why = "handover: led back to what is live";
    repo.compare_and_set_branch(
        &aside,
        repo.branch_commit(&aside)?.as_ref(),
        Some(names),
        why,
    )?;
    match repo.compare_and_set_branch(&app.branch, Some(names), Some(live), why)? {
        SetBranch::Done => Ok(format!(
            "{} of {} names {} again; what it named is the branch {aside}",
            app.branch,
            app.name,
            live.short()
        )),
        SetBranch::Differs { .. } => Err(RepairError::BranchMoved(app.branch.clone())),
    }
}

fn move_aside(place: &Place, path: &Path) -> Result<PathBuf, RepairError> {
    let dir = place.layout.home().join("aside");
    std::fs::create_dir_all(&dir).map_err(failed("make the directory", &dir))?;
    let private = Permissions::from_mode(0o700);
    std::fs::set_permissions(&dir, private).map_err(failed("set the mode of", &dir))?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let aside = dir.join(format!("{name}-{}", now().strftime("%Y%m%dT%H%M%S%3fZ")));
    std::fs::rename(path, &aside).map_err(failed("move aside", path))?;
    Ok(aside)
}

fn failed(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> RepairError {
    let path = path.to_owned();
    move |source| RepairError::File {
        doing,
        path,
        source,
    }
}
