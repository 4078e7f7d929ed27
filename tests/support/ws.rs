//! A small strict WebSocket client (RFC 6455): text messages only, no extensions, no reconnecting.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

const TEXT: u8 = 0x81;
const PING: u8 = 0x89;
/// Any will do: what it guards against is caches that don't know WebSockets.
const MASK: [u8; 4] = [7, 77, 177, 27];

/// A connection that has become a WebSocket.
#[derive(Debug)]
pub struct WebSocket {
    stream: TcpStream,
}

impl WebSocket {
    /// Connects and asks for the upgrade. Panics unless the answer is 101.
    #[track_caller]
    pub fn open(address: SocketAddr, path: &str) -> Self {
        let mut stream = TcpStream::connect(address).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(30)))
            .unwrap();
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap_or_else(|error| {
                panic!("{error} after {:?}", String::from_utf8_lossy(&head))
            });
            head.push(byte[0]);
        }
        let head = String::from_utf8(head).unwrap();
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        // What the specification's example key must be answered with.
        assert!(head.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "{head}");
        Self { stream }
    }

    /// Sends a short text.
    pub fn send(&mut self, text: &str) -> io::Result<()> {
        let length = u8::try_from(text.len()).unwrap();
        assert!(length < 126, "short texts only");
        let mut frame = vec![TEXT, 0x80 | length];
        frame.extend(MASK);
        frame.extend(text.bytes().zip(MASK.iter().cycle()).map(|(b, m)| b ^ m));
        self.stream.write_all(&frame)
    }

    /// The next text. An end of the connection, by a close frame or not, is an error.
    pub fn receive(&mut self) -> io::Result<String> {
        loop {
            let mut head = [0; 2];
            self.stream.read_exact(&mut head)?;
            let mut length = usize::from(head[1]);
            if length == 126 {
                let mut long = [0; 2];
                self.stream.read_exact(&mut long)?;
                length = usize::from(u16::from_be_bytes(long));
            }
            let mut payload = vec![0; length];
            self.stream.read_exact(&mut payload)?;
            match head[0] {
                TEXT => return String::from_utf8(payload).map_err(io::Error::other),
                PING => {}
                other => {
                    return Err(io::Error::other(format!(
                        "frame {other:#x}: {}",
                        String::from_utf8_lossy(&payload)
                    )));
                }
            }
        }
    }

    /// Sends a text; panics unless it comes back.
    #[track_caller]
    pub fn echo(&mut self, text: &str) {
        self.send(text).unwrap();
        assert_eq!(self.receive().unwrap(), text);
    }
}
