//! Which app answers, and what is said where none can.

use std::time::Duration;

use handover::front::{FrontState, RouteState};

use crate::backend::Backend;
use crate::peer::Peer;
use crate::rig::{Rig, eventually, get};

#[tokio::test]
async fn each_host_leads_to_its_app() {
    let rig = Rig::start().await;
    let _shop = rig.live("g1.sock", "shop");
    let _blog = Backend::saying(&rig.path("blog.sock"), "blog");
    rig.route(&[
        rig.app("shop", &["shop.test", "www.shop.test"], RouteState::Live),
        rig.app("blog", &["blog.test"], RouteState::Live),
    ])
    .await;

    assert_eq!(rig.get("shop.test").await.text(), "shop");
    assert_eq!(rig.get("WWW.Shop.test:8080").await.text(), "shop");
    assert_eq!(rig.get("blog.test.").await.text(), "blog");
    let absolute = "GET http://blog.test/ HTTP/1.1\r\nHost: shop.test\r\n\r\n";
    assert_eq!(rig.ask(absolute).await.text(), "blog");
}

#[tokio::test]
async fn one_connection_may_ask_for_different_hosts() {
    let rig = Rig::start().await;
    let _shop = rig.live("g1.sock", "shop");
    let _blog = Backend::saying(&rig.path("blog.sock"), "blog");
    rig.route(&[
        rig.app("shop", &["shop.test"], RouteState::Live),
        rig.app("blog", &["blog.test"], RouteState::Live),
    ])
    .await;
    let mut client = rig.connect().await;
    for (host, words) in [("shop.test", "shop"), ("blog.test", "blog")] {
        assert_eq!(client.ask(&get(host)).await.text(), words);
    }
}

#[tokio::test]
async fn an_unknown_host_is_told_so_without_markup() {
    let rig = Rig::start().await;
    let _shop = rig.live("g1.sock", "shop");
    rig.route(&[
        rig.app("shop", &["shop.test"], RouteState::Live),
        rig.app("blog", &["blog.test"], RouteState::Live),
    ])
    .await;
    let plain = rig.get("other.test").await;
    assert_eq!(plain.status(), 404);
    assert!(plain.text().contains("other.test"), "{}", plain.text());

    let browser = "GET / HTTP/1.1\r\nHost: a'b&c\r\nAccept: text/html\r\n\r\n";
    let page = rig.ask(browser).await;
    assert_eq!(
        page.head.field("content-type"),
        Some("text/html; charset=utf-8")
    );
    assert!(page.text().contains("a&#39;b&amp;c"), "{}", page.text());

    let mut client = rig.connect().await;
    client
        .send("HEAD / HTTP/1.1\r\nHost: other.test\r\nConnection: close\r\n\r\n")
        .await;
    let head = client.head().await;
    assert_eq!((head.status(), client.rest().await.as_str()), (404, ""));
    assert!(
        head.field("content-length")
            .unwrap()
            .parse::<usize>()
            .unwrap()
            > 0
    );
}

#[tokio::test]
async fn an_app_without_a_release_says_that_nothing_is_deployed() {
    let rig = Rig::without_routes(&[]).await;
    rig.route(&[]).await;
    assert_eq!(rig.get("shop.test").await.status(), 503);
    rig.route(&[rig.app("shop", &[], RouteState::Empty)]).await;
    let page = rig.get("shop.test").await;
    assert_eq!(page.status(), 503);
    assert!(
        page.text()
            .contains("Nothing has been deployed to shop yet")
    );
    // The first publish may be a moment ahead of the routes that tell of it.
    let _shop = rig.live("g1.sock", "shop");
    assert_eq!(rig.get("shop.test").await.text(), "shop");
}

#[tokio::test]
async fn before_the_first_routes_connections_wait() {
    let rig = Rig::without_routes(&[]).await;
    let _shop = rig.live("g1.sock", "shop");
    let mut client = rig.connect().await;
    client.send(get("shop.test")).await;
    let status = rig.status().await;
    assert_eq!(
        (status.state, status.client_connections),
        (FrontState::Waiting, 0)
    );
    rig.route(&[rig.shop()]).await;
    assert_eq!(client.message().await.text(), "shop");
    assert_eq!(rig.status().await.state, FrontState::Serving);
}

#[tokio::test]
async fn an_app_that_does_not_listen_is_a_502_after_the_time_for_connecting() {
    let rig = Rig::with(&["--connect-timeout", "50ms"]).await;
    let mut shop = rig.live("g1.sock", "shop");
    shop.stop_listening().await;
    let page = rig.get("shop.test").await;
    assert_eq!(page.status(), 502);
    assert!(
        page.text().contains("shop is not answering"),
        "{}",
        page.text()
    );
    std::fs::remove_file(rig.path("live.sock")).unwrap();
    assert_eq!(rig.get("shop.test").await.status(), 502);
}

#[tokio::test]
async fn an_app_that_gives_no_answer_is_a_502_or_a_504() {
    let rig = Rig::with(&["--response-timeout", "300ms"]).await;
    let shop = Backend::start(&rig.path("g1.sock"), |mut peer, _| async move {
        match peer.head().await.start() {
            "GET /close HTTP/1.1" => {}
            "GET /junk HTTP/1.1" => peer.send("this is not HTTP\r\n\r\n").await,
            _silent => drop(peer.rest().await),
        }
    });
    rig.publish(&shop.socket);
    for (path, status) in [("/close", 502), ("/junk", 502), ("/silent", 504)] {
        let answer = rig
            .ask(&format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n"))
            .await;
        assert_eq!(answer.status(), status, "{path}");
    }
    eventually("the silent connection is closed", async || shop.open() == 0).await;
}

#[tokio::test]
async fn an_upload_that_moves_is_not_cut_and_one_that_stalls_is_a_408() {
    let rig = Rig::with(&["--response-timeout", "300ms"]).await;
    let _shop = rig.live("g1.sock", "shop");
    let head = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 8\r\n\r\n";
    let mut client = rig.connect().await;
    client.send(head).await;
    let began = std::time::Instant::now();
    // Slower as a whole than an answer may be, and faster from byte to byte.
    let mut pace = tokio::time::interval(Duration::from_millis(60));
    for _ in 0..8 {
        pace.tick().await;
        client.send("x").await;
    }
    assert_eq!(client.message().await.text(), "shop");
    assert!(began.elapsed() > Duration::from_millis(300));

    let mut client = rig.connect().await;
    client.send(head).await;
    assert_eq!(client.message().await.status(), 408);
}

#[tokio::test]
async fn what_two_servers_could_read_in_two_ways_is_refused() {
    let rig = Rig::start().await;
    let shop = rig.live("g1.sock", "shop");
    let refused = [
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +3\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, gzip\r\n\r\n",
        "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
        "GET / HTTP/1.1\r\nHost : a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\n folded: b\r\n\r\n",
    ];
    for request in refused {
        assert_eq!(rig.ask(request).await.status(), 400, "{request}");
    }
    let connect = "CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n";
    assert_eq!(rig.ask(connect).await.status(), 405);
    assert_eq!(shop.accepted(), 0);
}

#[tokio::test]
async fn a_length_beside_chunks_does_not_smuggle_a_request() {
    let rig = Rig::start().await;
    let shop = Backend::start(&rig.path("g1.sock"), |mut peer, _| async move {
        let seen = peer.message().await;
        let length = seen.head.field("content-length").is_some();
        let reply = format!("{} {length}", seen.text());
        peer.send(crate::backend::ok(&reply)).await;
    });
    rig.publish(&shop.socket);
    for fields in [
        "Content-Length: 4\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 4",
    ] {
        let mut client: Peer<_> = rig.connect().await;
        let request = format!(
            "POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\n2\r\nab\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
        );
        assert_eq!(client.ask(&request).await.text(), "ab false");
        assert_eq!(client.rest().await, "", "the connection ends there");
    }
    assert_eq!(shop.accepted(), 2);
}
