//! One attempt to make a delivery: what is sent, and how it went.

use std::time::Instant;

use bytes::Bytes;
use http_body_util::Full;
use hyper::Request;
use hyper::header::{CONNECTION, CONTENT_TYPE, HOST, USER_AGENT};

use super::notice;
use super::post::{PostError, post};
use super::signature::sign;
use crate::ids::AppName;
use crate::state::{LastDelivery, NewDelivery, Webhook};
use crate::time::{Timestamp, Took, now};

/// How an attempt went.
#[derive(Debug)]
pub struct Attempt {
    /// The name of what had happened.
    pub event: String,
    /// When it was made.
    pub at: Timestamp,
    /// How long it took.
    pub took: Took,
    /// The status of the receiver's answer, if there was one.
    pub result: Result<u16, PostError>,
}

/// Tries once to reach a webhook, with the event `ping`. Fails where there are no random bytes for its id.
pub async fn ping(app: &AppName, to: &Webhook) -> std::io::Result<Attempt> {
    let NewDelivery { id, event, body } = notice::ping(app)?;
    Ok(Attempt::make(to, event, &id, body).await)
}

impl Attempt {
    /// Signs a delivery and posts it.
    pub(super) async fn make(to: &Webhook, event: &str, id: &str, body: String) -> Self {
        let (at, began) = (now(), Instant::now());
        let result = post(&to.url, request(to, event, id, at, body)).await;
        Self {
            event: event.to_owned(),
            at,
            took: Took(began.elapsed()),
            result,
        }
    }

    /// Whether the receiver has taken it.
    pub fn delivered(&self) -> bool {
        matches!(self.result, Ok(200..=299))
    }

    /// How it went, as people are told.
    pub fn text(&self) -> String {
        match &self.result {
            Ok(status @ 300..=399) => format!(
                "answered {status} in {}; redirects are not followed",
                self.took
            ),
            Ok(status) => format!("answered {status} in {}", self.took),
            Err(error) => error.to_string(),
        }
    }

    /// How it went, to be remembered.
    pub fn to_last(&self) -> LastDelivery {
        LastDelivery {
            event: self.event.clone(),
            at: self.at,
            delivered: self.delivered(),
            result: self.text(),
        }
    }
}

fn request(
    to: &Webhook,
    event: &str,
    id: &str,
    at: Timestamp,
    body: String,
) -> Request<Full<Bytes>> {
    const AGENT: &str = concat!("handover/", env!("CARGO_PKG_VERSION"));
    let seconds = at.as_second();
    Request::post(to.url.target())
        .header(HOST, to.url.authority())
        .header(USER_AGENT, AGENT)
        .header(CONTENT_TYPE, "application/json")
        .header(CONNECTION, "close")
        .header("x-handover-event", event)
        .header("x-handover-delivery", id)
        .header("x-handover-timestamp", seconds)
        .header("x-handover-signature", sign(&to.secret, seconds, &body))
        .body(Full::new(Bytes::from(body)))
        .expect("URLs, event names and ids are of plain characters")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attempt(result: Result<u16, PostError>) -> Attempt {
        Attempt {
            event: "live".into(),
            at: now(),
            took: Took(std::time::Duration::from_millis(31)),
            result,
        }
    }

    #[test]
    fn the_words_say_what_the_receiver_did() {
        assert_eq!(attempt(Ok(200)).text(), "answered 200 in 31 ms");
        let moved = attempt(Ok(302));
        assert!(moved.text().ends_with("redirects are not followed"));
        assert!(!moved.delivered());
        let silent = attempt(Err(PostError::TooSlow));
        assert_eq!(silent.text(), "no answer within 10 s");
    }
}
