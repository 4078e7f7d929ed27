//! Releases: built code that can be started.

use rusqlite::{Row, params};

use super::database::{Database, parsed};
use super::error::StateError;
use crate::ids::{AppName, CommitId, DeployNumber, ReleaseNumber};
use crate::time::{Timestamp, now};

/// The built code of one commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Release {
    /// Its number.
    pub number: ReleaseNumber,
    /// The commit that it was built from.
    pub commit: CommitId,
    /// The first line of the commit's message.
    pub subject: String,
    /// The deploy that built it.
    pub deploy: DeployNumber,
    /// Who asked for that deploy, where that is known: the name of a key, or of a user of this machine.
    pub pushed_by: Option<String>,
    /// When it was built.
    pub built_at: Timestamp,
    /// What the pusher said about the deploy that built it.
    pub message: Option<String>,
}

impl Database {
    /// Remembers a release whose directory is complete, and uses up its number. Who pushed it is who asked for the
    /// deploy.
    pub fn add_release(
        &self,
        app: &AppName,
        number: ReleaseNumber,
        commit: &CommitId,
        subject: &str,
        deploy: DeployNumber,
        message: Option<&str>,
    ) -> Result<(), StateError> {
        const DOING: &str = "add a release";
        self.write(DOING, |connection| {
            connection
                .execute(
                    "INSERT INTO releases (app, number, commit_id, subject, deploy, built_at, message, pushed_by)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, (SELECT pushed_by FROM deploys WHERE app = ?1 AND number = ?5))",
                    params![app.as_str(), number.0, commit.as_str(), subject, deploy.0, now().to_string(), message],
                )
                .and_then(|_| {
                    let sql = "UPDATE apps SET next_release = max(next_release, ?2) WHERE name = ?1";
                    connection.execute(sql, params![app.as_str(), number.next().0])
                })
                .map_err(StateError::doing(DOING))?;
            Ok(())
        })
    }

    /// Forgets a release.
    pub fn remove_release(&self, app: &AppName, number: ReleaseNumber) -> Result<(), StateError> {
        let sql = "DELETE FROM releases WHERE app = ?1 AND number = ?2";
        self.execute("remove a release", sql, params![app.as_str(), number.0])
            .map(drop)
    }

    /// The releases of an app, oldest first.
    pub fn releases(&self, app: &AppName) -> Result<Vec<Release>, StateError> {
        let sql = "SELECT * FROM releases WHERE app = ?1 ORDER BY number";
        self.rows(
            "read the releases",
            sql,
            params![app.as_str()],
            read_release,
        )
    }

    /// One release.
    pub fn release(
        &self,
        app: &AppName,
        number: ReleaseNumber,
    ) -> Result<Option<Release>, StateError> {
        let sql = "SELECT * FROM releases WHERE app = ?1 AND number = ?2";
        self.row(
            "read a release",
            sql,
            params![app.as_str(), number.0],
            read_release,
        )
    }
}

fn read_release(row: &Row<'_>) -> rusqlite::Result<Release> {
    Ok(Release {
        number: ReleaseNumber(row.get("number")?),
        commit: parsed(row, "commit_id")?,
        subject: row.get("subject")?,
        deploy: DeployNumber(row.get("deploy")?),
        pushed_by: row.get("pushed_by")?,
        built_at: parsed(row, "built_at")?,
        message: row.get("message")?,
    })
}
