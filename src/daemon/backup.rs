//! Keeps a backup of the database that is never much older than the database.

use std::time::Duration;

use crate::process::blocking;
use crate::state::Database;

/// How old the backup may become before a change is in it, without counting how long it takes to make.
const AT_MOST: Duration = Duration::from_secs(3);
/// When one that could not be made is tried again.
const TRY_AGAIN: Duration = Duration::from_secs(30);

/// Makes a backup now, and after each change: not at once, as one change is followed by others. Nobody waits for it.
pub(super) async fn keep(database: Database) {
    let mut changes = database.changes();
    changes.mark_changed();
    let mut works = true;
    while changes.changed().await.is_ok() {
        works = make(&database, works).await;
        if works {
            tokio::time::sleep(AT_MOST).await;
        } else {
            tokio::time::sleep(TRY_AGAIN).await;
            changes.mark_changed();
        }
    }
}

/// A backup that can't be made is told once.
async fn make(database: &Database, worked: bool) -> bool {
    let copied = database.clone();
    let made = blocking(move || copied.back_up()).await;
    if let Err(error) = &made
        && worked
    {
        let error = error as &dyn std::error::Error;
        tracing::warn!(error, "database can't be backed up");
    }
    made.is_ok()
}
