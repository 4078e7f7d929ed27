//! After the database was damaged: what lies on disk is remembered again. What runs is taken up by recovery, later.
//!
//! ```text
//!   repo.git's link to its app ──► the app          logs/deploy-N.jsonl ──► deploys, releases, what was live
//!   releases/N ──► which of them are there          all of them ──► numbers that are not given again
//! ```

mod record;

use std::path::Path;

use crate::git::hooks::{self, Gate};
use crate::ids::{AppName, DeployNumber, ReleaseNumber};
use crate::paths::{AppPaths, Layout, deploy_of_log};
use crate::process::files::names_in;
use crate::report::with_causes;
use crate::slot;
use crate::state::{App, Database, History, NewApp, StateError};

use record::Record;

/// Adds what is on disk and not in the database. Gives what there is to be told, a line each.
pub fn from_disk(layout: &Layout, database: &Database) -> Result<Vec<String>, StateError> {
    let mut told = forget_destroyed(layout, database)?;
    for name in numbered(&layout.apps()) {
        let name: AppName = name;
        let paths = layout.app(&name);
        let app = match database.app(&name) {
            Ok(app) => app,
            Err(StateError::NoApp(_)) => match readopt(layout, database, &name, &paths)? {
                Ok(app) => {
                    told.push(format!("app `{name}` is taken up again from its repository; its host names, webhook, number of instances and keys are lost"));
                    app
                }
                Err(reason) => {
                    told.push(format!("app `{name}` is lost: {reason}; its files stay in {}: move them away before an app of that name is created again", paths.home().display()));
                    continue;
                }
            },
            Err(error) => return Err(error),
        };
        let before = database.releases(&name)?.len();
        database.restore(&name, &history(&app, &paths))?;
        let after = database.releases(&name)?.len();
        if after > before {
            let added = after - before;
            told.push(format!(
                "app `{name}`: {added} more of its releases are remembered again"
            ));
        }
    }
    Ok(told)
}

/// Apps that were destroyed after the backup was made: nothing of them is there.
fn forget_destroyed(layout: &Layout, database: &Database) -> Result<Vec<String>, StateError> {
    let mut told = Vec::new();
    for app in database.apps()? {
        if !layout.app(&app.name).home().exists() {
            database.destroy_app(&app.name)?;
            told.push(format!(
                "app `{}` is not there any more: it is forgotten again",
                app.name
            ));
        }
    }
    Ok(told)
}

/// An app whose repository says that it deploys here. Otherwise why that can't be said.
fn readopt(
    layout: &Layout,
    database: &Database,
    name: &AppName,
    paths: &AppPaths,
) -> Result<Result<App, String>, StateError> {
    let repo = paths.repo();
    if !repo.exists() {
        return Ok(Err("its repository lies elsewhere".to_owned()));
    }
    let link = match hooks::link(&repo) {
        Ok(Some(link)) if link.app == *name && link.home == layout.home() => link,
        Ok(_) => {
            return Ok(Err(
                "its repository does not say that it deploys here".to_owned()
            ));
        }
        Err(error) => return Ok(Err(with_causes(&error))),
    };
    database.create_app(&NewApp {
        name: name.clone(),
        branch: link.branch,
        repo,
        gate: link.gate == Gate::On,
        hosts: Vec::new(),
    })?;
    database.app(name).map(Ok)
}

/// What the app's files say of it.
fn history(app: &App, paths: &AppPaths) -> History {
    let mut numbers: Vec<DeployNumber> = journals(&paths.logs());
    numbers.sort_unstable();
    let read = |&number: &DeployNumber| Record::read(&paths.deploy_log(number), number, app.gate);
    let records: Vec<Record> = numbers.iter().filter_map(read).collect();
    let there: Vec<ReleaseNumber> = numbered(&paths.releases());
    let mut history = record::history(records, there);
    let greatest = |numbers: Vec<u32>| numbers.into_iter().max().unwrap_or(0);
    let used = &mut history.used;
    used.deploy = greatest(numbers.iter().map(|number| number.0).collect()).max(used.deploy);
    let left = slot::left_behind(paths).into_iter();
    used.generation = greatest(left.map(|number| number.0).collect()).max(used.generation);
    history
}

fn journals(dir: &Path) -> Vec<DeployNumber> {
    let names = names_in(dir);
    let numbers = names.iter().filter_map(|name| deploy_of_log(name));
    numbers.collect()
}

/// The names in a directory that are of this kind, in order.
fn numbered<T: std::str::FromStr + Ord>(dir: &Path) -> Vec<T> {
    let names = names_in(dir);
    let mut all: Vec<T> = names.iter().filter_map(|name| name.parse().ok()).collect();
    all.sort_unstable();
    all
}
