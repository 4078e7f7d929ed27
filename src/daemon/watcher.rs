//! Watches the deploy branches and the settings file. What it says is a hint: everything is looked at again, slowly,
//! without it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep};

use super::error::DaemonError;
use super::settings;
use crate::config::ServerSettings;
use crate::deploy::fleet::Fleet;
use crate::ids::AppName;

/// How long to wait for more after a hint: a push moves a ref first, and runs its hook just after.
const SETTLE: Duration = Duration::from_millis(300);
/// How often everything is looked at without a hint.
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// Watches for as long as it is held.
#[derive(Debug)]
pub(super) struct Watching {
    task: JoinHandle<()>,
}

impl Drop for Watching {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Starts to watch.
pub(super) fn start(
    fleet: Arc<Fleet>,
    settings: watch::Sender<Arc<ServerSettings>>,
) -> Result<Watching, DaemonError> {
    let (sender, hints) = mpsc::unbounded_channel();
    let watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
        // The receiver is gone when the server ends.
        let _ = sender.send(event);
    });
    let mut watched = Watched {
        watcher: watcher.map_err(DaemonError::Watch)?,
        repositories: BTreeMap::new(),
    };
    if let Some(dir) = fleet.site().layout.settings().parent() {
        watched.watch(dir, RecursiveMode::NonRecursive);
    }
    Ok(Watching {
        task: tokio::spawn(run(fleet, settings, watched, hints)),
    })
}

async fn run(
    fleet: Arc<Fleet>,
    settings: watch::Sender<Arc<ServerSettings>>,
    mut watched: Watched,
    mut hints: mpsc::UnboundedReceiver<notify::Result<Event>>,
) {
    let mut apps = fleet.site().routes.subscribe();
    apps.mark_changed();
    let mut ticks = interval_at(Instant::now() + LOOK_EVERY, LOOK_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            changed = apps.changed() => {
                if changed.is_err() {
                    return;
                }
                watched.follow(&fleet).await;
            }
            _ = ticks.tick() => watched.repositories.keys().for_each(|app| fleet.look(app)),
            hint = hints.recv() => {
                let Some(hint) = hint else { return };
                let mut all = vec![hint];
                sleep(SETTLE).await;
                while let Ok(more) = hints.try_recv() {
                    all.push(more);
                }
                let meant = watched.meant(&all, fleet.site().layout.settings());
                meant.apps.iter().for_each(|app| fleet.look(app));
                if meant.settings {
                    settings::reload(&fleet.site().layout, &settings);
                }
            }
        }
    }
}

/// What hints are about.
#[derive(Debug, Default, PartialEq, Eq)]
struct Meant {
    apps: BTreeSet<AppName>,
    settings: bool,
}

/// What is watched.
struct Watched {
    watcher: RecommendedWatcher,
    repositories: BTreeMap<AppName, PathBuf>,
}

impl Watched {
    /// Watches the repositories of the apps that there are now, and no others.
    async fn follow(&mut self, fleet: &Fleet) {
        let repositories = match fleet.repositories().await {
            Ok(repositories) => repositories,
            Err(error) => {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "repositories can't be listed"
                );
                return;
            }
        };
        let current: BTreeMap<AppName, PathBuf> = repositories
            .into_iter()
            .map(|(app, repo, _)| (app, repo))
            .collect();
        for repo in self
            .repositories
            .values()
            .filter(|repo| !current.values().any(|known| known == *repo))
        {
            // A directory that is gone is watched no more.
            let _ = self.watcher.unwatch(repo);
            let _ = self.watcher.unwatch(&repo.join("refs/heads"));
        }
        let known = std::mem::replace(&mut self.repositories, current);
        let fresh: Vec<PathBuf> = self
            .repositories
            .iter()
            .filter(|(app, _)| !known.contains_key(*app))
            .map(|(_, repo)| repo.clone())
            .collect();
        for repo in fresh {
            // packed-refs lies at the top.
            self.watch(&repo, RecursiveMode::NonRecursive);
            self.watch(&repo.join("refs/heads"), RecursiveMode::Recursive);
        }
    }

    fn watch(&mut self, dir: &Path, mode: RecursiveMode) {
        if let Err(error) = self.watcher.watch(dir, mode) {
            tracing::warn!(path = %dir.display(), %error, "directory can't be watched; it is looked at once a minute");
        }
    }

    fn meant(&self, hints: &[notify::Result<Event>], settings: &Path) -> Meant {
        let mut meant = Meant::default();
        for hint in hints {
            match hint {
                Ok(event) if matches!(event.kind, EventKind::Access(_)) => {}
                Ok(event) if event.need_rescan() => {
                    meant.apps.extend(self.repositories.keys().cloned());
                    meant.settings = true;
                }
                Ok(event) => {
                    for path in &event.paths {
                        meant.settings |= path == settings;
                        let owner = self
                            .repositories
                            .iter()
                            .find(|(_, repo)| path.starts_with(repo));
                        meant.apps.extend(owner.map(|(app, _)| app.clone()));
                    }
                }
                Err(error) => tracing::warn!(%error, "watching failed"),
            }
        }
        meant
    }
}
