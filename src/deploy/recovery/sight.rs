//! What is found of an app, before anything is done about it.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::build::is_trash;
use crate::deploy::fleet::FleetError;
use crate::deploy::site::Site;
use crate::git::{Lock, Repo};
use crate::ids::{AppName, DeployNumber, GenerationNumber, ReleaseNumber};
use crate::keep::{Keeper, Spec};
use crate::paths::AppPaths;
use crate::process::blocking;
use crate::process::files::names_in;
use crate::slot;
use crate::state::{App, Database, GenerationState, StateError};

/// What is found of an app. Plain facts: whatever is decided from them is decided by a pure function.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(in crate::deploy) struct Sight {
    /// The generations that are remembered, oldest first.
    pub generations: Vec<Seen>,
    /// Generations that are not remembered, and have left a socket or a directory.
    pub strangers: Vec<Stranger>,
    /// The generation whose socket `live.sock` is.
    pub leads_to: Option<GenerationNumber>,
    /// Locks in the repository, in the way of every push, that stay for longer than whoever lives holds one.
    pub locks: Vec<Lock>,
    /// Deploys that have not ended, as far as is remembered.
    pub open: Vec<DeployNumber>,
    /// The releases that are remembered.
    pub releases: Vec<Built>,
    /// What lies in the directory of releases, but for what was put aside.
    pub directories: Vec<String>,
}

/// A generation that is remembered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::deploy) struct Seen {
    pub number: GenerationNumber,
    pub release: ReleaseNumber,
    /// The deploy that started it.
    pub deploy: DeployNumber,
    /// What it was when that was written down.
    pub state: GenerationState,
    /// Whether its keeper lives.
    pub keeper: bool,
}

/// A release that is remembered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::deploy) struct Built {
    pub number: ReleaseNumber,
    /// The deploy that built it.
    pub deploy: DeployNumber,
}

/// A generation that is not remembered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::deploy) struct Stranger {
    pub number: GenerationNumber,
    /// The release that was started, where it still says so.
    pub release: Option<ReleaseNumber>,
    /// Whether its keeper lives.
    pub keeper: bool,
}

/// The keepers that live, by generation.
pub(in crate::deploy) type Keepers = BTreeMap<GenerationNumber, Arc<Keeper>>;

/// Looks. Changes nothing.
pub(in crate::deploy) async fn look(
    site: &Site,
    app: &App,
    paths: &AppPaths,
) -> Result<(Sight, Keepers), FleetError> {
    let (app, database, paths) = (app.clone(), site.database.clone(), paths.clone());
    Ok(blocking(move || see(&database, &app, &paths)).await?)
}

fn see(database: &Database, app: &App, paths: &AppPaths) -> Result<(Sight, Keepers), StateError> {
    let locks = locks(app);
    let app = &app.name;
    let rows = database.generations(app)?;
    let mut keepers = Keepers::new();
    let mut lives = |number| match keeper(app, paths, number) {
        Some(keeper) => {
            keepers.insert(number, Arc::new(keeper));
            true
        }
        None => false,
    };
    let generations: Vec<Seen> = rows
        .iter()
        .map(|row| Seen {
            number: row.number,
            release: row.release,
            deploy: row.deploy,
            state: row.state,
            keeper: lives(row.number),
        })
        .collect();
    let strangers = slot::left_behind(paths)
        .into_iter()
        .filter(|number| generations.iter().all(|seen| seen.number != *number))
        .map(|number| Stranger {
            number,
            release: Spec::read(&paths.generation(number).spec())
                .ok()
                .map(|spec| spec.release),
            keeper: lives(number),
        })
        .collect();
    let open = database.open_deploys(app)?;
    let releases = database.releases(app)?;
    let sight = Sight {
        strangers,
        generations,
        leads_to: slot::live(paths),
        locks,
        open: open.iter().map(|deploy| deploy.number).collect(),
        releases: releases
            .iter()
            .map(|release| Built {
                number: release.number,
                deploy: release.deploy,
            })
            .collect(),
        directories: releases_in(paths),
    };
    Ok((sight, keepers))
}

/// What was put aside is not looked for: it is deleted in its time.
fn releases_in(paths: &AppPaths) -> Vec<String> {
    let names = names_in(&paths.releases()).into_iter();
    names.filter(|name| !is_trash(name)).collect()
}

/// A repository that can't be opened is told of by whoever needs it.
fn locks(app: &App) -> Vec<Lock> {
    let repo = Repo::open(&app.repo);
    repo.map_or_else(|_| Vec::new(), |repo| repo.lasting_locks(&app.branch))
}

fn keeper(app: &AppName, paths: &AppPaths, number: GenerationNumber) -> Option<Keeper> {
    Keeper::find(&paths.generation(number)).unwrap_or_else(|error| {
        // Whoever holds its socket is found by that, and ended as an orphan.
        let error = &error as &dyn std::error::Error;
        tracing::error!(%app, generation = %number, error, "keeper can't be found");
        None
    })
}
