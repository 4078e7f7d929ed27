//! A start on a damaged database: it is rebuilt, and what was lost is told.

use std::fs::File;
use std::path::Path;

use super::error::DaemonError;
use super::{lock, settings};
use crate::access::authorized;
use crate::config::ServerSettings;
use crate::deploy::rebuild;
use crate::paths::Layout;
use crate::state::Database;

/// Opens the database, rebuilding it where it is damaged.
pub(super) fn open(layout: &Layout, settings: &ServerSettings) -> Result<Database, DaemonError> {
    let (database, rescued) = Database::open_or_rescue(&layout.database(), had_apps(layout))?;
    let Some(rescued) = rescued else {
        return Ok(database);
    };
    let mut told = vec![rescued.words.clone()];
    told.extend(rebuild::from_disk(layout, &database)?);
    let own = layout.authorized_keys();
    let keys = settings.authorized_keys.as_ref().unwrap_or(&own);
    told.extend(lost_keys(&database, keys)?);
    for line in &told {
        tracing::error!("{line}");
    }
    let mut text = told.join("\n");
    text.push('\n');
    database.rebuilt(&rescued, &text)?;
    Ok(database)
}

/// Whether there has ever been an app.
pub fn had_apps(layout: &Layout) -> bool {
    std::fs::read_dir(layout.apps()).is_ok_and(|mut apps| apps.next().is_some())
}

/// Opens the database as a start does, while no server runs, and none can start before the file is dropped.
pub fn open_alone(layout: &Layout) -> Result<(File, Database), DaemonError> {
    lock::make_directories(layout)?;
    let lock = lock::take(layout)?;
    let settings = settings::read(layout)?;
    Ok((lock, open(layout, &settings)?))
}

/// The keys that were let in, and are not known any more: their lines are about to be taken out of the file.
fn lost_keys(database: &Database, path: &Path) -> Result<Vec<String>, DaemonError> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let lines = authorized::own_lines(&text).unwrap_or_default();
    let known = database.keys()?;
    let lost = |line: &&&str| !known.iter().any(|key| line.ends_with(&key.key.to_string()));
    let lost: Vec<_> = lines.iter().filter(lost).collect();
    if lost.is_empty() {
        return Ok(Vec::new());
    }
    let words = "keys are lost, and are not let in any more; add each again (handover keys add), with what it may do:";
    let lines = lost.iter().map(|line| format!("  {line}"));
    Ok(std::iter::once(words.to_owned()).chain(lines).collect())
}
