//! Names and numbers, each checked once and then carried as a type of its own.
//!
//! A *release* is the built code of one commit, a *generation* one start of a release, an *instance* one process of
//! a generation, a *deploy* one run of the phases. Each is numbered per app from 1 (instances from 0).

mod hex;
mod webhook;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

pub use hex::hex;
pub use webhook::{Scheme, WebhookError, WebhookSecret, WebhookUrl};

/// What is wrong with a name or number that came from outside.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum IdError {
    /// The text is not an app name.
    #[error("`{0}` is not an app name: 1 to 31 of a-z, 0-9 and `-`, beginning with a letter")]
    App(String),
    /// The text is not a full commit id.
    #[error("`{0}` is not a commit id: 40 or 64 hexadecimal digits")]
    Commit(String),
    /// The text is not a host name that the front could route.
    #[error("`{0}` is not a host name")]
    Host(String),
    /// The text is not the name of a key.
    #[error(
        "`{0}` is not a name for a key: 1 to 64 of a-z, 0-9, `.`, `_`, `@` and `-`, beginning with a letter or digit"
    )]
    Key(String),
}

/// The name of an app: `^[a-z][a-z0-9-]{0,30}$`, safe in paths, host names, and on any terminal.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AppName(String);

impl AppName {
    /// The longest name, in bytes.
    pub const MAX_LEN: usize = 31;

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for AppName {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let rest_ok = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let begins_well = text.starts_with(|c: char| c.is_ascii_lowercase());
        if begins_well && text.len() <= Self::MAX_LEN && text.chars().all(rest_ok) {
            Ok(Self(text.to_owned()))
        } else {
            Err(IdError::App(text.escape_debug().to_string()))
        }
    }
}

/// The full id of a git commit, in lower-case hexadecimal (40 digits for SHA-1, 64 for SHA-256).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CommitId(String);

impl CommitId {
    /// The full id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first seven digits, as git shows them.
    pub fn short(&self) -> &str {
        &self.0[..7]
    }

    /// Whether this is git's null id, which stands for "no such ref" in what hooks are told.
    pub fn is_null(&self) -> bool {
        self.0.bytes().all(|b| b == b'0')
    }
}

impl FromStr for CommitId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let digits = text
            .bytes()
            .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        if digits && matches!(text.len(), 40 | 64) {
            Ok(Self(text.to_owned()))
        } else {
            Err(IdError::Commit(text.escape_debug().to_string()))
        }
    }
}

/// A host name that the front routes to an app: lower-case letters, digits, `-` and `.`, no port.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct HostName(String);

impl HostName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for HostName {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let lower = text.to_ascii_lowercase();
        let label_ok = |label: &str| {
            (1..=63).contains(&label.len())
                && label
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
                && !label.starts_with('-')
                && !label.ends_with('-')
        };
        if lower.len() <= 253 && lower.split('.').all(label_ok) {
            Ok(Self(lower))
        } else {
            Err(IdError::Host(text.escape_debug().to_string()))
        }
    }
}

/// The name under which an ssh key is known: `^[a-z0-9][a-z0-9._@-]{0,63}$`, safe in a shell's command and between quotes.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct KeyName(String);

impl KeyName {
    /// The longest name, in bytes.
    pub const MAX_LEN: usize = 64;

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for KeyName {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        let rest_ok = |c: char| plain(c) || matches!(c, '.' | '_' | '@' | '-');
        if text.starts_with(plain) && text.len() <= Self::MAX_LEN && text.chars().all(rest_ok) {
            Ok(Self(text.to_owned()))
        } else {
            Err(IdError::Key(text.escape_debug().to_string()))
        }
    }
}

macro_rules! text_conversions {
    ($($name:ident),*) => {$(
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdError;

            fn try_from(text: String) -> Result<Self, IdError> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.0
            }
        }
    )*};
}

text_conversions!(AppName, CommitId, HostName, KeyName);

macro_rules! number {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub u32);

        impl $name {
            /// The first number of its kind in an app.
            pub const FIRST: Self = Self(1);

            /// The number after this one.
            #[must_use]
            pub fn next(self) -> Self {
                Self(self.0 + 1)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = std::num::ParseIntError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.parse().map(Self)
            }
        }
    };
}

number! {
    /// The number of a release: the built code of one commit.
    ReleaseNumber
}
number! {
    /// The number of a generation: one start of a release. Never used again in an app.
    GenerationNumber
}
number! {
    /// The number of a deploy: one run of the phases.
    DeployNumber
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn app_names_follow_the_one_pattern() {
        for good in ["a", "shop", "shop-2", "a23456789012345678901234567890-"] {
            assert_eq!(good.parse::<AppName>().unwrap().as_str(), good);
        }
        for bad in [
            "",
            "2shop",
            "-shop",
            "Shop",
            "sh_op",
            "shop/..",
            "a234567890123456789012345678901x",
            "shöp",
            "a\n",
        ] {
            assert!(bad.parse::<AppName>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_bad_name_is_quoted_without_its_control_bytes() {
        let error = "a\u{1b}[31m".parse::<AppName>().unwrap_err();
        assert!(!error.to_string().contains('\u{1b}'));
    }

    #[test]
    fn commit_ids_are_full_and_lower_case() {
        let full = "0123456789abcdef0123456789abcdef01234567";
        assert_eq!(full.parse::<CommitId>().unwrap().short(), "0123456");
        assert!("0123456".parse::<CommitId>().is_err());
        assert!(full.to_uppercase().parse::<CommitId>().is_err());
        assert!("0".repeat(40).parse::<CommitId>().unwrap().is_null());
    }

    #[test]
    fn names_of_keys_mean_nothing_to_a_shell() {
        for good in ["a", "ada", "2", "ada@laptop", "ci.shop_2-x"] {
            assert_eq!(good.parse::<KeyName>().unwrap().as_str(), good);
        }
        for bad in [
            "", "-ada", "@", "Ada", "a b", "a\"", "a'", "a$", "a\n", "a/b", "ä",
        ] {
            assert!(bad.parse::<KeyName>().is_err(), "{bad:?}");
        }
        assert!("a".repeat(65).parse::<KeyName>().is_err());
    }

    #[test]
    fn host_names_are_lowered_and_carry_no_port() {
        assert_eq!(
            "Shop.Example.COM".parse::<HostName>().unwrap().as_str(),
            "shop.example.com"
        );
        for bad in ["", "a..b", "-a.b", "a.b:80", "a b", "*.b"] {
            assert!(bad.parse::<HostName>().is_err(), "{bad:?}");
        }
    }
}
