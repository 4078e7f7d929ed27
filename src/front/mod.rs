//! The role `front`: the built-in HTTP reverse proxy between the public sockets and the apps' `live.sock`.
//!
//! ```text
//! client ── ClientIo ── hyper ── exchange ── hyper ── UpstreamIo ── live.sock ── an instance
//!                                 │   │
//!                            routes   pool (idle connections to the generation that is live)
//! ```
//!
//! **One listening socket per address**, opened once and inherited; every thread accepts from it. Sockets of their own
//! for each thread (`SO_REUSEPORT`) would spread connections more evenly, but the kernel gives each connection to one
//! of them when it arrives: with another number of threads after a restart, or with a holder that does not accept,
//! connections would wait in a queue that nobody empties. From one queue whoever is alive takes them all.
//!
//! **Which generation is live** is asked of the file system for every request (`live`), never cached. That makes a
//! swap exact: a request that begins after the rename can't reach what was live before.
//!
//! **What is never done**: a request of which a byte was written is not sent again, unless repeating it is harmless by
//! its method (`exchange::send_to_app`); a body is not collected, in either direction; a connection is not pooled
//! unless it is certain which generation it leads to (`upstream`).
//!
//! HTTP/1.0 and 1.1. Trailers pass both ways where the receiver said `TE: trailers` and the sender named them in
//! `Trailer`. Of the interim answers `100` passes; others (`103`) are dropped.

mod answer;
mod client;
mod client_io;
mod connect;
mod control;
mod error;
mod exchange;
mod flow;
mod gauge;
mod headers;
mod host;
mod live;
pub mod nginx;
mod options;
mod pages;
mod pool;
mod protocol;
mod routes;
mod run;
mod send;
mod tunnel;
mod upstream;
mod upstream_io;
mod wire;
mod worker;

pub use client::{ClientError, FrontClient};
pub use error::FrontError;
pub use options::{FrontOptions, Limits};
pub use protocol::{FrontState, FrontStatus, Reply, Request, Route, RouteState, UpstreamStatus};
pub use run::run;
pub use wire::WireError;
