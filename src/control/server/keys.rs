//! Keys: added, listed, removed; and what sshd and git need to know for them.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{Path, State};
use axum::{Extension, Json};

use super::Shared;
use super::answer::Refused;
use super::asker::Asker;
use super::keyring::{Keyring, KeyringError};
use crate::access::{Grant, Level};
use crate::control::types::{
    AddKey, AuthorizedKeys, Greeting, KeyApp, KeyStatus, Keys, Repository,
};
use crate::ids::{AppName, KeyName};
use crate::state::Key;

type Ring = State<Arc<Keyring>>;

pub(super) async fn list(State(keyring): Ring) -> Result<Json<Keys>, Refused> {
    let keys = keyring.keys().await?.iter().map(shown).collect();
    Ok(Json(Keys { keys }))
}

pub(super) async fn show(
    State(keyring): Ring,
    Path(name): Path<KeyName>,
) -> Result<Json<KeyStatus>, Refused> {
    Ok(Json(shown(&keyring.key(name).await?)))
}

pub(super) async fn add(
    State(keyring): Ring,
    Json(wanted): Json<AddKey>,
) -> Result<Json<KeyStatus>, Refused> {
    let grant = match (wanted.admin, wanted.apps.is_empty()) {
        (true, true) => Grant::Admin,
        (false, false) => Grant::Apps(by_name(wanted.apps)),
        (true, false) | (false, true) => return Err(KeyringError::Grant.into()),
    };
    let added = keyring.add(wanted.name, &wanted.key, grant).await?;
    tracing::info!(key = %added.name, fingerprint = added.key.fingerprint(), grant = ?added.grant, "key added");
    Ok(Json(shown(&added)))
}

/// Of two grants of one app the greater holds.
fn by_name(apps: Vec<KeyApp>) -> BTreeMap<AppName, Level> {
    let mut granted = BTreeMap::new();
    for KeyApp { app, level } in apps {
        let held = granted.entry(app).or_insert(level);
        *held = level.max(*held);
    }
    granted
}

pub(super) async fn remove(
    State(keyring): Ring,
    Path(name): Path<KeyName>,
) -> Result<Json<()>, Refused> {
    keyring.remove(name.clone()).await?;
    tracing::info!(key = %name, "key removed");
    Ok(Json(()))
}

pub(super) async fn authorized(State(keyring): Ring) -> Result<Json<AuthorizedKeys>, Refused> {
    let lines = keyring.lines().await?;
    Ok(Json(AuthorizedKeys { lines }))
}

/// A key has logged in: what it may use. Each login begins with this.
pub(super) async fn greet(
    State(fleet): Shared,
    Extension(keyring): Extension<Arc<Keyring>>,
    Extension(asker): Extension<Asker>,
) -> Result<Json<Greeting>, Refused> {
    let Asker::Key(key) = asker else {
        return Err(Refused::denied("greet you: that is for keys, over ssh"));
    };
    if let Err(error) = keyring.used(key.name.clone()).await {
        // Whoever only looks is let in on a full disk, too.
        let error = &error as &dyn std::error::Error;
        tracing::warn!(key = %key.name, error, "use of a key can't be noted");
    }
    let apps = match &key.grant {
        Grant::Apps(apps) => granted(apps),
        Grant::Admin => {
            let all = fleet.apps().await?;
            let level = Level::Push;
            all.into_iter()
                .map(|app| KeyApp {
                    app: app.name,
                    level,
                })
                .collect()
        }
    };
    Ok(Json(Greeting {
        key: key.name.clone(),
        admin: key.grant == Grant::Admin,
        apps,
    }))
}

/// Where the repository lies that git is to serve; whether it may was decided before.
pub(super) async fn repository(
    State(fleet): Shared,
    Path(app): Path<AppName>,
) -> Result<Json<Repository>, Refused> {
    let repo = fleet.app(&app).await?.repo;
    Ok(Json(Repository { repo }))
}

fn shown(key: &Key) -> KeyStatus {
    KeyStatus {
        name: key.name.clone(),
        kind: key.key.kind(),
        fingerprint: key.key.fingerprint(),
        admin: key.grant == Grant::Admin,
        apps: match &key.grant {
            Grant::Admin => Vec::new(),
            Grant::Apps(apps) => granted(apps),
        },
        added_at: key.added_at,
        last_used_at: key.last_used_at,
    }
}

fn granted(apps: &BTreeMap<AppName, Level>) -> Vec<KeyApp> {
    apps.iter()
        .map(|(app, level)| KeyApp {
            app: app.clone(),
            level: *level,
        })
        .collect()
}
