//! What can be typed about keys.

use clap::{Args, Subcommand};

use crate::ids::{AppName, KeyName};

/// Keys.
#[derive(Debug, Args)]
pub struct Keys {
    /// What to do (default: list)
    #[command(subcommand)]
    pub verb: Option<KeysVerb>,
    /// Print JSON
    #[arg(long, global = true)]
    pub json: bool,
}

/// What can be done about keys.
#[derive(Debug, Subcommand)]
pub enum KeysVerb {
    /// Let a key in: `handover keys add ada --app shop < id_ed25519.pub`
    Add(AddKey),
    /// List the keys
    List,
    /// Let a key in no longer
    Remove {
        /// Its name
        name: KeyName,
    },
    /// Print lines for sshd's `AuthorizedKeysCommand` (its arguments: %u %t %k)
    Authorized(Authorized),
}

/// A key to be added; the line of its .pub file comes on standard input.
#[derive(Debug, Args)]
pub struct AddKey {
    /// A name for it: a-z, 0-9, `.`, `_`, `@` and `-`, beginning with a letter or digit
    pub name: KeyName,
    /// An app that it may push to and run; may be given more than once (default: every app, and the keys)
    #[arg(long = "app", value_name = "APP")]
    pub apps: Vec<AppName>,
    /// Let it only read these apps: status, logs, code
    #[arg(long, requires = "apps")]
    pub read: bool,
}

/// Which lines.
#[derive(Debug, Args)]
pub struct Authorized {
    /// The user that somebody logs in as: none but the server's own has lines
    pub user: Option<String>,
    /// The type of the key that is offered
    #[arg(requires = "base64")]
    pub kind: Option<String>,
    /// The key that is offered
    pub base64: Option<String>,
}
