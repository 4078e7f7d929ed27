//! What waits to be posted to webhooks, and how the last post of each app went.

use rusqlite::{Connection, Row, params};

use super::apps::{Webhook, read_webhook};
use super::database::{Database, parsed};
use super::error::StateError;
use crate::ids::AppName;
use crate::time::{Timestamp, now};

/// How many deliveries of one app may wait; the oldest make room for newer ones.
pub const WAITING_AT_MOST: u32 = 100;

/// A delivery that is to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewDelivery {
    /// What the receiver knows it by, the same in every attempt.
    pub id: String,
    /// The name of what happened.
    pub event: &'static str,
    /// What is posted, as JSON.
    pub body: String,
}

/// A delivery that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// What the receiver knows it by, the same in every attempt.
    pub id: String,
    /// The app that it tells of.
    pub app: AppName,
    /// The name of what happened.
    pub event: String,
    /// What is posted, as JSON.
    pub body: String,
    /// How often it has been tried.
    pub attempts: u32,
    /// When it is due.
    pub next_at: Timestamp,
    /// Where it goes.
    pub to: Webhook,
}

/// How the last post to an app's webhook went.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct LastDelivery {
    /// The name of what had happened.
    pub event: String,
    /// When it was posted.
    pub at: Timestamp,
    /// Whether it was taken.
    pub delivered: bool,
    /// How it went, in words.
    pub result: String,
}

impl Database {
    /// Gives an app a webhook. What waits already goes there, at once.
    pub fn set_webhook(&self, app: &AppName, webhook: &Webhook) -> Result<(), StateError> {
        const DOING: &str = "set the webhook";
        self.write(DOING, |connection| {
            let set = "UPDATE apps SET webhook_url = ?2, webhook_secret = ?3 WHERE name = ?1";
            let values = params![app.as_str(), webhook.url.as_str(), webhook.secret.as_str()];
            connection
                .execute(set, values)
                .map_err(StateError::doing(DOING))?;
            let due = "UPDATE deliveries SET next_at = ?2, attempts = 0 WHERE app = ?1";
            connection
                .execute(due, params![app.as_str(), now().as_millisecond()])
                .map(drop)
                .map_err(StateError::doing(DOING))
        })
    }

    /// Takes an app's webhook away, with all that waits for it.
    pub fn unset_webhook(&self, app: &AppName) -> Result<(), StateError> {
        const DOING: &str = "take the webhook away";
        self.write(DOING, |connection| {
            for sql in [
                "UPDATE apps SET webhook_url = NULL, webhook_secret = NULL WHERE name = ?1",
                "DELETE FROM deliveries WHERE app = ?1",
                "DELETE FROM last_deliveries WHERE app = ?1",
            ] {
                connection
                    .execute(sql, [app.as_str()])
                    .map_err(StateError::doing(DOING))?;
            }
            Ok(())
        })
    }

    /// The next delivery of each app.
    pub fn next_deliveries(&self) -> Result<Vec<Delivery>, StateError> {
        let sql = "SELECT d.*, a.webhook_url, a.webhook_secret FROM deliveries d JOIN apps a ON a.name = d.app
                   WHERE a.webhook_url IS NOT NULL AND d.rowid =
                       (SELECT rowid FROM deliveries WHERE app = d.app ORDER BY next_at, rowid LIMIT 1)";
        let found = self.rows("read the deliveries", sql, &[], read_delivery)?;
        Ok(found.into_iter().flatten().collect())
    }

    /// How many deliveries of an app wait.
    pub fn waiting_deliveries(&self, app: &AppName) -> Result<u32, StateError> {
        let sql = "SELECT count(*) FROM deliveries WHERE app = ?1";
        let counted = self.row("count the deliveries", sql, params![app.as_str()], |row| {
            row.get(0)
        })?;
        Ok(counted.unwrap_or(0))
    }

    /// An attempt has failed; the next one is due then.
    pub fn put_off_delivery(
        &self,
        delivery: &Delivery,
        next_at: Timestamp,
        last: &LastDelivery,
    ) -> Result<(), StateError> {
        const DOING: &str = "put a delivery off";
        self.write(DOING, |connection| {
            let sql = "UPDATE deliveries SET attempts = attempts + 1, next_at = ?2 WHERE id = ?1";
            connection
                .execute(sql, params![delivery.id, next_at.as_millisecond()])
                .map_err(StateError::doing(DOING))?;
            set_last(connection, &delivery.app, last)
        })
    }

    /// A delivery was made, or is given up.
    pub fn end_delivery(&self, delivery: &Delivery, last: &LastDelivery) -> Result<(), StateError> {
        const DOING: &str = "end a delivery";
        self.write(DOING, |connection| {
            connection
                .execute("DELETE FROM deliveries WHERE id = ?1", [&delivery.id])
                .map_err(StateError::doing(DOING))?;
            set_last(connection, &delivery.app, last)
        })
    }

    /// Remembers how a post went that was not in the queue.
    pub fn set_last_delivery(&self, app: &AppName, last: &LastDelivery) -> Result<(), StateError> {
        self.write("remember a delivery", |connection| {
            set_last(connection, app, last)
        })
    }

    /// How the last post to an app's webhook went.
    pub fn last_delivery(&self, app: &AppName) -> Result<Option<LastDelivery>, StateError> {
        let sql = "SELECT * FROM last_deliveries WHERE app = ?1";
        self.row(
            "read the last delivery",
            sql,
            params![app.as_str()],
            |row| {
                Ok(LastDelivery {
                    event: row.get("event")?,
                    at: parsed(row, "at")?,
                    delivered: row.get("delivered")?,
                    result: row.get("result")?,
                })
            },
        )
    }
}

/// Adds a delivery, where the app has a webhook, and makes room for it.
pub(super) fn add(
    connection: &Connection,
    app: &AppName,
    new: &NewDelivery,
) -> Result<(), StateError> {
    const DOING: &str = "add a delivery";
    let insert = "INSERT INTO deliveries (id, app, event, body, next_at)
                  SELECT ?2, name, ?3, ?4, ?5 FROM apps WHERE name = ?1 AND webhook_url IS NOT NULL";
    let due = now().as_millisecond();
    let values = params![app.as_str(), new.id, new.event, new.body, due];
    connection
        .execute(insert, values)
        .map_err(StateError::doing(DOING))?;
    let make_room = "DELETE FROM deliveries WHERE app = ?1 AND rowid NOT IN
                     (SELECT rowid FROM deliveries WHERE app = ?1 ORDER BY rowid DESC LIMIT ?2)";
    let lost = connection
        .execute(make_room, params![app.as_str(), WAITING_AT_MOST])
        .map_err(StateError::doing(DOING))?;
    if lost > 0 {
        tracing::warn!(%app, lost, "too many webhook deliveries wait; the oldest are given up");
    }
    Ok(())
}

/// A webhook that was taken away meanwhile has no last delivery.
fn set_last(connection: &Connection, app: &AppName, last: &LastDelivery) -> Result<(), StateError> {
    let sql = "INSERT OR REPLACE INTO last_deliveries (app, event, at, delivered, result)
               SELECT name, ?2, ?3, ?4, ?5 FROM apps WHERE name = ?1 AND webhook_url IS NOT NULL";
    let at = last.at.to_string();
    let values = params![app.as_str(), last.event, at, last.delivered, last.result];
    connection
        .execute(sql, values)
        .map(drop)
        .map_err(StateError::doing("remember a delivery"))
}

fn read_delivery(row: &Row<'_>) -> rusqlite::Result<Option<Delivery>> {
    let Some(to) = read_webhook(row)? else {
        return Ok(None);
    };
    let next_at: i64 = row.get("next_at")?;
    Ok(Some(Delivery {
        id: row.get("id")?,
        app: parsed(row, "app")?,
        event: row.get("event")?,
        body: row.get("body")?,
        attempts: row.get("attempts")?,
        // A time that is out of range is due.
        next_at: Timestamp::from_millisecond(next_at).unwrap_or(Timestamp::UNIX_EPOCH),
        to,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::DeployNumber;
    use crate::state::{DeployState, NewApp};

    struct Rig {
        database: Database,
        shop: AppName,
        dir: tempfile::TempDir,
    }

    impl Rig {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let database = Database::open(&dir.path().join("handover.db")).unwrap();
            let shop: AppName = "shop".parse().unwrap();
            let app = NewApp {
                name: shop.clone(),
                branch: "main".into(),
                repo: "/srv/shop.git".into(),
                gate: true,
                hosts: Vec::new(),
            };
            database.create_app(&app).unwrap();
            Self {
                database,
                shop,
                dir,
            }
        }

        fn with_webhook() -> Self {
            let rig = Self::new();
            let webhook = webhook("https://a.example/");
            rig.database.set_webhook(&rig.shop, &webhook).unwrap();
            rig
        }

        fn end_deploy(&self, id: &str) {
            let delivery = NewDelivery {
                id: id.into(),
                event: "failed",
                body: "{}".into(),
            };
            let (number, state) = (DeployNumber(1), DeployState::Interrupted);
            self.database
                .end_deploy(&self.shop, number, &state, Some(&delivery))
                .unwrap();
        }

        fn next(&self) -> Option<Delivery> {
            self.database.next_deliveries().unwrap().pop()
        }

        fn waiting(&self) -> u32 {
            self.database.waiting_deliveries(&self.shop).unwrap()
        }
    }

    fn webhook(url: &str) -> Webhook {
        Webhook {
            url: url.parse().unwrap(),
            secret: "0123456789abcdef".parse().unwrap(),
        }
    }

    fn last(delivered: bool) -> LastDelivery {
        LastDelivery {
            event: "failed".into(),
            at: now(),
            delivered,
            result: "answered 500".into(),
        }
    }

    #[test]
    fn nothing_waits_for_an_app_without_a_webhook() {
        let rig = Rig::new();
        rig.end_deploy("a");
        assert_eq!((rig.waiting(), rig.next()), (0, None));
    }

    #[test]
    fn what_is_put_off_lets_others_go_first_and_counts_its_attempts() {
        let rig = Rig::with_webhook();
        rig.end_deploy("a");
        rig.end_deploy("b");
        let a = rig.next().unwrap();
        assert_eq!((a.id.as_str(), a.attempts), ("a", 0));
        let later = now() + std::time::Duration::from_secs(60);
        rig.database
            .put_off_delivery(&a, later, &last(false))
            .unwrap();
        let b = rig.next().unwrap();
        assert_eq!(b.id, "b");
        rig.database.end_delivery(&b, &last(true)).unwrap();
        let a = rig.next().unwrap();
        assert_eq!((a.id.as_str(), a.attempts, rig.waiting()), ("a", 1, 1));
        assert_eq!(a.next_at.as_millisecond(), later.as_millisecond());
        let last = rig.database.last_delivery(&rig.shop).unwrap().unwrap();
        assert!(last.delivered);
    }

    #[test]
    fn a_new_url_gets_at_once_what_the_old_one_did_not_take() {
        let rig = Rig::with_webhook();
        rig.end_deploy("a");
        let later = now() + std::time::Duration::from_secs(3600);
        let a = rig.next().unwrap();
        rig.database
            .put_off_delivery(&a, later, &last(false))
            .unwrap();
        let other = webhook("https://b.example/");
        rig.database.set_webhook(&rig.shop, &other).unwrap();
        let a = rig.next().unwrap();
        assert_eq!((a.attempts, &a.to), (0, &other));
        assert!(a.next_at <= now());
    }

    #[test]
    fn without_the_webhook_nothing_is_left_of_it() {
        let rig = Rig::with_webhook();
        rig.end_deploy("a");
        let a = rig.next().unwrap();
        rig.database.unset_webhook(&rig.shop).unwrap();
        // An attempt that was under way ends after that.
        rig.database.end_delivery(&a, &last(true)).unwrap();
        assert_eq!(rig.waiting(), 0);
        assert_eq!(rig.database.last_delivery(&rig.shop).unwrap(), None);
        assert_eq!(rig.database.app(&rig.shop).unwrap().webhook, None);
    }

    #[test]
    fn the_newest_hundred_wait() {
        let rig = Rig::with_webhook();
        for n in 0..WAITING_AT_MOST + 3 {
            rig.end_deploy(&n.to_string());
        }
        assert_eq!(rig.waiting(), WAITING_AT_MOST);
        assert_eq!(rig.next().unwrap().id, "3");
    }

    #[test]
    fn nobody_else_may_read_the_database() {
        use std::os::unix::fs::PermissionsExt;
        let rig = Rig::with_webhook();
        for entry in std::fs::read_dir(rig.dir.path()).unwrap() {
            let entry = entry.unwrap();
            let mode = entry.metadata().unwrap().permissions().mode();
            assert_eq!(mode & 0o077, 0, "{:?}", entry.file_name());
        }
    }
}
