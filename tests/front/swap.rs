//! A swap is exact: from the rename on, no request that begins reaches what was live before.

use std::sync::Arc;

use tokio::sync::Notify;

use crate::backend::{Backend, ok};
use crate::rig::{Rig, eventually, get};

const APP: &str = "shop";

#[tokio::test]
async fn after_the_rename_every_request_reaches_the_new_one() {
    let rig = Rig::start().await;
    let backends = [rig.live("g1.sock", "one"), rig.live("g2.sock", "two")];
    let mut kept = Vec::new();
    for _ in 0..8 {
        kept.push(rig.connect().await);
    }
    for round in 0..100 {
        let (backend, words) = (&backends[round % 2], ["one", "two"][round % 2]);
        rig.publish(&backend.socket);
        for client in &mut kept {
            assert_eq!(client.ask(&get("a")).await.text(), words);
        }
        assert_eq!(rig.get("a").await.text(), words);
    }
}

#[tokio::test]
async fn requests_that_run_into_a_swap_are_all_answered() {
    let rig = Rig::start().await;
    let backends = [rig.live("g1.sock", "one"), rig.live("g2.sock", "two")];
    let mut clients = Vec::new();
    for _ in 0..8 {
        let mut client = rig.connect().await;
        clients.push(tokio::spawn(async move {
            for _ in 0..100 {
                assert_eq!(client.ask(&get("a")).await.status(), 200);
            }
        }));
    }
    while !clients.iter().all(tokio::task::JoinHandle::is_finished) {
        for backend in &backends {
            rig.publish(&backend.socket);
            tokio::task::yield_now().await;
        }
    }
    for client in clients {
        client.await.unwrap();
    }
}

#[tokio::test]
async fn once_told_of_a_publish_the_front_holds_nothing_idle_to_the_old_one() {
    let rig = Rig::start().await;
    let old = rig.live("g1.sock", "old");
    let mut clients = Vec::new();
    for _ in 0..8 {
        let mut client = rig.connect().await;
        assert_eq!(client.ask(&get("a")).await.text(), "old");
        clients.push(client);
    }
    assert!(old.open() > 0);
    let new = rig.live("g2.sock", "new");
    let mut control = rig.client().await;
    control.published(&APP.parse().unwrap()).await.unwrap();
    let upstream = control.status().await.unwrap().upstream;
    assert!(upstream.is_empty(), "closed before the reply: {upstream:?}");
    eventually("the old one has no connection", async || old.open() == 0).await;
    for client in &mut clients {
        assert_eq!(client.ask(&get("a")).await.text(), "new");
    }
    control.published(&APP.parse().unwrap()).await.unwrap();
    assert!(new.open() > 0, "what leads to the live one is kept");
}

#[tokio::test]
async fn without_being_told_the_front_finds_out_by_itself() {
    let rig = Rig::start().await;
    let old = rig.live("g1.sock", "old");
    assert_eq!(rig.get("a").await.text(), "old");
    assert_eq!(old.open(), 1);
    let began = std::time::Instant::now();
    let _new = rig.live("g2.sock", "new");
    eventually("the old one has no connection", async || old.open() == 0).await;
    // Sooner than it would have been closed for being idle.
    assert!(began.elapsed().as_millis() < 2500, "{:?}", began.elapsed());
}

#[tokio::test]
async fn what_is_in_flight_ends_where_it_began_and_is_not_kept() {
    let rig = Rig::start().await;
    let go = Arc::new(Notify::new());
    let may_answer = Arc::clone(&go);
    let old = Backend::start(&rig.path("g1.sock"), move |mut peer, _| {
        let may_answer = Arc::clone(&may_answer);
        async move {
            peer.head().await;
            may_answer.notified().await;
            peer.send(ok("old")).await;
            assert_eq!(peer.rest().await, "", "nothing else is asked");
        }
    });
    rig.publish(&old.socket);
    let mut waiting = rig.connect().await;
    waiting.send(get("a")).await;
    eventually("the old one has the request", async || old.open() == 1).await;
    let _new = rig.live("g2.sock", "new");
    let mut control = rig.client().await;
    control.published(&APP.parse().unwrap()).await.unwrap();
    assert_eq!(rig.get("a").await.text(), "new");
    assert_eq!(old.open(), 1);
    go.notify_one();
    assert_eq!(waiting.message().await.text(), "old");
    eventually("the old one has no connection", async || old.open() == 0).await;
    assert_eq!(waiting.ask(&get("a")).await.text(), "new");
}

#[tokio::test]
async fn a_generation_that_comes_back_is_known_again() {
    let rig = Rig::start().await;
    let old = rig.live("g1.sock", "old");
    assert_eq!(rig.get("a").await.text(), "old");
    let new = rig.live("g2.sock", "new");
    assert_eq!(rig.get("a").await.text(), "new");
    drop(new);
    rig.publish(&old.socket);
    assert_eq!(rig.get("a").await.text(), "old");
}
