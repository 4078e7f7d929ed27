//! Where an app's webhook is, and the secret that its deliveries are signed with.

use std::fmt;
use std::str::FromStr;

use hyper::Uri;
use serde::{Deserialize, Serialize};

/// What is wrong with a webhook's URL or secret. The value itself is not repeated: it may hold a password.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum WebhookError {
    /// It is not an absolute URL of HTTP.
    #[error(
        "this is not a URL that begins with http:// or https://; write one as https://hooks.example.com/deploys"
    )]
    NotHttp,
    /// It is too long.
    #[error("a URL of more than {} bytes is too long", WebhookUrl::MAX_LEN)]
    TooLong,
    /// It has characters that a URL can't have.
    #[error(
        "a URL has no blanks and only ASCII characters; write others as %20 and the like, and a host name in its xn-- form"
    )]
    Characters,
    /// It has a user name or password in it.
    #[error(
        "a user name or password in the URL is not sent; leave it out: the signature tells the receiver who is calling"
    )]
    Credentials,
    /// It has a fragment.
    #[error("what follows `#` is never sent; leave it out")]
    Fragment,
    /// It is not a usable secret.
    #[error("a secret has 16 to 256 ASCII characters and no blanks")]
    Secret,
}

/// The URL of a webhook: absolute, `http` or `https`, without credentials and fragment.
///
/// Shows itself without its query, where tokens often are.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct WebhookUrl(String);

/// How a URL is talked to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// Without encryption.
    Http,
    /// With TLS.
    Https,
}

impl WebhookUrl {
    /// The longest URL, in bytes.
    pub const MAX_LEN: usize = 2000;

    /// The whole URL.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// How it is talked to.
    pub fn scheme(&self) -> Scheme {
        if self.uri().scheme_str() == Some("https") {
            Scheme::Https
        } else {
            Scheme::Http
        }
    }

    /// The host to connect to: a name or an address, an IPv6 address without its brackets.
    pub fn host(&self) -> String {
        let uri = self.uri();
        let host = uri.host().unwrap_or_default();
        host.trim_start_matches('[')
            .trim_end_matches(']')
            .to_owned()
    }

    /// The port to connect to.
    pub fn port(&self) -> u16 {
        let default = match self.scheme() {
            Scheme::Http => 80,
            Scheme::Https => 443,
        };
        self.uri().port_u16().unwrap_or(default)
    }

    /// What the `Host` field says: the host, with the port where the URL names one.
    pub fn authority(&self) -> String {
        let uri = self.uri();
        uri.authority()
            .map_or_else(String::new, |authority| authority.as_str().to_owned())
    }

    /// What is asked for: path and query.
    pub fn target(&self) -> String {
        let uri = self.uri();
        let target = uri.path_and_query().map_or("/", |target| target.as_str());
        // A URL may leave out the `/`, a request can't.
        if target.starts_with('/') {
            target.to_owned()
        } else {
            format!("/{target}")
        }
    }

    fn uri(&self) -> Uri {
        self.0.parse().expect("it was parsed when it was made")
    }
}

impl FromStr for WebhookUrl {
    type Err = WebhookError;

    fn from_str(text: &str) -> Result<Self, WebhookError> {
        if text.len() > Self::MAX_LEN {
            return Err(WebhookError::TooLong);
        }
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(WebhookError::Characters);
        }
        if text.contains('#') {
            return Err(WebhookError::Fragment);
        }
        let uri: Uri = text.parse().map_err(|_| WebhookError::NotHttp)?;
        let (Some("http" | "https"), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
            return Err(WebhookError::NotHttp);
        };
        if authority.as_str().contains('@') {
            return Err(WebhookError::Credentials);
        }
        // The parser takes any digits for a port.
        let port = authority.as_str().strip_prefix(authority.host());
        let port_fits = match port.map(|rest| rest.strip_prefix(':').unwrap_or(rest)) {
            Some("") => true,
            Some(digits) => digits.parse::<u16>().is_ok_and(|port| port > 0),
            None => false,
        };
        if authority.host().is_empty() || !port_fits {
            return Err(WebhookError::NotHttp);
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for WebhookUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.split_once('?') {
            Some((before, _)) => write!(f, "{before}?…"),
            None => f.write_str(&self.0),
        }
    }
}

/// Only the host: paths, too, may be secrets.
impl fmt::Debug for WebhookUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WebhookUrl({}…)", self.authority())
    }
}

impl TryFrom<String> for WebhookUrl {
    type Error = WebhookError;

    fn try_from(text: String) -> Result<Self, WebhookError> {
        text.parse()
    }
}

impl From<WebhookUrl> for String {
    fn from(url: WebhookUrl) -> String {
        url.0
    }
}

/// The secret that deliveries are signed with. Its text as it stands is the key. Not shown by `Debug`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct WebhookSecret(String);

impl WebhookSecret {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for WebhookSecret {
    type Err = WebhookError;

    fn from_str(text: &str) -> Result<Self, WebhookError> {
        let plain = text.bytes().all(|byte| byte.is_ascii_graphic());
        if plain && (16..=256).contains(&text.len()) {
            Ok(Self(text.to_owned()))
        } else {
            Err(WebhookError::Secret)
        }
    }
}

impl fmt::Debug for WebhookSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WebhookSecret(…)")
    }
}

impl TryFrom<String> for WebhookSecret {
    type Error = WebhookError;

    fn try_from(text: String) -> Result<Self, WebhookError> {
        text.parse()
    }
}

impl From<WebhookSecret> for String {
    fn from(secret: WebhookSecret) -> String {
        secret.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> WebhookUrl {
        text.parse().unwrap()
    }

    #[test]
    fn a_url_falls_into_what_a_request_needs() {
        let full = url("https://hooks.example.com:8443/a/b?token=x");
        assert_eq!(
            (full.scheme(), full.host().as_str(), full.port()),
            (Scheme::Https, "hooks.example.com", 8443)
        );
        assert_eq!(full.authority(), "hooks.example.com:8443");
        assert_eq!(full.target(), "/a/b?token=x");
        let bare = url("http://[::1]");
        assert_eq!(
            (bare.scheme(), bare.host().as_str(), bare.port()),
            (Scheme::Http, "::1", 80)
        );
        assert_eq!(
            (bare.authority().as_str(), bare.target().as_str()),
            ("[::1]", "/")
        );
        assert_eq!(url("https://a.example?x=1").target(), "/?x=1");
    }

    #[test]
    fn what_is_no_webhook_is_refused() {
        let long = format!("https://a.example/{}", "x".repeat(2000));
        for (text, error) in [
            ("", WebhookError::NotHttp),
            ("hooks.example.com", WebhookError::NotHttp),
            ("/hooks", WebhookError::NotHttp),
            ("ftp://a.example/", WebhookError::NotHttp),
            ("https://", WebhookError::NotHttp),
            ("http://a.example:0/", WebhookError::NotHttp),
            ("http://a.example:99999/", WebhookError::NotHttp),
            ("http://a.example:http/", WebhookError::NotHttp),
            ("https://a.example/\r\nX: y", WebhookError::Characters),
            ("https://müsli.example/", WebhookError::Characters),
            ("https://ada:secret@a.example/", WebhookError::Credentials),
            ("https://a.example/#x", WebhookError::Fragment),
            (long.as_str(), WebhookError::TooLong),
        ] {
            assert_eq!(text.parse::<WebhookUrl>(), Err(error), "{text:?}");
        }
    }

    #[test]
    fn neither_tokens_nor_secrets_are_shown_by_chance() {
        let url = url("https://a.example/hook/T0KEN?token=T0KEN");
        assert_eq!(url.to_string(), "https://a.example/hook/T0KEN?…");
        assert!(!format!("{url:?}").contains("T0KEN"));
        let secret: WebhookSecret = "0123456789abcdef".parse().unwrap();
        assert!(!format!("{secret:?}").contains("0123"));
        assert!("short".parse::<WebhookSecret>().is_err());
        assert!("a secret with blanks".parse::<WebhookSecret>().is_err());
    }
}
