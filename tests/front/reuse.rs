//! Idle connections are used again, and what goes wrong with one is never the client's loss twice.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::net::{UnixListener, UnixStream};

use crate::backend::{Backend, ok};
use crate::peer::Peer;
use crate::rig::{Rig, eventually, get};

const POST: &str = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc";

/// An app that answers the first request of each connection and drops the second after reading it.
fn dropping_the_second(rig: &Rig) -> (Backend, Arc<AtomicUsize>) {
    let requests = Arc::<AtomicUsize>::default();
    let seen = Arc::clone(&requests);
    let backend = Backend::start(&rig.path("g1.sock"), move |mut peer, _| {
        let seen = Arc::clone(&seen);
        async move {
            peer.message().await;
            seen.fetch_add(1, Ordering::SeqCst);
            peer.send(ok("first")).await;
            if peer.try_message().await.is_some() {
                seen.fetch_add(1, Ordering::SeqCst);
            }
        }
    });
    rig.publish(&backend.socket);
    (backend, requests)
}

#[tokio::test]
async fn a_post_that_was_written_is_never_sent_again() {
    let rig = Rig::start().await;
    let (shop, requests) = dropping_the_second(&rig);
    let mut client = rig.connect().await;
    assert_eq!(client.ask(POST).await.status(), 200);
    assert_eq!(client.ask(POST).await.status(), 502);
    assert_eq!((requests.load(Ordering::SeqCst), shop.accepted()), (2, 1));
    assert_eq!(client.ask(POST).await.status(), 200);
}

#[tokio::test]
async fn a_get_that_an_idle_connection_lost_is_sent_once_more() {
    let rig = Rig::start().await;
    let (shop, requests) = dropping_the_second(&rig);
    let mut client = rig.connect().await;
    assert_eq!(client.ask(&get("a")).await.text(), "first");
    assert_eq!(client.ask(&get("a")).await.text(), "first");
    assert_eq!((requests.load(Ordering::SeqCst), shop.accepted()), (3, 2));
}

#[tokio::test]
async fn a_get_that_a_new_connection_lost_is_not_sent_again() {
    let rig = Rig::start().await;
    let shop = Backend::start(&rig.path("g1.sock"), |mut peer, _| async move {
        peer.head().await;
    });
    rig.publish(&shop.socket);
    assert_eq!(rig.get("a").await.status(), 502);
    assert_eq!(shop.accepted(), 1);
}

#[tokio::test]
async fn an_idle_connection_that_the_app_closed_is_not_used() {
    let rig = Rig::start().await;
    // Closes each connection after its answer, without saying so.
    let shop = Backend::start(&rig.path("g1.sock"), |mut peer, _| async move {
        peer.message().await;
        peer.send(ok("shop")).await;
    });
    rig.publish(&shop.socket);
    let mut client = rig.connect().await;
    for number in 1..=50 {
        assert_eq!(client.ask(POST).await.text(), "shop");
        assert_eq!(shop.accepted(), number);
        eventually("the app has closed", async || shop.open() == 0).await;
    }
}

#[tokio::test]
async fn an_app_that_says_close_is_not_asked_over_that_connection_again() {
    let rig = Rig::start().await;
    let shop = Backend::start(&rig.path("g1.sock"), |mut peer, _| async move {
        peer.message().await;
        peer.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
            .await;
        assert_eq!(peer.rest().await, "");
    });
    rig.publish(&shop.socket);
    let mut client = rig.connect().await;
    for _ in 0..3 {
        let answer = client.ask(POST).await;
        assert_eq!(
            (answer.text(), answer.head.field("connection")),
            ("ok", None)
        );
    }
    assert_eq!(shop.accepted(), 3);
    eventually("the app's connections are closed", async || {
        shop.open() == 0
    })
    .await;
}

#[tokio::test]
async fn idle_connections_are_closed_before_node_would_close_them() {
    let rig = Rig::start().await;
    let shop = rig.live("g1.sock", "shop");
    let began = std::time::Instant::now();
    rig.get("a").await;
    assert_eq!(shop.open(), 1);
    eventually("the idle connection is closed", async || shop.open() == 0).await;
    // node's own limit is 5 s, counted from the end of its answer.
    assert!(began.elapsed().as_millis() < 5000, "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_request_waits_while_nobody_listens() {
    let rig = Rig::start().await;
    let mut first = rig.live("g1.sock", "first");
    first.stop_listening().await;
    let mut client = rig.connect().await;
    client.send(POST).await;
    eventually("the request is under way", async || {
        rig.status().await.in_flight == 1
    })
    .await;
    let _second = rig.live("g2.sock", "second");
    assert_eq!(client.message().await.text(), "second");
}

#[tokio::test]
async fn a_request_waits_while_there_is_no_socket() {
    let rig = Rig::start().await;
    let mut client = rig.connect().await;
    client.send(POST).await;
    eventually("the request is under way", async || {
        rig.status().await.in_flight == 1
    })
    .await;
    let _shop = rig.live("g1.sock", "shop");
    assert_eq!(client.message().await.text(), "shop");
}

#[tokio::test]
async fn a_request_waits_for_room_in_a_full_backlog() {
    let rig = Rig::start().await;
    let socket = rig.path("g1.sock");
    let crowded = handover::process::socket::bind_listener(&socket, 0o600, None, 1).unwrap();
    rig.publish(&socket);
    let mut waiting = Vec::new();
    while let Ok(stream) = UnixStream::connect(&socket).await {
        waiting.push(stream);
    }
    let mut client = rig.connect().await;
    client.send(POST).await;
    eventually("the request is under way", async || {
        rig.status().await.in_flight == 1
    })
    .await;
    drop(waiting);
    let listener = UnixListener::from_std(crowded).unwrap();
    let accepting = tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let mut peer = Peer::new(stream);
            if peer.try_message().await.is_some() {
                peer.send(ok("shop")).await;
            }
        }
    });
    assert_eq!(client.message().await.text(), "shop");
    accepting.abort();
}
