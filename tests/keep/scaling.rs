use std::time::Duration;

use super::load::Load;
use super::support::*;

#[tokio::test]
async fn scaling_up_and_down_under_load_loses_no_request() {
    let app = App::server();
    let generation = app.serving(2).await;
    let load = Load::start(generation.socket(), 8);
    load.go_on_for(200).await;
    for instances in [4, 1, 3, 2] {
        generation.keeper.scale(instances).await.unwrap();
        load.go_on_for(200).await;
    }
    generation.until_all_listen(2).await;
    let (good, bad) = load.finish().await;
    assert!(bad.is_empty(), "{} of {good}: {:?}", bad.len(), &bad[..1]);
    generation.stopped().await;
}

#[tokio::test]
async fn a_cluster_that_is_scaled_away_loses_no_request() {
    let cluster = r"
const cluster = require('cluster');
if (cluster.isPrimary) { cluster.fork(); cluster.fork(); } else { require('./server.js'); }";
    let app = App::new(&[("server.js", SERVER), ("cluster.js", cluster)]);
    let mut spec = app.spec(1, "node cluster.js");
    spec.instances = 2;
    let generation = app.start(spec).await.ready().await;
    let load = Load::start(generation.socket(), 6);
    load.go_on_for(100).await;
    generation.keeper.scale(1).await.unwrap();
    load.go_on_for(100).await;
    generation.until_all_listen(1).await;
    let (good, bad) = load.finish().await;
    assert!(bad.is_empty(), "{} of {good}: {:?}", bad.len(), &bad[..1]);
    generation.stopped().await;
}

#[tokio::test]
async fn an_instance_that_is_scaled_away_keeps_its_open_connections_to_their_end() {
    let app = App::server();
    let generation = app.serving(2).await;
    // Enough of them that both instances have some.
    let mut held = Vec::new();
    for _ in 0..20 {
        held.push(upgrade(generation.socket()).await);
    }
    generation.keeper.scale(1).await.unwrap();
    for stream in &mut held {
        echo(stream, "still").await;
    }
    for _ in 0..10 {
        assert_eq!(generation.get("/").await, "instance 0");
    }
    drop(held);
    generation.until_all_listen(1).await;
    generation.stopped().await;
}

#[tokio::test]
async fn more_instances_do_not_wait_for_those_that_leave() {
    let app = App::server();
    let generation = app.serving(2).await;
    let mut held = Vec::new();
    for _ in 0..20 {
        held.push(upgrade(generation.socket()).await);
    }
    generation.keeper.scale(1).await.unwrap();
    let again = generation.keeper.scale(2);
    let again = tokio::time::timeout(Duration::from_secs(30), again).await;
    again.expect("it need not wait").unwrap();
    for stream in &mut held {
        echo(stream, "still").await;
    }
    drop(held);
    generation.until_all_listen(2).await;
    generation.stopped().await;
}

#[tokio::test]
async fn an_added_instance_that_fails_leaves_those_that_were_there() {
    let server = format!(
        "if (process.env.HANDOVER_INSTANCE === '1') {{ console.log('no'); process.exit(5); }}{SERVER}"
    );
    let app = App::new(&[("server.js", &server)]);
    let generation = app.serving(1).await;
    let error = generation.keeper.scale(2).await.unwrap_err().to_string();
    assert!(
        error.contains("instance 1 ended before it listened"),
        "{error}"
    );
    generation.until_all_listen(1).await;
    assert_eq!(generation.get("/").await, "instance 0");
    assert!(generation.keeper.scale(0).await.is_err());
    generation.stopped().await;
}
