//! All apps: what can be wanted of them, by name.

pub(super) mod create;
mod error;
mod push;
mod settings;
mod store;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};

pub use create::{Created, Wanted};
pub use error::FleetError;
pub use push::{PushAnswer, Pushed};
pub(in crate::deploy) use store::limits;
pub use store::{Pruned, StoredTrees};

use super::branch::BranchMove;
use super::journal::Journal;
use super::recovery;
use super::room;
use super::site::Site;
use super::status::AppStatus;
use super::worker::{Answer, Handle, Wish};
use crate::git::Repo;
use crate::ids::{AppName, CommitId, DeployNumber, HostName, ReleaseNumber};
use crate::process::blocking;
use crate::push::PushOptions;
use crate::report::Origin;
use crate::state::{App, Deploy, Release};

/// The workers of all apps.
#[derive(Debug)]
pub struct Fleet {
    site: Arc<Site>,
    workers: RwLock<BTreeMap<AppName, Handle>>,
}

impl Fleet {
    /// Finds what runs, mends what a crash has left, and starts a worker for every app.
    pub async fn start(site: Arc<Site>) -> Result<Arc<Self>, FleetError> {
        let apps = site.database.run(crate::state::Database::apps).await?;
        let fleet = Arc::new(Self {
            site,
            workers: RwLock::default(),
        });
        for app in apps {
            fleet.adopt(app).await?;
        }
        // Not before: what has to be set right may need it.
        room::keep_back(&fleet.site).await;
        Ok(fleet)
    }

    async fn adopt(&self, app: App) -> Result<(), FleetError> {
        self.link(&app).await;
        let found = recovery::recover(&self.site, &app).await?;
        let name = app.name.clone();
        let handle = Handle::start(Arc::clone(&self.site), app, found);
        handle.look();
        self.workers
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(name, handle);
        Ok(())
    }

    /// Sets the app's hooks right: the binary or the sockets may have moved since they were put in.
    async fn link(&self, app: &App) {
        if let Err(error) = self.put_hooks(app).await {
            tracing::error!(app = %app.name, error = &error as &dyn std::error::Error, "hooks can't be set right");
        }
    }

    /// Puts the hooks in, with the gate as the app has it.
    async fn put_hooks(&self, app: &App) -> Result<(), FleetError> {
        let (repo, link) = (
            app.repo.clone(),
            create::link(&self.site.layout, app, &self.site.executable),
        );
        let path = self.site.path();
        let gate = app.gate;
        blocking(move || {
            if gate && let Some(reason) = create::too_old_for_gate(&path) {
                return Err(FleetError::NoGate(reason));
            }
            crate::git::hooks::install(&repo, &link)?;
            Ok(())
        })
        .await
    }

    /// Where everything lies, and what else all apps share.
    pub fn site(&self) -> &Arc<Site> {
        &self.site
    }

    /// All apps as they are remembered.
    pub async fn apps(&self) -> Result<Vec<App>, FleetError> {
        Ok(self.site.database.run(crate::state::Database::apps).await?)
    }

    /// An app as it is remembered.
    pub async fn app(&self, name: &AppName) -> Result<App, FleetError> {
        let name = name.clone();
        Ok(self
            .site
            .database
            .run(move |database| database.app(&name))
            .await?)
    }

    /// The repositories to watch, with the branches that deploy.
    pub async fn repositories(&self) -> Result<Vec<(AppName, PathBuf, String)>, FleetError> {
        Ok(self
            .apps()
            .await?
            .into_iter()
            .map(|app| (app.name, app.repo, app.branch))
            .collect())
    }

    /// How the apps are; of one, where it is named.
    pub async fn status(&self, only: Option<&AppName>) -> Result<Vec<AppStatus>, FleetError> {
        let handles: Vec<Handle> = match only {
            Some(name) => vec![self.handle(name)?],
            None => self
                .workers
                .read()
                .unwrap_or_else(PoisonError::into_inner)
                .values()
                .cloned()
                .collect(),
        };
        let mut all = Vec::with_capacity(handles.len());
        for handle in handles {
            all.extend(handle.status().await);
        }
        Ok(all)
    }

    /// Somebody wants this revision deployed; the deploy branch, where none is named.
    pub async fn deploy(
        &self,
        name: &AppName,
        revision: Option<String>,
        by: Option<String>,
    ) -> Result<Answer, FleetError> {
        let app = self.app(name).await?;
        let (repo, revision) = (
            app.repo.clone(),
            revision.unwrap_or_else(|| app.branch.clone()),
        );
        let commit = blocking(move || Repo::open(&repo)?.resolve(&revision)).await?;
        let subject = subject(&app, &commit).await?;
        self.ask(
            name,
            Wish::Commit {
                commit,
                subject,
                from: None,
                origin: Origin::Command,
                branch: BranchMove::Follows,
                options: PushOptions::default(),
                by,
            },
        )
        .await
    }

    /// The deploy that runs is to be given up. Gives its journal; nothing where none runs.
    pub async fn cancel(
        &self,
        name: &AppName,
        by: Option<String>,
    ) -> Result<Option<Arc<Journal>>, FleetError> {
        Ok(self.handle(name)?.cancel(by).await)
    }

    /// A release that was built before is to be live: this one, or else the last that was.
    pub async fn roll_back(
        &self,
        name: &AppName,
        to: Option<ReleaseNumber>,
        by: Option<String>,
    ) -> Result<Answer, FleetError> {
        self.ask(name, Wish::Rollback { to, by }).await
    }

    /// The live release is to be started afresh.
    pub async fn restart(&self, name: &AppName, by: Option<String>) -> Result<Answer, FleetError> {
        self.ask(name, Wish::FreshStart { by }).await
    }

    /// The app is to have this many instances, now and from now on.
    pub async fn scale(&self, name: &AppName, instances: u32) -> Result<(), FleetError> {
        let owned = name.clone();
        let app = self
            .site
            .database
            .run(move |database| {
                database.app(&owned)?;
                database.set_instances(&owned, instances)?;
                database.app(&owned)
            })
            .await?;
        let handle = self.handle(name)?;
        handle.changed(app);
        if let Some(live) = handle.live().await {
            live.keeper
                .scale(instances)
                .await
                .map_err(|source| FleetError::Scale {
                    app: name.clone(),
                    source,
                })?;
        }
        Ok(())
    }

    /// Leads a host name to the app.
    pub async fn add_host(&self, name: &AppName, host: HostName) -> Result<App, FleetError> {
        self.change(name, move |database, app| database.add_host(app, &host))
            .await
    }

    /// Takes a host name from the app.
    pub async fn remove_host(&self, name: &AppName, host: HostName) -> Result<App, FleetError> {
        self.change(name, move |database, app| {
            database.remove_host(app, &host).map(drop)
        })
        .await
    }

    /// Changes what is remembered of an app, and tells its worker.
    async fn change(
        &self,
        name: &AppName,
        change: impl FnOnce(&crate::state::Database, &AppName) -> Result<(), crate::state::StateError>
        + Send
        + 'static,
    ) -> Result<App, FleetError> {
        let owned = name.clone();
        let app = self
            .site
            .database
            .run(move |database| {
                database.app(&owned)?;
                change(database, &owned)?;
                database.app(&owned)
            })
            .await?;
        self.handle(name)?.changed(app.clone());
        Ok(app)
    }

    /// The releases of an app, oldest first.
    pub async fn releases(&self, name: &AppName) -> Result<Vec<Release>, FleetError> {
        let name = name.clone();
        let read = move |database: &crate::state::Database| {
            database.app(&name)?;
            database.releases(&name)
        };
        Ok(self.site.database.run(read).await?)
    }

    /// The newest deploys of an app, oldest first.
    pub async fn deploys(&self, name: &AppName, at_most: u32) -> Result<Vec<Deploy>, FleetError> {
        let name = name.clone();
        let read = move |database: &crate::state::Database| {
            database.app(&name)?;
            database.deploys(&name, at_most)
        };
        Ok(self.site.database.run(read).await?)
    }

    /// The journal of a deploy that has not ended; of the one that runs, where no number is given.
    pub async fn journal(
        &self,
        name: &AppName,
        number: Option<DeployNumber>,
    ) -> Result<Option<Arc<Journal>>, FleetError> {
        Ok(self.handle(name)?.journal(number).await)
    }

    /// The branch of an app may have moved.
    pub fn look(&self, name: &AppName) {
        if let Ok(handle) = self.handle(name) {
            handle.look();
        }
    }

    /// Stops every app.
    pub async fn stop_all(&self) {
        let handles: Vec<Handle> =
            std::mem::take(&mut *self.workers.write().unwrap_or_else(PoisonError::into_inner))
                .into_values()
                .collect();
        let stops = handles.iter().map(Handle::stop);
        futures_util::future::join_all(stops).await;
    }

    async fn ask(&self, name: &AppName, wish: Wish) -> Result<Answer, FleetError> {
        let answer = self.handle(name)?.ask(wish).await;
        Ok(answer.ok_or_else(|| FleetError::BeingStopped(name.clone()))??)
    }

    fn handle(&self, name: &AppName) -> Result<Handle, FleetError> {
        let workers = self.workers.read().unwrap_or_else(PoisonError::into_inner);
        workers
            .get(name)
            .cloned()
            .ok_or_else(|| crate::state::StateError::NoApp(name.clone()).into())
    }
}

async fn subject(app: &App, commit: &CommitId) -> Result<String, FleetError> {
    let (repo, commit) = (app.repo.clone(), commit.clone());
    let info = blocking(move || Repo::open(&repo)?.commit_info(&commit)).await?;
    Ok(info.subject)
}
