//! The front's control socket from the outside, as `serve` uses it.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::net::UnixStream;

use super::protocol::{FrontStatus, Reply, Request, Route};
use super::wire::{Wire, WireError};
use crate::ids::AppName;

/// Why the front could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody answers at the socket: `NotFound` or `ConnectionRefused` when there is no front.
    #[error("connect to the front at `{path}`", path = path.display())]
    Connect {
        /// The control socket.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The conversation broke.
    #[error("talk to the front")]
    Wire(#[from] WireError),
    /// The front ended, or closed the connection, without a reply.
    #[error("get a reply from the front: it closed the connection")]
    Closed,
    /// The front said no.
    #[error("have the front do this: {0}")]
    Refused(String),
    /// The reply is to another question.
    #[error("understand the front: it replied {0:?}")]
    Unexpected(Box<Reply>),
}

/// A connection to a running front. Each method returns when what it asks for has happened.
#[derive(Debug)]
pub struct FrontClient {
    wire: Wire,
}

impl FrontClient {
    /// Connects to the control socket (`<run>/front.sock`).
    pub async fn connect(path: &Path) -> Result<Self, ClientError> {
        let stream = UnixStream::connect(path)
            .await
            .map_err(|source| ClientError::Connect {
                path: path.to_owned(),
                source,
            })?;
        Ok(Self {
            wire: Wire::new(stream),
        })
    }

    /// Replaces the whole routing table. After the first one the front accepts connections.
    pub async fn routes(&mut self, routes: Vec<Route>) -> Result<(), ClientError> {
        self.ask_for_done(&Request::Routes { routes }).await
    }

    /// Tells that an app's `live.sock` leads somewhere else now. On return, no idle connection leads to what was live
    /// before.
    pub async fn published(&mut self, app: &AppName) -> Result<(), ClientError> {
        let app = app.clone();
        self.ask_for_done(&Request::Published { app }).await
    }

    /// Asks who the front is and how much it has open.
    pub async fn status(&mut self) -> Result<FrontStatus, ClientError> {
        match self.ask(&Request::Status).await? {
            Reply::Status(status) => Ok(status),
            other => Err(ClientError::Unexpected(Box::new(other))),
        }
    }

    /// Takes over the listening sockets: the same open files that the front accepts from, so that whoever holds them
    /// keeps waiting connections alive when the front ends, and can start another front with them.
    pub async fn listeners(&mut self) -> Result<Vec<TcpListener>, ClientError> {
        let reply = self.ask(&Request::Listeners).await?;
        let descriptors = self.wire.take_descriptors();
        match reply {
            Reply::Listeners { count } if count == descriptors.len() => {
                Ok(descriptors.into_iter().map(TcpListener::from).collect())
            }
            other => Err(ClientError::Unexpected(Box::new(other))),
        }
    }

    /// Makes the front stop accepting; on return it has, and its control socket is free for another front. It exits
    /// by itself when what is in flight has ended, after `limit` at the latest.
    pub async fn drain(&mut self, limit: Duration) -> Result<(), ClientError> {
        let limit_ms = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
        self.ask_for_done(&Request::Drain { limit_ms }).await
    }

    async fn ask_for_done(&mut self, request: &Request) -> Result<(), ClientError> {
        match self.ask(request).await? {
            Reply::Done => Ok(()),
            other => Err(ClientError::Unexpected(Box::new(other))),
        }
    }

    async fn ask(&mut self, request: &Request) -> Result<Reply, ClientError> {
        self.wire.send(request, &[]).await?;
        match self.wire.receive().await? {
            Some(Reply::Refused { reason }) => Err(ClientError::Refused(reason)),
            Some(reply) => Ok(reply),
            None => Err(ClientError::Closed),
        }
    }
}
