use handover::keep::KeepEvent;
use handover::process::child::Signal;
use handover::process::identity::{Identity, PidFd};

use super::support::*;

#[tokio::test]
async fn an_instance_that_crashes_is_started_again_and_what_waits_is_answered() {
    let app = App::server();
    let generation = app.serving(1).await;
    let mut watch = generation.keeper.watch().await.unwrap();
    assert_eq!(generation.get("/crash").await, "bye");
    // Nobody accepts now; the connection waits in the queue that the keeper holds.
    let waiting = generation.get("/");
    let (status, restart) = next_matching(&mut watch, "exit", |event| match event {
        KeepEvent::Exited {
            status,
            restart_in_ms,
            ..
        } => Some((status.clone(), *restart_in_ms)),
        _ => None,
    })
    .await;
    assert_eq!(status, "exit code 3");
    assert!(restart.is_some());
    assert_eq!(within("an answer", waiting).await, "instance 0");
    let status = generation.until_all_listen(1).await;
    assert_eq!(status.instances[0].restarts, 1);
    generation.stopped().await;
}

#[tokio::test]
async fn npm_that_is_killed_takes_its_node_along_and_both_come_back() {
    let package = r#"{"name":"shop","scripts":{"start":"node server.js"}}"#;
    let app = App::new(&[("server.js", SERVER), ("package.json", package)]);
    let generation = app.start(app.spec(1, "npm start")).await.ready().await;
    let node: u32 = generation.get("/pid").await.parse().unwrap();
    let node = Identity::of(node).unwrap();
    let leader = Identity::of(generation.instance_pid(0).await).unwrap();
    kill(&leader);
    let node_ended = PidFd::open(&node).unwrap();
    if let Some(node_ended) = node_ended {
        within("node's end", node_ended.exited()).await.unwrap();
    }
    let again = within("an answer", generation.get("/pid")).await;
    assert_ne!(again.parse::<u32>().unwrap(), node.pid);
    generation.stopped().await;
}

#[tokio::test]
async fn a_relayed_program_that_is_killed_comes_back_on_its_new_port() {
    let python = "import os,http.server as h\nclass H(h.SimpleHTTPRequestHandler):\n  def do_GET(self):\n    self.send_response(200); self.end_headers(); self.wfile.write(b'pid %d' % os.getpid())\nh.ThreadingHTTPServer(('0.0.0.0', int(os.environ['PORT'])), H).serve_forever()\n";
    let app = App::new(&[("server.py", python)]);
    let generation = app
        .start(app.spec(1, "exec python3 server.py"))
        .await
        .ready()
        .await;
    let before = generation.get("/").await;
    let pid = Identity::of(generation.instance_pid(0).await).unwrap();
    PidFd::open(&pid)
        .unwrap()
        .unwrap()
        .signal(Signal::SIGKILL)
        .unwrap();
    let after = within("an answer", async {
        loop {
            // The one that was being accepted while python died may be lost with it.
            match get(generation.socket(), "/").await {
                Ok(answer) if answer != before => return answer,
                _ => {}
            }
        }
    })
    .await;
    assert!(after.starts_with("pid "));
    generation.stopped().await;
}
