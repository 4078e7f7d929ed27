//! What can be set about an app from outside its repository; the field names are a contract.

use serde::{Deserialize, Serialize};

use crate::ids::{WebhookError, WebhookSecret, WebhookUrl};
pub use crate::state::LastDelivery;

/// The settings of an app.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AppSettings {
    /// Whether pushes wait for the deploy's verdict before the branch moves.
    pub gate: bool,
    /// Whether whoever pushes may force the branch with `-o force`.
    pub force: bool,
    /// Who is told how deploys end.
    pub webhook: Option<WebhookStatus>,
}

/// A webhook, and how it is.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct WebhookStatus {
    /// Where deliveries are posted to.
    pub url: WebhookUrl,
    /// What they are signed with.
    pub secret: WebhookSecret,
    /// How many deliveries wait.
    pub waiting: u32,
    /// How the last attempt went.
    pub last: Option<LastDelivery>,
}

/// A change of an app's settings. What is not named stays as it is.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChangeSettings {
    /// Whether pushes are to wait for the verdict.
    #[serde(default)]
    pub gate: Option<bool>,
    /// Whether pushes may force the branch.
    #[serde(default)]
    pub force: Option<bool>,
    /// Where the webhook is to be.
    #[serde(default)]
    pub webhook: Option<WebhookAt>,
    /// What deliveries are to be signed with; an empty text for a fresh secret of the server's.
    #[serde(default)]
    pub webhook_secret: Option<NewSecret>,
}

/// Settings that have been changed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ChangedSettings {
    /// As they are now.
    pub settings: AppSettings,
    /// How the event `ping` went, where the webhook was set.
    pub ping: Option<LastDelivery>,
}

/// Where a webhook is to be: a URL, or `off` (or nothing) for nowhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum WebhookAt {
    /// Nowhere.
    Off,
    /// There.
    Url(WebhookUrl),
}

impl TryFrom<String> for WebhookAt {
    type Error = WebhookError;

    fn try_from(text: String) -> Result<Self, WebhookError> {
        match text.as_str() {
            "" | "off" => Ok(Self::Off),
            _ => text.parse().map(Self::Url),
        }
    }
}

impl From<WebhookAt> for String {
    fn from(at: WebhookAt) -> String {
        match at {
            WebhookAt::Off => "off".to_owned(),
            WebhookAt::Url(url) => url.into(),
        }
    }
}

/// What deliveries are to be signed with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum NewSecret {
    /// A fresh one, made by the server.
    Fresh,
    /// This one.
    Given(WebhookSecret),
}

impl TryFrom<String> for NewSecret {
    type Error = WebhookError;

    fn try_from(text: String) -> Result<Self, WebhookError> {
        match text.as_str() {
            "" => Ok(Self::Fresh),
            _ => text.parse().map(Self::Given),
        }
    }
}

impl From<NewSecret> for String {
    fn from(secret: NewSecret) -> String {
        match secret {
            NewSecret::Fresh => String::new(),
            NewSecret::Given(secret) => secret.into(),
        }
    }
}
