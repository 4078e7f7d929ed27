//! Asks a new generation over HTTP, on its private socket, whether it is well.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tokio::time::{Instant, sleep_until, timeout_at};

use crate::config::Accept;

/// How many passes in a row make a generation healthy.
const PASSES: u32 = 2;
/// The pause between two passes.
const BETWEEN_PASSES: Duration = Duration::from_millis(20);

/// What to ask, and how patiently.
#[derive(Debug, Clone)]
pub(super) struct Probe {
    /// The path to ask for.
    pub path: String,
    /// Which answers pass.
    pub accept: Accept,
    /// The `Host` header.
    pub host: String,
    /// The pause after a failed try.
    pub interval: Duration,
    /// When to give up.
    pub deadline: Instant,
}

/// A generation has passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Passed {
    /// The last answer's status.
    pub status: StatusCode,
    /// How long the last answer took.
    pub answered_in: Duration,
}

/// What the last try before the deadline came to.
#[derive(Debug)]
pub(super) enum Unwell {
    /// An answer that is not good enough.
    Status(StatusCode),
    /// The connection was not made, or broke.
    Broken(String),
    /// No answer came.
    Silent,
}

impl fmt::Display for Unwell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status) => write!(f, "answered {}", status.as_u16()),
            Self::Broken(error) => write!(f, "failed: {error}"),
            Self::Silent => write!(f, "was not answered"),
        }
    }
}

impl Probe {
    /// Asks until two passes in a row or the deadline.
    pub(super) async fn run(&self, socket: &Path) -> Result<Passed, Unwell> {
        let mut passes = 0;
        let mut before = Unwell::Silent;
        loop {
            let asked = Instant::now();
            let pause = match self.ask(socket).await {
                Ok(status) => {
                    passes += 1;
                    if passes == PASSES {
                        return Ok(Passed {
                            status,
                            answered_in: asked.elapsed(),
                        });
                    }
                    BETWEEN_PASSES
                }
                // What was asked just before the deadline had no time for an answer.
                Err(Unwell::Silent) if asked.elapsed() < self.interval => return Err(before),
                Err(unwell) => {
                    passes = 0;
                    if Instant::now() + self.interval >= self.deadline {
                        return Err(unwell);
                    }
                    before = unwell;
                    self.interval
                }
            };
            sleep_until(Instant::now() + pause).await;
        }
    }

    async fn ask(&self, socket: &Path) -> Result<StatusCode, Unwell> {
        let answer = timeout_at(self.deadline, self.exchange(socket));
        let status = answer
            .await
            .map_err(|_| Unwell::Silent)?
            .map_err(|error| Unwell::Broken(error.to_string()))?;
        if self.accept.accepts(status.as_u16()) {
            Ok(status)
        } else {
            Err(Unwell::Status(status))
        }
    }

    async fn exchange(
        &self,
        socket: &Path,
    ) -> Result<StatusCode, Box<dyn std::error::Error + Send + Sync>> {
        let stream = UnixStream::connect(socket).await?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        let request = Request::get(self.path.as_str())
            .header("host", &self.host)
            .header(
                "user-agent",
                concat!("handover/", env!("CARGO_PKG_VERSION"), " (health check)"),
            )
            .header("accept", "*/*")
            .header("connection", "close")
            .body(Empty::<Bytes>::new())?;
        let exchange = async {
            let mut response = sender.send_request(request).await?;
            // The body is read, so that the app's own work on the request ends before its next one.
            while let Some(frame) = response.frame().await {
                frame?;
            }
            Ok(response.status())
        };
        // One task for both halves: when this future is dropped at the deadline, the connection is closed with it.
        let (status, _) = tokio::join!(exchange, connection);
        status
    }
}
