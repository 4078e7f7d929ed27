//! What a key is granted.

use std::collections::BTreeMap;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::ids::AppName;

/// How much of an app a key is granted. The greater holds the lesser.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// To see how it is, its logs and its code.
    Read,
    /// To push to it and to run it, too.
    Push,
}

impl Level {
    /// The name as it is stored.
    pub fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Push => "push",
        }
    }
}

impl FromStr for Level {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        [Self::Read, Self::Push]
            .into_iter()
            .find(|level| level.name() == text)
            .ok_or_else(|| format!("`{text}` is not a level"))
    }
}

/// What a key is granted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Grant {
    /// All apps, those to come among them, and the server's own affairs.
    Admin,
    /// These apps and nothing else.
    Apps(BTreeMap<AppName, Level>),
}

impl Grant {
    /// How much of an app is granted, if anything is.
    pub fn level(&self, app: &AppName) -> Option<Level> {
        match self {
            Self::Admin => Some(Level::Push),
            Self::Apps(apps) => apps.get(app).copied(),
        }
    }
}
