//! A server that has gone away while something was being told, and is waited for.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::client::Client;
use crate::time::limit_text;

/// What is told when an answer breaks off before its verdict.
pub const GONE_AWAY: &str = "the server has gone away; waiting until it is back";

/// How long it is waited for.
const AWAY_AT_MOST: Duration = Duration::from_secs(60);
/// How often it is looked for.
const LOOK_AGAIN: Duration = Duration::from_millis(200);
/// How often it is told that it is.
const SIGN_OF_LIFE: Duration = Duration::from_secs(5);

impl Client {
    /// Returns true as soon as the server can be reached again, or false after a minute. A sign of life goes to `say`
    /// every 5 s.
    pub async fn is_back(&self, mut say: impl FnMut(&str)) -> bool {
        let began = Instant::now();
        let mut said = began;
        while began.elapsed() < AWAY_AT_MOST {
            sleep(LOOK_AGAIN).await;
            if self.reaches().await {
                return true;
            }
            if said.elapsed() >= SIGN_OF_LIFE {
                said = Instant::now();
                let away = Duration::from_secs(began.elapsed().as_secs());
                say(&format!("  … {} without the server", limit_text(away)));
            }
        }
        false
    }
}
