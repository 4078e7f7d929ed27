//! Somebody who uses the app all the time.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{JoinHandle, sleep};
use std::time::Duration;

use super::http::{Answer, get};

/// The pause between an answer and the next request.
const THINK: Duration = Duration::from_millis(10);

/// A thread that asks for `/` again and again, on a new connection each, and keeps every answer.
#[derive(Debug)]
pub struct Visitor {
    leave: Arc<AtomicBool>,
    thread: JoinHandle<Vec<io::Result<Answer>>>,
}

impl Visitor {
    /// Begins to ask.
    pub fn arrive(address: SocketAddr) -> Self {
        let leave = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&leave);
        let thread = std::thread::spawn(move || {
            let mut answers = Vec::new();
            while !told.load(Ordering::Relaxed) {
                answers.push(get(address, "/"));
                sleep(THINK);
            }
            answers
        });
        Self { leave, thread }
    }

    /// Ends it; gives every answer in its order. Panics where one request has failed or was answered with another
    /// status than 200.
    #[track_caller]
    pub fn leave_satisfied(self) -> Vec<Answer> {
        self.leave.store(true, Ordering::Relaxed);
        let answers = self.thread.join().unwrap();
        let asked = answers.len();
        assert!(asked > 0, "no time for a single request");
        let mut all = Vec::with_capacity(asked);
        for (at, answer) in answers.into_iter().enumerate() {
            let answer =
                answer.unwrap_or_else(|error| panic!("request {at} of {asked} failed: {error}"));
            assert_eq!(answer.status, 200, "request {at} of {asked}: {answer:?}");
            all.push(answer);
        }
        all
    }
}
