//! JSON lines over a UNIX socket, with descriptors where they are needed.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::Interest;
use tokio::net::UnixStream;

use crate::process::fd_passing;

/// The longest line, in bytes: a routing table of some ten thousand hosts.
const LINE_MAX: usize = 4 << 20;

/// Why a message could not be exchanged.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    /// The connection broke.
    #[error("exchange messages")]
    Io(#[from] io::Error),
    /// What came is not a message of the protocol.
    #[error("understand `{line}`")]
    Message {
        /// What came, cut to a readable length.
        line: String,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
    /// A line does not end.
    #[error("read a message: it has more than {LINE_MAX} bytes")]
    TooLong,
}

/// One end of a control connection.
#[derive(Debug)]
pub(super) struct Wire {
    stream: UnixStream,
    /// What was read beyond the last whole line.
    buffer: Vec<u8>,
    /// Descriptors that came and that nobody took yet.
    descriptors: Vec<OwnedFd>,
}

impl Wire {
    pub(super) fn new(stream: UnixStream) -> Self {
        Self {
            stream,
            buffer: Vec::new(),
            descriptors: Vec::new(),
        }
    }

    /// Sends one message, and descriptors with its first byte.
    pub(super) async fn send(
        &self,
        message: &impl Serialize,
        descriptors: &[BorrowedFd<'_>],
    ) -> Result<(), WireError> {
        let mut line = serde_json::to_vec(message).map_err(io::Error::other)?;
        line.push(b'\n');
        let mut sent = 0;
        while sent < line.len() {
            let with = if sent == 0 { descriptors } else { &[] };
            sent += self
                .stream
                .async_io(Interest::WRITABLE, || {
                    fd_passing::send(&self.stream, &line[sent..], with)
                })
                .await?;
        }
        Ok(())
    }

    /// Receives one message; `None` when the other side has closed.
    pub(super) async fn receive<T: DeserializeOwned>(&mut self) -> Result<Option<T>, WireError> {
        let Some(line) = self.line().await? else {
            return Ok(None);
        };
        serde_json::from_slice(&line)
            .map(Some)
            .map_err(|source| WireError::Message {
                line: String::from_utf8_lossy(&line[..line.len().min(200)]).into_owned(),
                source,
            })
    }

    /// The descriptors that have come so far.
    pub(super) fn take_descriptors(&mut self) -> Vec<OwnedFd> {
        std::mem::take(&mut self.descriptors)
    }

    async fn line(&mut self) -> Result<Option<Vec<u8>>, WireError> {
        let mut searched = 0;
        loop {
            if let Some(end) = self.buffer[searched..].iter().position(|&b| b == b'\n') {
                let rest = self.buffer.split_off(searched + end + 1);
                let mut line = std::mem::replace(&mut self.buffer, rest);
                line.pop();
                return Ok(Some(line));
            }
            searched = self.buffer.len();
            if searched > LINE_MAX {
                return Err(WireError::TooLong);
            }
            if self.read_more().await? == 0 {
                return Ok(None);
            }
        }
    }

    async fn read_more(&mut self) -> io::Result<usize> {
        let mut bytes = vec![0; 16 << 10];
        let descriptors = &mut self.descriptors;
        let stream = &self.stream;
        let read = stream
            .async_io(Interest::READABLE, || {
                fd_passing::receive(stream, &mut bytes, descriptors)
            })
            .await?;
        self.buffer.extend_from_slice(&bytes[..read]);
        Ok(read)
    }
}
