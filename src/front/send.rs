//! One request over one connection, until the header of the answer is there.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::client::conn::http1::SendRequest;
use hyper::{Request, Response};
use tokio::time::Instant;

use super::flow::{Flow, RequestBody};
use super::upstream::Upstream;

/// How long an app may take to say whether it wants an announced body, before the body is sent without its leave:
/// programs that know nothing of `Expect` would wait for the body, and the client for them.
const LEAVE_MAX: Duration = Duration::from_secs(1);

/// An answer whose body is still to come, over this connection.
pub(super) struct Answered {
    pub(super) response: Response<Incoming>,
    pub(super) upstream: Upstream,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum SendError {
    /// The connection was closed before a byte was written. The request can be sent over another.
    #[error("send the request: the connection was closed before")]
    NotSent(Box<Request<RequestBody>>),
    /// The connection ended after some of the request was written and before the answer's header was complete.
    #[error("get an answer")]
    NoAnswer(#[source] hyper::Error),
    /// The app's answer is not one that can be passed on.
    #[error("pass the answer on: {0}")]
    BadAnswer(&'static str),
    /// The whole request was sent, and there was no answer in time.
    #[error("get an answer in time")]
    TooSlow,
    /// The client sent nothing for as long as an app may take to answer.
    #[error("get the rest of the request in time")]
    StalledUpload,
}

/// Sends, and waits for the answer's header for `patience`, counted from the last part of the request that moved: a
/// slow upload may take as long as it likes while it moves.
pub(super) async fn send(
    mut upstream: Upstream,
    request: Request<RequestBody>,
    flow: Option<&Arc<Flow>>,
    patience: Duration,
) -> Result<Answered, SendError> {
    let response = match flow {
        None => {
            let answer = attempt(&mut upstream.sender, request);
            let answer = tokio::time::timeout(patience, answer).await;
            answer.unwrap_or(Err(SendError::TooSlow))?
        }
        Some(flow) => with_flow(attempt(&mut upstream.sender, request), flow, patience).await?,
    };
    Ok(Answered { response, upstream })
}

async fn attempt(
    sender: &mut SendRequest<RequestBody>,
    request: Request<RequestBody>,
) -> Result<Response<Incoming>, SendError> {
    sender
        .try_send_request(request)
        .await
        .map_err(|mut error| match error.take_message() {
            Some(request) => SendError::NotSent(Box::new(request)),
            None => SendError::NoAnswer(error.into_error()),
        })
}

async fn with_flow(
    answer: impl Future<Output = Result<Response<Incoming>, SendError>>,
    flow: &Flow,
    patience: Duration,
) -> Result<Response<Incoming>, SendError> {
    let mut answer = pin!(answer);
    if flow.is_gated() {
        if let Ok(answer) = tokio::time::timeout(LEAVE_MAX, &mut answer).await {
            return answer;
        }
        flow.open();
    }
    loop {
        let deadline = flow.moved() + patience;
        if let Ok(answer) = tokio::time::timeout_at(deadline, &mut answer).await {
            return answer;
        }
        if flow.moved() + patience <= Instant::now() {
            return Err(if flow.has_ended() {
                SendError::TooSlow
            } else {
                SendError::StalledUpload
            });
        }
    }
}
