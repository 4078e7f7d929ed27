//! Keys, and what each is granted.

use std::collections::BTreeMap;

use rusqlite::{Connection, Row, params};

use super::database::{Database, parsed, parsed_option};
use super::error::StateError;
use crate::access::{Grant, Level, PublicKey};
use crate::ids::{AppName, KeyName};
use crate::time::{Timestamp, now};

/// A key as it is remembered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// The name under which it is known.
    pub name: KeyName,
    /// Its public half.
    pub key: PublicKey,
    /// What it is granted.
    pub grant: Grant,
    /// When it was added.
    pub added_at: Timestamp,
    /// When it was last used to log in.
    pub last_used_at: Option<Timestamp>,
}

impl Database {
    /// Adds a key. Its name and the key itself must both be new, and the apps must exist.
    pub fn add_key(
        &self,
        name: &KeyName,
        key: &PublicKey,
        grant: &Grant,
    ) -> Result<(), StateError> {
        const DOING: &str = "add a key";
        self.write(DOING, |connection| {
            refuse_known(connection, name, key)?;
            connection
                .execute(
                    "INSERT INTO keys (name, key, admin, added_at) VALUES (?1, ?2, ?3, ?4)",
                    params![
                        name.as_str(),
                        key.to_string(),
                        *grant == Grant::Admin,
                        now().to_string()
                    ],
                )
                .map_err(StateError::doing(DOING))?;
            match grant {
                Grant::Admin => Ok(()),
                Grant::Apps(apps) => apps
                    .iter()
                    .try_for_each(|(app, level)| grant_app(connection, name, app, *level)),
            }
        })
    }

    /// Forgets a key and what it was granted.
    pub fn remove_key(&self, name: &KeyName) -> Result<(), StateError> {
        let sql = "DELETE FROM keys WHERE name = ?1";
        match self.execute("remove a key", sql, params![name.as_str()])? {
            0 => Err(StateError::NoKey(name.clone())),
            _ => Ok(()),
        }
    }

    /// All keys, by name.
    pub fn keys(&self) -> Result<Vec<Key>, StateError> {
        let mut keys = self.rows(
            "read the keys",
            "SELECT * FROM keys ORDER BY name",
            &[],
            read_key,
        )?;
        for key in &mut keys {
            self.read_apps(key)?;
        }
        Ok(keys)
    }

    /// One key.
    pub fn key(&self, name: &KeyName) -> Result<Key, StateError> {
        let sql = "SELECT * FROM keys WHERE name = ?1";
        let found = self.row("read a key", sql, params![name.as_str()], read_key)?;
        let mut key = found.ok_or_else(|| StateError::NoKey(name.clone()))?;
        self.read_apps(&mut key)?;
        Ok(key)
    }

    /// Remembers that a key has just been used.
    pub fn key_used(&self, name: &KeyName) -> Result<(), StateError> {
        let sql = "UPDATE keys SET last_used_at = ?2 WHERE name = ?1";
        let values = params![name.as_str(), now().to_string()];
        self.execute("note the use of a key", sql, values).map(drop)
    }

    fn read_apps(&self, key: &mut Key) -> Result<(), StateError> {
        let Grant::Apps(apps) = &mut key.grant else {
            return Ok(());
        };
        let sql = "SELECT app, level FROM key_apps WHERE key = ?1";
        let rows = self.rows(
            "read what a key is granted",
            sql,
            params![key.name.as_str()],
            |row| Ok((parsed(row, "app")?, parsed(row, "level")?)),
        )?;
        apps.extend(rows);
        Ok(())
    }
}

fn refuse_known(
    connection: &Connection,
    name: &KeyName,
    key: &PublicKey,
) -> Result<(), StateError> {
    let sql = "SELECT name FROM keys WHERE name = ?1 OR key = ?2 ORDER BY name = ?1 DESC";
    let found = connection.query_row(sql, params![name.as_str(), key.to_string()], |row| {
        row.get::<_, String>(0)
    });
    match found {
        Err(rusqlite::Error::QueryReturnedNoRows) => Ok(()),
        Err(source) => Err(StateError::doing("look for a key")(source)),
        Ok(known) if known == name.as_str() => Err(StateError::KeyExists(name.clone())),
        Ok(known) => Err(StateError::KeyKnown {
            name: name.clone(),
            known,
        }),
    }
}

fn grant_app(
    connection: &Connection,
    name: &KeyName,
    app: &AppName,
    level: Level,
) -> Result<(), StateError> {
    // Selected, so that an app that is not there is no row and not a broken reference.
    let sql =
        "INSERT INTO key_apps (key, app, level) SELECT ?1, name, ?3 FROM apps WHERE name = ?2";
    let values = params![name.as_str(), app.as_str(), level.name()];
    let granted = connection
        .execute(sql, values)
        .map_err(StateError::doing("grant an app to a key"))?;
    if granted == 0 {
        return Err(StateError::NoApp(app.clone()));
    }
    Ok(())
}

fn read_key(row: &Row<'_>) -> rusqlite::Result<Key> {
    let admin: bool = row.get("admin")?;
    Ok(Key {
        name: parsed(row, "name")?,
        key: parsed(row, "key")?,
        grant: if admin {
            Grant::Admin
        } else {
            Grant::Apps(BTreeMap::new())
        },
        added_at: parsed(row, "added_at")?,
        last_used_at: parsed_option(row, "last_used_at")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::NewApp;

    const ONE: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGcf5Nc6R+cvo337WH7Fxls5Use622rhJ0rENiQWiKyx";
    const TWO: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti";

    fn database() -> (tempfile::TempDir, Database) {
        let dir = tempfile::tempdir().unwrap();
        let database = Database::open(&dir.path().join("handover.db")).unwrap();
        database
            .create_app(&NewApp {
                name: shop(),
                branch: "main".into(),
                repo: "/srv/shop.git".into(),
                gate: false,
                hosts: Vec::new(),
            })
            .unwrap();
        (dir, database)
    }

    fn shop() -> AppName {
        "shop".parse().unwrap()
    }

    fn name(text: &str) -> KeyName {
        text.parse().unwrap()
    }

    fn of_shop() -> Grant {
        Grant::Apps([(shop(), Level::Push)].into())
    }

    #[test]
    fn a_key_is_found_again_with_what_it_was_granted() {
        let (_dir, database) = database();
        database
            .add_key(&name("ada"), &ONE.parse().unwrap(), &of_shop())
            .unwrap();
        database
            .add_key(&name("root"), &TWO.parse().unwrap(), &Grant::Admin)
            .unwrap();
        let ada = database.key(&name("ada")).unwrap();
        assert_eq!(
            (ada.key.to_string().as_str(), &ada.grant),
            (ONE, &of_shop())
        );
        assert_eq!(ada.last_used_at, None);
        assert_eq!(database.keys().unwrap()[1].grant, Grant::Admin);
        database.key_used(&name("ada")).unwrap();
        assert!(database.key(&name("ada")).unwrap().last_used_at.is_some());
    }

    #[test]
    fn a_name_and_a_key_can_be_added_once() {
        let (_dir, database) = database();
        database
            .add_key(&name("ada"), &ONE.parse().unwrap(), &Grant::Admin)
            .unwrap();
        let again = database.add_key(&name("ada"), &TWO.parse().unwrap(), &Grant::Admin);
        assert!(matches!(again, Err(StateError::KeyExists(_))));
        let renamed = database.add_key(&name("bob"), &ONE.parse().unwrap(), &Grant::Admin);
        assert!(matches!(renamed, Err(StateError::KeyKnown { known, .. }) if known == "ada"));
    }

    #[test]
    fn a_grant_of_an_app_that_is_not_there_adds_nothing() {
        let (_dir, database) = database();
        let blog = Grant::Apps([("blog".parse().unwrap(), Level::Read)].into());
        let added = database.add_key(&name("ada"), &ONE.parse().unwrap(), &blog);
        assert!(matches!(added, Err(StateError::NoApp(_))));
        assert!(database.keys().unwrap().is_empty());
    }

    #[test]
    fn a_destroyed_app_leaves_its_keys_without_a_grant_and_no_admin_behind() {
        let (_dir, database) = database();
        database
            .add_key(&name("ada"), &ONE.parse().unwrap(), &of_shop())
            .unwrap();
        database.destroy_app(&shop()).unwrap();
        assert_eq!(
            database.key(&name("ada")).unwrap().grant,
            Grant::Apps([].into())
        );
    }

    #[test]
    fn a_removed_key_is_gone_and_its_name_free() {
        let (_dir, database) = database();
        database
            .add_key(&name("ada"), &ONE.parse().unwrap(), &of_shop())
            .unwrap();
        database.remove_key(&name("ada")).unwrap();
        assert!(matches!(
            database.key(&name("ada")),
            Err(StateError::NoKey(_))
        ));
        assert!(matches!(
            database.remove_key(&name("ada")),
            Err(StateError::NoKey(_))
        ));
        database
            .add_key(&name("ada"), &ONE.parse().unwrap(), &Grant::Admin)
            .unwrap();
    }
}
