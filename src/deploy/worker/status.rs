//! How an app is.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::timeout;

use super::Worker;
use crate::deploy::launch::{Live, Replaced};
use crate::deploy::status::{AppState, AppStatus, DrainingStatus, InstanceStatus, LiveStatus};
use crate::keep::{self, Keeper};
use crate::process::blocking;

/// How long a keeper may take to say how it is.
const KEEPER_PATIENCE: Duration = Duration::from_secs(2);

impl Worker {
    /// Answers in a task of its own: keepers are asked, and the worker does not wait for them.
    pub(super) fn tell_status(&self, reply: oneshot::Sender<AppStatus>) {
        let bare = AppStatus {
            name: self.name().clone(),
            state: AppState::Empty,
            branch: self.app.branch.clone(),
            live: None,
            draining: Vec::new(),
            deploying: self
                .running
                .as_ref()
                .map(|running| running.ticket.journal.deploy()),
            removing: 0,
            socket: self.paths.live_socket(),
            urls: self.urls(),
            repo: self.app.repo.clone(),
        };
        let live = self.live.clone();
        let draining: Vec<Replaced> = self.draining.values().cloned().collect();
        let was_live = self.app.live.is_some();
        let (remover, home) = (Arc::clone(&self.site.remover), self.paths.home().to_owned());
        tokio::spawn(async move {
            let mut status = fill(bare, live, draining, was_live).await;
            status.removing = blocking(move || remover.waiting(&home)).await;
            let _ = reply.send(status); // who asked may have gone
        });
    }
}

async fn fill(
    mut status: AppStatus,
    live: Option<Arc<Live>>,
    draining: Vec<Replaced>,
    was_live: bool,
) -> AppStatus {
    let mut complete = true;
    if let Some(live) = &live {
        let shown = live_status(live).await;
        complete = !shown.instances.is_empty()
            && shown
                .instances
                .iter()
                .all(|instance| instance.pid.is_some());
        status.live = Some(shown);
    }
    for replaced in draining {
        status.draining.push(draining_status(&replaced).await);
    }
    status.state = match (&status.live, status.deploying) {
        (_, Some(_)) => AppState::Deploying,
        (Some(_), None) if complete => AppState::Live,
        (Some(_), None) => AppState::Degraded,
        (None, None) if was_live => AppState::Stopped,
        (None, None) => AppState::Empty,
    };
    status
}

async fn live_status(live: &Live) -> LiveStatus {
    let status = keeper_status(&live.keeper).await;
    let (instances, connections) = status.map_or((Vec::new(), 0), |status| {
        (
            status.instances.iter().map(instance_status).collect(),
            status.connections.total(),
        )
    });
    LiveStatus {
        release: live.release,
        generation: live.generation,
        commit: live.commit.clone(),
        since: live.since,
        instances,
        connections,
    }
}

async fn draining_status(replaced: &Replaced) -> DrainingStatus {
    let status = keeper_status(&replaced.keeper).await;
    DrainingStatus {
        generation: replaced.generation,
        release: replaced.release,
        connections: status.map_or(0, |status| status.connections.total()),
        deadline: replaced.deadline,
    }
}

/// A keeper that does not answer is shown as one without instances.
async fn keeper_status(keeper: &Keeper) -> Option<keep::Status> {
    timeout(KEEPER_PATIENCE, keeper.status()).await.ok()?.ok()
}

fn instance_status(instance: &keep::InstanceStatus) -> InstanceStatus {
    InstanceStatus {
        index: instance.index,
        pid: instance.pid,
        restarts: instance.restarts,
        rss_bytes: instance.rss_bytes,
    }
}
