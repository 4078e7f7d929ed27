use std::time::Duration;

use handover::keep::{KeepEvent, ModeName, Retirement};
use tokio::net::UnixStream;

use super::support::*;

fn retirement(app: &App, generation: &Generation) -> Retirement {
    Retirement::take(&app.paths.generation(generation.spec.generation))
        .unwrap()
        .unwrap()
}

#[tokio::test]
async fn a_drain_waits_for_a_slow_request_and_an_upgraded_connection() {
    let app = App::server();
    let generation = app.serving(2).await;
    let mut socket = upgrade(generation.socket()).await;
    // Several, so that each instance has one, and `/go` must reach both.
    let slow: Vec<_> = (0..4)
        .map(|_| {
            let path = generation.socket().to_owned();
            tokio::spawn(async move { get(&path, "/slow").await })
        })
        .collect();
    until("five connections", async || {
        (generation.count() == (5, 0)).then_some(())
    })
    .await;
    let mut watch = generation.keeper.watch().await.unwrap();
    let open = generation.keeper.drain(None).await.unwrap();
    assert_eq!((open.established, open.upgraded), (5, Some(1)));
    let status = generation.status().await;
    assert_eq!(status.mode, ModeName::Draining);
    assert!(status.deadline.is_some());
    // What is there is served on.
    echo(&mut socket, "still there").await;
    until("end of the slow requests", async || {
        let _ = generation.get("/go").await;
        slow.iter()
            .all(tokio::task::JoinHandle::is_finished)
            .then_some(())
    })
    .await;
    for task in slow {
        assert_eq!(task.await.unwrap().unwrap(), "slow done");
    }
    echo(&mut socket, "and still").await;
    assert!(!generation.keeper.has_ended());
    drop(socket);
    let forced = next_matching(&mut watch, "retirement", |event| match event {
        KeepEvent::Retired { forced, .. } => Some(*forced),
        _ => None,
    })
    .await;
    generation.gone().await;
    assert_eq!(forced, 0);
    assert_eq!(retirement(&app, &generation).forced, 0);
    assert!(!generation.socket().exists());
}

#[tokio::test]
async fn at_the_limit_what_is_left_is_ended_and_counted() {
    let app = App::server();
    let generation = app.serving(1).await;
    let mut held = Vec::new();
    for _ in 0..3 {
        held.push(upgrade(generation.socket()).await);
    }
    let limit = Some(Duration::from_millis(100));
    let open = generation.keeper.drain(limit).await.unwrap();
    assert_eq!((open.total(), open.upgraded), (3, Some(3)));
    generation.gone().await;
    assert_eq!(retirement(&app, &generation).forced, 3);
    for mut stream in held {
        let _ = read_all(&mut stream).await; // ended or reset
    }
}

#[tokio::test]
async fn an_app_that_ignores_sigterm_is_killed_after_its_time() {
    let server = format!("process.on('SIGTERM', () => {{}});{SERVER}");
    let app = App::new(&[("server.js", &server)]);
    let mut spec = app.spec(1, "node server.js");
    spec.stop_timeout = Duration::from_millis(200);
    let generation = app.start(spec).await.ready().await;
    generation.keeper.drain(None).await.unwrap();
    generation.gone().await;
    assert!(app.log().contains("ended: killed, 200 ms after SIGTERM"));
}

#[tokio::test]
async fn once_draining_an_idle_connection_is_used_once_more_and_told_to_close() {
    let app = App::server();
    let generation = app.serving(1).await;
    let mut idle = UnixStream::connect(generation.socket()).await.unwrap();
    let head = exchange(&mut idle, "/").await.unwrap();
    assert!(head.contains("connection: keep-alive"), "{head}");
    // nginx keeps idle connections for 60 seconds: the app must keep them for longer.
    assert!(head.contains("keep-alive: timeout=150"), "{head}");
    generation.keeper.drain(None).await.unwrap();
    let head = exchange(&mut idle, "/").await.unwrap();
    assert!(head.contains("connection: close"), "{head}");
    generation.gone().await;
    assert_eq!(retirement(&app, &generation).forced, 0);
}

#[tokio::test]
async fn a_response_under_way_when_the_drain_begins_asks_to_reconnect() {
    let app = App::server();
    let generation = app.serving(1).await;
    let mut slow = UnixStream::connect(generation.socket()).await.unwrap();
    send(&mut slow, "/slow", "keep-alive").await.unwrap();
    // The app has the request when it has answered one that came later.
    until("the slow request", async || {
        generation.get("/pid").await;
        (generation.count() == (1, 0)).then_some(())
    })
    .await;
    generation.keeper.drain(None).await.unwrap();
    generation.get("/go").await;
    let answer = read_all(&mut slow).await.unwrap().to_lowercase();
    assert!(answer.contains("connection: close"), "{answer}");
    drop(slow);
    generation.gone().await;
}

#[tokio::test]
async fn a_drain_that_is_called_off_leaves_everything_as_it_was() {
    let app = App::server();
    let generation = app.serving(1).await;
    let mut web_socket = upgrade(generation.socket()).await;
    generation.keeper.drain(None).await.unwrap();
    generation.keeper.undrain().await.unwrap();
    echo(&mut web_socket, "here").await;
    drop(web_socket);
    let mut idle = UnixStream::connect(generation.socket()).await.unwrap();
    let head = exchange(&mut idle, "/").await.unwrap();
    assert!(head.contains("connection: keep-alive"), "{head}");
    drop(idle);
    assert_eq!(generation.status().await.mode, ModeName::Serving);
    generation.keeper.drain(None).await.unwrap();
    generation.gone().await;
}

#[tokio::test]
async fn cluster_workers_all_hear_of_the_drain() {
    let cluster = r"
const cluster = require('cluster');
if (cluster.isPrimary) { cluster.fork(); cluster.fork(); } else { require('./server.js'); }";
    let app = App::new(&[("server.js", SERVER), ("cluster.js", cluster)]);
    let generation = app
        .start(app.spec(1, "node cluster.js"))
        .await
        .ready()
        .await;
    let mut pool = Vec::new();
    for _ in 0..6 {
        let mut idle = UnixStream::connect(generation.socket()).await.unwrap();
        exchange(&mut idle, "/").await.unwrap();
        pool.push(idle);
    }
    generation.keeper.drain(None).await.unwrap();
    for mut idle in pool {
        let head = exchange(&mut idle, "/").await.unwrap();
        assert!(head.contains("connection: close"), "{head}");
    }
    generation.gone().await;
    assert_eq!(retirement(&app, &generation).forced, 0);
}

#[tokio::test]
async fn sigterm_to_the_keeper_is_a_short_drain() {
    let app = App::server();
    let mut spec = app.spec(1, "node server.js");
    spec.stop_timeout = Duration::from_millis(300);
    let generation = app.start(spec).await.ready().await;
    let _held = upgrade(generation.socket()).await;
    let keeper = handover::process::identity::PidFd::open(generation.keeper.identity())
        .unwrap()
        .unwrap();
    keeper
        .signal(handover::process::child::Signal::SIGTERM)
        .unwrap();
    generation.gone().await;
    assert_eq!(retirement(&app, &generation).forced, 1);
}
