//! One `POST`, on a connection of its own, without following redirects.

use std::io;
use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::{Either, select};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::rt::{Read, Write};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::tls;
use crate::ids::{Scheme, WebhookUrl};

/// How long a receiver may take, from the first look at its name to its answer.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);
/// How long, and how much, an answer's body is read: only so that the receiver can send it in peace.
const BODY_PATIENCE: Duration = Duration::from_secs(1);
const BODY_MAX: usize = 64 * 1024;

/// Why there was no answer. None of these names the URL, which may hold secrets.
#[derive(Debug, thiserror::Error)]
pub enum PostError {
    /// It took too long.
    #[error("no answer within {} s", PATIENCE.as_secs())]
    TooSlow,
    /// The host is unknown, or nobody listens.
    #[error("connect: {0}")]
    Connect(#[source] io::Error),
    /// The host is none that a certificate can be for.
    #[error("the host's name can't be in a certificate")]
    HostName,
    /// No certificate authority is known.
    #[error("this machine trusts no certificate authority; install the package ca-certificates")]
    NobodyTrusted,
    /// The receiver is not who it should be, or speaks no TLS that we do.
    #[error("TLS: {}", tls::words(.0))]
    Tls(#[source] io::Error),
    /// The conversation broke off.
    #[error("the connection broke off: {0}")]
    Broken(#[source] hyper::Error),
}

/// Posts a request to a receiver; the status of its answer.
pub(super) async fn post(
    url: &WebhookUrl,
    request: Request<Full<Bytes>>,
) -> Result<u16, PostError> {
    timeout(PATIENCE, talk(url, request))
        .await
        .unwrap_or(Err(PostError::TooSlow))
}

async fn talk(url: &WebhookUrl, request: Request<Full<Bytes>>) -> Result<u16, PostError> {
    let host = url.host();
    let tcp = TcpStream::connect((host.as_str(), url.port()))
        .await
        .map_err(PostError::Connect)?;
    match url.scheme() {
        Scheme::Http => exchange(TokioIo::new(tcp), request).await,
        Scheme::Https => {
            let secret = tls::connect(&host, tcp).await?;
            exchange(TokioIo::new(secret), request).await
        }
    }
}

async fn exchange(
    io: impl Read + Write + Unpin,
    request: Request<Full<Bytes>>,
) -> Result<u16, PostError> {
    let (sender, connection) = handshake(io).await.map_err(PostError::Broken)?;
    let answer = pin!(ask(sender, request));
    match select(answer, pin!(connection)).await {
        Either::Left((answer, _)) => answer,
        // The connection has ended; what was answered before is there already.
        Either::Right((_, answer)) => answer.await,
    }
}

async fn ask(
    mut sender: SendRequest<Full<Bytes>>,
    request: Request<Full<Bytes>>,
) -> Result<u16, PostError> {
    let response: Response<Incoming> = sender
        .send_request(request)
        .await
        .map_err(PostError::Broken)?;
    let status = response.status().as_u16();
    let body = Limited::new(response.into_body(), BODY_MAX).collect();
    // The status is the answer, whatever becomes of the body.
    let _ = timeout(BODY_PATIENCE, body).await;
    Ok(status)
}
