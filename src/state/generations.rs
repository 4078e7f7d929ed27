//! Generations: starts of releases that are not over yet.
//!
//! ```text
//!   take_generation ─► starting ──publish──► live ──next publish──► draining ─► (no row)
//!                          └──────── failed ────────────────────────────────────►
//! ```

use rusqlite::{Connection, Row, params};

use super::database::{Database, parsed};
use super::error::StateError;
use crate::ids::{AppName, CommitId, DeployNumber, GenerationNumber, ReleaseNumber};
use crate::time::{Timestamp, now};

/// Where a generation is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GenerationState {
    /// Its keeper may have been started; nobody has been sent to it.
    Starting,
    /// `live.sock` leads to it.
    Live,
    /// It waits for its connections to end.
    Draining,
}

/// One start of a release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Generation {
    /// Its number.
    pub number: GenerationNumber,
    /// The release that was started.
    pub release: ReleaseNumber,
    /// The deploy that started it.
    pub deploy: DeployNumber,
    /// Where it is in its life.
    pub state: GenerationState,
    /// Since when it is there.
    pub since: Timestamp,
}

/// A generation that runs and is not remembered, as it says itself what it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Enrolled {
    /// Its number.
    pub generation: GenerationNumber,
    /// The release that was started.
    pub release: ReleaseNumber,
    /// The commit that the release was built from.
    pub commit: CommitId,
    /// The first line of its message; empty where that is not known.
    pub subject: String,
}

impl Database {
    /// Announces a generation, before its keeper is started.
    pub fn add_generation(
        &self,
        app: &AppName,
        number: GenerationNumber,
        release: ReleaseNumber,
        deploy: DeployNumber,
    ) -> Result<(), StateError> {
        let sql = "INSERT INTO generations (app, number, release, deploy, state, since) VALUES (?1, ?2, ?3, ?4, 'starting', ?5)";
        let values = params![
            app.as_str(),
            number.0,
            release.0,
            deploy.0,
            now().to_string()
        ];
        self.execute("announce a generation", sql, values).map(drop)
    }

    /// Remembers a generation that runs and was forgotten, with its release, as one that drains. Numbers that it uses
    /// are not given to others.
    pub fn enrol(&self, app: &AppName, found: &Enrolled) -> Result<(), StateError> {
        const DOING: &str = "remember a generation that runs";
        self.write(DOING, |connection| {
            let at = now().to_string();
            let (generation, release) = (found.generation.0, found.release.0);
            let release_row =
                "INSERT OR IGNORE INTO releases (app, number, commit_id, subject, deploy, built_at)
                               VALUES (?1, ?2, ?3, ?4, 0, ?5)";
            let row =
                "INSERT OR IGNORE INTO generations (app, number, release, deploy, state, since)
                       VALUES (?1, ?2, ?3, 0, 'draining', ?4)";
            let numbers = "UPDATE apps SET next_generation = max(next_generation, ?2 + 1),
                           next_release = max(next_release, ?3 + 1) WHERE name = ?1";
            let app = app.as_str();
            connection
                .execute(
                    release_row,
                    params![app, release, found.commit.as_str(), found.subject, at],
                )
                .and_then(|_| connection.execute(row, params![app, generation, release, at]))
                .and_then(|_| connection.execute(numbers, params![app, generation, release]))
                .map_err(StateError::doing(DOING))?;
            Ok(())
        })
    }

    /// Makes a generation the live one; the one that was live begins to drain.
    pub fn set_live(&self, app: &AppName, number: GenerationNumber) -> Result<(), StateError> {
        const DOING: &str = "make a generation live";
        self.write(DOING, |connection| {
            set_live(connection, app, number).map_err(StateError::doing(DOING))
        })
    }

    /// Forgets a generation that is over.
    pub fn remove_generation(
        &self,
        app: &AppName,
        number: GenerationNumber,
    ) -> Result<(), StateError> {
        const DOING: &str = "forget a generation";
        self.write(DOING, |connection| {
            let row = "DELETE FROM generations WHERE app = ?1 AND number = ?2";
            let live =
                "UPDATE apps SET live_generation = NULL WHERE name = ?1 AND live_generation = ?2";
            connection
                .execute(row, params![app.as_str(), number.0])
                .and_then(|_| connection.execute(live, params![app.as_str(), number.0]))
                .map_err(StateError::doing(DOING))?;
            Ok(())
        })
    }

    /// The generations of an app that are not over, oldest first.
    pub fn generations(&self, app: &AppName) -> Result<Vec<Generation>, StateError> {
        let sql = "SELECT * FROM generations WHERE app = ?1 ORDER BY number";
        self.rows(
            "read the generations",
            sql,
            params![app.as_str()],
            read_generation,
        )
    }
}

pub(super) fn set_live(
    connection: &Connection,
    app: &AppName,
    number: GenerationNumber,
) -> rusqlite::Result<()> {
    let at = now().to_string();
    let drain = "UPDATE generations SET state = 'draining', since = ?3
                 WHERE app = ?1 AND number <> ?2 AND state = 'live'";
    let live = "UPDATE generations SET state = 'live', since = ?3 WHERE app = ?1 AND number = ?2";
    let app_row = "UPDATE apps SET live_generation = ?2 WHERE name = ?1";
    connection.execute(drain, params![app.as_str(), number.0, at])?;
    connection.execute(live, params![app.as_str(), number.0, at])?;
    connection
        .execute(app_row, params![app.as_str(), number.0])
        .map(drop)
}

fn read_generation(row: &Row<'_>) -> rusqlite::Result<Generation> {
    let state: String = row.get("state")?;
    let since = parsed(row, "since")?;
    Ok(Generation {
        number: GenerationNumber(row.get("number")?),
        release: ReleaseNumber(row.get("release")?),
        deploy: DeployNumber(row.get("deploy")?),
        state: match state.as_str() {
            "live" => GenerationState::Live,
            "draining" => GenerationState::Draining,
            _ => GenerationState::Starting,
        },
        since,
    })
}
