//! The client of the control API: HTTP over `<run>/control.sock`.

use std::path::PathBuf;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::HeaderValue;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;

use super::lines::LineBuffer;
use super::types::Refusal;
use super::{KEY_HEADER, KEY_VARIABLE};
use crate::ids::KeyName;

/// Why a request to `serve` came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody answers on the control socket.
    #[error("reach the server at `{socket}`; start it with `handover serve`", socket = socket.display())]
    Unreachable {
        /// The control socket.
        socket: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The server said no.
    #[error("{error}")]
    Refused {
        /// Its reason.
        error: String,
    },
    /// The conversation broke off.
    #[error("talk to the server")]
    Broken(#[source] hyper::Error),
    /// The answer is not what was asked for.
    #[error("understand the server's answer")]
    Answer(#[source] serde_json::Error),
}

/// A way to `serve`. Each request has a connection of its own.
#[derive(Debug, Clone)]
pub struct Client {
    socket: PathBuf,
    key: Option<HeaderValue>,
}

impl Client {
    /// A client for the control socket at `socket`. Nothing is connected yet.
    pub fn new(socket: PathBuf) -> Self {
        Self { socket, key: None }
    }

    /// A client that asks on behalf of a key, and may therefore do what that key may.
    pub fn for_key(socket: PathBuf, key: &KeyName) -> Self {
        let key = HeaderValue::from_str(key.as_str()).expect("names of keys are plain ASCII");
        Self {
            socket,
            key: Some(key),
        }
    }

    /// A client for what git runs: on behalf of the key that [`KEY_VARIABLE`] names, where git was started for one.
    pub fn for_hook(socket: PathBuf) -> Self {
        // What is not the name of a key is passed on, and refused there.
        let passed = |name: std::ffi::OsString| {
            HeaderValue::from_bytes(name.as_encoded_bytes())
                .unwrap_or(HeaderValue::from_static("?"))
        };
        Self {
            socket,
            key: std::env::var_os(KEY_VARIABLE).map(passed),
        }
    }

    /// Whether somebody answers on the control socket.
    pub async fn reaches(&self) -> bool {
        UnixStream::connect(&self.socket).await.is_ok()
    }

    /// Asks for something.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        read_json(self.send(Method::GET, path, &()).await?).await
    }

    /// Has something done.
    pub async fn call<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, ClientError> {
        read_json(self.send(method, path, body).await?).await
    }

    /// Has something done that is told line by line.
    pub async fn lines(
        &self,
        method: Method,
        path: &str,
        body: &impl Serialize,
    ) -> Result<Lines, ClientError> {
        let response = self.send(method, path, body).await?;
        Ok(Lines {
            body: response.into_body(),
            lines: LineBuffer::default(),
        })
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: &impl Serialize,
    ) -> Result<Response<Incoming>, ClientError> {
        let unreachable = |source| ClientError::Unreachable {
            socket: self.socket.clone(),
            source,
        };
        let stream = UnixStream::connect(&self.socket)
            .await
            .map_err(unreachable)?;
        let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
        let (mut sender, connection) = handshake.map_err(ClientError::Broken)?;
        tokio::spawn(connection);
        let json = serde_json::to_vec(body).expect("requests have only string keys");
        let mut request = Request::builder().method(method).uri(path);
        if let Some(key) = &self.key {
            request = request.header(KEY_HEADER, key);
        }
        let request = request
            .header("host", "handover")
            .header("content-type", "application/json")
            .body(Full::new(Bytes::from(json)))
            .expect("paths are made of checked names");
        let response = sender
            .send_request(request)
            .await
            .map_err(ClientError::Broken)?;
        if response.status().is_success() {
            Ok(response)
        } else {
            Err(refusal(response).await)
        }
    }
}

async fn read_json<T: DeserializeOwned>(response: Response<Incoming>) -> Result<T, ClientError> {
    let body = response
        .into_body()
        .collect()
        .await
        .map_err(ClientError::Broken)?
        .to_bytes();
    serde_json::from_slice(&body).map_err(ClientError::Answer)
}

async fn refusal(response: Response<Incoming>) -> ClientError {
    let status: StatusCode = response.status();
    match read_json::<Refusal>(response).await {
        Ok(refusal) => ClientError::Refused {
            error: refusal.error,
        },
        Err(_) => ClientError::Refused {
            error: format!("do that: the server answered {status}"),
        },
    }
}

/// An answer that comes line by line.
#[derive(Debug)]
pub struct Lines {
    body: Incoming,
    lines: LineBuffer,
}

impl Lines {
    /// The next line without its end, as soon as it is there; `None` at the end.
    ///
    /// Cancel-safe: a line is never lost when the future is dropped.
    pub async fn next(&mut self) -> Result<Option<String>, ClientError> {
        loop {
            if let Some(line) = self.lines.next_line() {
                return Ok(Some(line));
            }
            match self.body.frame().await {
                None => return Ok(None),
                Some(Err(error)) => return Err(ClientError::Broken(error)),
                Some(Ok(frame)) => {
                    self.lines
                        .take(frame.data_ref().map_or(&[][..], |data| data));
                }
            }
        }
    }

    /// The next line, as JSON.
    pub async fn next_json<T: DeserializeOwned>(&mut self) -> Result<Option<T>, ClientError> {
        let line = self.next().await?;
        line.map(|line| serde_json::from_str(&line).map_err(ClientError::Answer))
            .transpose()
    }
}
