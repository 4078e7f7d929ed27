//! Requests without a pause, strictly counted: on fresh connections, on one that is kept, and on one that is never
//! done, as a WebSocket is.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{JoinHandle, sleep};
use std::time::Duration;

use super::http;

/// Long enough for any answer here, short enough to end a test.
const PATIENCE: Duration = Duration::from_secs(30);
/// The pause between two requests of a thread: steady, and not a test of throughput.
const PAUSE: Duration = Duration::from_millis(2);

/// An app that answers with `VERSION`, and ticks for as long as it is listened to on `/ticks`.
pub const TICKING_SERVER: &str = r"
const { readFileSync } = require('node:fs');
const { createServer } = require('node:http');
const version = readFileSync(`${__dirname}/VERSION`, 'utf8').trim();
const server = createServer((req, res) => {
  if (req.url !== '/ticks') return res.end(`version ${version}\n`);
  res.writeHead(200, { 'content-type': 'text/event-stream' });
  const timer = setInterval(() => res.write(`tick ${version}\n`), 50);
  res.on('close', () => clearInterval(timer));
});
server.listen(process.env.PORT);
";

/// Users of an app.
#[derive(Debug)]
pub struct Users {
    stop: Arc<AtomicBool>,
    threads: Vec<(&'static str, JoinHandle<Tally>)>,
}

/// What users saw.
#[derive(Debug, Default)]
pub struct Tally {
    pub answers: usize,
    pub failures: Vec<String>,
}

/// Which answers are right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Right {
    /// The first one, always: nothing may change.
    Same,
    /// That of any version.
    AnyVersion,
}

/// What a user asks, again and again.
type Ask = Box<dyn FnMut() -> io::Result<String> + Send>;

impl Users {
    /// Users who read `/` again and again, each on fresh connections or on one that is kept, and one who listens to
    /// `/ticks`. Returns when each has had an answer.
    pub fn of(address: SocketAddr) -> Self {
        let mut users = Self::none();
        users.add(
            "fresh",
            Right::Same,
            Box::new(move || fresh(address, "localhost")),
        );
        let mut kept = None;
        let again = move || keep_alive(address, &mut kept);
        users.add("kept", Right::Same, Box::new(again));
        let mut ticks = None;
        let next = move || tick(address, "localhost", &mut ticks);
        users.add("ticks", Right::Same, Box::new(next));
        users
    }

    /// Only the one who listens to `/ticks`, to the same version always.
    pub fn listening(address: SocketAddr) -> Self {
        Self::listening_to(address, "localhost")
    }

    /// The same, at a host name.
    pub fn listening_to(address: SocketAddr, host: &'static str) -> Self {
        let mut users = Self::none();
        let mut ticks = None;
        let next = move || tick(address, host, &mut ticks);
        users.add("ticks", Right::Same, Box::new(next));
        users
    }

    /// Only the user on fresh connections, who is content with any version.
    pub fn of_any_version(address: SocketAddr) -> Self {
        Self::at(address, "localhost")
    }

    /// Users on fresh connections and on one that is kept, who are content with any version.
    pub fn of_any_version_either_way(address: SocketAddr) -> Self {
        let mut users = Self::of_any_version(address);
        let mut kept = None;
        let again = move || keep_alive(address, &mut kept);
        users.add("kept", Right::AnyVersion, Box::new(again));
        users
    }

    /// The same on fresh connections, at a host name.
    pub fn at(address: SocketAddr, host: &'static str) -> Self {
        let mut users = Self::none();
        let ask = move || fresh(address, host);
        users.add("fresh", Right::AnyVersion, Box::new(ask));
        users
    }

    fn none() -> Self {
        Self {
            stop: Arc::default(),
            threads: Vec::new(),
        }
    }

    fn add(&mut self, name: &'static str, right: Right, mut ask: Ask) {
        let stop = Arc::clone(&self.stop);
        let first = ask().unwrap();
        let thread = std::thread::spawn(move || {
            let mut tally = Tally::default();
            while !stop.load(Ordering::Relaxed) {
                match ask() {
                    Ok(answer) if answer == first || right == Right::AnyVersion => {
                        tally.answers += 1;
                    }
                    Ok(other) => tally.failures.push(format!("answered {other:?}")),
                    Err(error) => tally.failures.push(error.to_string()),
                }
                sleep(PAUSE);
            }
            tally
        });
        self.threads.push((name, thread));
    }

    /// Ends and gives what was seen, all users together.
    pub fn finish(self) -> Tally {
        self.stop.store(true, Ordering::Relaxed);
        let mut all = Tally::default();
        for (name, thread) in self.threads {
            let tally = thread.join().unwrap();
            assert!(
                tally.answers > 0 || !tally.failures.is_empty(),
                "{name} asked nothing"
            );
            all.answers += tally.answers;
            let named = tally.failures.into_iter();
            all.failures
                .extend(named.map(|failure| format!("{name}: {failure}")));
        }
        all
    }
}

impl Tally {
    /// Panics if a single request failed.
    #[track_caller]
    pub fn all_answered(&self) {
        assert!(
            self.failures.is_empty(),
            "{} of {} requests failed: {:#?}",
            self.failures.len(),
            self.failures.len() + self.answers,
            &self.failures[..self.failures.len().min(10)]
        );
    }
}

fn fresh(address: SocketAddr, host: &str) -> io::Result<String> {
    let answer = http::get_from(address, host, "/")?;
    if answer.status == 200 {
        Ok(answer.body)
    } else {
        Err(io::Error::other(answer.head))
    }
}

type Kept = BufReader<TcpStream>;

fn connect(address: SocketAddr) -> io::Result<Kept> {
    let stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    Ok(BufReader::new(stream))
}

/// One more request on the connection; a new one only where the server said that it would close the last.
fn keep_alive(address: SocketAddr, kept: &mut Option<Kept>) -> io::Result<String> {
    let mut stream = match kept.take() {
        Some(stream) => stream,
        None => connect(address)?,
    };
    stream
        .get_mut()
        .write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")?;
    let head = read_head(&mut stream)?;
    let mut body = vec![0; content_length(&head)?];
    stream.read_exact(&mut body)?;
    if !head.starts_with("http/1.1 200") {
        return Err(io::Error::other(head));
    }
    if !head.contains("\r\nconnection: close") {
        *kept = Some(stream);
    }
    String::from_utf8(body).map_err(io::Error::other)
}

/// The head, in lower case.
fn read_head(stream: &mut Kept) -> io::Result<String> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if stream.read_line(&mut head)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(head.to_ascii_lowercase())
}

fn content_length(head: &str) -> io::Result<usize> {
    head.lines()
        .find_map(|line| line.strip_prefix("content-length: ")?.parse().ok())
        .ok_or_else(|| io::Error::other(format!("no length: {head}")))
}

/// The next tick of a connection that must never end.
fn tick(address: SocketAddr, host: &str, ticks: &mut Option<Kept>) -> io::Result<String> {
    let mut stream = if let Some(stream) = ticks.take() {
        stream
    } else {
        let mut stream = connect(address)?;
        let request = format!("GET /ticks HTTP/1.1\r\nHost: {host}\r\n\r\n");
        stream.get_mut().write_all(request.as_bytes())?;
        read_head(&mut stream)?;
        stream
    };
    let mut line = String::new();
    while !line.starts_with("tick ") {
        line.clear();
        if stream.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    *ticks = Some(stream);
    Ok(line)
}
