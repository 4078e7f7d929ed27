//! The keys of `handover app set`, and what their values mean. Pure.

use std::fmt;
use std::str::FromStr;

use crate::control::types::{ChangeSettings, NewSecret, WebhookAt};

/// What can be set about an app.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    /// Whether pushes wait for the verdict.
    Gate,
    /// Whether pushes may force the branch.
    Force,
    /// Who is told how deploys end.
    Webhook,
    /// What the webhook's deliveries are signed with.
    WebhookSecret,
}

impl Key {
    /// All of them, in the order in which they are shown.
    pub(super) const ALL: [Self; 4] = [Self::Gate, Self::Force, Self::Webhook, Self::WebhookSecret];

    /// The name as it is typed.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Gate => "gate",
            Self::Force => "force",
            Self::Webhook => "webhook",
            Self::WebhookSecret => "webhook-secret",
        }
    }

    /// What it is for, and what it can be.
    pub(super) fn purpose(self) -> &'static str {
        match self {
            Self::Gate => {
                "on or off: a push waits for the verdict before the branch moves (default on)"
            }
            Self::Force => {
                "on or off: whoever pushes may force the branch with -o force (default off)"
            }
            Self::Webhook => {
                "URL or off: is told when a deploy ends live or failed, or is swapped back (default off)"
            }
            Self::WebhookSecret => {
                "text: what signs the webhook's deliveries (default: made by the server)"
            }
        }
    }

    /// The change that gives it this value. The error says what would be right.
    pub(super) fn to(self, value: &str) -> Result<ChangeSettings, String> {
        if value.is_empty() {
            return Ok(self.away());
        }
        let wrong = |why: String| format!("set `{self}`: {why}");
        let mut change = ChangeSettings::default();
        match self {
            Self::Gate => change.gate = Some(switch(value).map_err(wrong)?),
            Self::Force => change.force = Some(switch(value).map_err(wrong)?),
            Self::Webhook => {
                let at = WebhookAt::try_from(value.to_owned());
                change.webhook = Some(at.map_err(|error| wrong(error.to_string()))?);
            }
            Self::WebhookSecret => {
                let secret = NewSecret::try_from(value.to_owned());
                change.webhook_secret = Some(secret.map_err(|error| wrong(error.to_string()))?);
            }
        }
        Ok(change)
    }

    /// The change that takes it back to its default.
    pub(super) fn away(self) -> ChangeSettings {
        let mut change = ChangeSettings::default();
        match self {
            Self::Gate => change.gate = Some(true),
            Self::Force => change.force = Some(false),
            Self::Webhook => change.webhook = Some(WebhookAt::Off),
            Self::WebhookSecret => change.webhook_secret = Some(NewSecret::Fresh),
        }
        change
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Key {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|key| key.name() == text);
        found.ok_or_else(|| {
            let all = Self::ALL.map(|key| format!("\n  {key:<16}{}", key.purpose()));
            format!("there is no such key; there are:{}", all.concat())
        })
    }
}

fn switch(value: &str) -> Result<bool, String> {
    match value {
        "on" => Ok(true),
        "off" => Ok(false),
        other => Err(format!("`{}` is neither on nor off", other.escape_debug())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_key_is_answered_with_all_there_are() {
        let error = "gates".parse::<Key>().unwrap_err();
        for key in Key::ALL {
            assert!(error.contains(key.name()) && error.contains(key.purpose()));
            assert_eq!(key.name().parse(), Ok(key));
        }
    }

    #[test]
    fn a_wrong_value_is_answered_with_what_would_be_right() {
        for (key, value, right) in [
            (Key::Gate, "yes", "neither on nor off"),
            (Key::Force, "ON", "neither on nor off"),
            (Key::Webhook, "hooks.example.com", "https://"),
            (Key::WebhookSecret, "short", "16 to 256"),
        ] {
            let error = key.to(value).unwrap_err();
            assert!(error.contains(right), "{error}");
            assert!(error.starts_with(&format!("set `{key}`: ")), "{error}");
        }
    }

    #[test]
    fn an_empty_value_takes_a_setting_away() {
        assert_eq!(Key::Gate.to("").unwrap().gate, Some(true));
        assert_eq!(Key::Force.to("").unwrap().force, Some(false));
        let webhook = Key::Webhook.to("").unwrap().webhook;
        assert_eq!(webhook, Some(WebhookAt::Off));
        assert_eq!(Key::Webhook.to("off").unwrap().webhook, webhook);
        let secret = Key::WebhookSecret.to("").unwrap().webhook_secret;
        assert_eq!(secret, Some(NewSecret::Fresh));
    }
}
