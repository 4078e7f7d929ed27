//! Verbs about keys.

use std::io::Read as _;
use std::path::Path;

use hyper::Method;

use super::address::owner_of;
use super::args::{AddKey, Authorized, Keys, KeysVerb};
use super::exit::Exit;
use super::roles::block_on;
use super::say::{Failed, data, json, words};
use super::table::table;
use crate::access::{Level, authorized as lines};
use crate::config::ServerSettings;
use crate::control::types::{self, AuthorizedKeys, KeyApp, KeyStatus};
use crate::control::{Client, ClientError};
use crate::paths::Layout;
use crate::process::users::user_id;

/// More than any key has, in bytes.
const INPUT_MAX: u64 = 64 * 1024;

pub(super) async fn ask(client: &Client, keys: Keys) -> Result<Exit, Failed> {
    match keys.verb {
        None | Some(KeysVerb::List) => list(client, keys.json).await,
        Some(KeysVerb::Add(wanted)) => add(client, wanted, keys.json).await,
        Some(KeysVerb::Remove { name }) => {
            let () = client
                .call(Method::DELETE, &format!("/v1/keys/{name}"), &())
                .await?;
            words(&format!(
                "{name} is removed: this key may do nothing any more"
            ));
            Ok(Exit::Done)
        }
        Some(KeysVerb::Authorized(_)) => {
            unreachable!("what sshd asks for was taken care of before")
        }
    }
}

async fn list(client: &Client, as_json: bool) -> Result<Exit, Failed> {
    let keys: types::Keys = client.get("/v1/keys").await?;
    if as_json {
        json(&keys);
        return Ok(Exit::Done);
    }
    if keys.keys.is_empty() {
        words("no keys yet; let one in: handover keys add NAME --app APP < id_ed25519.pub");
        return Ok(Exit::Done);
    }
    let heading = ["NAME", "TYPE", "FINGERPRINT", "APPS", "ADDED", "LAST USED"];
    let mut rows = vec![heading.map(str::to_owned).to_vec()];
    rows.extend(keys.keys.iter().map(row));
    data(&table(&rows));
    Ok(Exit::Done)
}

fn row(key: &KeyStatus) -> Vec<String> {
    let day = |at: crate::time::Timestamp| at.strftime("%Y-%m-%d").to_string();
    vec![
        key.name.to_string(),
        key.kind.clone(),
        key.fingerprint.clone(),
        apps_text(key),
        day(key.added_at),
        key.last_used_at.map_or_else(|| "never".to_owned(), day),
    ]
}

fn apps_text(key: &KeyStatus) -> String {
    match (key.admin, key.apps.as_slice()) {
        (true, _) => "(every app)".to_owned(),
        (false, []) => "(none)".to_owned(),
        (false, apps) => {
            let app = |granted: &KeyApp| match granted.level {
                Level::Push => granted.app.to_string(),
                Level::Read => format!("{} (read)", granted.app),
            };
            apps.iter().map(app).collect::<Vec<_>>().join(", ")
        }
    }
}

async fn add(client: &Client, wanted: AddKey, as_json: bool) -> Result<Exit, Failed> {
    let mut key = String::new();
    std::io::stdin()
        .take(INPUT_MAX)
        .read_to_string(&mut key)
        .map_err(|error| Failed::new(format!("read the key from standard input: {error}")))?;
    let level = if wanted.read {
        Level::Read
    } else {
        Level::Push
    };
    let wanted = types::AddKey {
        name: wanted.name,
        key,
        admin: wanted.apps.is_empty(),
        apps: wanted
            .apps
            .into_iter()
            .map(|app| KeyApp { app, level })
            .collect(),
    };
    let added: KeyStatus = client.call(Method::POST, "/v1/keys", &wanted).await?;
    words(&format!(
        "{} ({} {}) {}",
        added.name,
        added.kind,
        added.fingerprint,
        may_text(&added)
    ));
    if as_json {
        json(&added);
    }
    Ok(Exit::Done)
}

fn may_text(key: &KeyStatus) -> String {
    if key.admin {
        return "may push and change every app, and the keys; to let a key push to some apps only: --app APP".to_owned();
    }
    let names = |level: Level| {
        let of_level = key.apps.iter().filter(|granted| granted.level == level);
        let names: Vec<_> = of_level.map(|granted| granted.app.as_str()).collect();
        (!names.is_empty()).then(|| names.join(", "))
    };
    let push = names(Level::Push).map(|apps| format!("may push to and run {apps}"));
    let read = names(Level::Read).map(|apps| format!("may read {apps}"));
    let may: Vec<_> = push.into_iter().chain(read).collect();
    format!("{}, and nothing else", may.join(", "))
}

/// The lines for sshd's `AuthorizedKeysCommand`. Without a server they are those of the file that it has written.
pub(super) fn authorized(layout: &Layout, which: Authorized) -> Result<Exit, Failed> {
    if let Some(user) = &which.user {
        // These lines let people in as the server's own user; nobody else may be logged in as by them.
        let user = user_id(user).map_err(Failed::new)?;
        if user != Some(owner_of(layout.home())) {
            return Ok(Exit::Done);
        }
    }
    let client = Client::new(layout.control_socket());
    let asked = block_on(client.get::<AuthorizedKeys>("/v1/authorized-keys"))?;
    let lines = match asked {
        Ok(keys) => keys.lines,
        Err(ClientError::Unreachable { .. }) => written_lines(layout)?,
        Err(error) => return Err(error.into()),
    };
    let offered = which.kind.zip(which.base64);
    let ending = offered.map(|(kind, base64)| format!(" {kind} {base64}"));
    let meant = |line: &&String| ending.as_ref().is_none_or(|ending| line.ends_with(ending));
    for line in lines.iter().filter(meant) {
        data(line);
    }
    Ok(Exit::Done)
}

fn written_lines(layout: &Layout) -> Result<Vec<String>, Failed> {
    let settings = read_or_empty(layout.settings())?;
    let settings =
        ServerSettings::parse(layout.settings(), settings.as_bytes()).map_err(Failed::new)?;
    let path = settings
        .authorized_keys
        .unwrap_or_else(|| layout.authorized_keys());
    let text = read_or_empty(&path)?;
    let own = lines::own_lines(&text).map_err(Failed::new)?;
    Ok(own.into_iter().map(str::to_owned).collect())
}

fn read_or_empty(path: &Path) -> Result<String, Failed> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(text),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(String::new()),
        Err(error) => Err(Failed::new(format!("read `{}`: {error}", path.display()))),
    }
}
