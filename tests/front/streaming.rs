//! Bodies flow: nothing is collected, and nothing is held for who has gone.

use std::sync::Arc;

use tokio::sync::{Notify, Semaphore};

use crate::backend::{Backend, ok};
use crate::rig::{Rig, eventually, get};

const MB: usize = 1 << 20;
/// One end of a notice to give away, and one to wait at.
fn notice() -> (Arc<Notify>, Arc<Notify>) {
    let notice = Arc::<Notify>::default();
    (Arc::clone(&notice), notice)
}

/// What the front may have needed at its peak, whatever the size of the bodies (kB).
const PEAK_KB: usize = 40 << 10;

#[tokio::test]
async fn the_first_chunk_arrives_before_the_second_is_sent() {
    let rig = Rig::start().await;
    let arrived = Arc::new(Notify::new());
    let told = Arc::clone(&arrived);
    let shop = Backend::start(&rig.path("g1.sock"), move |mut peer, _| {
        let told = Arc::clone(&told);
        async move {
            peer.head().await;
            peer.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n")
                .await;
            told.notified().await;
            peer.send("6\r\nsecond\r\n0\r\n\r\n").await;
        }
    });
    rig.publish(&shop.socket);
    let mut client = rig.connect().await;
    client.send(get("a")).await;
    client.head().await;
    assert_eq!(client.chunk().await, b"first");
    arrived.notify_one();
    assert_eq!(client.chunk().await, b"second");
}

#[tokio::test]
async fn each_part_of_an_upload_arrives_before_the_next_is_sent() {
    let rig = Rig::start().await;
    let parts = Arc::new(Semaphore::new(0));
    let seen = Arc::clone(&parts);
    let shop = Backend::start(&rig.path("g1.sock"), move |mut peer, _| {
        let seen = Arc::clone(&seen);
        async move {
            peer.head().await;
            for _ in 0..3 {
                assert_eq!(peer.exactly(4).await, b"part");
                seen.add_permits(1);
            }
            peer.send(ok("all")).await;
        }
    });
    rig.publish(&shop.socket);
    let mut client = rig.connect().await;
    client
        .send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 12\r\n\r\n")
        .await;
    for _ in 0..3 {
        client.send("part").await;
        parts.acquire().await.unwrap().forget();
    }
    assert_eq!(client.message().await.text(), "all");
}

#[tokio::test]
async fn a_large_upload_to_a_slow_app_is_not_collected() {
    let rig = Rig::start().await;
    let go = Arc::new(Notify::new());
    let may_read = Arc::clone(&go);
    let shop = Backend::start(&rig.path("g1.sock"), move |mut peer, _| {
        let may_read = Arc::clone(&may_read);
        async move {
            peer.head().await;
            may_read.notified().await;
            for _ in 0..50 {
                peer.exactly(MB).await;
            }
            peer.send(ok("all")).await;
        }
    });
    rig.publish(&shop.socket);
    let mut client = rig.connect().await;
    let length = 50 * MB;
    client
        .send(format!(
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n"
        ))
        .await;
    let uploading = tokio::spawn(async move {
        for _ in 0..50 {
            client.send(vec![b'x'; MB]).await;
        }
        client.message().await
    });
    eventually("the app has the request", async || shop.accepted() == 1).await;
    go.notify_one();
    assert_eq!(uploading.await.unwrap().text(), "all");
    let peak = rig.memory_kb("VmHWM");
    assert!(peak < PEAK_KB, "{peak} kB at the peak");
}

#[tokio::test]
async fn a_large_answer_to_a_slow_client_is_not_collected() {
    let rig = Rig::start().await;
    let shop = Backend::start(&rig.path("g1.sock"), |mut peer, _| async move {
        peer.head().await;
        let length = 50 * MB;
        peer.send(format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n"
        ))
        .await;
        for _ in 0..50 {
            peer.send(vec![b'x'; MB]).await;
        }
    });
    rig.publish(&shop.socket);
    let mut client = rig.connect().await;
    client.send(get("a")).await;
    client.head().await;
    for _ in 0..50 {
        client.exactly(MB).await;
    }
    let peak = rig.memory_kb("VmHWM");
    assert!(peak < PEAK_KB, "{peak} kB at the peak");
}

#[tokio::test]
async fn at_rest_the_front_is_small() {
    let rig = Rig::start().await;
    let _shop = rig.live("g1.sock", "shop");
    for _ in 0..100 {
        rig.get("a").await;
    }
    // Much of what is resident of a build for debugging is its code.
    let line = if cfg!(debug_assertions) {
        "RssAnon"
    } else {
        "VmRSS"
    };
    let resident = rig.memory_kb(line);
    assert!(resident < 15 << 10, "{resident} kB");
}

#[tokio::test]
async fn an_early_refusal_reaches_a_client_that_still_sends() {
    let rig = Rig::start().await;
    let shop = Backend::start(&rig.path("g1.sock"), |mut peer, _| async move {
        peer.head().await;
        // Closes with most of the request unread.
        peer.send(
            "HTTP/1.1 413 Too Large\r\nConnection: close\r\nContent-Length: 8\r\n\r\ntoo much",
        )
        .await;
    });
    rig.publish(&shop.socket);
    for _ in 0..20 {
        let mut client = rig.connect().await;
        let length = 50 * MB;
        client
            .send(format!(
                "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n"
            ))
            .await;
        for _ in 0..5 {
            // A reset would show itself in reading the answer.
            let _ = client.try_send(vec![b'x'; MB]).await;
        }
        let answer = client.message().await;
        assert_eq!((answer.status(), answer.text()), (413, "too much"));
    }
}

#[tokio::test]
async fn an_early_answer_of_an_app_that_reads_on_keeps_the_connection() {
    let rig = Rig::start().await;
    let shop = Backend::start(&rig.path("g1.sock"), |mut peer, _| async move {
        while peer.try_head().await.is_some() {
            peer.send(ok("enough")).await;
            peer.exactly(MB).await;
        }
    });
    rig.publish(&shop.socket);
    let mut client = rig.connect().await;
    for _ in 0..2 {
        client
            .send(format!(
                "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {MB}\r\n\r\n"
            ))
            .await;
        assert_eq!(client.message().await.text(), "enough");
        client.send(vec![b'x'; MB]).await;
    }
}

#[tokio::test]
async fn a_client_that_goes_before_the_answer_takes_the_apps_connection_along() {
    let rig = Rig::start().await;
    let (heard, asked) = notice();
    let shop = Backend::start(&rig.path("g1.sock"), move |mut peer, _| {
        let heard = Arc::clone(&heard);
        async move {
            peer.head().await;
            heard.notify_one();
            peer.rest().await;
        }
    });
    rig.publish(&shop.socket);
    let mut client = rig.connect().await;
    client.send(get("a")).await;
    asked.notified().await;
    drop(client);
    eventually("the app's connection is closed", async || shop.open() == 0).await;
    eventually("nothing is counted", async || {
        let status = rig.status().await;
        status.in_flight == 0 && status.client_connections == 0 && status.upstream.is_empty()
    })
    .await;
}

#[tokio::test]
async fn a_client_that_goes_from_a_silent_stream_takes_the_apps_connection_along() {
    let rig = Rig::start().await;
    let shop = Backend::start(&rig.path("g1.sock"), |mut peer, _| async move {
        peer.head().await;
        peer.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n")
            .await;
        peer.rest().await;
    });
    rig.publish(&shop.socket);
    let mut client = rig.connect().await;
    client.send(get("a")).await;
    client.head().await;
    client.chunk().await;
    drop(client);
    eventually("the app's connection is closed", async || shop.open() == 0).await;
}

#[tokio::test]
async fn a_client_that_goes_within_its_upload_takes_the_apps_connection_along() {
    let rig = Rig::start().await;
    let (heard, asked) = notice();
    let shop = Backend::start(&rig.path("g1.sock"), move |mut peer, _| {
        let heard = Arc::clone(&heard);
        async move {
            peer.head().await;
            heard.notify_one();
            let body = peer.rest().await;
            assert_eq!(body, "", "no end that looks like a whole body");
        }
    });
    rig.publish(&shop.socket);
    let mut client = rig.connect().await;
    client
        .send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
        .await;
    asked.notified().await;
    drop(client);
    eventually("the app's connection is closed", async || shop.open() == 0).await;
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_not_made_to_look_whole() {
    let rig = Rig::start().await;
    let shop = Backend::start(&rig.path("g1.sock"), |mut peer, _| async move {
        let head = peer.head().await;
        let framing = if head.start().contains("chunked") {
            "Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n"
        } else {
            "Content-Length: 8\r\n\r\nhalf"
        };
        peer.send(format!("HTTP/1.1 200 OK\r\n{framing}")).await;
    });
    rig.publish(&shop.socket);
    for (path, rest) in [("/chunked", "4\r\nhalf\r\n"), ("/sized", "half")] {
        let mut client = rig.connect().await;
        client
            .send(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n"))
            .await;
        assert_eq!(client.head().await.status(), 200);
        assert_eq!(client.rest().await, rest);
    }
}
