//! Apps and their host names.

use std::path::PathBuf;

use rusqlite::{Row, params};

use super::database::{Database, parsed, parsed_option};
use super::error::StateError;
use crate::ids::{
    AppName, DeployNumber, GenerationNumber, HostName, ReleaseNumber, WebhookSecret, WebhookUrl,
};
use crate::time::{Timestamp, now};

/// An app as it is remembered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct App {
    /// Its name.
    pub name: AppName,
    /// The branch whose pushes deploy.
    pub branch: String,
    /// The bare repository.
    pub repo: PathBuf,
    /// Whether pushes wait for the deploy's verdict before the branch moves.
    pub gate: bool,
    /// Whether a pusher may deploy a commit that does not contain what the branch names, with `-o force`.
    pub allow_force: bool,
    /// Who is told how deploys end.
    pub webhook: Option<Webhook>,
    /// How many instances, where `handover scale` has said so.
    pub instances: Option<u32>,
    /// The generation that `live.sock` should lead to.
    pub live: Option<GenerationNumber>,
    /// Its host names, in order.
    pub hosts: Vec<HostName>,
    /// Since when it exists.
    pub created_at: Timestamp,
}

/// Who is told how deploys end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Webhook {
    /// Where deliveries are posted to.
    pub url: WebhookUrl,
    /// What they are signed with.
    pub secret: WebhookSecret,
}

/// An app that is to be created.
#[derive(Debug, Clone)]
pub struct NewApp {
    /// Its name.
    pub name: AppName,
    /// The branch whose pushes deploy.
    pub branch: String,
    /// The bare repository.
    pub repo: PathBuf,
    /// Whether pushes wait for the deploy's verdict before the ref moves.
    pub gate: bool,
    /// Its host names.
    pub hosts: Vec<HostName>,
}

impl Database {
    /// Creates an app.
    pub fn create_app(&self, new: &NewApp) -> Result<(), StateError> {
        const DOING: &str = "create an app";
        self.write(DOING, |connection| {
            let known: bool = connection
                .query_row("SELECT EXISTS (SELECT 1 FROM apps WHERE name = ?1)", [new.name.as_str()], |row| row.get(0))
                .map_err(StateError::doing(DOING))?;
            if known {
                return Err(StateError::AppExists(new.name.clone()));
            }
            connection
                .execute(
                    "INSERT INTO apps (name, branch, repo, gate, created_at) VALUES (?1, ?2, ?3, ?4, ?5)",
                    params![new.name.as_str(), new.branch, new.repo.to_string_lossy(), new.gate, now().to_string()],
                )
                .map_err(StateError::doing(DOING))?;
            for host in &new.hosts {
                add_host(connection, &new.name, host)?;
            }
            Ok(())
        })
    }

    /// Gives an app a host name; giving it again is no error.
    pub fn add_host(&self, app: &AppName, host: &HostName) -> Result<(), StateError> {
        self.write("add a host name", |connection| {
            add_host(connection, app, host)
        })
    }

    /// Takes a host name from an app; whether it had it.
    pub fn remove_host(&self, app: &AppName, host: &HostName) -> Result<bool, StateError> {
        let sql = "DELETE FROM hosts WHERE app = ?1 AND host = ?2";
        Ok(self.execute(
            "remove a host name",
            sql,
            params![app.as_str(), host.as_str()],
        )? > 0)
    }

    /// Forgets an app with all its releases, generations and deploys.
    pub fn destroy_app(&self, app: &AppName) -> Result<(), StateError> {
        self.execute(
            "destroy an app",
            "DELETE FROM apps WHERE name = ?1",
            params![app.as_str()],
        )
        .map(drop)
    }

    /// All apps, by name.
    pub fn apps(&self) -> Result<Vec<App>, StateError> {
        let mut apps = self.rows(
            "read the apps",
            "SELECT * FROM apps ORDER BY name",
            &[],
            read_app,
        )?;
        for app in &mut apps {
            app.hosts = self.hosts(&app.name)?;
        }
        Ok(apps)
    }

    /// One app.
    pub fn app(&self, name: &AppName) -> Result<App, StateError> {
        let sql = "SELECT * FROM apps WHERE name = ?1";
        let found = self.row("read an app", sql, params![name.as_str()], read_app)?;
        let mut app = found.ok_or_else(|| StateError::NoApp(name.clone()))?;
        app.hosts = self.hosts(name)?;
        Ok(app)
    }

    fn hosts(&self, app: &AppName) -> Result<Vec<HostName>, StateError> {
        let sql = "SELECT host FROM hosts WHERE app = ?1 ORDER BY rowid";
        self.rows("read the host names", sql, params![app.as_str()], |row| {
            parsed(row, "host")
        })
    }

    /// Remembers how many instances an app is to have.
    pub fn set_instances(&self, app: &AppName, instances: u32) -> Result<(), StateError> {
        let sql = "UPDATE apps SET instances = ?2 WHERE name = ?1";
        self.execute(
            "set the number of instances",
            sql,
            params![app.as_str(), instances],
        )
        .map(drop)
    }

    /// Remembers whether pushes wait for the verdict.
    pub fn set_gate(&self, app: &AppName, gate: bool) -> Result<(), StateError> {
        let sql = "UPDATE apps SET gate = ?2 WHERE name = ?1";
        self.execute("set the gate", sql, params![app.as_str(), gate])
            .map(drop)
    }

    /// Remembers whether pushes may force the branch.
    pub fn set_allow_force(&self, app: &AppName, allow: bool) -> Result<(), StateError> {
        let sql = "UPDATE apps SET allow_force = ?2 WHERE name = ?1";
        self.execute("allow forced pushes", sql, params![app.as_str(), allow])
            .map(drop)
    }

    /// The number for the next release; it is used up only by [`Database::add_release`].
    pub fn next_release(&self, app: &AppName) -> Result<ReleaseNumber, StateError> {
        let sql = "SELECT next_release FROM apps WHERE name = ?1";
        let next = self.row("number a release", sql, params![app.as_str()], |row| {
            row.get(0)
        })?;
        next.map(ReleaseNumber)
            .ok_or_else(|| StateError::NoApp(app.clone()))
    }

    /// Uses up and gives the next generation number.
    pub fn take_generation(&self, app: &AppName) -> Result<GenerationNumber, StateError> {
        self.take_number(app, "UPDATE apps SET next_generation = next_generation + 1 WHERE name = ?1 RETURNING next_generation - 1")
            .map(GenerationNumber)
    }

    /// Uses up and gives the next deploy number.
    pub fn take_deploy(&self, app: &AppName) -> Result<DeployNumber, StateError> {
        self.take_number(app, "UPDATE apps SET next_deploy = next_deploy + 1 WHERE name = ?1 RETURNING next_deploy - 1")
            .map(DeployNumber)
    }

    fn take_number(&self, app: &AppName, sql: &'static str) -> Result<u32, StateError> {
        const DOING: &str = "take a number";
        self.write(DOING, |connection| {
            match connection.query_row(sql, [app.as_str()], |row| row.get(0)) {
                Ok(number) => Ok(number),
                Err(rusqlite::Error::QueryReturnedNoRows) => Err(StateError::NoApp(app.clone())),
                Err(source) => Err(StateError::Statement {
                    doing: DOING,
                    source,
                }),
            }
        })
    }
}

fn add_host(
    connection: &rusqlite::Connection,
    app: &AppName,
    host: &HostName,
) -> Result<(), StateError> {
    const DOING: &str = "add a host name";
    let insert = "INSERT INTO hosts (host, app) VALUES (?1, ?2) ON CONFLICT (host) DO NOTHING";
    connection
        .execute(insert, params![host.as_str(), app.as_str()])
        .map_err(StateError::doing(DOING))?;
    let owner: String = connection
        .query_row(
            "SELECT app FROM hosts WHERE host = ?1",
            [host.as_str()],
            |row| row.get(0),
        )
        .map_err(StateError::doing(DOING))?;
    if owner == app.as_str() {
        Ok(())
    } else {
        Err(StateError::HostTaken {
            host: host.to_string(),
            app: app.clone(),
            owner,
        })
    }
}

fn read_app(row: &Row<'_>) -> rusqlite::Result<App> {
    Ok(App {
        name: parsed(row, "name")?,
        branch: row.get("branch")?,
        repo: PathBuf::from(row.get::<_, String>("repo")?),
        gate: row.get("gate")?,
        allow_force: row.get("allow_force")?,
        webhook: read_webhook(row)?,
        instances: row.get("instances")?,
        live: row
            .get::<_, Option<u32>>("live_generation")?
            .map(GenerationNumber),
        hosts: Vec::new(),
        created_at: parsed(row, "created_at")?,
    })
}

/// Both columns are set, or neither is.
pub(super) fn read_webhook(row: &Row<'_>) -> rusqlite::Result<Option<Webhook>> {
    let url = parsed_option(row, "webhook_url")?;
    let secret = parsed_option(row, "webhook_secret")?;
    Ok(url.zip(secret).map(|(url, secret)| Webhook { url, secret }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shop() -> NewApp {
        NewApp {
            name: "shop".parse().unwrap(),
            branch: "main".into(),
            repo: "/srv/shop.git".into(),
            gate: false,
            hosts: vec!["shop.example.com".parse().unwrap()],
        }
    }

    #[test]
    fn an_app_is_found_again_after_reopening() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("handover.db");
        Database::open(&path).unwrap().create_app(&shop()).unwrap();
        let app = Database::open(&path).unwrap().app(&shop().name).unwrap();
        assert_eq!((app.branch.as_str(), app.hosts.len()), ("main", 1));
    }

    #[test]
    fn a_name_or_host_can_be_taken_once() {
        let dir = tempfile::tempdir().unwrap();
        let database = Database::open(&dir.path().join("handover.db")).unwrap();
        database.create_app(&shop()).unwrap();
        assert!(matches!(
            database.create_app(&shop()),
            Err(StateError::AppExists(_))
        ));
        let other = NewApp {
            name: "blog".parse().unwrap(),
            repo: "/srv/blog.git".into(),
            ..shop()
        };
        assert!(matches!(
            database.create_app(&other),
            Err(StateError::HostTaken { .. })
        ));
        assert!(
            matches!(database.app(&other.name), Err(StateError::NoApp(_))),
            "the failed creation left nothing"
        );
    }

    #[test]
    fn numbers_are_never_given_twice() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("handover.db");
        let database = Database::open(&path).unwrap();
        database.create_app(&shop()).unwrap();
        assert_eq!(
            database.take_generation(&shop().name).unwrap(),
            GenerationNumber(1)
        );
        drop(database);
        assert_eq!(
            Database::open(&path)
                .unwrap()
                .take_generation(&shop().name)
                .unwrap(),
            GenerationNumber(2)
        );
    }

    #[test]
    fn a_newer_database_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("handover.db");
        drop(Database::open(&path).unwrap());
        rusqlite::Connection::open(&path)
            .unwrap()
            .pragma_update(None, "user_version", 99)
            .unwrap();
        assert!(matches!(
            Database::open(&path),
            Err(StateError::Newer { found: 99, .. })
        ));
    }
}
