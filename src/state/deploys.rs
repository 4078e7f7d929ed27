//! Deploys: every run of the phases, ended or not.

use rusqlite::{Connection, Row, params};

use super::database::{Database, parsed, parsed_option};
use super::deliveries::{self, NewDelivery};
use super::error::StateError;
use crate::ids::{AppName, CommitId, DeployNumber, ReleaseNumber};
use crate::report::{Origin, Phase};
use crate::time::{Timestamp, now};

/// Where a deploy is, or how it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeployState {
    /// It waits for its turn.
    Waiting,
    /// The phases run.
    Running,
    /// It went live.
    Live {
        /// As this release.
        release: ReleaseNumber,
    },
    /// It failed and changed nothing.
    Failed {
        /// In this phase.
        phase: Phase,
        /// For this reason.
        cause: String,
    },
    /// It went live, did not stay up, and what was live before serves again.
    SwappedBack {
        /// The release that it went live as.
        release: ReleaseNumber,
        /// How it did not stay up.
        cause: String,
    },
    /// A newer push took its place.
    Superseded,
    /// `serve` ended while it ran.
    Interrupted,
}

impl DeployState {
    /// The name as it is stored and shown.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Running => "running",
            Self::Live { .. } => "live",
            Self::Failed { .. } => "failed",
            Self::SwappedBack { .. } => "swapped_back",
            Self::Superseded => "superseded",
            Self::Interrupted => "interrupted",
        }
    }

    fn ended(&self) -> bool {
        match self {
            Self::Waiting | Self::Running => false,
            Self::Live { .. }
            | Self::Failed { .. }
            | Self::SwappedBack { .. }
            | Self::Superseded
            | Self::Interrupted => true,
        }
    }
}

/// One run of the phases.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deploy {
    /// Its number.
    pub number: DeployNumber,
    /// What made it begin.
    pub origin: Origin,
    /// The branch.
    pub branch: String,
    /// The commit to deploy.
    pub commit: CommitId,
    /// The first line of its message.
    pub subject: String,
    /// What the branch named before.
    pub from: Option<CommitId>,
    /// Whether the branch is moved by the deploy itself, once its commit is live.
    pub moves_branch: bool,
    /// What the pusher said about it.
    pub message: Option<String>,
    /// Who asked for it, where that is known: the name of a key, or of a user of this machine.
    pub pushed_by: Option<String>,
    /// Where it is, or how it ended.
    pub state: DeployState,
    /// When it was asked for.
    pub began_at: Timestamp,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
}

/// A deploy that is to begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewDeploy {
    /// What makes it begin.
    pub origin: Origin,
    /// The branch.
    pub branch: String,
    /// The commit to deploy.
    pub commit: CommitId,
    /// The first line of its message.
    pub subject: String,
    /// What the branch named before.
    pub from: Option<CommitId>,
    /// Whether the branch is moved by the deploy itself, once its commit is live.
    pub moves_branch: bool,
    /// What the pusher says about it.
    pub message: Option<String>,
    /// Who asks for it, where that is known: the name of a key, or of a user of this machine.
    pub by: Option<String>,
}

impl Database {
    /// Remembers a deploy that was asked for.
    pub fn add_deploy(
        &self,
        app: &AppName,
        number: DeployNumber,
        new: &NewDeploy,
    ) -> Result<(), StateError> {
        let sql = "INSERT INTO deploys (app, number, origin, branch, commit_id, subject, from_id, state, began_at, moves_branch, message, pushed_by)
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 'waiting', ?8, ?9, ?10, ?11)";
        let from = new.from.as_ref().map(CommitId::as_str);
        let values = params![
            app.as_str(),
            number.0,
            new.origin.name(),
            new.branch,
            new.commit.as_str(),
            new.subject,
            from,
            now().to_string(),
            new.moves_branch,
            new.message,
            new.by
        ];
        self.execute("add a deploy", sql, values).map(drop)
    }

    /// Remembers where a deploy is, or how it ended.
    pub fn set_deploy(
        &self,
        app: &AppName,
        number: DeployNumber,
        state: &DeployState,
    ) -> Result<(), StateError> {
        self.end_deploy(app, number, state, None)
    }

    /// Remembers how a deploy ended, and with it what the webhook is to be told: both, or neither.
    pub fn end_deploy(
        &self,
        app: &AppName,
        number: DeployNumber,
        state: &DeployState,
        delivery: Option<&NewDelivery>,
    ) -> Result<(), StateError> {
        self.write("set the state of a deploy", |connection| {
            set_deploy(connection, app, number, state)?;
            match delivery {
                Some(delivery) => deliveries::add(connection, app, delivery),
                None => Ok(()),
            }
        })
    }

    /// Remembers what the branch names just before a deploy moves it.
    pub fn set_deploy_from(
        &self,
        app: &AppName,
        number: DeployNumber,
        from: Option<&CommitId>,
    ) -> Result<(), StateError> {
        let sql = "UPDATE deploys SET from_id = ?3 WHERE app = ?1 AND number = ?2";
        let values = params![app.as_str(), number.0, from.map(CommitId::as_str)];
        self.execute("remember what the branch names", sql, values)
            .map(drop)
    }

    /// Remembers who asked for a deploy that began before that was known: its ref was seen to move before its push was
    /// heard of.
    pub fn claim_deploy(
        &self,
        app: &AppName,
        number: DeployNumber,
        by: &str,
    ) -> Result<(), StateError> {
        const DOING: &str = "note who asked for a deploy";
        self.write(DOING, |connection| {
            for sql in [
                "UPDATE deploys SET pushed_by = ?3 WHERE app = ?1 AND number = ?2 AND pushed_by IS NULL",
                "UPDATE releases SET pushed_by = ?3 WHERE app = ?1 AND deploy = ?2 AND pushed_by IS NULL",
            ] {
                connection
                    .execute(sql, params![app.as_str(), number.0, by])
                    .map_err(StateError::doing(DOING))?;
            }
            Ok(())
        })
    }

    /// The newest deploys of an app, oldest first.
    pub fn deploys(&self, app: &AppName, at_most: u32) -> Result<Vec<Deploy>, StateError> {
        let sql = "SELECT * FROM (SELECT * FROM deploys WHERE app = ?1 ORDER BY number DESC LIMIT ?2) ORDER BY number";
        self.rows(
            "read the deploys",
            sql,
            params![app.as_str(), at_most],
            read_deploy,
        )
    }

    /// One deploy.
    pub fn deploy(
        &self,
        app: &AppName,
        number: DeployNumber,
    ) -> Result<Option<Deploy>, StateError> {
        let sql = "SELECT * FROM deploys WHERE app = ?1 AND number = ?2";
        self.row(
            "read a deploy",
            sql,
            params![app.as_str(), number.0],
            read_deploy,
        )
    }

    /// The deploys of an app that a `serve` which is gone has left open.
    pub fn open_deploys(&self, app: &AppName) -> Result<Vec<Deploy>, StateError> {
        let sql = "SELECT * FROM deploys WHERE app = ?1 AND state IN ('waiting', 'running') ORDER BY number";
        self.rows(
            "read the open deploys",
            sql,
            params![app.as_str()],
            read_deploy,
        )
    }
}

/// The columns beside `state` that say more of it.
#[derive(Debug, Default)]
pub(super) struct Stored<'s> {
    pub(super) release: Option<u32>,
    pub(super) phase: Option<&'static str>,
    pub(super) cause: Option<&'s str>,
}

impl<'s> Stored<'s> {
    pub(super) fn of(state: &'s DeployState) -> Self {
        let (release, phase, cause) = match state {
            DeployState::Live { release } => (Some(release.0), None, None),
            DeployState::Failed { phase, cause } => (None, Some(phase.name()), Some(cause)),
            DeployState::SwappedBack { release, cause } => (Some(release.0), None, Some(cause)),
            DeployState::Waiting
            | DeployState::Running
            | DeployState::Superseded
            | DeployState::Interrupted => (None, None, None),
        };
        Self {
            release,
            phase,
            cause: cause.map(String::as_str),
        }
    }
}

fn set_deploy(
    connection: &Connection,
    app: &AppName,
    number: DeployNumber,
    state: &DeployState,
) -> Result<(), StateError> {
    let stored = Stored::of(state);
    let ended_at = state.ended().then(|| now().to_string());
    let sql = "UPDATE deploys SET state = ?3, release = ?4, phase = ?5, cause = ?6, ended_at = ?7
                   WHERE app = ?1 AND number = ?2";
    let values = params![
        app.as_str(),
        number.0,
        state.name(),
        stored.release,
        stored.phase,
        stored.cause,
        ended_at
    ];
    connection
        .execute(sql, values)
        .map(drop)
        .map_err(StateError::doing("set the state of a deploy"))
}

fn read_deploy(row: &Row<'_>) -> rusqlite::Result<Deploy> {
    let state: String = row.get("state")?;
    Ok(Deploy {
        number: DeployNumber(row.get("number")?),
        origin: parsed(row, "origin")?,
        branch: row.get("branch")?,
        commit: parsed(row, "commit_id")?,
        subject: row.get("subject")?,
        from: parsed_option(row, "from_id")?,
        moves_branch: row.get("moves_branch")?,
        message: row.get("message")?,
        pushed_by: row.get("pushed_by")?,
        state: match state.as_str() {
            "waiting" => DeployState::Waiting,
            "running" => DeployState::Running,
            "live" => DeployState::Live {
                release: ReleaseNumber(row.get("release")?),
            },
            "failed" => DeployState::Failed {
                phase: parsed(row, "phase")?,
                cause: row.get("cause")?,
            },
            "swapped_back" => DeployState::SwappedBack {
                release: ReleaseNumber(row.get("release")?),
                cause: row.get("cause")?,
            },
            "superseded" => DeployState::Superseded,
            _ => DeployState::Interrupted,
        },
        began_at: parsed(row, "began_at")?,
        ended_at: parsed_option(row, "ended_at")?,
    })
}
