//! One side of a connection, for exact bytes.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

/// Nothing here takes longer unless it is broken.
pub(crate) const BOUND: Duration = Duration::from_secs(20);

/// The head of a message.
#[derive(Debug, Clone)]
pub(crate) struct Head {
    pub(crate) text: String,
}

impl Head {
    /// The first line.
    pub(crate) fn start(&self) -> &str {
        self.text.lines().next().unwrap()
    }

    /// The value of the only field with this name, in any case.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        let fields = self.text.lines().skip(1);
        let mut values = fields
            .filter_map(|line| line.split_once(':'))
            .filter(|(found, _)| found.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.trim());
        let value = values.next();
        assert_eq!(values.next(), None, "{name} is there twice: {}", self.text);
        value
    }

    /// The status code of a response.
    pub(crate) fn status(&self) -> u16 {
        self.start().split(' ').nth(1).unwrap().parse().unwrap()
    }
}

/// A whole message.
#[derive(Debug)]
pub(crate) struct Message {
    pub(crate) head: Head,
    pub(crate) body: Vec<u8>,
    /// What stood behind the last chunk.
    pub(crate) trailers: String,
}

impl Message {
    pub(crate) fn status(&self) -> u16 {
        self.head.status()
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

/// A connection and what was read beyond the last message.
pub(crate) struct Peer<S> {
    stream: S,
    buffer: Vec<u8>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Peer<S> {
    pub(crate) fn new(stream: S) -> Self {
        Self {
            stream,
            buffer: Vec::new(),
        }
    }

    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let written = timeout(BOUND, self.stream.write_all(bytes.as_ref())).await;
        written.expect("writing goes on").unwrap();
    }

    /// Sends, whatever becomes of it.
    pub(crate) async fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> std::io::Result<()> {
        let written = timeout(BOUND, self.stream.write_all(bytes.as_ref())).await;
        written.expect("writing goes on")
    }

    /// Closes the direction away from here.
    pub(crate) async fn end(&mut self) {
        self.stream.shutdown().await.unwrap();
    }

    /// Reads more; `false` at the end of the stream, however it came.
    async fn more(&mut self) -> bool {
        let read = timeout(BOUND, self.stream.read_buf(&mut self.buffer)).await;
        matches!(read.expect("something arrives or the stream ends"), Ok(1..))
    }

    async fn until(&mut self, end: &str) -> Option<String> {
        loop {
            let found = self
                .buffer
                .windows(end.len())
                .position(|window| window == end.as_bytes());
            if let Some(at) = found {
                let rest = self.buffer.split_off(at + end.len());
                let found = std::mem::replace(&mut self.buffer, rest);
                return Some(String::from_utf8(found).unwrap());
            }
            if !self.more().await {
                return None;
            }
        }
    }

    /// The next line, `None` where the stream ended instead.
    pub(crate) async fn try_line(&mut self) -> Option<String> {
        self.until("\n").await
    }

    /// The next head, `None` where the stream ended instead.
    pub(crate) async fn try_head(&mut self) -> Option<Head> {
        let text = self.until("\r\n\r\n").await?;
        Some(Head { text })
    }

    pub(crate) async fn head(&mut self) -> Head {
        self.try_head().await.expect("a head, not the end")
    }

    pub(crate) async fn exactly(&mut self, count: usize) -> Vec<u8> {
        while self.buffer.len() < count {
            let held = self.buffer.len();
            assert!(
                self.more().await,
                "the stream ended at {held} of {count} bytes"
            );
        }
        let rest = self.buffer.split_off(count);
        std::mem::replace(&mut self.buffer, rest)
    }

    /// The next chunk; empty for the last one, which is followed by trailers.
    pub(crate) async fn chunk(&mut self) -> Vec<u8> {
        let size = self.until("\r\n").await.expect("a chunk");
        let size = usize::from_str_radix(size.trim_end(), 16).unwrap();
        if size == 0 {
            return Vec::new();
        }
        let chunk = self.exactly(size).await;
        assert_eq!(self.exactly(2).await, b"\r\n");
        chunk
    }

    /// What stands between the last chunk and the end of the message.
    pub(crate) async fn trailers(&mut self) -> String {
        let mut all = String::new();
        loop {
            let line = self.until("\r\n").await.expect("a trailer or the end");
            if line == "\r\n" {
                return all;
            }
            all.push_str(&line);
        }
    }

    /// Everything until the end of the stream, however it came.
    pub(crate) async fn rest(&mut self) -> String {
        while self.more().await {}
        String::from_utf8(std::mem::take(&mut self.buffer)).unwrap()
    }

    /// The next message, framed by its head.
    pub(crate) async fn message(&mut self) -> Message {
        self.try_message().await.expect("a message, not the end")
    }

    pub(crate) async fn try_message(&mut self) -> Option<Message> {
        let head = self.try_head().await?;
        let chunked = head.field("transfer-encoding") == Some("chunked");
        let (mut body, mut trailers) = (Vec::new(), String::new());
        if chunked {
            loop {
                let chunk = self.chunk().await;
                if chunk.is_empty() {
                    break;
                }
                body.extend(chunk);
            }
            trailers = self.trailers().await;
        } else if let Some(length) = head.field("content-length") {
            body = self.exactly(length.parse().unwrap()).await;
        }
        Some(Message {
            head,
            body,
            trailers,
        })
    }

    /// Sends a request and reads the answer.
    pub(crate) async fn ask(&mut self, request: &str) -> Message {
        self.send(request).await;
        self.message().await
    }
}
