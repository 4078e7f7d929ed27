//! Makes the deliveries that wait, each app's one after the other, apps side by side.
//!
//! ```text
//!   waiting ──due──► under way ──taken, or given up──► gone
//!      ▲                 │
//!      └────put off──────┘
//! ```
//!
//! The rows are the truth: a wake-up that was lost costs time, never a delivery.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::task::{Id, JoinSet};
use tokio::time::sleep;

use super::attempt::Attempt;
use super::schedule::{Verdict, judge};
use crate::config::ServerSettings;
use crate::ids::AppName;
use crate::process::random;
use crate::state::{Database, Delivery, StateError};
use crate::time::{Timestamp, now};

/// How often the rows are looked at without a reason: the clock may have been set.
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// What waits to be delivered. Clones are the same outbox.
#[derive(Debug, Clone)]
pub struct Outbox {
    database: Database,
    settings: watch::Receiver<Arc<ServerSettings>>,
    wake: Arc<Notify>,
}

impl Outbox {
    /// The outbox of an installation; [`Outbox::run`] makes its deliveries.
    pub fn new(database: Database, settings: watch::Receiver<Arc<ServerSettings>>) -> Self {
        Self {
            database,
            settings,
            wake: Arc::new(Notify::new()),
        }
    }

    /// Says that there is a new delivery, or that one is due.
    pub fn wake(&self) {
        self.wake.notify_one();
    }

    /// Makes deliveries until the future is dropped. What is under way then is tried again at the next start.
    pub async fn run(self) {
        let mut under_way = JoinSet::new();
        let mut busy: BTreeMap<Id, AppName> = BTreeMap::new();
        loop {
            let waiting = self.waiting().await;
            let (due, pause) = plan(waiting, &busy, now(), self.longest_pause());
            for delivery in due {
                let app = delivery.app.clone();
                let task = under_way.spawn(self.clone().deliver(delivery));
                busy.insert(task.id(), app);
            }
            tokio::select! {
                () = self.wake.notified() => {}
                Some(ended) = under_way.join_next_with_id() => {
                    let id = ended.as_ref().map_or_else(tokio::task::JoinError::id, |(id, ())| *id);
                    busy.remove(&id);
                }
                () = sleep(pause) => {}
            }
        }
    }

    /// No delivery is put off for longer: with dice, a pause is a tenth longer at most.
    fn longest_pause(&self) -> Duration {
        let settings = self.settings.borrow();
        let longest = settings.webhook_retry.iter().max();
        longest.copied().unwrap_or_default() * 2
    }

    async fn waiting(&self) -> Vec<Delivery> {
        let read = self.database.run(Database::next_deliveries).await;
        read.unwrap_or_else(|error| {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "webhook deliveries can't be read"
            );
            Vec::new()
        })
    }

    async fn deliver(self, delivery: Delivery) {
        let body = delivery.body.clone();
        let attempt = Attempt::make(&delivery.to, &delivery.event, &delivery.id, body).await;
        let verdict = {
            let settings = self.settings.borrow();
            // Without dice, pauses are exact.
            let [dice] = random::bytes().unwrap_or_default();
            judge(
                &attempt.result,
                delivery.attempts,
                &settings.webhook_retry,
                dice,
            )
        };
        log(&delivery, &attempt, verdict);
        if let Err(error) = self.record(delivery, &attempt, verdict).await {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "webhook delivery can't be recorded"
            );
            // It is due again at once: a full disk must not make a flood.
            sleep(LOOK_EVERY).await;
        }
    }

    async fn record(
        &self,
        delivery: Delivery,
        attempt: &Attempt,
        verdict: Verdict,
    ) -> Result<(), StateError> {
        let last = attempt.to_last();
        let work = move |database: &Database| match verdict {
            Verdict::Delivered | Verdict::GivenUp => database.end_delivery(&delivery, &last),
            Verdict::Again(pause) => database.put_off_delivery(&delivery, now() + pause, &last),
        };
        self.database.run(work).await
    }
}

/// Which deliveries are to be made now, and how long there is nothing to do unless something happens. One that is put off
/// for longer than any is was put off by a clock that has been set back since: it is due. Pure.
fn plan(
    waiting: Vec<Delivery>,
    busy: &BTreeMap<Id, AppName>,
    now: Timestamp,
    longest: Duration,
) -> (Vec<Delivery>, Duration) {
    let idle = waiting
        .into_iter()
        .filter(|one| !busy.values().any(|app| *app == one.app));
    let is_due = |one: &Delivery| one.next_at <= now || one.next_at > now + longest;
    let (due, later): (Vec<_>, Vec<_>) = idle.partition(is_due);
    let pause = later
        .iter()
        .map(|one| one.next_at.duration_since(now).unsigned_abs())
        .chain([LOOK_EVERY])
        .min();
    (due, pause.unwrap_or(LOOK_EVERY))
}

/// The host is named, never the URL: it may hold secrets.
fn log(delivery: &Delivery, attempt: &Attempt, verdict: Verdict) {
    let (app, event, host) = (&delivery.app, &delivery.event, delivery.to.url.host());
    let result = attempt.text();
    match verdict {
        Verdict::Delivered => tracing::info!(%app, event, host, result, "webhook told"),
        Verdict::Again(pause) => {
            tracing::warn!(%app, event, host, result, ?pause, "webhook not told; it is tried again");
        }
        Verdict::GivenUp => {
            tracing::warn!(%app, event, host, result, "webhook not told; given up");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::Webhook;

    fn delivery(app: &str, next_at: &str) -> Delivery {
        Delivery {
            id: app.to_owned(),
            app: app.parse().unwrap(),
            event: "live".into(),
            body: "{}".into(),
            attempts: 0,
            next_at: next_at.parse().unwrap(),
            to: Webhook {
                url: "https://a.example/".parse().unwrap(),
                secret: "0123456789abcdef".parse().unwrap(),
            },
        }
    }

    const LONGEST: Duration = Duration::from_secs(7200);

    #[test]
    fn a_clock_that_was_set_back_puts_nothing_off() {
        let a_day_back = "2026-11-22T05:40:00Z".parse().unwrap();
        let waiting = vec![delivery("shop", "2026-11-23T05:40:00Z")];
        let (due, _) = plan(waiting, &BTreeMap::new(), a_day_back, LONGEST);
        assert_eq!(due.len(), 1);
    }

    #[tokio::test]
    async fn what_is_due_goes_unless_its_app_is_busy_and_the_next_is_waited_for() {
        let now = "2026-11-23T05:40:00Z".parse().unwrap();
        let waiting = || {
            vec![
                delivery("past", "2026-11-23T05:39:59Z"),
                delivery("now", "2026-11-23T05:40:00Z"),
                delivery("soon", "2026-11-23T05:40:05Z"),
                delivery("later", "2026-11-23T06:40:00Z"),
            ]
        };
        let names = |due: &[Delivery]| due.iter().map(|one| one.id.clone()).collect::<Vec<_>>();
        let (due, pause) = plan(waiting(), &BTreeMap::new(), now, LONGEST);
        assert_eq!(names(&due), ["past", "now"]);
        assert_eq!(pause, Duration::from_secs(5));

        let mut tasks = JoinSet::new();
        let busy = ["past", "soon"].map(|app| {
            let task = tasks.spawn(async {});
            (task.id(), app.parse().unwrap())
        });
        let (due, pause) = plan(waiting(), &busy.into(), now, LONGEST);
        assert_eq!(names(&due), ["now"]);
        assert_eq!(pause, LOOK_EVERY);
    }
}
