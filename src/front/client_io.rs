//! The connection to a client, with an ending that lets the last answer arrive.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep};

use super::gauge::Open;

/// How long the rest of what a client sends is awaited after the last answer, from byte to byte.
const LINGER_SILENCE: Duration = Duration::from_secs(5);
/// How long altogether.
const LINGER_MAX: Duration = Duration::from_secs(30);

/// A client's connection.
///
/// ```text
/// Talking ── shutdown ──▶ Lingering ── the client closes, or a limit ──▶ Ended
/// Talking ── becomes a tunnel ──▶ Tunnel (shutdown closes one direction only)
/// ```
///
/// Closing a TCP connection while the client still sends makes the kernel answer with a reset, and a reset makes the
/// client's kernel throw away what it has not read yet: the `413` that explains the close would be lost. So the
/// connection is first closed for writing, and what still comes is read and thrown away for a while.
#[derive(Debug)]
pub(super) struct ClientIo {
    stream: TcpStream,
    ending: Ending,
    /// Counts the connection for as long as it is open.
    _open: Open,
}

#[derive(Debug)]
enum Ending {
    Talking,
    Tunnel,
    Lingering {
        until: Instant,
        silence: Pin<Box<Sleep>>,
    },
    Ended,
}

impl ClientIo {
    pub(super) fn new(stream: TcpStream, open: Open) -> Self {
        Self {
            stream,
            ending: Ending::Talking,
            _open: open,
        }
    }

    /// From now on this is one side of a tunnel, where one direction may end before the other.
    pub(super) fn into_tunnel(mut self) -> Self {
        self.ending = Ending::Tunnel;
        self
    }

    fn poll_linger(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Ending::Lingering { until, silence } = &mut self.ending else {
            return Poll::Ready(());
        };
        let mut scrap = [0; 4096];
        loop {
            let mut rest = ReadBuf::new(&mut scrap);
            match Pin::new(&mut self.stream).poll_read(cx, &mut rest) {
                Poll::Ready(Ok(())) if !rest.filled().is_empty() => {
                    let next = (Instant::now() + LINGER_SILENCE).min(*until);
                    silence.as_mut().reset(next);
                    if next <= Instant::now() {
                        return Poll::Ready(());
                    }
                }
                Poll::Ready(_) => return Poll::Ready(()),
                Poll::Pending => return silence.as_mut().poll(cx),
            }
        }
    }
}

impl AsyncRead for ClientIo {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for ClientIo {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.ending {
            Ending::Ended => return Poll::Ready(Ok(())),
            Ending::Tunnel => return Pin::new(&mut self.stream).poll_shutdown(cx),
            Ending::Talking => {
                ready!(Pin::new(&mut self.stream).poll_shutdown(cx))?;
                self.ending = Ending::Lingering {
                    until: Instant::now() + LINGER_MAX,
                    silence: Box::pin(sleep(LINGER_SILENCE)),
                };
            }
            Ending::Lingering { .. } => {}
        }
        ready!(self.poll_linger(cx));
        self.ending = Ending::Ended;
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::front::gauge::Gauge;
    use std::sync::Arc;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    async fn pair() -> (ClientIo, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (ours, theirs) = tokio::join!(listener.accept(), TcpStream::connect(address));
        let gauge = Arc::new(Gauge::default());
        (
            ClientIo::new(ours.unwrap().0, gauge.open()),
            theirs.unwrap(),
        )
    }

    #[tokio::test]
    async fn the_last_answer_arrives_though_the_client_still_sends() {
        let (mut ours, mut theirs) = pair().await;
        theirs.write_all(&vec![b'x'; 100_000]).await.unwrap();
        ours.write_all(b"413").await.unwrap();
        let closing = tokio::spawn(async move { ours.shutdown().await });
        theirs.write_all(&vec![b'x'; 100_000]).await.unwrap();
        let mut answer = String::new();
        theirs.read_to_string(&mut answer).await.unwrap();
        assert_eq!(answer, "413");
        drop(theirs);
        closing.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn one_direction_of_a_tunnel_can_end_alone() {
        let (ours, mut theirs) = pair().await;
        let mut ours = ours.into_tunnel();
        ours.shutdown().await.unwrap();
        theirs.write_all(b"more").await.unwrap();
        drop(theirs);
        let mut rest = String::new();
        ours.read_to_string(&mut rest).await.unwrap();
        assert_eq!(rest, "more");
    }
}
