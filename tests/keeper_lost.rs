//! A keeper that is killed: its instances serve on, a fresh generation takes over, and the orphans are ended.

#![allow(clippy::unwrap_used)]

mod support;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use support::steady::Users;
use support::{Server, Shop, http, until};

fn keeper(server: &Server) -> Pid {
    Pid::from_raw(server.keeper_pid("shop").cast_signed())
}

fn exists(pid: u32) -> bool {
    std::path::Path::new(&format!("/proc/{pid}")).exists()
}

#[test]
fn a_killed_keeper_is_replaced_without_a_lost_request() {
    let Shop { server, .. } = Shop::open("v1");
    let orphan = server.instance_pids("shop")[0];
    let users = Users::of(server.address());
    kill(keeper(&server), Signal::SIGKILL).unwrap();
    until("a fresh generation is live", || {
        (server.status("shop")["live"]["generation"] == 2).then_some(())
    });
    users.finish().all_answered();
    until("the orphan is ended", || (!exists(orphan)).then_some(()));
    until("nothing of it is left", || {
        (!server.run_dir("shop").join("g1").exists()
            && !server.run_dir("shop").join("g1.sock").exists())
        .then_some(())
    });
    assert_eq!(server.status("shop")["state"], "live");
}

#[test]
fn keepers_and_server_killed_together_come_back_by_themselves() {
    let Shop { mut server, .. } = Shop::open("v1");
    let (keeper, orphan) = (keeper(&server), server.instance_pids("shop")[0]);
    server.end(Signal::SIGKILL);
    kill(keeper, Signal::SIGKILL).unwrap();
    assert_eq!(
        http::get(server.address(), "/").unwrap().status,
        200,
        "the front and the instances serve on"
    );

    server.launch_again();
    until("the release is live again", || {
        (server.status("shop")["state"] == "live").then_some(())
    });
    until("the orphan is ended", || (!exists(orphan)).then_some(()));
    assert_eq!(server.status("shop")["live"]["release"], 1);
    assert_eq!(http::get(server.address(), "/").unwrap().status, 200);
}
