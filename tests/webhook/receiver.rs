//! A receiver of webhooks that answers as a test wants.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;

use crate::support::until;

/// What a receiver does with a request.
#[derive(Debug, Clone, Copy)]
pub enum Reply {
    /// It answers with this status.
    Status(u16),
    /// It keeps the connection open and never answers.
    Silence,
}

/// A request as it came.
#[derive(Debug, Clone)]
pub struct Received {
    pub line: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Received {
    /// A header that is there once.
    #[track_caller]
    pub fn header(&self, name: &str) -> &str {
        let mut found = self.headers.iter().filter(|(key, _)| key == name);
        let (_, value) = found
            .next()
            .unwrap_or_else(|| panic!("{name}: {:?}", self.headers));
        assert!(found.next().is_none(), "{name} is there twice");
        value
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    pub fn event(&self) -> String {
        self.json()["event"].as_str().unwrap().to_owned()
    }
}

/// A receiver on a free port of this machine, with a thread for each connection.
#[derive(Debug)]
pub struct Receiver {
    address: SocketAddr,
    received: Arc<Mutex<Vec<Received>>>,
    unanswered: Arc<AtomicUsize>,
}

impl Receiver {
    /// A receiver that takes everything.
    pub fn start() -> Self {
        Self::answering(|_| Reply::Status(204))
    }

    /// A receiver whose answer depends on how many requests came before.
    pub fn answering(reply: impl Fn(usize) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let received = Arc::new(Mutex::new(Vec::new()));
        let unanswered = Arc::new(AtomicUsize::new(0));
        let (seen, reply) = (Arc::clone(&received), Arc::new(reply));
        let held = Arc::clone(&unanswered);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (seen, reply) = (Arc::clone(&seen), Arc::clone(&reply));
                let held = Arc::clone(&held);
                std::thread::spawn(move || serve(&stream, &seen, &*reply, &held));
            }
        });
        Self {
            address,
            received,
            unanswered,
        }
    }

    pub fn url(&self) -> String {
        format!("http://{}/deploys?token=T0KEN", self.address)
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What came, in order.
    pub fn received(&self) -> Vec<Received> {
        self.received.lock().unwrap().clone()
    }

    /// How many requests wait for an answer that never comes.
    pub fn unanswered(&self) -> usize {
        self.unanswered.load(Ordering::SeqCst)
    }

    /// Waits until so many requests came; gives all.
    #[track_caller]
    pub fn until_received(&self, count: usize) -> Vec<Received> {
        until("the webhook is told", || {
            Some(self.received()).filter(|all| all.len() >= count)
        })
    }
}

fn serve(
    mut stream: &TcpStream,
    seen: &Mutex<Vec<Received>>,
    reply: &dyn Fn(usize) -> Reply,
    held: &AtomicUsize,
) {
    stream
        .set_read_timeout(Some(Duration::from_secs(30)))
        .unwrap();
    // Who gives up before the request is complete has sent nothing.
    let Some(received) = read(stream) else {
        return;
    };
    let before = {
        let mut seen = seen.lock().unwrap();
        seen.push(received);
        seen.len() - 1
    };
    match reply(before) {
        Reply::Status(status) => {
            let rest = match status {
                204 => "\r\n",
                _ => "Content-Length: 2\r\n\r\nok",
            };
            let answer = format!("HTTP/1.1 {status} So\r\n{rest}");
            let _ = stream.write_all(answer.as_bytes()); // the other end may have given up
        }
        Reply::Silence => {
            held.fetch_add(1, Ordering::SeqCst);
            let _ = stream.read(&mut [0]); // until the other end gives up
            held.fetch_sub(1, Ordering::SeqCst);
        }
    }
}

fn read(stream: &TcpStream) -> Option<Received> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut headers = Vec::new();
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).ok()?;
        let Some((name, value)) = header.trim_end().split_once(':') else {
            break;
        };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let length = headers.iter().find(|(name, _)| name == "content-length")?;
    let mut body = vec![0; length.1.parse().ok()?];
    reader.read_exact(&mut body).ok()?;
    Some(Received {
        line: line.trim_end().to_owned(),
        headers,
        body: String::from_utf8(body).ok()?,
    })
}
