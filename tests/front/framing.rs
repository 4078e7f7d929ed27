//! Messages pass as they are: framing, header fields, versions of HTTP.

use crate::backend::{Backend, ok};
use crate::rig::{Rig, eventually, get};

/// An app that answers each request with these bytes.
fn answering(rig: &Rig, bytes: &'static str) -> Backend {
    let backend = Backend::start(&rig.path("g1.sock"), move |mut peer, _| async move {
        while peer.try_message().await.is_some() {
            peer.send(bytes).await;
        }
    });
    rig.publish(&backend.socket);
    backend
}

/// An app that answers with what it was sent: the head as it came, and the body.
fn reflecting(rig: &Rig) -> Backend {
    let backend = Backend::start(&rig.path("g1.sock"), |mut peer, _| async move {
        while let Some(seen) = peer.try_message().await {
            let reply = format!("{}{}{}", seen.head.text, seen.text(), seen.trailers);
            peer.send(ok(&reply)).await;
        }
    });
    rig.publish(&backend.socket);
    backend
}

#[tokio::test]
async fn connections_are_kept_on_both_sides() {
    let rig = Rig::with(&[]).await;
    let shop = rig.live("g1.sock", "shop");
    let mut client = rig.connect().await;
    for _ in 0..20 {
        let answer = client.ask(&get("a")).await;
        assert_eq!(answer.text(), "shop");
        assert_eq!(answer.head.field("connection"), None);
    }
    assert_eq!(shop.accepted(), 1);
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let rig = Rig::start().await;
    let _shop = reflecting(&rig);
    let mut client = rig.connect().await;
    client
        .send("GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n")
        .await;
    for path in ["/1", "/2"] {
        assert!(
            client
                .message()
                .await
                .text()
                .starts_with(&format!("GET {path} "))
        );
    }
}

#[tokio::test]
async fn lengths_stay_lengths_and_chunks_stay_chunks() {
    let rig = Rig::start().await;
    let _shop = reflecting(&rig);
    let sized = rig
        .ask("POST /a?b=%20c HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc")
        .await;
    assert!(sized.text().starts_with("POST /a?b=%20c HTTP/1.1\r\n"));
    assert!(
        sized.text().contains("Content-Length: 3\r\n") && sized.text().ends_with("\r\n\r\nabc")
    );
    assert_eq!(sized.head.field("transfer-encoding"), None);
    for method in ["POST", "GET", "DELETE"] {
        let request = format!(
            "{method} / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
        );
        let chunked = rig.ask(&request).await;
        let text = chunked.text();
        assert!(text.contains("Transfer-Encoding: chunked\r\n"), "{text}");
        assert!(text.ends_with("\r\n\r\nabcde"), "{text}");
        assert!(!text.contains("Content-Length"), "{text}");
    }
}

#[tokio::test]
async fn targets_pass_as_they_are() {
    let rig = Rig::start().await;
    let _shop = reflecting(&rig);
    let mut client = rig.connect().await;
    for target in [
        "/?",
        "/a//b/../c;d=1?x=%2F&y",
        "//other.test/x",
        "/[id]|{a}\"b",
        "/caf\u{e9}?\u{2603}",
        "/a@b:c",
    ] {
        let answer = client
            .ask(&format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n"))
            .await;
        let start = format!("GET {target} HTTP/1.1\r\n");
        assert!(
            answer.text().starts_with(&start),
            "{target}: {}",
            answer.text()
        );
    }
    let all = client.ask("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert!(
        all.text().starts_with("OPTIONS * HTTP/1.1\r\n"),
        "{}",
        all.text()
    );
}

#[tokio::test]
async fn methods_that_nobody_knows_pass() {
    let rig = Rig::start().await;
    let _shop = reflecting(&rig);
    for method in ["PROPFIND", "X-odd", "PURGE"] {
        let answer = rig
            .ask(&format!("{method} / HTTP/1.1\r\nHost: a\r\n\r\n"))
            .await;
        assert!(answer.text().starts_with(method), "{}", answer.text());
    }
}

#[tokio::test]
async fn a_chunked_answer_stays_chunked() {
    let rig = Rig::start().await;
    let bytes = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
    let _shop = answering(&rig, bytes);
    let answer = rig.get("a").await;
    assert_eq!(answer.head.field("transfer-encoding"), Some("chunked"));
    assert_eq!(
        (answer.head.field("content-length"), answer.text()),
        (None, "abc")
    );
}

#[tokio::test]
async fn an_answer_that_ends_with_the_connection_is_given_an_end_of_its_own() {
    let rig = Rig::start().await;
    let shop = Backend::start(&rig.path("g1.sock"), |mut peer, _| async move {
        peer.head().await;
        peer.send("HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\nabc")
            .await;
    });
    rig.publish(&shop.socket);
    let mut client = rig.connect().await;
    for _ in 0..2 {
        let answer = client.ask(&get("a")).await;
        assert_eq!(answer.head.field("transfer-encoding"), Some("chunked"));
        assert_eq!(answer.text(), "abc");
    }
}

#[tokio::test]
async fn trailers_pass_both_ways() {
    let rig = Rig::start().await;
    let shop = Backend::start(&rig.path("g1.sock"), |mut peer, _| async move {
        while let Some(seen) = peer.try_message().await {
            assert_eq!(seen.head.field("te"), Some("trailers"));
            assert_eq!(seen.trailers, "X-Sum: 7\r\n");
            peer.send(
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Took\r\n\r\n\
                 3\r\nabc\r\n0\r\nX-Took: 9\r\n\r\n",
            )
            .await;
        }
    });
    rig.publish(&shop.socket);
    let request = "POST / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nConnection: TE\r\nTrailer: X-Sum\r\n\
                   Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 7\r\n\r\n";
    let mut client = rig.connect().await;
    for _ in 0..2 {
        let answer = client.ask(request).await;
        assert_eq!(
            (answer.text(), answer.trailers.as_str()),
            ("abc", "X-Took: 9\r\n")
        );
    }
}

#[tokio::test]
async fn fields_of_one_connection_stay_there() {
    let rig = Rig::start().await;
    let answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: X-Hop, keep-alive\r\nKeep-Alive: timeout=5\r\n\
                  X-Hop: 1\r\nProxy-Authenticate: Basic\r\nX-Stays: 1\r\nSet-Cookie: a=1\r\n\r\nok";
    let shop = Backend::start(&rig.path("g1.sock"), move |mut peer, _| async move {
        while let Some(seen) = peer.try_message().await {
            for gone in [
                "connection",
                "keep-alive",
                "x-hop",
                "proxy-authorization",
                "te",
                "upgrade",
            ] {
                assert_eq!(seen.head.field(gone), None, "{}", seen.head.text);
            }
            assert_eq!(seen.head.field("cookie"), Some("a=1"));
            peer.send(answer).await;
        }
    });
    rig.publish(&shop.socket);
    let request = "GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, X-Hop\r\nKeep-Alive: timeout=9\r\nX-Hop: 1\r\n\
                   TE: gzip\r\nUpgrade: h2c\r\nProxy-Authorization: Basic x\r\nCookie: a=1\r\n\r\n";
    let answer = rig.ask(request).await;
    assert_eq!(answer.text(), "ok");
    for gone in ["connection", "keep-alive", "x-hop", "proxy-authenticate"] {
        assert_eq!(answer.head.field(gone), None, "{}", answer.head.text);
    }
    assert_eq!(answer.head.field("x-stays"), Some("1"));
    assert_eq!(answer.head.field("set-cookie"), Some("a=1"));
}

#[tokio::test]
async fn the_app_is_told_who_asked_and_how() {
    let rig = Rig::start().await;
    let _shop = reflecting(&rig);
    let plain = rig
        .ask("GET / HTTP/1.1\r\nHost: Shop.test:8080\r\n\r\n")
        .await;
    for line in [
        "Host: Shop.test:8080\r\n",
        "X-Forwarded-For: 127.0.0.1\r\n",
        "X-Forwarded-Proto: http\r\n",
        "X-Forwarded-Host: Shop.test:8080\r\n",
    ] {
        assert!(plain.text().contains(line), "{}", plain.text());
    }
    let behind_a_proxy = "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 203.0.113.9\r\nX-Forwarded-Proto: https\r\n\r\n";
    let proxied = rig.ask(behind_a_proxy).await;
    assert!(
        proxied
            .text()
            .contains("X-Forwarded-For: 203.0.113.9, 127.0.0.1\r\n")
    );
    assert!(proxied.text().contains("X-Forwarded-Proto: https\r\n"));
}

#[tokio::test]
async fn names_keep_their_case_and_reasons_their_words() {
    let rig = Rig::start().await;
    let answer =
        "HTTP/1.1 200 Fine So Far\r\nContent-Length: 2\r\nX-ODD-case: 1\r\nx-lower: 1\r\n\r\nok";
    let shop = Backend::start(&rig.path("g1.sock"), move |mut peer, _| async move {
        let seen = peer.message().await;
        assert!(
            seen.head.text.contains("\r\nx-MiXed: 1\r\n"),
            "{}",
            seen.head.text
        );
        peer.send(answer).await;
    });
    rig.publish(&shop.socket);
    let answer = rig
        .ask("GET / HTTP/1.1\r\nHost: a\r\nx-MiXed: 1\r\n\r\n")
        .await;
    assert_eq!(answer.head.start(), "HTTP/1.1 200 Fine So Far");
    assert!(
        answer
            .head
            .text
            .contains("\r\nX-ODD-case: 1\r\nx-lower: 1\r\n")
    );
}

#[tokio::test]
async fn an_old_client_gets_no_chunks_and_needs_no_host() {
    let rig = Rig::start().await;
    let bytes =
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";
    let _shop = answering(&rig, bytes);
    let mut client = rig.connect().await;
    client.send("GET / HTTP/1.0\r\n\r\n").await;
    let head = client.head().await;
    assert!(head.start().starts_with("HTTP/1.0 200"), "{}", head.text);
    assert_eq!(head.field("transfer-encoding"), None);
    assert_eq!(client.rest().await, "abcde");
}

#[tokio::test]
async fn an_old_client_may_keep_its_connection_where_a_length_is_known() {
    let rig = Rig::start().await;
    let shop = rig.live("g1.sock", "shop");
    let mut client = rig.connect().await;
    for _ in 0..2 {
        let answer = client
            .ask("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
            .await;
        assert_eq!(answer.head.field("connection"), Some("keep-alive"));
        assert_eq!(answer.text(), "shop");
    }
    assert_eq!(shop.accepted(), 1);
    let answer = client.ask("GET / HTTP/1.0\r\n\r\n").await;
    assert_eq!(answer.text(), "shop");
    assert_eq!(client.rest().await, "", "the connection ends there");
}

#[tokio::test]
async fn a_client_that_asks_for_the_end_of_the_connection_gets_it() {
    let rig = Rig::start().await;
    let _shop = rig.live("g1.sock", "shop");
    let mut client = rig.connect().await;
    let answer = client
        .ask("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        .await;
    assert_eq!(answer.head.field("connection"), Some("close"));
    assert_eq!(client.rest().await, "");
}

#[tokio::test]
async fn answers_without_a_body_have_none_and_keep_the_connection() {
    let rig = Rig::start().await;
    let shop = Backend::start(&rig.path("g1.sock"), |mut peer, _| async move {
        while let Some(head) = peer.try_head().await {
            let answer = match head.start().split(' ').nth(1).unwrap() {
                "/204" => "HTTP/1.1 204 No Content\r\nX-Seen: 1\r\n\r\n",
                "/304" => "HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\n\r\n",
                // Lengths that belong to the answer to a GET, and that nobody may wait for.
                "/304-sized" => "HTTP/1.1 304 Not Modified\r\nContent-Length: 1234\r\n\r\n",
                "/204-sized" => "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n",
                "/chunked" => "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-Seen: 1\r\n\r\n",
                _sized => "HTTP/1.1 200 OK\r\nContent-Length: 1234\r\n\r\n",
            };
            peer.send(answer).await;
        }
    });
    rig.publish(&shop.socket);
    let mut client = rig.connect().await;
    for (method, path, status) in [
        ("HEAD", "/sized", 200),
        ("GET", "/204", 204),
        ("HEAD", "/chunked", 200),
        ("GET", "/304", 304),
        ("GET", "/304-sized", 304),
        ("GET", "/204-sized", 204),
        ("HEAD", "/204", 204),
    ] {
        client
            .send(format!("{method} {path} HTTP/1.1\r\nHost: a\r\n\r\n"))
            .await;
        let head = client.head().await;
        assert_eq!(head.status(), status);
        let length = (path == "/sized").then_some("1234");
        assert_eq!(head.field("content-length"), length, "{path} {}", head.text);
    }
    assert_eq!(shop.accepted(), 1);
}

#[tokio::test]
async fn a_promised_body_waits_for_the_apps_leave() {
    let rig = Rig::start().await;
    let shop = Backend::start(&rig.path("g1.sock"), |mut peer, _| async move {
        let head = peer.head().await;
        assert_eq!(head.field("expect"), Some("100-continue"));
        peer.send("HTTP/1.1 100 Continue\r\n\r\n").await;
        assert_eq!(peer.exactly(3).await, b"abc");
        peer.send(ok("taken")).await;
    });
    rig.publish(&shop.socket);
    let mut client = rig.connect().await;
    client
        .send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n")
        .await;
    assert_eq!(client.head().await.status(), 100);
    client.send("abc").await;
    assert_eq!(client.message().await.text(), "taken");
}

#[tokio::test]
async fn a_refused_body_is_never_asked_for() {
    let rig = Rig::start().await;
    let shop = Backend::start(&rig.path("g1.sock"), |mut peer, _| async move {
        peer.head().await;
        peer.send("HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\nno")
            .await;
        assert_eq!(peer.rest().await, "", "not a byte of the body arrives");
    });
    rig.publish(&shop.socket);
    let mut client = rig.connect().await;
    client
        .send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n")
        .await;
    let answer = client.message().await;
    assert_eq!((answer.status(), answer.text()), (401, "no"));
    assert_eq!(answer.head.field("connection"), Some("close"));
    assert_eq!(client.rest().await, "");
    eventually("the app's connection is closed", async || shop.open() == 0).await;
}

#[tokio::test]
async fn an_app_that_knows_nothing_of_leave_gets_the_body_all_the_same() {
    let rig = Rig::start().await;
    let _shop = reflecting(&rig);
    let mut client = rig.connect().await;
    client
        .send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n")
        .await;
    assert_eq!(client.head().await.status(), 100);
    client.send("abc").await;
    assert!(client.message().await.text().ends_with("abc"));
}
