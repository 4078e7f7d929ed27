//! One HTTP connection to an app, owned by whoever uses it now: a request, or the pool.

use std::io;
use std::sync::Arc;

use hyper::client::conn::http1::{Builder, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tokio::task::AbortHandle;

use super::flow::RequestBody;
use super::live::LiveGeneration;
use super::routes::Target;
use super::upstream_io::{UpstreamIo, UpstreamSocket};

/// A connection to an app. Dropping it closes it, whatever it is in the middle of.
#[derive(Debug)]
pub(super) struct Upstream {
    pub(super) target: Arc<Target>,
    /// To which generation it leads; `None` where that is not certain, and then it is used only once.
    pub(super) generation: Option<LiveGeneration>,
    pub(super) sender: SendRequest<RequestBody>,
    socket: Arc<UpstreamSocket>,
    /// The task that reads and writes the connection.
    driver: AbortHandle,
}

impl Upstream {
    /// Connects once. The generation is certain if `live.sock` was the same before and after: a swap between the look
    /// and the connect would otherwise give a connection a wrong name, and a swap back would bring it to use.
    pub(super) async fn connect(target: &Arc<Target>) -> io::Result<Self> {
        let before = LiveGeneration::look(&target.socket)?;
        let stream = UnixStream::connect(&target.socket).await?;
        let after = LiveGeneration::look(&target.socket).ok();
        let socket = UpstreamSocket::new(stream, target.connections.open());
        let io = TokioIo::new(UpstreamIo::new(Arc::clone(&socket)));
        let (sender, connection) = Builder::new()
            .preserve_header_case(true)
            .title_case_headers(true)
            .handshake(io)
            .await
            .map_err(io::Error::other)?;
        let driver = tokio::task::spawn_local(async move {
            if let Err(error) = connection.with_upgrades().await {
                tracing::debug!(error = &error as &dyn std::error::Error, "upstream ended");
            }
        });
        Ok(Self {
            target: Arc::clone(target),
            generation: (after == Some(before)).then_some(before),
            sender,
            socket,
            driver: driver.abort_handle(),
        })
    }

    /// Whether the app has closed it while it was idle.
    pub(super) fn has_ended(&self) -> bool {
        self.sender.is_closed() || self.socket.has_ended()
    }

    /// Whether it leads to what is live now.
    pub(super) fn is_live(&self) -> bool {
        self.generation.is_some() && self.generation == self.target.live()
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        // Dropping the sender alone would not do: a driver that waits for an app that is silent (an event stream
        // whose client has gone) would hold the connection, and with it the app's generation.
        self.driver.abort();
    }
}
