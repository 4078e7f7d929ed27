//! What `serve` remembers: apps, releases, generations, deploys and keys, in `SQLite` (WAL, `synchronous=FULL`).
//!
//! Written by `serve` only. A row that announces an effect on disk is committed before the effect, and the row that
//! confirms it afterwards, so that a start after a crash finds either nothing or something to finish. This module is
//! the only one that imports `rusqlite`.

mod apps;
mod backup;
mod database;
mod deliveries;
mod deploys;
mod error;
mod generations;
mod keys;
mod log;
mod open;
mod releases;
mod rescue;
mod restore;
mod retention;
mod schema;

pub use apps::{App, NewApp, Webhook};
pub use database::Database;
pub use deliveries::{Delivery, LastDelivery, NewDelivery, WAITING_AT_MOST};
pub use deploys::{Deploy, DeployState, NewDeploy};
pub use error::StateError;
pub use generations::{Enrolled, Generation, GenerationState};
pub use keys::Key;
pub use releases::Release;
pub use rescue::{Rescued, kept_aside, report_of};
pub use restore::{History, Numbers};
