//! The connection to an app, shared between hyper, which reads and writes it, and the pool, which looks at it.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::UnixStream;

use super::gauge::Open;
use crate::process::stream;

/// A connection to an app's socket.
#[derive(Debug)]
pub(super) struct UpstreamSocket {
    stream: UnixStream,
    /// Counts the connection for as long as it is open.
    _open: Open,
}

impl UpstreamSocket {
    pub(super) fn new(stream: UnixStream, open: Open) -> Arc<Self> {
        Arc::new(Self {
            stream,
            _open: open,
        })
    }

    /// Whether an idle connection was closed by the app, or has bytes that nobody asked for.
    pub(super) fn has_ended(&self) -> bool {
        stream::has_ended(&self.stream)
    }
}

/// Reads and writes an [`UpstreamSocket`].
///
/// An app may answer early and close while a request is still being sent to it. Writing then fails although the
/// answer lies ready to be read, and hyper would report the failure and drop the answer. So a write that the app does
/// not want is no error here: the bytes are dropped, and reading decides what became of the request (the answer, or
/// the end of the stream without one).
#[derive(Debug)]
pub(super) struct UpstreamIo {
    socket: Arc<UpstreamSocket>,
    refused_writes: RefusedWrites,
    write_half: WriteHalf,
}

/// What a write means that the app can't receive any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum RefusedWrites {
    AreDropped,
    AreErrors,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum WriteHalf {
    Open,
    Refused,
}

impl UpstreamIo {
    pub(super) fn new(socket: Arc<UpstreamSocket>) -> Self {
        Self {
            socket,
            refused_writes: RefusedWrites::AreDropped,
            write_half: WriteHalf::Open,
        }
    }

    /// From now on this is one side of a tunnel, where a write that fails ends the tunnel.
    pub(super) fn into_tunnel(mut self) -> Self {
        self.refused_writes = RefusedWrites::AreErrors;
        self
    }

    fn poll_try_write(
        &mut self,
        cx: &mut Context<'_>,
        all: usize,
        try_write: impl Fn(&UnixStream) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        if self.write_half == WriteHalf::Refused {
            return Poll::Ready(Ok(all));
        }
        loop {
            ready!(self.socket.stream.poll_write_ready(cx))?;
            match try_write(&self.socket.stream) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) if self.drops(&error) => {
                    self.write_half = WriteHalf::Refused;
                    return Poll::Ready(Ok(all));
                }
                result => return Poll::Ready(result),
            }
        }
    }

    fn drops(&self, error: &io::Error) -> bool {
        use io::ErrorKind::{BrokenPipe, ConnectionReset, NotConnected};
        let refused = matches!(error.kind(), BrokenPipe | ConnectionReset | NotConnected);
        refused && self.refused_writes == RefusedWrites::AreDropped
    }
}

impl AsyncRead for UpstreamIo {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            ready!(self.socket.stream.poll_read_ready(cx))?;
            match self.socket.stream.try_read_buf(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                result => return Poll::Ready(result.map(|_| ())),
            }
        }
    }
}

impl AsyncWrite for UpstreamIo {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_try_write(cx, bytes.len(), |stream| stream.try_write(bytes))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let all = slices.iter().map(|slice| slice.len()).sum();
        self.poll_try_write(cx, all, |stream| stream.try_write_vectored(slices))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = stream::end_writing(&self.socket.stream);
        Poll::Ready(match shut {
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(()),
            result => result,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::front::gauge::Gauge;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    fn pair() -> (UpstreamIo, UnixStream) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let gauge = Arc::new(Gauge::default());
        let socket = UpstreamSocket::new(ours, gauge.open());
        (UpstreamIo::new(socket), theirs)
    }

    #[tokio::test]
    async fn an_early_answer_is_read_though_the_app_closed_while_we_wrote() {
        let (mut ours, mut theirs) = pair();
        theirs.write_all(b"413").await.unwrap();
        drop(theirs);
        ours.write_all(&[b'x'; 1000]).await.unwrap();
        let mut answer = String::new();
        ours.read_to_string(&mut answer).await.unwrap();
        assert_eq!(answer, "413");
    }

    #[tokio::test]
    async fn in_a_tunnel_a_write_that_nobody_reads_fails() {
        let (ours, theirs) = pair();
        drop(theirs);
        let error = ours.into_tunnel().write_all(b"x").await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
    }

    #[tokio::test]
    async fn one_direction_can_end_alone() {
        let (mut ours, mut theirs) = pair();
        ours.shutdown().await.unwrap();
        theirs.write_all(b"more").await.unwrap();
        drop(theirs);
        let mut rest = String::new();
        ours.read_to_string(&mut rest).await.unwrap();
        assert_eq!(rest, "more");
    }
}
