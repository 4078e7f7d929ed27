//! What the pusher reads, written without ever waiting for him.
//!
//! A pusher whose line is dead leaves a full pipe behind, and a hook that waits for room in it hangs for ever, with
//! git's receive-pack. So the hook's standard error is non-blocking, what finds no room is kept in bounded memory, and
//! beyond the bound the oldest lines are dropped and counted.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::time::Duration;

use tokio::net::unix::pipe;
use tokio::time::timeout;

/// How much may wait for a pusher who is slow or gone, in bytes.
const WAITING_MAX: usize = 256 * 1024;

/// Lines on their way to the pusher.
#[derive(Debug)]
pub(super) struct PusherOutput {
    stderr: Stderr,
    waiting: VecDeque<Vec<u8>>,
    waiting_bytes: usize,
    dropped: usize,
}

/// Standard error: a pipe that is never waited for (git gives hooks one), or anything else, which is simply written.
#[derive(Debug)]
enum Stderr {
    Pipe(pipe::Sender),
    Plain(io::Stderr),
    Gone,
}

impl PusherOutput {
    /// Takes over standard error.
    pub(super) fn new() -> Self {
        let copy = io::stderr().as_fd().try_clone_to_owned();
        let pipe = copy.and_then(pipe::Sender::from_owned_fd);
        let stderr = pipe.map_or_else(|_| Stderr::Plain(io::stderr()), Stderr::Pipe);
        Self {
            stderr,
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            dropped: 0,
        }
    }

    /// Takes a line; writes what there is room for.
    pub(super) fn line(&mut self, line: &str) {
        let bytes = format!("{line}\n").into_bytes();
        self.waiting_bytes += bytes.len();
        self.waiting.push_back(bytes);
        self.write_some();
        while self.waiting_bytes > WAITING_MAX {
            let Some(oldest) = self.waiting.pop_front() else {
                return;
            };
            self.waiting_bytes -= oldest.len();
            self.dropped += 1;
        }
    }

    /// Whether anything waits for room.
    pub(super) fn is_behind(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Waits until there may be room and writes on. Only to be awaited while [`PusherOutput::is_behind`].
    pub(super) async fn room(&mut self) {
        if let Stderr::Pipe(pipe) = &self.stderr
            && pipe.writable().await.is_err()
        {
            self.stderr = Stderr::Gone;
        }
        self.write_some();
    }

    /// Gives the pusher a last chance to read what waits.
    pub(super) async fn finish(mut self, patience: Duration) {
        let _ = timeout(patience, async {
            while self.is_behind() {
                self.room().await;
            }
        })
        .await;
    }

    fn write_some(&mut self) {
        while let Some(mut first) = self.waiting.pop_front() {
            self.waiting_bytes -= first.len();
            if self.dropped > 0 {
                let told = format!(
                    "warning: {} lines were dropped: you read more slowly than they came\n",
                    self.dropped
                );
                first.splice(0..0, told.into_bytes());
                self.dropped = 0;
            }
            match self.write(&first) {
                Ok(written) if written == first.len() => {}
                Ok(written) => return self.put_back(first.split_off(written)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return self.put_back(first);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => self.put_back(first),
                Err(_) => self.stderr = Stderr::Gone,
            }
        }
    }

    fn put_back(&mut self, rest: Vec<u8>) {
        self.waiting_bytes += rest.len();
        self.waiting.push_front(rest);
    }

    /// One write; a pusher who is gone takes everything.
    fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        match &self.stderr {
            Stderr::Pipe(pipe) => pipe.try_write(bytes),
            Stderr::Plain(stderr) => stderr.lock().write(bytes),
            Stderr::Gone => Ok(bytes.len()),
        }
    }
}

impl Default for PusherOutput {
    fn default() -> Self {
        Self::new()
    }
}
