//! WebSockets and other protocols that begin as HTTP.

use crate::backend::{AppPeer, Backend};
use crate::rig::{Rig, eventually, get};

const UPGRADE: &str = "GET /ws HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\
                       Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
const SWITCH: &str = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                      Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

/// Changes the protocol and then answers each line with itself and a name.
async fn echo_lines(mut peer: AppPeer, name: &'static str) {
    let head = peer.head().await;
    assert_eq!(head.field("upgrade"), Some("websocket"));
    assert_eq!(head.field("connection"), Some("Upgrade"));
    assert!(
        head.text
            .contains("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==")
    );
    peer.send(SWITCH).await;
    while let Some(line) = peer.try_line().await {
        peer.send(format!("{name}{line}")).await;
    }
}

fn echoing(rig: &Rig, socket: &str, name: &'static str) -> Backend {
    let backend = Backend::start(&rig.path(socket), move |peer, _| echo_lines(peer, name));
    rig.publish(&backend.socket);
    backend
}

#[tokio::test]
async fn a_websocket_stays_with_its_generation_over_a_swap() {
    let rig = Rig::start().await;
    let old = echoing(&rig, "g1.sock", "old ");
    let mut kept = rig.connect().await;
    kept.send(UPGRADE).await;
    let head = kept.head().await;
    assert_eq!(head.status(), 101);
    assert_eq!(head.field("upgrade"), Some("websocket"));
    assert_eq!(head.field("connection"), Some("Upgrade"));
    assert_eq!(
        head.field("sec-websocket-accept"),
        Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
    );
    kept.send("one1\n").await;
    assert_eq!(kept.exactly(9).await, b"old one1\n");

    let _new = echoing(&rig, "g2.sock", "new ");
    let app = "shop".parse().unwrap();
    rig.client().await.published(&app).await.unwrap();
    kept.send("two2\n").await;
    assert_eq!(kept.exactly(9).await, b"old two2\n");
    let mut fresh = rig.connect().await;
    fresh.send(UPGRADE).await;
    fresh.head().await;
    fresh.send("one1\n").await;
    assert_eq!(fresh.exactly(9).await, b"new one1\n");

    let status = rig.status().await;
    assert_eq!((status.in_flight, status.client_connections), (2, 2));
    assert_eq!(status.upstream[0].connections, 2);
    drop(kept);
    eventually("the old one has no connection", async || old.open() == 0).await;
    drop(fresh);
    eventually("nothing is counted", async || {
        let status = rig.status().await;
        status.in_flight == 0 && status.upstream.is_empty()
    })
    .await;
}

#[tokio::test]
async fn what_is_said_right_behind_the_heads_is_not_lost() {
    let rig = Rig::start().await;
    let shop = Backend::start(&rig.path("g1.sock"), |mut peer, _| async move {
        peer.head().await;
        peer.send(format!("{SWITCH}hello")).await;
        let heard = peer.exactly(5).await;
        peer.send(heard).await;
        peer.rest().await;
    });
    rig.publish(&shop.socket);
    let mut client = rig.connect().await;
    client.send(format!("{UPGRADE}early")).await;
    client.head().await;
    assert_eq!(client.exactly(10).await, b"helloearly");
}

#[tokio::test]
async fn one_direction_may_end_before_the_other() {
    let rig = Rig::start().await;
    let shop = Backend::start(&rig.path("g1.sock"), |mut peer, _| async move {
        peer.head().await;
        peer.send(SWITCH).await;
        let all = peer.rest().await;
        peer.send(format!("heard {all}")).await;
    });
    rig.publish(&shop.socket);
    let mut client = rig.connect().await;
    client.send(UPGRADE).await;
    client.head().await;
    client.send("everything").await;
    client.end().await;
    assert_eq!(client.rest().await, "heard everything");
    eventually("nothing is counted", async || {
        rig.status().await.in_flight == 0
    })
    .await;
}

#[tokio::test]
async fn an_app_that_ends_a_websocket_ends_it_for_the_client() {
    let rig = Rig::start().await;
    let shop = Backend::start(&rig.path("g1.sock"), |mut peer, _| async move {
        peer.head().await;
        peer.send(format!("{SWITCH}bye")).await;
    });
    rig.publish(&shop.socket);
    let mut client = rig.connect().await;
    client.send(UPGRADE).await;
    client.head().await;
    assert_eq!(client.rest().await, "bye");
}

#[tokio::test]
async fn a_refused_upgrade_is_an_answer_like_any_other() {
    let rig = Rig::start().await;
    let shop = Backend::start(&rig.path("g1.sock"), |mut peer, _| async move {
        while peer.try_message().await.is_some() {
            peer.send("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno")
                .await;
        }
    });
    rig.publish(&shop.socket);
    let mut client = rig.connect().await;
    for request in [UPGRADE, &get("a"), UPGRADE] {
        let answer = client.ask(request).await;
        assert_eq!((answer.status(), answer.text()), (403, "no"));
    }
    assert_eq!(shop.accepted(), 1);
}

#[tokio::test]
async fn other_protocols_pass_but_not_http_2() {
    let rig = Rig::start().await;
    let shop = Backend::start(&rig.path("g1.sock"), |mut peer, _| async move {
        while let Some(head) = peer.try_head().await {
            let reply = head.field("upgrade").unwrap_or("none").to_owned();
            peer.send(crate::backend::ok(&reply)).await;
        }
    });
    rig.publish(&shop.socket);
    for (wanted, passed) in [("tcp", "tcp"), ("h2c", "none"), ("H2C, x/1", "x/1")] {
        let request = format!(
            "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMA\r\nUpgrade: {wanted}\r\n\r\n"
        );
        assert_eq!(rig.ask(&request).await.text(), passed);
    }
}

#[tokio::test]
async fn a_change_of_protocol_that_nobody_asked_for_is_an_error_of_the_app() {
    let rig = Rig::start().await;
    let shop = Backend::start(&rig.path("g1.sock"), |mut peer, _| async move {
        peer.head().await;
        peer.send(SWITCH).await;
        peer.rest().await;
    });
    rig.publish(&shop.socket);
    assert_eq!(rig.get("a").await.status(), 502);
    eventually("the app's connection is closed", async || shop.open() == 0).await;
}
