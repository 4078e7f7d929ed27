//! What a front is started with.

use std::net::TcpListener;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

/// What a front is started with.
#[derive(Debug)]
pub struct FrontOptions {
    /// Where it binds its control socket (`<run>/front.sock`).
    pub control: PathBuf,
    /// The public listening sockets, inherited from whoever keeps them open across fronts.
    pub listeners: Vec<TcpListener>,
    /// Threads that serve; each has an event loop of its own.
    pub threads: NonZeroUsize,
    /// How long things may take.
    pub limits: Limits,
}

impl FrontOptions {
    /// The usual options: a thread per core and the default limits.
    pub fn new(control: PathBuf, listeners: Vec<TcpListener>) -> Self {
        Self {
            control,
            listeners,
            threads: std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
            limits: Limits::default(),
        }
    }
}

/// How long things may take.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// For a client to send a whole request header, and to stay idle between two requests.
    pub client_header: Duration,
    /// For an app that should be there to accept a connection.
    pub connect: Duration,
    /// For an app to begin its answer, from the last part of the request that moved.
    pub response: Duration,
    /// For what is in flight when the front is told to end by SIGTERM or SIGINT.
    pub stop: Duration,
}

impl Default for Limits {
    /// - `client_header`: 75 s, more than the 60 s after which the usual load balancers close idle connections.
    /// - `connect`: 5 s, within which an instance is restarted.
    /// - `response`: 5 min, which is the default drain limit of a generation: a request that waits for longer would
    ///   not survive a deploy anyway, and one that waits for less (a long poll) is not cut by the front.
    /// - `stop`: 30 s.
    fn default() -> Self {
        Self {
            client_header: Duration::from_secs(75),
            connect: Duration::from_secs(5),
            response: Duration::from_secs(300),
            stop: Duration::from_secs(30),
        }
    }
}
