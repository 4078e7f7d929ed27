//! What was decided is done. Each act can be done again: whoever is killed in between begins anew.

use std::sync::Arc;

use super::plan::{Action, Swapped};
use super::sight::Keepers;
use super::{Found, clear_away};
use crate::deploy::branch;
use crate::deploy::fleet::FleetError;
use crate::deploy::launch::{Live, Replaced};
use crate::deploy::retire::Ended;
use crate::deploy::site::Site;
use crate::deploy::stage::stop_keeper;
use crate::deploy::told;
use crate::deploy::trial;
use crate::git::{GitError, Repo};
use crate::ids::{AppName, DeployNumber, GenerationNumber, ReleaseNumber};
use crate::keep::{Keeper, Spec};
use crate::paths::AppPaths;
use crate::process::blocking;
use crate::process::rig::kill_point;
use crate::report::with_causes;
use crate::slot;
use crate::state::{App, Database, Deploy, DeployState, Enrolled, Generation, StateError};
use crate::time::{Timestamp, now};

/// Somebody who acts for one app.
pub(super) struct Hand<'a> {
    pub site: &'a Arc<Site>,
    pub app: &'a App,
    pub paths: &'a AppPaths,
    pub keepers: &'a Keepers,
}

impl Hand<'_> {
    /// Does everything that it can: what fails is told in the log, and tried again at the next look.
    pub(super) async fn carry_out(&self, plan: &[Action]) -> Found {
        let mut found = Found::default();
        for action in plan {
            kill_point("recovery.act");
            match self.act(action, &mut found).await {
                Ok(()) => found.mended.extend(action.mended()),
                Err(error) => {
                    let error = with_causes(&error);
                    tracing::error!(app = %self.app.name, ?action, error, "can't be mended");
                }
            }
        }
        found
    }

    async fn act(&self, action: &Action, found: &mut Found) -> Result<(), FleetError> {
        match *action {
            Action::Unlock(ref lock) => {
                let lock = lock.clone();
                blocking(move || lock.remove()).await?;
            }
            Action::Forget(number) => {
                self.write(move |database, app| database.remove_release(app, number))
                    .await?;
            }
            Action::Interrupt(deploy) => self.end_badly(deploy).await?,
            Action::Complete(swapped) => self.end_well(swapped).await?,
            Action::Enrol(number) => self.enrol(number).await?,
            Action::Publish(number) => {
                let paths = self.paths.clone();
                let published = blocking(move || slot::publish(&paths, number)).await?;
                tracing::debug!(replaced = ?published.replaced, "published");
            }
            Action::Record(number) => {
                self.write(move |database, app| database.set_live(app, number))
                    .await?;
                self.commit(number).await;
            }
            Action::Adopt(number) => self.adopt(number, found).await?,
            Action::Drain(number) => {
                let row = self.generation(number).await?;
                if let (Some(row), Some(keeper)) = (row, self.keeper(number)) {
                    found.draining.push(drain(&row, keeper).await);
                }
            }
            Action::Stop(number) => {
                if let Some(keeper) = self.keeper(number) {
                    stop_keeper(&keeper).await;
                }
                self.forget(number).await?;
            }
            Action::Await(number) => {
                let row = self.generation(number).await?;
                found.lost.extend(row.map(|row| (row.number, row.release)));
            }
            Action::Bury(number) => {
                if let Some(row) = self.generation(number).await? {
                    found.ended.push(self.ended(&row));
                }
            }
            Action::Clear(number) => found.ended.push(self.ended_stranger(number).await),
            Action::Remove(ref name) => {
                let path = self.paths.releases().join(name);
                let remover = Arc::clone(&self.site.remover);
                blocking(move || super::prune::remove_quietly(&remover, &path)).await;
            }
        }
        Ok(())
    }

    fn keeper(&self, number: GenerationNumber) -> Option<Arc<Keeper>> {
        self.keepers.get(&number).cloned()
    }

    async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Database, &AppName) -> Result<T, StateError> + Send + 'static,
    ) -> Result<T, StateError> {
        let name = self.app.name.clone();
        self.site
            .database
            .run(move |database| work(database, &name))
            .await
    }

    async fn generation(&self, number: GenerationNumber) -> Result<Option<Generation>, StateError> {
        self.write(move |database, app| {
            let rows = database.generations(app)?;
            Ok(rows.into_iter().find(|row| row.number == number))
        })
        .await
    }

    async fn end_badly(&self, number: DeployNumber) -> Result<(), StateError> {
        self.write(move |database, app| database.set_deploy(app, number, &DeployState::Interrupted))
            .await
    }

    /// Not before the branch has followed: a deploy that is at its end is not looked at again.
    async fn end_well(&self, swapped: Swapped) -> Result<(), FleetError> {
        let read = self.write(move |database, name| database.deploy(name, swapped.deploy));
        let Some(deploy) = read.await? else {
            return Ok(());
        };
        let (app, urls) = (self.app.clone(), self.site.urls(&self.app.hosts));
        let led = deploy.clone();
        blocking(move || lead_branch(&app, &led)).await?;
        self.write(move |database, name| {
            let state = DeployState::Live {
                release: swapped.release,
            };
            told::end_deploy(database, name, deploy, &state, swapped.previous, urls)
        })
        .await?;
        self.site.outbox.wake();
        Ok(())
    }

    /// What runs says itself what it is.
    async fn enrol(&self, generation: GenerationNumber) -> Result<(), FleetError> {
        let (spec, repo) = (
            self.paths.generation(generation).spec(),
            self.app.repo.clone(),
        );
        let read = blocking(move || {
            let spec = Spec::read(&spec)?;
            let info = Repo::open(&repo).and_then(|repo| repo.commit_info(&spec.commit));
            Ok::<_, crate::keep::KeepError>((
                spec,
                info.map_or_else(|_| String::new(), |info| info.subject),
            ))
        });
        let (spec, subject) = read.await.map_err(|source| FleetError::Spec {
            app: self.app.name.clone(),
            source,
        })?;
        let enrolled = Enrolled {
            generation,
            release: spec.release,
            commit: spec.commit,
            subject,
        };
        self.write(move |database, app| database.enrol(app, &enrolled))
            .await?;
        Ok(())
    }

    async fn adopt(&self, number: GenerationNumber, found: &mut Found) -> Result<(), FleetError> {
        let Some(keeper) = self.keeper(number) else {
            return Ok(());
        };
        let read = self.write(move |database, app| {
            let rows = database.generations(app)?;
            let row = rows.into_iter().find(|row| row.number == number);
            let release = match &row {
                Some(row) => database.release(app, row.release)?,
                None => None,
            };
            Ok(row.zip(release))
        });
        let Some((row, release)) = read.await? else {
            tracing::error!(app = %self.app.name, generation = %number, "release of the live generation is not known");
            return Ok(());
        };
        let live = Live {
            generation: row.number,
            release: release.number,
            commit: release.commit,
            keeper,
            since: row.since,
        };
        found.trial = trial::unfinished(self.site, &self.app.name, self.paths, &live, row.deploy)
            .await
            .unwrap_or_else(|error| {
                let error = &error as &dyn std::error::Error;
                tracing::error!(app = %self.app.name, error, "whether the version is on trial can't be read");
                None
            });
        found.live = Some(live);
        Ok(())
    }

    async fn commit(&self, number: GenerationNumber) {
        let Some(keeper) = self.keeper(number) else {
            return;
        };
        if let Err(error) = keeper.commit().await {
            tracing::warn!(app = %self.app.name, error = &error as &dyn std::error::Error, "keeper can't be told that it is live");
        }
    }

    async fn forget(&self, number: GenerationNumber) -> Result<(), StateError> {
        let paths = self.paths.clone();
        self.write(move |database, app| {
            clear_away(&paths, number);
            database.remove_generation(app, number)
        })
        .await
    }

    fn ended(&self, row: &Generation) -> Ended {
        self.ended_of(row.number, row.release)
    }

    async fn ended_stranger(&self, number: GenerationNumber) -> Ended {
        let spec = self.paths.generation(number).spec();
        let release = blocking(move || Spec::read(&spec).map(|spec| spec.release)).await;
        // Only for the log.
        self.ended_of(number, release.unwrap_or(ReleaseNumber(0)))
    }

    fn ended_of(&self, generation: GenerationNumber, release: ReleaseNumber) -> Ended {
        Ended {
            app: self.app.name.clone(),
            paths: self.paths.clone(),
            generation,
            release,
            journal: None,
        }
    }
}

/// The branch may have yet to follow what is live. One that names something else is then deployed as one that was moved
/// by hand.
fn lead_branch(app: &App, deploy: &Deploy) -> Result<(), GitError> {
    if deploy.moves_branch {
        let moved = branch::catch_up(app, deploy.from.as_ref(), &deploy.commit)?;
        tracing::info!(app = %app.name, ?moved, "branch follows what is live");
    }
    Ok(())
}

async fn drain(row: &Generation, keeper: Arc<Keeper>) -> Replaced {
    let mut deadline = deadline(&keeper).await;
    if deadline.is_none() {
        // The server was cut off after the swap, before it could say so to what was live.
        if let Err(error) = keeper.drain(None).await {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(generation = %row.number, error, "keeper can't be told to drain");
        }
        deadline = self::deadline(&keeper).await;
    }
    Replaced {
        generation: row.number,
        release: row.release,
        keeper,
        deadline: deadline.unwrap_or_else(now),
        journal: None,
    }
}

async fn deadline(keeper: &Keeper) -> Option<Timestamp> {
    keeper.status().await.ok()?.deadline
}
