//! A keeper that is killed: its instances serve on, a fresh generation takes over, and the orphans are ended.

#![allow(clippy::unwrap_used)]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use support::{Project, Server, http, until};

fn keeper_pid(server: &Server, app: &str) -> Pid {
    let generation = &server.status(app)["live"]["generation"];
    let record = server.run_dir(app).join(format!("g{generation}/keep.json"));
    let record: Value = serde_json::from_slice(&std::fs::read(record).unwrap()).unwrap();
    Pid::from_raw(
        record["keeper"]["pid"]
            .as_i64()
            .unwrap()
            .try_into()
            .unwrap(),
    )
}

fn exists(pid: u32) -> bool {
    std::path::Path::new(&format!("/proc/{pid}")).exists()
}

#[test]
fn a_killed_keeper_is_replaced_without_a_lost_request() {
    let server = Server::start();
    let repo = server.create("shop");
    Project::tiny().push(&repo).went_live();
    let orphan = server.instance_pids("shop")[0];

    let (stop, asked) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicU32::new(0)),
    );
    let client = {
        let (stop, asked, address) = (Arc::clone(&stop), Arc::clone(&asked), server.address());
        std::thread::spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                let answer = http::get(address, "/").expect("every request is answered");
                assert_eq!(answer.status, 200, "{answer:?}");
                asked.fetch_add(1, Ordering::Relaxed);
            }
        })
    };
    kill(keeper_pid(&server, "shop"), Signal::SIGKILL).unwrap();
    until("a fresh generation is live", || {
        (server.status("shop")["live"]["generation"] == 2).then_some(())
    });
    until("the orphan is ended", || (!exists(orphan)).then_some(()));
    let so_far = asked.load(Ordering::Relaxed);
    until("requests go on", || {
        (asked.load(Ordering::Relaxed) > so_far + 10).then_some(())
    });
    stop.store(true, Ordering::Relaxed);
    client.join().unwrap();
    until("nothing of it is left", || {
        (!server.run_dir("shop").join("g1").exists()
            && !server.run_dir("shop").join("g1.sock").exists())
        .then_some(())
    });
    assert_eq!(server.status("shop")["state"], "live");
}

#[test]
fn keepers_and_server_killed_together_come_back_by_themselves() {
    let mut server = Server::start();
    let repo = server.create("shop");
    Project::tiny().push(&repo).went_live();
    let (keeper, orphan) = (keeper_pid(&server, "shop"), server.instance_pids("shop")[0]);
    server.end(Signal::SIGKILL);
    kill(keeper, Signal::SIGKILL).unwrap();
    assert_eq!(
        http::get(server.address(), "/").unwrap().status,
        200,
        "the front and the instances serve on"
    );

    let again = server.same_address();
    server.launch(&[&again[0], &again[1]]);
    until("the release is live again", || {
        (server.status("shop")["state"] == "live").then_some(())
    });
    until("the orphan is ended", || (!exists(orphan)).then_some(()));
    assert_eq!(server.status("shop")["live"]["release"], 1);
    assert_eq!(http::get(server.address(), "/").unwrap().status, 200);
}
