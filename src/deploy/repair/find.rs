//! Looks. Changes nothing.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::{Fault, Place};
use crate::build::Aside;
use crate::deploy::fleet::create;
use crate::git::{Repo, hooks};
use crate::ids::{AppName, CommitId};
use crate::paths::Layout;
use crate::process::cwd::working_in;
use crate::state::{self, App, StateError};

/// What is younger may have been made just now, by somebody who is about to go on.
const STALE: Duration = Duration::from_secs(600);

/// All that is not as it should be.
pub fn find(place: &Place) -> Result<Vec<Fault>, StateError> {
    let mut faults = modes(&place.layout);
    let apps = place.database.apps()?;
    for app in &apps {
        faults.extend(of_app(place, app)?);
    }
    faults.extend(strangers(&place.layout, &apps));
    faults.extend(leftovers(&place.layout));
    faults.extend(kept(&place.layout));
    Ok(faults)
}

fn of_app(place: &Place, app: &App) -> Result<Vec<Fault>, StateError> {
    let mut faults = Vec::new();
    let paths = place.layout.app(&app.name);
    let owned = || Box::new(app.clone());
    if app.repo == paths.repo() && !app.repo.exists() {
        faults.push(Fault::Repository { app: owned() });
    } else {
        let wanted = create::link(&place.layout, app, &place.executable);
        let amiss = hooks::amiss(&app.repo, &wanted);
        let amiss = amiss.unwrap_or_else(|error| Some(error.to_string()));
        faults.extend(amiss.map(|amiss| Fault::Hooks {
            app: owned(),
            amiss,
        }));
        let locks = locks(&app.repo).into_iter().map(|path| Fault::Lock {
            app: app.name.clone(),
            path,
        });
        faults.extend(locks);
        faults.extend(branch(place, app)?);
    }
    let dirs = paths.removed_from();
    let aside = dirs.iter().flat_map(|dir| Aside::all_in(dir));
    faults.extend(aside.filter(is_late).map(|aside| Fault::Trash {
        path: aside.path().to_owned(),
    }));
    for release in place.database.releases(&app.name)? {
        if !paths.release(release.number).exists() {
            faults.push(Fault::Release {
                app: app.name.clone(),
                release: release.number,
            });
        }
    }
    Ok(faults)
}

/// Locks that are old, in a repository that no process works in.
fn locks(repo: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut dirs = vec![repo.join("refs")];
    let mut look = |dir: &Path| {
        let mut inner = Vec::new();
        for path in entries(dir) {
            if path.is_dir() {
                inner.push(path);
            } else if path.extension().is_some_and(|ending| ending == "lock") && is_stale(&path) {
                found.push(path);
            }
        }
        inner
    };
    look(repo);
    while let Some(dir) = dirs.pop() {
        dirs.extend(look(&dir));
    }
    if found.is_empty() || !working_in(repo).is_empty() {
        return Vec::new();
    }
    found
}

/// A branch that names more than what is live is deployed; one that names something else was led astray, or somebody
/// has meant it.
fn branch(place: &Place, app: &App) -> Result<Option<Fault>, StateError> {
    let busy = !place.database.open_deploys(&app.name)?.is_empty();
    let Some(live) = live_commit(place, app)? else {
        return Ok(None);
    };
    let names = Repo::open(&app.repo).and_then(|repo| {
        let names = repo.branch_commit(&app.branch)?;
        Ok(names.filter(|names| !repo.is_ancestor(&live, names).unwrap_or(false)))
    });
    // A repository that can't be read is told of already.
    let names = names.ok().flatten().filter(|_| !busy);
    Ok(names.map(|names| Fault::Branch {
        app: Box::new(app.clone()),
        names,
        live,
    }))
}

fn live_commit(place: &Place, app: &App) -> Result<Option<CommitId>, StateError> {
    let generations = place.database.generations(&app.name)?;
    let live = generations.iter().find(|row| Some(row.number) == app.live);
    let Some(live) = live else { return Ok(None) };
    let release = place.database.release(&app.name, live.release)?;
    Ok(release.map(|release| release.commit))
}

fn strangers(layout: &Layout, apps: &[App]) -> Vec<Fault> {
    let known = |path: &Path| {
        let name = path.file_name().and_then(|name| name.to_str());
        let name = name.and_then(|name| name.parse::<AppName>().ok());
        name.is_some_and(|name| apps.iter().any(|app| app.name == name))
    };
    let unknown = entries(&layout.apps()).into_iter();
    let unknown = unknown.filter(|path| !known(path) && is_stale(path));
    let fault = |path: PathBuf| match working_in(&path) {
        pids if pids.is_empty() => Fault::Unknown { path },
        pids => Fault::Inhabited { path, pids },
    };
    unknown.map(fault).collect()
}

/// Others may not write where the server writes, nor read what only it may.
fn modes(layout: &Layout) -> Vec<Fault> {
    const OTHERS_WRITE: u32 = 0o022;
    const OTHERS: u32 = 0o077;
    let home = layout.home();
    let private = [
        "handover.db",
        "handover.db-wal",
        "handover.db-shm",
        "handover.db.backup",
    ];
    let private = private.map(|name| (home.join(name), OTHERS));
    let dirs = [
        (home.to_owned(), OTHERS_WRITE),
        (layout.run().to_owned(), OTHERS_WRITE),
        (layout.apps(), OTHERS),
    ];
    let fault = |(path, forbidden): (PathBuf, u32)| {
        let is = std::fs::metadata(&path).ok()?.mode() & 0o7777;
        (is & forbidden != 0).then_some(Fault::Mode {
            path,
            is,
            should: is & !forbidden,
        })
    };
    dirs.into_iter().chain(private).filter_map(fault).collect()
}

fn leftovers(layout: &Layout) -> Vec<Fault> {
    let left = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let staging = ["handover.db.backup-new", "handover.db.restored", ".doctor-"];
        staging.iter().any(|begin| name.starts_with(begin)) || name.ends_with(".handover-new")
    };
    let found = entries(layout.home()).into_iter();
    let found = found.filter(|path| left(path) && path.is_file() && is_stale(path));
    found.map(|path| Fault::Leftover { path }).collect()
}

fn kept(layout: &Layout) -> impl Iterator<Item = Fault> {
    let kept = state::kept_aside(&layout.database()).into_iter();
    kept.map(|path| Fault::Kept {
        told: state::report_of(&path).unwrap_or_default(),
        path,
    })
}

fn entries(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let mut paths: Vec<_> = entries.map(|entry| entry.path()).collect();
    paths.sort();
    paths
}

/// Whether it was put aside a while ago: renaming changes nothing but the time of the last change of status.
fn is_late(aside: &Aside) -> bool {
    let Ok(found) = std::fs::symlink_metadata(aside.path()) else {
        return false;
    };
    let renamed = Duration::from_secs(found.ctime().try_into().unwrap_or(0));
    let age = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH + renamed);
    age.is_ok_and(|age| age >= STALE)
}

/// Whether nobody has changed it for a while. A clock that was set back makes it young.
fn is_stale(path: &Path) -> bool {
    let changed = std::fs::symlink_metadata(path).and_then(|found| found.modified());
    let age = changed.map(|changed| SystemTime::now().duration_since(changed));
    matches!(age, Ok(Ok(age)) if age >= STALE)
}
