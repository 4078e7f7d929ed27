//! The keys that are let in: the database says which, and the file that sshd reads is made from it.
//!
//! A key that is taken away is first forgotten, then taken out of the file: from the first moment on it may do nothing,
//! even while sshd still lets it in. A key that is added is first remembered; where the file can't be written it is
//! forgotten again.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::Mutex;

use crate::access::authorized::{self, AuthorizedError, ForcedCommand};
use crate::access::{Grant, KeyError, PublicKey};
use crate::deploy::site::Site;
use crate::ids::KeyName;
use crate::process::{blocking, files};
use crate::state::{Key, StateError};

/// For nobody but the user that it lets in.
const MODE: u32 = 0o600;

/// Why keys can't be changed.
#[derive(Debug, thiserror::Error)]
pub enum KeyringError {
    /// The database.
    #[error(transparent)]
    State(#[from] StateError),
    /// The text is no key that can be taken.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// Neither an admin's key nor one for some apps, or both.
    #[error("add the key: it must be for some apps, or for all, and not for both")]
    Grant,
    /// The file lets the same key in by a line that is not handover's, without handover's limits.
    #[error("add the key: `{path}` lets it in already by a line of its own; remove that line first", path = path.display())]
    LetIn {
        /// The file.
        path: PathBuf,
    },
    /// The lines can't be written.
    #[error("write `{path}`", path = path.display())]
    Lines {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: AuthorizedError,
    },
    /// The file can't be read or written.
    #[error("{doing} `{path}`", path = path.display())]
    File {
        /// What was attempted.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// The keys of an installation.
#[derive(Debug)]
pub struct Keyring {
    site: Arc<Site>,
    /// One change at a time, so that the file is never older than the database.
    changing: Mutex<()>,
}

impl Keyring {
    /// The keys that the database holds. Nothing is written yet.
    pub fn new(site: Arc<Site>) -> Self {
        Self {
            site,
            changing: Mutex::default(),
        }
    }

    /// Makes the file say what the database says.
    pub async fn write(&self) -> Result<(), KeyringError> {
        let _alone = self.changing.lock().await;
        self.write_alone().await
    }

    /// Adds a key, from the line of its `.pub` file.
    pub(super) async fn add(
        &self,
        name: KeyName,
        key: &str,
        grant: Grant,
    ) -> Result<Key, KeyringError> {
        let key: PublicKey = key.parse()?;
        if grant == Grant::Apps([].into()) {
            return Err(KeyringError::Grant);
        }
        let _alone = self.changing.lock().await;
        self.refuse_let_in(&key)?;
        let (named, granted) = (name.clone(), grant);
        let add = move |database: &crate::state::Database| {
            database.add_key(&named, &key, &granted)?;
            database.key(&named)
        };
        let added = self.site.database.run(add).await?;
        if let Err(error) = self.write_alone().await {
            let forget = move |database: &crate::state::Database| database.remove_key(&name);
            self.site.database.run(forget).await?;
            return Err(error);
        }
        Ok(added)
    }

    /// Takes a key away.
    pub(super) async fn remove(&self, name: KeyName) -> Result<(), KeyringError> {
        let _alone = self.changing.lock().await;
        let forget = move |database: &crate::state::Database| database.remove_key(&name);
        self.site.database.run(forget).await?;
        self.write_alone().await
    }

    /// All keys, by name.
    pub(super) async fn keys(&self) -> Result<Vec<Key>, KeyringError> {
        Ok(self.site.database.run(crate::state::Database::keys).await?)
    }

    /// One key.
    pub(super) async fn key(&self, name: KeyName) -> Result<Key, KeyringError> {
        let read = move |database: &crate::state::Database| database.key(&name);
        Ok(self.site.database.run(read).await?)
    }

    /// Remembers that a key has just been used.
    pub(super) async fn used(&self, name: KeyName) -> Result<(), KeyringError> {
        let note = move |database: &crate::state::Database| database.key_used(&name);
        Ok(self.site.database.run(note).await?)
    }

    /// The lines that let the keys in.
    pub(super) async fn lines(&self) -> Result<Vec<String>, KeyringError> {
        let failed = |source| KeyringError::Lines {
            path: self.path(),
            source,
        };
        let control = self.site.layout.control_socket();
        let command = ForcedCommand::new(&self.site.executable, &control).map_err(failed)?;
        let keys = self.keys().await?;
        Ok(keys
            .iter()
            .map(|key| command.line(&key.name, &key.key))
            .collect())
    }

    async fn write_alone(&self) -> Result<(), KeyringError> {
        let (path, lines) = (self.path(), self.lines().await?);
        blocking(move || write_block(&path, &lines)).await
    }

    /// sshd takes the first line that a key fits: one that is not ours would let the key in without our limits.
    fn refuse_let_in(&self, key: &PublicKey) -> Result<(), KeyringError> {
        let path = self.path();
        let text = read(&path)?;
        let foreign = authorized::foreign_lines(&text).map_err(lines_error(&path))?;
        let key = key.to_string();
        let numbers = key.split(' ').nth(1).unwrap_or_default();
        if foreign.iter().any(|line| line.contains(numbers)) {
            return Err(KeyringError::LetIn { path });
        }
        Ok(())
    }

    fn path(&self) -> PathBuf {
        let set = self.site.settings.borrow().authorized_keys.clone();
        set.unwrap_or_else(|| self.site.layout.authorized_keys())
    }
}

fn write_block(path: &Path, lines: &[String]) -> Result<(), KeyringError> {
    let before = read(path)?;
    let after = authorized::replace_block(&before, lines).map_err(lines_error(path))?;
    if after == before {
        return Ok(());
    }
    files::replace(path, after.as_bytes(), MODE).map_err(|source| KeyringError::File {
        doing: "write",
        path: path.to_owned(),
        source,
    })
}

/// A file that is not there has no lines.
fn read(path: &Path) -> Result<String, KeyringError> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(text),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        Err(source) => Err(KeyringError::File {
            doing: "read",
            path: path.to_owned(),
            source,
        }),
    }
}

fn lines_error(path: &Path) -> impl FnOnce(AuthorizedError) -> KeyringError {
    let path = path.to_owned();
    move |source| KeyringError::Lines { path, source }
}
