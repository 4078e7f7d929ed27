//! Forms of answers: JSON, lines of JSON, and refusals.

use std::sync::Arc;

use axum::Json;
use axum::body::{Body, Bytes};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream;

use super::keyring::KeyringError;
use crate::control::types::{Line, Refusal};
use crate::deploy::fleet::FleetError;
use crate::deploy::journal::Journal;
use crate::report::with_causes;
use crate::state::StateError;

/// A request that is not met.
#[derive(Debug)]
pub(super) struct Refused {
    status: StatusCode,
    error: String,
}

impl Refused {
    pub(super) fn stranger() -> Self {
        Self::denied("do that: the server talks only to the user it runs as, and to root")
    }

    pub(super) fn denied(error: impl Into<String>) -> Self {
        Self {
            status: StatusCode::FORBIDDEN,
            error: error.into(),
        }
    }

    pub(super) fn not_found(error: impl Into<String>) -> Self {
        Self {
            status: StatusCode::NOT_FOUND,
            error: error.into(),
        }
    }

    pub(super) fn internal(error: &dyn std::error::Error) -> Self {
        Self {
            status: StatusCode::INTERNAL_SERVER_ERROR,
            error: with_causes(error),
        }
    }
}

impl From<FleetError> for Refused {
    fn from(error: FleetError) -> Self {
        let status = match &error {
            FleetError::State(StateError::NoApp(_)) => StatusCode::NOT_FOUND,
            FleetError::State(StateError::AppExists(_) | StateError::HostTaken { .. })
            | FleetError::NoWebhook(_)
            | FleetError::LeftOver { .. } => StatusCode::CONFLICT,
            FleetError::Path(_)
            | FleetError::Hooks(_)
            | FleetError::Group { .. }
            | FleetError::NoGate(_)
            | FleetError::Git(_) => StatusCode::UNPROCESSABLE_ENTITY,
            FleetError::State(_)
            | FleetError::Slot(_)
            | FleetError::Store(_)
            | FleetError::Directory { .. }
            | FleetError::Scale { .. }
            | FleetError::Spec { .. }
            | FleetError::Random(_)
            | FleetError::BeingStopped(_) => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self {
            status,
            error: with_causes(&error),
        }
    }
}

impl From<KeyringError> for Refused {
    fn from(error: KeyringError) -> Self {
        let status = match &error {
            KeyringError::State(StateError::NoApp(_) | StateError::NoKey(_)) => {
                StatusCode::NOT_FOUND
            }
            KeyringError::State(StateError::KeyExists(_) | StateError::KeyKnown { .. })
            | KeyringError::LetIn { .. } => StatusCode::CONFLICT,
            KeyringError::Key(_) | KeyringError::Grant => StatusCode::UNPROCESSABLE_ENTITY,
            KeyringError::State(_) | KeyringError::Lines { .. } | KeyringError::File { .. } => {
                StatusCode::INTERNAL_SERVER_ERROR
            }
        };
        Self {
            status,
            error: with_causes(&error),
        }
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        (self.status, Json(Refusal { error: self.error })).into_response()
    }
}

/// An answer of lines that come as they come.
pub(super) fn lines(lines: impl futures_util::Stream<Item = String> + Send + 'static) -> Response {
    use futures_util::StreamExt;
    let body =
        Body::from_stream(lines.map(|line| Ok::<_, std::convert::Infallible>(Bytes::from(line))));
    ([(header::CONTENT_TYPE, "application/x-ndjson")], body).into_response()
}

/// First these lines, then what a journal tells until its deploy has ended.
pub(super) fn journal_lines(first: Vec<Line>, journal: Option<&Arc<Journal>>) -> Response {
    let first = first.into_iter().map(|line| as_json(&line));
    let follower = journal.map(Journal::follow);
    let rest = stream::unfold(follower, |follower| async {
        let mut follower = follower?;
        let line = follower.next().await?;
        Some((line, Some(follower)))
    });
    lines(futures_util::StreamExt::chain(stream::iter(first), rest))
}

fn as_json(line: &Line) -> String {
    let mut json = serde_json::to_string(line).expect("lines have only string keys");
    json.push('\n');
    json
}
