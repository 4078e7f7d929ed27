//! How an app is.

use std::sync::Arc;

use tokio::sync::oneshot;

use super::Worker;
use crate::deploy::launch::{Live, Replaced};
use crate::deploy::status::{AppState, AppStatus, DrainingStatus, LiveStatus};

impl Worker {
    /// Answers in a task of its own: keepers are asked, and the worker does not wait for them.
    pub(super) fn tell_status(&self, reply: oneshot::Sender<AppStatus>) {
        let bare = AppStatus {
            name: self.name().clone(),
            state: AppState::Empty,
            branch: self.app.branch.clone(),
            live: None,
            draining: Vec::new(),
            deploying: self.running.as_ref().map(|running| running.ticket.journal.deploy()),
            socket: self.paths.live_socket(),
            urls: self.urls(),
            repo: self.app.repo.clone(),
        };
        let live = self.live.clone();
        let draining: Vec<Replaced> = self.draining.values().cloned().collect();
        let was_live = self.app.live.is_some();
        tokio::spawn(async move {
            let _ = reply.send(fill(bare, live, draining, was_live).await); // who asked may have gone
        });
    }
}

async fn fill(mut status: AppStatus, live: Option<Arc<Live>>, draining: Vec<Replaced>, was_live: bool) -> AppStatus {
    let mut complete = true;
    if let Some(live) = &live {
        let shown = live_status(live).await;
        complete = !shown.instances.is_empty() && shown.instances.iter().all(|instance| instance.pid.is_some());
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
    let (instances, connections) = live.keeper.instances().await;
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
    let (_, connections) = replaced.keeper.instances().await;
    DrainingStatus {
        generation: replaced.generation,
        release: replaced.release,
        connections,
        deadline: replaced.deadline,
    }
}
