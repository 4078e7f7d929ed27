//! What the files of an app say is remembered again, after the database that said so was lost.

use rusqlite::{Connection, params};

use super::database::Database;
use super::deploys::{Deploy, Stored};
use super::error::StateError;
use super::generations::set_live;
use super::releases::Release;
use crate::ids::{AppName, CommitId, DeployNumber, GenerationNumber, ReleaseNumber};

const DOING: &str = "restore an app";

/// What the files of an app say of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct History {
    /// Its deploys, oldest first.
    pub deploys: Vec<Deploy>,
    /// Its releases, of those whose directories are there.
    pub releases: Vec<Release>,
    /// The directories that are there.
    pub there: Vec<ReleaseNumber>,
    /// What was live last: the generation, its release, and the deploy that made it live.
    pub live: Option<(GenerationNumber, ReleaseNumber, DeployNumber)>,
    /// The greatest numbers that were used.
    pub used: Numbers,
}

/// The greatest numbers that an app has used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Numbers {
    /// Of a release.
    pub release: u32,
    /// Of a generation.
    pub generation: u32,
    /// Of a deploy.
    pub deploy: u32,
}

impl Database {
    /// Remembers all of it, or nothing. What was remembered and goes further stays.
    pub fn restore(&self, app: &AppName, history: &History) -> Result<(), StateError> {
        self.write(DOING, |connection| {
            let restored = history
                .deploys
                .iter()
                .try_for_each(|deploy| restore_deploy(connection, app, deploy))
                .and_then(|()| restore_releases(connection, app, history))
                .and_then(|()| raise_numbers(connection, app, history.used))
                .and_then(|()| restore_live(connection, app, history));
            restored.map_err(StateError::doing(DOING))
        })
    }
}

fn restore_deploy(connection: &Connection, app: &AppName, deploy: &Deploy) -> rusqlite::Result<()> {
    let sql = "INSERT INTO deploys (app, number, origin, branch, commit_id, subject, from_id, state, release, phase,
                                    cause, began_at, ended_at, moves_branch, message, pushed_by)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)
               ON CONFLICT (app, number) DO UPDATE SET state = excluded.state, release = excluded.release,
                   phase = excluded.phase, cause = excluded.cause, ended_at = excluded.ended_at
               WHERE excluded.ended_at IS NOT NULL";
    let stored = Stored::of(&deploy.state);
    let values = params![
        app.as_str(),
        deploy.number.0,
        deploy.origin.name(),
        deploy.branch,
        deploy.commit.as_str(),
        deploy.subject,
        deploy.from.as_ref().map(CommitId::as_str),
        deploy.state.name(),
        stored.release,
        stored.phase,
        stored.cause,
        deploy.began_at.to_string(),
        deploy.ended_at.map(|at| at.to_string()),
        deploy.moves_branch,
        deploy.message,
        deploy.pushed_by,
    ];
    connection.execute(sql, values).map(drop)
}

fn restore_releases(
    connection: &Connection,
    app: &AppName,
    history: &History,
) -> rusqlite::Result<()> {
    let there: Vec<String> = history.there.iter().map(ToString::to_string).collect();
    let gone = format!(
        "DELETE FROM releases WHERE app = ?1 AND number NOT IN ({})",
        there.join(", ")
    );
    connection.execute(&gone, [app.as_str()])?;
    let sql = "INSERT OR IGNORE INTO releases (app, number, commit_id, subject, deploy, built_at, message, pushed_by)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
    for release in &history.releases {
        let values = params![
            app.as_str(),
            release.number.0,
            release.commit.as_str(),
            release.subject,
            release.deploy.0,
            release.built_at.to_string(),
            release.message,
            release.pushed_by,
        ];
        connection.execute(sql, values)?;
    }
    Ok(())
}

fn raise_numbers(connection: &Connection, app: &AppName, used: Numbers) -> rusqlite::Result<()> {
    let sql = "UPDATE apps SET next_release = max(next_release, ?2 + 1),
                   next_generation = max(next_generation, ?3 + 1), next_deploy = max(next_deploy, ?4 + 1)
               WHERE name = ?1";
    let values = params![app.as_str(), used.release, used.generation, used.deploy];
    connection.execute(sql, values).map(drop)
}

/// What was live last is what a start brings up, where it does not run any more.
fn restore_live(connection: &Connection, app: &AppName, history: &History) -> rusqlite::Result<()> {
    let Some((generation, release, deploy)) = history.live else {
        return Ok(());
    };
    let sql = "INSERT OR IGNORE INTO generations (app, number, release, deploy, state, since)
               SELECT ?1, ?2, number, ?4, 'draining', built_at FROM releases WHERE app = ?1 AND number = ?3";
    let values = params![app.as_str(), generation.0, release.0, deploy.0];
    connection.execute(sql, values)?;
    let known = "SELECT EXISTS (SELECT 1 FROM generations WHERE app = ?1 AND number = ?2)";
    let known: bool =
        connection.query_row(known, params![app.as_str(), generation.0], |row| row.get(0))?;
    if known {
        set_live(connection, app, generation)?;
    }
    Ok(())
}
