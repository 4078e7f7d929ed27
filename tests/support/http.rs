//! A strict HTTP/1.1 client: one request, one connection, no retry.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// An answer.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

/// `GET path` on a connection of its own.
pub fn get(address: SocketAddr, path: &str) -> io::Result<Answer> {
    get_from(address, "localhost", path)
}

/// The same for a host name.
pub fn get_from(address: SocketAddr, host: &str, path: &str) -> io::Result<Answer> {
    let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    stream.write_all(request.as_bytes())?;
    let mut raw = Vec::new();
    stream.read_to_end(&mut raw)?;
    parse(&raw)
}

/// An answer that was cut off is an error.
fn parse(raw: &[u8]) -> io::Result<Answer> {
    let text = String::from_utf8_lossy(raw);
    let (head, rest) = text
        .split_once("\r\n\r\n")
        .ok_or(io::ErrorKind::UnexpectedEof)?;
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|code| code.parse().ok())
        .ok_or(io::ErrorKind::InvalidData)?;
    let body = match (
        field(head, "content-length"),
        field(head, "transfer-encoding"),
    ) {
        (Some(length), _) if length.parse() != Ok(rest.len()) => None,
        (_, Some(coding)) if coding == "chunked" => unchunked(rest),
        _ => Some(rest.to_owned()),
    };
    Ok(Answer {
        status,
        head: head.to_owned(),
        body: body.ok_or(io::ErrorKind::UnexpectedEof)?,
    })
}

/// A header field, in lower case.
fn field(head: &str, name: &str) -> Option<String> {
    let lines = head.lines().filter_map(|line| line.split_once(':'));
    lines
        .filter(|(key, _)| key.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.trim().to_ascii_lowercase())
        .next()
}

/// What a body in chunks says (RFC 9112, 7.1), if it is complete.
fn unchunked(mut rest: &str) -> Option<String> {
    let mut body = String::new();
    loop {
        let (size, after) = rest.split_once("\r\n")?;
        let size = usize::from_str_radix(size.split(';').next()?.trim(), 16).ok()?;
        if size == 0 {
            return after.ends_with("\r\n").then_some(body);
        }
        body.push_str(after.get(..size)?);
        rest = after.get(size..)?.strip_prefix("\r\n")?;
    }
}
