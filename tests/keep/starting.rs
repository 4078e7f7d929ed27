use handover::keep::{Command, KeepEvent};
use serde_json::json;

use super::support::*;

#[tokio::test]
async fn an_app_that_knows_only_its_port_serves_over_the_socket() {
    let app = App::server();
    let generation = app.serving(1).await;
    assert_eq!(generation.get("/").await, "instance 0");
    let address: serde_json::Value =
        serde_json::from_str(&generation.get("/address").await).unwrap();
    assert!(address["port"].as_u64().unwrap() > 1024, "{address}");
    let status = generation.status().await;
    assert!(status.all_listening() && status.instances[0].rss_bytes > 10_000_000);
    assert_eq!(serde_json::to_value(status.mode).unwrap(), json!("serving"));
    generation.stopped().await;
    assert!(
        !app.paths
            .generation_socket(handover::ids::GenerationNumber(1))
            .exists()
    );
    assert!(
        !app.paths
            .generation(handover::ids::GenerationNumber(1))
            .dir()
            .exists()
    );
}

#[tokio::test]
async fn four_instances_share_the_listener() {
    let app = App::server();
    let generation = app.serving(4).await;
    let mut seen = std::collections::HashSet::new();
    // Held connections keep whoever accepted one from being the only one that is idle.
    until("answers of all four", async || {
        seen.insert(generation.get("/").await);
        (seen.len() == 4).then_some(())
    })
    .await;
    generation.stopped().await;
}

#[tokio::test]
async fn the_server_behind_npm_start_listens_and_ends_with_npm() {
    let package = r#"{"name":"shop","scripts":{"start":"node server.js"}}"#;
    let app = App::new(&[("server.js", SERVER), ("package.json", package)]);
    let generation = app.start(app.spec(1, "npm start")).await.ready().await;
    let node: u32 = generation.get("/pid").await.parse().unwrap();
    let npm = generation.instance_pid(0).await;
    assert_ne!(node, npm);
    let node = handover::process::identity::Identity::of(node).unwrap();
    generation.stopped().await;
    assert!(!node.is_alive());
}

#[tokio::test]
async fn cluster_workers_serve_and_a_single_worker_may_crash_again_and_again() {
    let cluster = r"
const cluster = require('cluster');
if (cluster.isPrimary) {
  cluster.on('exit', () => cluster.fork());
  cluster.fork();
} else {
  require('./server.js');
}";
    let app = App::new(&[("server.js", SERVER), ("cluster.js", cluster)]);
    let generation = app
        .start(app.spec(1, "node cluster.js"))
        .await
        .ready()
        .await;
    let mut pids = std::collections::HashSet::new();
    // More often than there are copies of the listener: after that the port is listened on and relayed to.
    for _ in 0..11 {
        let pid = until("a new worker", async || {
            // node's primary may hand a connection to the worker that is just dying, where it is lost.
            let answer = get(generation.socket(), "/pid");
            let answer = tokio::time::timeout(std::time::Duration::from_secs(1), answer);
            let pid = answer.await.ok()?.ok()?;
            pids.insert(pid.clone()).then_some(pid)
        })
        .await;
        assert!(!pid.is_empty());
        let _ = get(generation.socket(), "/crash").await;
    }
    generation.stopped().await;
}

#[tokio::test]
async fn cluster_workers_share_the_load() {
    let cluster = r"
const cluster = require('cluster');
if (cluster.isPrimary) { cluster.fork(); cluster.fork(); } else { require('./server.js'); }";
    let app = App::new(&[("server.js", SERVER), ("cluster.js", cluster)]);
    let generation = app
        .start(app.spec(1, "node cluster.js"))
        .await
        .ready()
        .await;
    let mut pids = std::collections::HashSet::new();
    until("answers of both", async || {
        pids.insert(generation.get("/pid").await);
        (pids.len() == 2).then_some(())
    })
    .await;
    generation.stopped().await;
}

#[tokio::test]
async fn listening_on_the_socket_path_is_the_same_as_on_the_port() {
    let server = SERVER.replace("process.env.PORT", "{ path: process.env.HANDOVER_SOCKET }");
    let app = App::new(&[("server.js", &server)]);
    let generation = app.serving(1).await;
    assert_eq!(generation.get("/").await, "instance 0");
    let address: String = serde_json::from_str(&generation.get("/address").await).unwrap();
    assert_eq!(address, generation.socket().to_string_lossy());
    generation.stopped().await;
}

#[tokio::test]
async fn a_program_that_tries_its_port_first_finds_it_free_and_then_gets_it() {
    let probe = r"
const net = require('net');
const attempt = net.createServer().once('listening', () => attempt.close(() => require('./server.js')));
attempt.listen(Number(process.env.PORT), '127.0.0.1');
";
    let app = App::new(&[("server.js", SERVER), ("probe.js", probe)]);
    let generation = app.start(app.spec(1, "node probe.js")).await.ready().await;
    until("an answer", async || {
        get(generation.socket(), "/").await.ok()
    })
    .await;
    generation.stopped().await;
}

#[tokio::test]
async fn an_es_module_with_a_host_and_its_own_node_options_serves() {
    let module = r"
import { createServer } from 'node:http';
const server = createServer((req, res) => res.end(process.env.NODE_OPTIONS));
server.listen({ port: process.env.PORT, host: '0.0.0.0' });
";
    let app = App::new(&[("server.mjs", module)]);
    let mut spec = app.spec(1, "node server.mjs");
    spec.env
        .insert("NODE_OPTIONS".into(), "--max-old-space-size=64".into());
    let generation = app.start(spec).await.ready().await;
    let options = generation.get("/").await;
    assert!(options.starts_with("--max-old-space-size=64 --require "));
    generation.stopped().await;
}

const PYTHON: &str = r"
import os, http.server
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = ('python ' + os.environ['HANDOVER_INSTANCE']).encode()
        self.send_response(200)
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def do_POST(self):
        body = self.rfile.read(int(self.headers['Content-Length']))
        self.send_response(200)
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        self.wfile.write(body)
http.server.ThreadingHTTPServer(('127.0.0.1', int(os.environ['PORT'])), Handler).serve_forever()
";

#[tokio::test]
async fn a_program_that_listens_on_its_tcp_port_is_relayed_to() {
    let app = App::new(&[("server.py", PYTHON)]);
    let mut spec = app.spec(1, "exec python3 server.py");
    spec.instances = 2;
    let generation = app.start(spec).await;
    let mut watch = generation.keeper.watch().await.unwrap();
    let relayed = next_matching(&mut watch, "relay", |event| match event {
        KeepEvent::Listening { relayed_to, .. } => relayed_to.clone(),
        _ => None,
    })
    .await;
    assert!(relayed.starts_with("127.0.0.1:"), "{relayed}");
    let generation = generation.ready().await;
    assert!(generation.get("/").await.starts_with("python "));
    // Both ways, more than any buffer holds.
    let body = "x".repeat(3_000_000);
    let mut stream = tokio::net::UnixStream::connect(generation.socket())
        .await
        .unwrap();
    let head = format!("POST / HTTP/1.0\r\nContent-Length: {}\r\n\r\n", body.len());
    tokio::io::AsyncWriteExt::write_all(&mut stream, head.as_bytes())
        .await
        .unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut stream, body.as_bytes())
        .await
        .unwrap();
    let answer = within("the echo", read_all(&mut stream)).await.unwrap();
    assert!(answer.ends_with(&body[..100]) && answer.len() > body.len());
    drop(stream);
    // A connection that is relayed counts like any other.
    let idle = tokio::net::UnixStream::connect(generation.socket())
        .await
        .unwrap();
    until("a relayed connection", async || {
        (generation.count() == (1, 0)).then_some(())
    })
    .await;
    drop(idle);
    generation.stopped().await;
}

#[tokio::test]
async fn an_app_without_preload_may_listen_on_the_descriptor_itself() {
    let server = SERVER.replace(
        "process.env.PORT",
        "{ fd: Number(process.env.HANDOVER_FD) }",
    );
    let app = App::new(&[("server.js", &server)]);
    let mut spec = app.spec(1, "node server.js");
    spec.preload = false;
    spec.instances = 2;
    let generation = app.start(spec).await.ready().await;
    assert!(generation.get("/").await.starts_with("instance "));
    generation.stopped().await;
}

#[tokio::test]
async fn a_start_that_fails_shows_what_it_printed_and_is_not_tried_again() {
    let app = App::new(&[("server.js", "console.error('no database'); process.exit(7)")]);
    let generation = app.start(app.spec(1, "node server.js")).await;
    let mut watch = generation.keeper.watch().await.unwrap();
    let mut lines = Vec::new();
    let (status, restart) = next_matching(&mut watch, "exit", |event| match event {
        KeepEvent::Output { line, .. } => {
            lines.push(line.clone());
            None
        }
        KeepEvent::Exited {
            status,
            restart_in_ms,
            ..
        } => Some((status.clone(), *restart_in_ms)),
        _ => None,
    })
    .await;
    assert_eq!((status.as_str(), restart), ("exit code 7", None));
    assert_eq!(lines, ["no database"]);
    assert_eq!(generation.keeper.tail().await.unwrap(), ["no database"]);
    assert!(generation.keeper.commit().await.is_err());
    generation.stopped().await;
    assert!(app.log().contains("g1.0 err no database"), "{}", app.log());
}

#[tokio::test]
async fn a_program_that_is_not_there_is_named() {
    let app = App::server();
    let mut spec = app.spec(1, "");
    spec.command = Command::Argv(vec!["no-such-program".into(), "server.js".into()]);
    let generation = app.start(spec).await;
    let mut watch = generation.keeper.watch().await.unwrap();
    let error = next_matching(&mut watch, "failed start", |event| match event {
        KeepEvent::StartFailed { error, .. } => Some(error.clone()),
        _ => None,
    })
    .await;
    assert!(
        error.starts_with("start `no-such-program`: there is no such program"),
        "{error}"
    );
    generation.stopped().await;
}

#[tokio::test]
async fn an_app_that_listens_elsewhere_is_told_so() {
    let server = SERVER.replace("process.env.PORT", "0 || 39871");
    let app = App::new(&[("server.js", &server)]);
    let generation = app.start(app.spec(1, "node server.js")).await;
    let mut watch = generation.keeper.watch().await.unwrap();
    let address = next_matching(&mut watch, "hint", |event| match event {
        KeepEvent::ListenElsewhere { address, .. } => Some(address.clone()),
        _ => None,
    })
    .await;
    assert_eq!(address, "39871");
    assert!(!generation.status().await.all_listening());
    generation.stopped().await;
}

#[tokio::test]
async fn a_keeper_that_cannot_bind_says_why() {
    let app = App::server();
    let spec = app.spec(1, "node server.js");
    std::fs::write(&spec.socket, "").unwrap();
    let paths = app.paths.generation(spec.generation);
    let error = handover::keep::Keeper::start(EXE.as_ref(), &paths, &spec)
        .await
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("listen on `") && error.contains("Address already in use"),
        "{error}"
    );
}
