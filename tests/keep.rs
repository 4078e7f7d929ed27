//! The keeper, with real node, npm and python, over real sockets.
#![allow(clippy::unwrap_used)] // helpers of tests are not seen as tests

#[path = "keep/load.rs"]
mod load;
#[path = "keep/support.rs"]
mod support;

#[path = "keep/draining.rs"]
mod draining;
#[path = "keep/logging.rs"]
mod logging;
#[path = "keep/running.rs"]
mod running;
#[path = "keep/scaling.rs"]
mod scaling;
#[path = "keep/starting.rs"]
mod starting;
#[path = "keep/surviving.rs"]
mod surviving;
