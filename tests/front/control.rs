//! The control socket, taking over, and draining.

use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::time::Duration;

use handover::front::{ClientError, FrontClient, FrontState};
use handover::process::child::Signal;
use tokio::net::UnixStream;
use tokio::sync::Notify;

use crate::backend::{Backend, ok};
use crate::peer::Peer;
use crate::rig::{Rig, eventually, get};

#[tokio::test]
async fn the_status_tells_who_the_front_is_and_what_it_has_open() {
    let rig = Rig::start().await;
    let _shop = rig.live("g1.sock", "shop");
    let mut client = rig.connect().await;
    client.ask(&get("a")).await;
    let status = rig.status().await;
    assert_eq!(status.identity.pid, rig.front.pid());
    assert!(status.identity.is_alive());
    assert_eq!(status.listeners, [rig.address()]);
    assert_eq!(status.state, FrontState::Serving);
    assert_eq!((status.client_connections, status.in_flight), (1, 0));
    assert_eq!(status.upstream[0].app.as_str(), "shop");
    assert_eq!(status.upstream[0].connections, 1);
}

#[tokio::test]
async fn the_front_may_open_as_many_files_as_the_system_lets_it() {
    let rig = Rig::start().await;
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", rig.front.pid())).unwrap();
    let line = limits
        .lines()
        .find(|line| line.starts_with("Max open files"));
    let numbers: Vec<&str> = line.unwrap().split_whitespace().skip(3).collect();
    assert_eq!(numbers[0], numbers[1]);
}

#[tokio::test]
async fn the_control_socket_is_for_its_owner_and_survives_nonsense() {
    let rig = Rig::start().await;
    let mode = std::fs::metadata(rig.path("front.sock")).unwrap();
    assert_eq!(mode.permissions().mode() & 0o777, 0o600);
    let stream = UnixStream::connect(rig.path("front.sock")).await.unwrap();
    let mut raw = Peer::new(stream);
    raw.send("{\"request\":\"dance\"}\nnonsense\n{\"request\":\"status\"}\n")
        .await;
    raw.end().await;
    let replies = raw.rest().await;
    let replies: Vec<&str> = replies.lines().collect();
    assert_eq!(replies.len(), 3);
    assert!(
        replies[0].starts_with("{\"reply\":\"refused\""),
        "{}",
        replies[0]
    );
    assert!(
        replies[1].starts_with("{\"reply\":\"refused\""),
        "{}",
        replies[1]
    );
    assert!(
        replies[2].starts_with("{\"reply\":\"status\""),
        "{}",
        replies[2]
    );
}

#[tokio::test]
async fn a_killed_front_is_followed_by_another_and_no_connection_is_refused() {
    let mut rig = Rig::start().await;
    let _shop = rig.live("g1.sock", "shop");
    assert_eq!(rig.get("a").await.text(), "shop");
    let mut waiting = Vec::new();
    rig.kill().await;
    for _ in 0..20 {
        let mut client = rig.connect().await;
        client.send(get("a")).await;
        waiting.push(client);
    }
    // The dead one has left its control socket, which is replaced.
    assert!(rig.path("front.sock").exists());
    let old = rig.front.pid();
    rig.start_again().await;
    rig.route(&[rig.shop()]).await;
    assert_ne!(rig.front.pid(), old);
    for client in &mut waiting {
        assert_eq!(client.message().await.text(), "shop");
    }
}

#[tokio::test]
async fn the_listening_sockets_can_be_taken_over_from_a_running_front() {
    let mut rig = Rig::start().await;
    let _shop = rig.live("g1.sock", "shop");
    let taken = rig.client().await.listeners().await.unwrap();
    assert_eq!(taken.len(), 1);
    assert_eq!(taken[0].local_addr().unwrap(), rig.address());
    // From here on nobody but the front and who took them over holds them, as after a restart of `serve`.
    rig.listener = taken.into_iter().next().unwrap();
    rig.kill().await;
    let mut waiting = rig.connect().await;
    waiting.send(get("a")).await;
    rig.start_again().await;
    rig.route(&[rig.shop()]).await;
    assert_eq!(waiting.message().await.text(), "shop");
}

#[tokio::test]
async fn a_second_front_does_not_push_the_first_aside() {
    let mut rig = Rig::start().await;
    let _shop = rig.live("g1.sock", "shop");
    let first = rig.front.pid();
    let kept = std::mem::replace(&mut rig.front, {
        let mut other = Rig::without_routes(&[]).await;
        other.kill().await;
        other.front
    });
    // `start_again` waits for an answer, and gets it from the first one.
    rig.start_again().await;
    let status = rig.ending().await;
    assert_eq!(status.code(), Some(1));
    assert_eq!(rig.status().await.identity.pid, first);
    assert_eq!(rig.get("a").await.text(), "shop");
    drop(kept);
}

#[tokio::test]
async fn a_draining_front_finishes_what_it_has_and_leaves_the_rest_to_the_next() {
    let mut rig = Rig::start().await;
    let go = Arc::new(Notify::new());
    let may_answer = Arc::clone(&go);
    let shop = Backend::start(&rig.path("g1.sock"), move |mut peer, _| {
        let may_answer = Arc::clone(&may_answer);
        async move {
            while let Some(seen) = peer.try_message().await {
                if seen.head.start().contains("/slow") {
                    may_answer.notified().await;
                }
                peer.send(ok("shop")).await;
            }
        }
    });
    rig.publish(&shop.socket);
    let mut idle = rig.connect().await;
    assert_eq!(idle.ask(&get("a")).await.head.field("connection"), None);
    let mut slow = rig.connect().await;
    slow.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n").await;
    eventually("the slow request is there", async || {
        rig.status().await.in_flight == 1
    })
    .await;

    let mut control = rig.client().await;
    control.drain(Duration::from_secs(60)).await.unwrap();
    assert_eq!(control.status().await.unwrap().state, FrontState::Draining);
    assert!(!rig.path("front.sock").exists());
    let mut later = rig.connect().await;
    later.send(get("a")).await;
    // A request that was under way when the drain began is answered, and told that it is the last.
    let last = idle.ask(&get("a")).await;
    assert_eq!(last.head.field("connection"), Some("close"));
    assert_eq!(idle.rest().await, "");
    drop(idle);
    go.notify_one();
    let answer = slow.message().await;
    assert_eq!(
        (answer.text(), answer.head.field("connection")),
        ("shop", Some("close"))
    );
    drop(slow);
    assert_eq!(rig.ending().await.code(), Some(0));

    rig.start_again().await;
    rig.route(&[rig.shop()]).await;
    assert_eq!(later.message().await.text(), "shop");
}

#[tokio::test]
async fn a_drain_closes_idle_connections_and_cuts_the_rest_at_its_limit() {
    let mut rig = Rig::start().await;
    let shop = Backend::start(&rig.path("g1.sock"), |mut peer, _| async move {
        while let Some(head) = peer.try_head().await {
            if head.field("upgrade").is_some() {
                peer.send("HTTP/1.1 101 S\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n")
                    .await;
                peer.rest().await;
                return;
            }
            peer.send(ok("shop")).await;
        }
    });
    rig.publish(&shop.socket);
    let mut idle = rig.connect().await;
    idle.ask(&get("a")).await;
    let mut tunnel = rig.connect().await;
    tunnel
        .send("GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n")
        .await;
    assert_eq!(tunnel.head().await.status(), 101);
    let mut control = rig.client().await;
    control.drain(Duration::from_secs(3)).await.unwrap();
    assert_eq!(idle.rest().await, "");
    drop(idle);
    eventually("only the tunnel is left", async || {
        control.status().await.unwrap().client_connections == 1
    })
    .await;
    assert_eq!(tunnel.rest().await, "");
    assert_eq!(rig.ending().await.code(), Some(0));
}

#[tokio::test]
async fn a_front_that_is_told_to_end_drains() {
    let mut rig = Rig::start().await;
    let _shop = rig.live("g1.sock", "shop");
    assert_eq!(rig.get("a").await.text(), "shop");
    rig.front.signal(Signal::SIGTERM);
    assert_eq!(rig.ending().await.code(), Some(0));
    let gone = FrontClient::connect(&rig.path("front.sock")).await;
    assert!(matches!(gone, Err(ClientError::Connect { .. })));
}
