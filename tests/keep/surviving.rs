use std::time::Duration;

use handover::keep::{KeepEvent, Keeper, Processes, orphans};
use handover::process::child::{Output, Spawn};
use handover::slot;

use super::support::*;

#[tokio::test]
async fn instances_serve_on_when_their_keeper_is_killed_and_can_be_retired_without_it() {
    let app = App::server();
    let generation = app.serving(2).await;
    let mut held = upgrade(generation.socket()).await;
    kill(generation.keeper.identity());
    generation.gone().await;
    let paths = app.paths.generation(generation.spec.generation);
    assert!(Keeper::find(&paths).unwrap().is_none());
    // Printing is no error and never blocks, though nobody reads it: 2,000 times 100 bytes do not fit into a pipe.
    for _ in 0..2000 {
        assert!(generation.get("/print").await.starts_with("instance "));
    }
    echo(&mut held, "still").await;
    let recorded = Processes::read(&paths).unwrap().unwrap();
    let found = orphans::find(&paths, generation.socket()).unwrap();
    assert!(recorded.instances.len() == 2);
    assert!(
        recorded
            .instances
            .iter()
            .all(|i| i.is_alive() && found.contains(i))
    );
    let retired = orphans::retire(
        &paths,
        generation.socket(),
        Duration::from_millis(100),
        Duration::from_secs(5),
    );
    assert_eq!(retired.await.unwrap(), 1);
    assert!(recorded.instances.iter().all(|i| !i.is_alive()));
    slot::remove_generation(&app.paths, generation.spec.generation).unwrap();
    assert!(!generation.socket().exists());
}

#[tokio::test]
async fn the_keeper_survives_whoever_started_it() {
    let app = App::server();
    let spec = app.spec(1, "node server.js");
    let paths = app.paths.generation(spec.generation);
    std::fs::create_dir(paths.dir()).unwrap();
    spec.write(&paths.spec()).unwrap();
    // A shell starts it, is told `ready`, and is killed with its whole group.
    let script = format!(
        "setsid '{EXE}' keep --dir '{}' </dev/null; read x",
        paths.dir().display()
    );
    let mut starter = Spawn::new("/bin/sh")
        .args(["-c", &script])
        .env("PATH", std::env::var("PATH").unwrap())
        .stdout(Output::Piped)
        .spawn()
        .unwrap();
    let mut out = starter.take_stdout().unwrap();
    let mut said = [0; 6];
    tokio::io::AsyncReadExt::read_exact(&mut out, &mut said)
        .await
        .unwrap();
    assert_eq!(&said, b"ready\n");
    starter.kill_group();
    starter.wait().await.unwrap();
    let keeper = Keeper::find(&paths).unwrap().unwrap();
    let generation = Generation {
        keeper,
        spec,
        paths,
    };
    let generation = generation.ready().await;
    assert_eq!(generation.get("/").await, "instance 0");
    generation.stopped().await;
}

#[tokio::test]
async fn a_keeper_is_found_again_and_a_later_watcher_hears_what_comes() {
    let app = App::server();
    let generation = app.serving(1).await;
    let paths = app.paths.generation(generation.spec.generation);
    let again = Keeper::find(&paths).unwrap().unwrap();
    assert_eq!(again.identity(), generation.keeper.identity());
    let mut watch = again.watch().await.unwrap();
    again.drain(None).await.unwrap();
    let took = next_matching(&mut watch, "retirement", |event| match event {
        KeepEvent::Retired { took_ms, .. } => Some(*took_ms),
        _ => None,
    })
    .await;
    assert!(took.0 < BOUND);
    within("end of the watch", async {
        while watch.next().await.is_some() {}
    })
    .await;
    generation.gone().await;
    assert!(Keeper::find(&paths).unwrap().is_none());
}
