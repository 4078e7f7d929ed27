//! Keys, and what ssh clients are let do.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::access::Level;
use crate::ids::{AppName, KeyName};
use crate::time::Timestamp;

/// One app that a key is granted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyApp {
    /// The app.
    pub app: AppName,
    /// How much of it.
    pub level: Level,
}

/// A key that is to be added.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AddKey {
    /// Its name.
    pub name: KeyName,
    /// The line of its `.pub` file.
    pub key: String,
    /// Whether it is to have all apps and the server; then no apps are named.
    pub admin: bool,
    /// What else it is to have.
    pub apps: Vec<KeyApp>,
}

/// A key as it is shown.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct KeyStatus {
    /// Its name.
    pub name: KeyName,
    /// Its type as ssh names it.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its fingerprint as `ssh-keygen -l` shows it.
    pub fingerprint: String,
    /// Whether it has all apps and the server.
    pub admin: bool,
    /// The apps that it has by name.
    pub apps: Vec<KeyApp>,
    /// When it was added.
    pub added_at: Timestamp,
    /// When it was last used to log in.
    pub last_used_at: Option<Timestamp>,
}

/// All keys.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Keys {
    /// By name.
    pub keys: Vec<KeyStatus>,
}

/// The lines that sshd lets keys in by.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AuthorizedKeys {
    /// One for each key.
    pub lines: Vec<String>,
}

/// What a key is told of itself.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Greeting {
    /// Its name.
    pub key: KeyName,
    /// Whether it has all apps and the server.
    pub admin: bool,
    /// The apps that it may use: for an admin all there are.
    pub apps: Vec<KeyApp>,
}

/// Where an app's repository lies, for git itself.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Repository {
    /// The bare repository.
    pub repo: PathBuf,
}
