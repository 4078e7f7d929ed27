//! Counts of what is open, shared by all threads of the front.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;

use super::protocol::UpstreamStatus;
use crate::ids::AppName;

/// How many of one kind are open; each is an [`Open`] that somebody holds.
#[derive(Debug, Default)]
pub(super) struct Gauge {
    count: AtomicUsize,
    emptied: Notify,
}

impl Gauge {
    /// Counts one more, until the guard is dropped.
    pub(super) fn open(self: &Arc<Self>) -> Open {
        self.count.fetch_add(1, Ordering::SeqCst);
        Open(Arc::clone(self))
    }

    /// How many are open now.
    pub(super) fn count(&self) -> usize {
        self.count.load(Ordering::SeqCst)
    }

    /// Waits until none is open.
    pub(super) async fn emptied(&self) {
        loop {
            let emptied = self.emptied.notified();
            if self.count() == 0 {
                return;
            }
            emptied.await;
        }
    }
}

/// One that is open.
#[derive(Debug)]
pub(super) struct Open(Arc<Gauge>);

impl Drop for Open {
    fn drop(&mut self) {
        if self.0.count.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.0.emptied.notify_waiters();
        }
    }
}

/// All counts of one front.
#[derive(Debug, Default)]
pub(super) struct Gauges {
    /// Connections from clients.
    pub(super) clients: Arc<Gauge>,
    /// Requests whose answer is not complete.
    pub(super) in_flight: Arc<Gauge>,
    upstream: Mutex<BTreeMap<AppName, Arc<Gauge>>>,
}

impl Gauges {
    /// The count of connections to an app. It outlives changes of the routes: a WebSocket of an app that was removed
    /// still counts.
    pub(super) fn upstream(&self, app: &AppName) -> Arc<Gauge> {
        let mut all = self.upstream.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(all.entry(app.clone()).or_default())
    }

    /// Connections per app, without those that have none.
    pub(super) fn upstream_status(&self) -> Vec<UpstreamStatus> {
        let all = self.upstream.lock().unwrap_or_else(PoisonError::into_inner);
        let open = |(app, gauge): (&AppName, &Arc<Gauge>)| {
            let connections = gauge.count();
            (connections > 0).then(|| UpstreamStatus {
                app: app.clone(),
                connections,
            })
        };
        all.iter().filter_map(open).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_waits_for_none_is_told_when_the_last_one_ends() {
        let gauge = Arc::new(Gauge::default());
        gauge.emptied().await;
        let (first, second) = (gauge.open(), gauge.open());
        let waiting = tokio::spawn({
            let gauge = Arc::clone(&gauge);
            async move { gauge.emptied().await }
        });
        drop(first);
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        drop(second);
        waiting.await.unwrap();
    }

    #[test]
    fn apps_without_a_connection_are_not_told() {
        let gauges = Gauges::default();
        let shop = gauges.upstream(&"shop".parse().unwrap());
        gauges.upstream(&"blog".parse().unwrap());
        let _open = shop.open();
        let status = gauges.upstream_status();
        assert_eq!(status.len(), 1);
        assert_eq!((status[0].app.as_str(), status[0].connections), ("shop", 1));
    }
}
