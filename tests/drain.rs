//! What becomes of the old version: it serves those who were connected, ends when they have gone, and is ended at the
//! limit.

#![allow(clippy::unwrap_used)]

mod support;

use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::Value;
use support::http::{self, Answer};
use support::{Group, Project, Server, WebSocket, until};

/// An app with WebSockets and slow answers, live as `v0`.
fn deployed(settings: &str) -> (Server, Project, std::path::PathBuf) {
    let server = Server::start();
    let repo = server.create("shop");
    let project = Project::of_fixture("load");
    project.write("handover.toml", settings);
    project.version("v0");
    project.push(&repo).went_live();
    (server, project, repo)
}

/// A request that takes long, which the app has when this returns.
fn slow(server: &Server, ms: u32) -> JoinHandle<std::io::Result<Answer>> {
    let before = open_connections(server);
    let address = server.address();
    let asked = std::thread::spawn(move || http::get(address, &format!("/slow?ms={ms}")));
    until("the app has the request", || {
        (open_connections(server) > before).then_some(())
    });
    asked
}

fn open_connections(server: &Server) -> u64 {
    server.status("shop")["live"]["connections"]
        .as_u64()
        .unwrap()
}

/// The event that tells of the end of what a deploy has replaced.
fn retired(server: &Server, deploy: &str) -> Value {
    let find = || {
        let told = server.ok(&["logs", "shop", "--deploy", deploy, "--json"]);
        let mut events = told
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap());
        events.find(|event| event["event"] == "retired")
    };
    until("the end of the old version is told", find)
}

#[test]
fn what_is_left_at_the_limit_is_ended_and_counted() {
    let (server, project, repo) = deployed("[drain]\ntimeout = \"3s\"\n");
    let mut sockets = [0, 1].map(|_| WebSocket::open(server.address(), "/ws"));
    for socket in &mut sockets {
        socket.echo("hi");
    }
    let request = slow(&server, 600_000);

    project.version("v1");
    project
        .push(&repo)
        .went_live()
        .says("drain      release 1: 1 connection, 2 WebSockets, 3 s at most");
    let draining = server.status("shop")["draining"][0].clone();
    assert_eq!(draining["connections"], 3, "{draining}");
    for socket in &mut sockets {
        socket.echo("still here");
    }

    for socket in &mut sockets {
        let end = socket.receive();
        assert!(end.is_err(), "{end:?}");
    }
    let answer = request.join().unwrap();
    assert!(
        answer.as_ref().map_or(true, |answer| answer.status == 502),
        "{answer:?}"
    );
    server.until_drained("shop");
    let told = retired(&server, "2");
    assert_eq!(
        (&told["release"], &told["forced"]),
        (&1.into(), &3.into()),
        "{told}"
    );
    assert!(told["took_ms"].as_f64().unwrap() >= 3000.0, "{told}");
    assert_eq!(http::get(server.address(), "/").unwrap().body, "v1\n");
}

#[test]
fn a_request_that_was_accepted_before_the_swap_is_answered_by_the_old_version() {
    let (server, project, repo) = deployed("");
    let request = slow(&server, 8000);
    project.version("v1");
    project.push(&repo).went_live().says("1 connection");
    assert_eq!(http::get(server.address(), "/").unwrap().body, "v1\n");
    let answer = request.join().unwrap().unwrap();
    assert_eq!((answer.status, answer.body.as_str()), (200, "v0\n"));
    server.until_drained("shop");
    assert_eq!(retired(&server, "2")["forced"], 0);
}

#[test]
fn the_old_version_is_gone_soon_after_its_last_connection() {
    const RUNS: usize = 10;
    /// Loose: machines are busy. On a quiet one it is a tenth of that.
    const SOON: Duration = Duration::from_secs(2);
    let (server, _project, _repo) = deployed("");
    let mut took = Vec::with_capacity(RUNS);
    for _ in 0..RUNS {
        let old = Group(server.instance_pids("shop")[0]);
        let mut last = WebSocket::open(server.address(), "/ws");
        last.echo("hi");
        server.ok(&["restart", "shop"]);
        assert!(!old.members().is_empty(), "it drains");
        last.echo("still here");
        drop(last);
        let began = Instant::now();
        while !old.members().is_empty() {
            assert!(
                began.elapsed() < support::wait::PATIENCE,
                "{old:?} lives on"
            );
            std::thread::sleep(Duration::from_millis(1));
        }
        took.push(began.elapsed());
    }
    took.sort();
    eprintln!("from the last connection's end to the end of the last process: {took:?}");
    assert!(took[RUNS - 1] < SOON, "{took:?}");
}
