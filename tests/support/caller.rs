//! Somebody who uses an app while a test goes on, at the door that nginx would use, and counts strictly.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread::{JoinHandle, sleep};
use std::time::Duration;

/// The pause between two requests: several histories share a machine.
const PAUSE: Duration = Duration::from_millis(40);
/// Long enough for any answer, short enough to end a test.
const PATIENCE: Duration = Duration::from_secs(30);

/// A thread that asks again and again.
#[derive(Debug)]
pub struct Caller {
    leave: Arc<AtomicBool>,
    failures: Arc<Mutex<Vec<String>>>,
    thread: Option<JoinHandle<()>>,
}

impl Caller {
    /// Begins to ask at a socket that answers.
    pub fn at(socket: PathBuf) -> Self {
        let leave = Arc::new(AtomicBool::new(false));
        let failures = Arc::new(Mutex::new(Vec::new()));
        let (left, failed) = (Arc::clone(&leave), Arc::clone(&failures));
        let thread = std::thread::spawn(move || {
            while !left.load(Ordering::Relaxed) {
                if let Err(error) = ask(&socket) {
                    failed
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .push(error.to_string());
                }
                sleep(PAUSE);
            }
        });
        Self {
            leave,
            failures,
            thread: Some(thread),
        }
    }

    /// The requests that have failed since the last time.
    pub fn failures(&self) -> Vec<String> {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut failures)
    }
}

impl Drop for Caller {
    fn drop(&mut self) {
        self.leave.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // Whatever it has met is in the list.
            let _ = thread.join();
        }
    }
}

/// Which version answers.
pub fn ask(socket: &Path) -> io::Result<String> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    match answer.split_once("\r\n\r\n") {
        Some((head, body)) if head.starts_with("HTTP/1.1 200 ") && body.ends_with('\n') => {
            Ok(body.to_owned())
        }
        _ => Err(io::Error::other(format!("answered {answer:?}"))),
    }
}

/// Somebody who listens to one version for as long as it lives.
#[derive(Debug)]
pub struct Listener(UnixStream);

impl Listener {
    /// Begins to listen; returns when something was heard.
    pub fn to(socket: &Path) -> io::Result<Self> {
        let mut stream = UnixStream::connect(socket)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(b"GET /ticks HTTP/1.1\r\nHost: localhost\r\n\r\n")?;
        let mut listener = Self(stream);
        listener.hears()?;
        Ok(listener)
    }

    /// Whether the version still speaks.
    pub fn hears(&mut self) -> io::Result<()> {
        // What has gathered meanwhile first: it says nothing about now.
        let mut some = [0; 4096];
        self.0.set_nonblocking(true)?;
        while matches!(self.0.read(&mut some), Ok(4096)) {}
        self.0.set_nonblocking(false)?;
        match self.0.read(&mut some)? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }
}
