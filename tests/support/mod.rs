//! What the end-to-end tests share: a real server in a directory of its own, real projects pushed with real git, and a
//! small strict HTTP client.

#![allow(dead_code, unreachable_pub, unused_imports, clippy::unwrap_used)] // each test binary uses its part

pub mod caller;
pub mod cgroup;
pub mod execs;
pub mod http;
pub mod invariants;
pub mod load;
pub mod nginx;
pub mod pack;
pub mod processes;
pub mod project;
pub mod pusher;
pub mod raw_push;
pub mod right;
pub mod same_tree;
pub mod server;
pub mod shop;
pub mod small_disk;
pub mod small_home;
pub mod sshd;
pub mod steady;
pub mod told;
pub mod trace;
pub mod wait;
pub mod watch;
pub mod weight;
pub mod ws;

pub use cgroup::Cgroup;
pub use nginx::Nginx;
pub use processes::Group;
pub use project::{Project, Pushed};
pub use pusher::Pusher;
pub use same_tree::Orchard;
pub use server::Server;
pub use shop::Shop;
pub use small_disk::SmallDisk;
pub use small_home::SmallHome;
pub use sshd::Sshd;
pub use wait::until;
pub use watch::Visitor;
pub use weight::Weight;
pub use ws::WebSocket;

/// Whether a test that needs what this machine lacks may be skipped: never in CI.
pub fn skip(why: &str) {
    assert!(
        std::env::var_os("HANDOVER_TEST_NO_SKIP").is_none(),
        "nothing may be skipped here, but: {why}"
    );
    eprintln!("SKIPPED: {why}");
}
