//! Apps come and go.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Fleet, FleetError};
use crate::git::hooks::{self, Gate};
use crate::git::{self, Repo};
use crate::ids::{AppName, HostName};
use crate::paths::{AppPaths, Layout};
use crate::process::blocking;
use crate::process::delete::delete_now;
use crate::process::socket::group_id;
use crate::slot;
use crate::state::{App, Database, NewApp, StateError};

/// An app that is to be created.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// Its name.
    pub name: AppName,
    /// The branch whose pushes deploy. Without one: `main`, or what `HEAD` of an existing repository names.
    pub branch: Option<String>,
    /// Whether pushes are to wait for the verdict before the ref moves.
    pub gate: bool,
    /// Its host names.
    pub hosts: Vec<HostName>,
    /// A bare repository that exists already and is to be used.
    pub repo: Option<PathBuf>,
}

/// An app that has been created.
#[derive(Debug, Clone)]
pub struct Created {
    /// The branch whose pushes deploy.
    pub branch: String,
    /// The repository to push to.
    pub repo: PathBuf,
    /// Whether a push waits for the verdict before the branch moves.
    pub gate: Gate,
    /// What was found and changed in a repository that existed, and what could not be had.
    pub notes: Vec<String>,
}

impl Fleet {
    /// Creates an app, with a repository of its own or around one that exists. Fails without leaving anything.
    pub async fn create(&self, wanted: Wanted) -> Result<Created, FleetError> {
        let name = wanted.name.clone();
        if self.handle(&name).is_ok() {
            return self.known_already(wanted).await;
        }
        let (layout, group) = (self.site.layout.clone(), self.front_group().await?);
        let executable = self.site.executable.clone();
        let database = self.site.database.clone();
        let path = self.site.path();
        let (created, app) = blocking(move || {
            let paths = layout.app(&wanted.name);
            paths.check_sockets()?;
            let mut wanted = wanted;
            let no_gate = wanted.gate.then(|| too_old_for_gate(&path)).flatten();
            wanted.gate &= no_gate.is_none();
            let mut created = prepare(&layout, &paths, &wanted, &executable, group)?;
            created.notes.extend(no_gate.map(|reason| {
                format!("warning: the gate is off: {reason}; a failed deploy can't reject the push, and the branch is put back instead")
            }));
            let row = NewApp {
                name: wanted.name.clone(),
                branch: created.branch.clone(),
                repo: created.repo.clone(),
                gate: created.gate == Gate::On,
                hosts: wanted.hosts.clone(),
            };
            let app = database
                .create_app(&row)
                .and_then(|()| database.app(&wanted.name));
            match app {
                Ok(app) => Ok((created, app)),
                Err(error) => {
                    discard(&paths, wanted.repo.as_deref());
                    Err(FleetError::from(error))
                }
            }
        })
        .await?;
        self.adopt(app).await?;
        Ok(created)
    }

    /// Asking again for the same app around the same repository sets its hooks right; anything else is refused.
    async fn known_already(&self, wanted: Wanted) -> Result<Created, FleetError> {
        let app = self.app(&wanted.name).await?;
        let Some(repo) = wanted.repo else {
            return Err(StateError::AppExists(wanted.name).into());
        };
        if canonical(&repo)? != canonical(&app.repo)? {
            return Err(StateError::AppExists(wanted.name).into());
        }
        let (layout, executable) = (self.site.layout.clone(), self.site.executable.clone());
        blocking(move || {
            let installed = hooks::install(&app.repo, &link(&layout, &app, &executable))?;
            Ok(Created {
                branch: app.branch,
                repo: app.repo,
                gate: app.gate.into(),
                notes: notes(&installed),
            })
        })
        .await
    }

    /// Stops an app and deletes everything of it. A repository that existed before stays, without the hooks.
    pub async fn destroy(&self, name: &AppName) -> Result<(), FleetError> {
        let app = self.app(name).await?;
        let handle = self.handle(name)?;
        // An app that can't be forgotten goes on.
        self.site.database.run(Database::try_to_write).await?;
        handle.stop().await;
        self.workers
            .write()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .remove(name);
        let (paths, database, name) = (
            self.site.layout.app(name),
            self.site.database.clone(),
            name.clone(),
        );
        let remover = Arc::clone(&self.site.remover);
        blocking(move || {
            handle.store().close();
            database.destroy_app(&name)?;
            remover.forget(paths.home());
            if app.repo != paths.repo() {
                hooks::remove(&app.repo)?;
            }
            remove_dir(paths.run())?;
            remove_dir(paths.home())
        })
        .await
    }

    /// The number of the group that the settings name.
    async fn front_group(&self) -> Result<Option<u32>, FleetError> {
        let Some(group) = self.site.settings.borrow().front_group.clone() else {
            return Ok(None);
        };
        blocking(move || match group_id(&group) {
            Ok(Some(id)) => Ok(Some(id)),
            Ok(None) => Err(FleetError::Group {
                group,
                reason: "there is no such group".to_owned(),
            }),
            Err(error) => Err(FleetError::Group {
                group,
                reason: error.to_string(),
            }),
        })
        .await
    }
}

fn prepare(
    layout: &Layout,
    paths: &AppPaths,
    wanted: &Wanted,
    executable: &Path,
    group: Option<u32>,
) -> Result<Created, FleetError> {
    if paths.home().exists() {
        return Err(FleetError::LeftOver {
            app: wanted.name.clone(),
            path: paths.home().to_owned(),
        });
    }
    let made = make(layout, paths, wanted, executable, group);
    if made.is_err() {
        // Hooks are the last thing that is made: where something failed, there are none.
        discard(paths, None);
    }
    made
}

fn make(
    layout: &Layout,
    paths: &AppPaths,
    wanted: &Wanted,
    executable: &Path,
    group: Option<u32>,
) -> Result<Created, FleetError> {
    for dir in [paths.releases(), paths.logs()] {
        std::fs::create_dir_all(&dir).map_err(|source| FleetError::Directory {
            doing: "make",
            path: dir,
            source,
        })?;
    }
    slot::prepare(paths, group)?;
    let (repo, branch) = match &wanted.repo {
        None => {
            let branch = wanted.branch.clone().unwrap_or_else(|| "main".to_owned());
            Repo::init_bare(&paths.repo(), &branch)?;
            (paths.repo(), branch)
        }
        Some(repo) => {
            let repo = canonical(repo)?;
            let head = Repo::open(&repo)?.head_branch()?;
            (repo, wanted.branch.clone().unwrap_or(head))
        }
    };
    let gate = Gate::from(wanted.gate);
    let link = link_of(layout, &wanted.name, executable, &branch, gate);
    let installed = hooks::install(&repo, &link)?;
    Ok(Created {
        branch,
        repo,
        gate,
        notes: notes(&installed),
    })
}

/// Takes back what [`make`] made. What can't be removed is told in the log; the error that led here is the one that
/// counts.
fn discard(paths: &AppPaths, existing_repo: Option<&Path>) {
    if let Some(Err(error)) = existing_repo.map(hooks::remove) {
        tracing::warn!(
            error = &error as &dyn std::error::Error,
            "hooks can't be removed"
        );
    }
    for dir in [paths.home(), paths.run()] {
        if let Err(error) = remove_dir(dir) {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "directory can't be removed"
            );
        }
    }
}

/// What an app's repository is told of this installation.
pub(in crate::deploy) fn link(layout: &Layout, app: &App, executable: &Path) -> hooks::Link {
    link_of(layout, &app.name, executable, &app.branch, app.gate.into())
}

fn link_of(
    layout: &Layout,
    app: &AppName,
    executable: &Path,
    branch: &str,
    gate: Gate,
) -> hooks::Link {
    hooks::Link {
        app: app.clone(),
        home: layout.home().to_owned(),
        control: layout.control_socket(),
        binary: executable.to_owned(),
        branch: branch.to_owned(),
        gate,
    }
}

/// Why the gate can't be had with the git of this server.
pub(super) fn too_old_for_gate(path: &str) -> Option<String> {
    let (major, minor) = git::GATE_NEEDS;
    match git::version(path) {
        Some(version) if version >= git::GATE_NEEDS => None,
        Some((old, older)) => Some(format!(
            "git {old}.{older} on this server is older than {major}.{minor}"
        )),
        None => Some("there is no git in the server's PATH".to_owned()),
    }
}

fn notes(installed: &hooks::Installed) -> Vec<String> {
    installed
        .chained
        .iter()
        .map(|hook| {
            format!(
                "the hook that was there is kept and run first: {}",
                hook.display()
            )
        })
        .collect()
}

fn remove_dir(path: &Path) -> Result<(), FleetError> {
    delete_now(path).map_err(|error| FleetError::Directory {
        doing: "delete",
        path: error.path,
        source: error.source,
    })
}

fn canonical(path: &Path) -> Result<PathBuf, FleetError> {
    let failed = |source| FleetError::Directory {
        doing: "find",
        path: path.to_owned(),
        source,
    };
    path.canonicalize().map_err(failed)
}
