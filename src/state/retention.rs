//! What is forgotten of long rows of deploys.

use std::collections::BTreeSet;

use rusqlite::params;

use super::database::Database;
use super::error::StateError;
use crate::ids::{AppName, DeployNumber};

/// What stays: the newest, those that have not ended, those that releases and generations come from, and the last that
/// made each release live, by which the way back is found.
const FORGET: &str = "
    DELETE FROM deploys WHERE app = ?1
      AND number <= (SELECT number FROM deploys WHERE app = ?1 ORDER BY number DESC LIMIT 1 OFFSET ?2)
      AND state NOT IN ('waiting', 'running')
      AND number NOT IN (SELECT deploy FROM releases WHERE app = ?1)
      AND number NOT IN (SELECT deploy FROM generations WHERE app = ?1)
      AND number NOT IN (SELECT max(number) FROM deploys
                         WHERE app = ?1 AND state = 'live' AND release IN (SELECT number FROM releases WHERE app = ?1)
                         GROUP BY release)";

impl Database {
    /// Forgets all but the newest deploys of an app, and those that something else still refers to. Gives the numbers of
    /// those that are remembered now.
    pub fn forget_deploys(
        &self,
        app: &AppName,
        keep: u32,
    ) -> Result<BTreeSet<DeployNumber>, StateError> {
        const DOING: &str = "forget old deploys";
        self.execute(DOING, FORGET, params![app.as_str(), keep])?;
        let sql = "SELECT number FROM deploys WHERE app = ?1";
        let rows = self.rows(DOING, sql, params![app.as_str()], |row| {
            Ok(DeployNumber(row.get(0)?))
        })?;
        Ok(rows.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{GenerationNumber, ReleaseNumber};
    use crate::report::{Origin, Phase};
    use crate::state::{DeployState, NewApp, NewDeploy};

    fn database(dir: &tempfile::TempDir) -> (Database, AppName) {
        let database = Database::open(&dir.path().join("handover.db")).unwrap();
        let app: AppName = "shop".parse().unwrap();
        let new = NewApp {
            name: app.clone(),
            branch: "main".into(),
            repo: dir.path().join("repo.git"),
            gate: true,
            hosts: Vec::new(),
        };
        database.create_app(&new).unwrap();
        (database, app)
    }

    fn add(database: &Database, app: &AppName, number: u32, state: &DeployState) {
        let new = NewDeploy {
            origin: Origin::Push,
            branch: "main".into(),
            commit: "a".repeat(40).parse().unwrap(),
            subject: String::new(),
            from: None,
            moves_branch: true,
            message: None,
            by: None,
        };
        let number = DeployNumber(number);
        database.add_deploy(app, number, &new).unwrap();
        database.set_deploy(app, number, state).unwrap();
    }

    #[test]
    fn the_newest_stay_and_whatever_something_else_refers_to() {
        let dir = tempfile::tempdir().unwrap();
        let (database, app) = database(&dir);
        let live = |release| DeployState::Live {
            release: ReleaseNumber(release),
        };
        let failed = DeployState::Failed {
            phase: Phase::Build,
            cause: "no".into(),
        };
        let commit = "a".repeat(40).parse().unwrap();
        add(&database, &app, 1, &live(1));
        add(&database, &app, 2, &live(2));
        for number in [1, 2] {
            let (release, deploy) = (ReleaseNumber(number), DeployNumber(number));
            database
                .add_release(&app, release, &commit, "", deploy, None)
                .unwrap();
        }
        add(&database, &app, 3, &live(1)); // back again, twice
        add(&database, &app, 4, &live(1));
        add(&database, &app, 5, &DeployState::Running);
        for number in 6..=9 {
            add(&database, &app, number, &failed);
        }
        database
            .add_generation(&app, GenerationNumber(1), ReleaseNumber(1), DeployNumber(6))
            .unwrap();
        let left = database.forget_deploys(&app, 2).unwrap();
        let left: Vec<u32> = left.into_iter().map(|number| number.0).collect();
        assert_eq!(left, [1, 2, 4, 5, 6, 8, 9]);
    }

    #[test]
    fn a_few_deploys_are_all_remembered() {
        let dir = tempfile::tempdir().unwrap();
        let (database, app) = database(&dir);
        add(&database, &app, 1, &DeployState::Superseded);
        assert_eq!(database.forget_deploys(&app, 200).unwrap().len(), 1);
        let other: AppName = "blog".parse().unwrap();
        assert!(database.forget_deploys(&other, 1).unwrap().is_empty());
    }
}
