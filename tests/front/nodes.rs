//! node behind the front, and the whole mix of traffic while it is swapped.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::net::UnixStream;
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::peer::{BOUND, Peer};
use crate::rig::{Rig, eventually, publish};

/// A node app of `app.js` on a UNIX socket.
pub(crate) struct NodeApp {
    pub(crate) socket: PathBuf,
    _process: Child,
}

impl NodeApp {
    pub(crate) async fn start(socket: PathBuf, version: &str) -> Self {
        let process = Command::new("node")
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/front/app.js"))
            .arg(&socket)
            .arg(version)
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        eventually("node listens", async || {
            UnixStream::connect(&socket).await.is_ok()
        })
        .await;
        Self {
            socket,
            _process: process,
        }
    }
}

impl NodeApp {
    /// How many requests it has answered, asked past the front.
    async fn answered(&self) -> usize {
        let stream = UnixStream::connect(&self.socket).await.unwrap();
        let asked = "GET /answered HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
        let answer = Peer::new(stream).ask(asked).await;
        answer.text().trim().parse().unwrap()
    }
}

/// The acceptance load, wherever it lies.
pub(crate) fn load_script() -> Option<PathBuf> {
    let beside = PathBuf::from(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../shared/load/load.js"
    ));
    let named = std::env::var_os("HANDOVER_LOAD").map(PathBuf::from);
    let found = named.or(Some(beside)).filter(|path| path.exists());
    if found.is_none() {
        // tests/load.rs shows the same with a client of our own.
        eprintln!("SKIPPED: no load script; name it in HANDOVER_LOAD");
    }
    found
}

/// Versions that follow the first one, at most.
const VERSIONS: usize = 5;
/// Versions that have to be seen, however slow the machine is.
const SEEN: usize = 3;
/// How many requests each version answers before the next one comes.
const ANSWERED_EACH: usize = 50;

/// Runs the load in front of `live.sock` in `dir` while versions follow each other; `published` hears of each.
/// Nothing may fail, no WebSocket may end, and no answer may come from a version that was followed by another.
pub(crate) async fn no_swap_loses_a_request<F>(url: &str, dir: &Path, mut published: F)
where
    F: AsyncFnMut(usize),
{
    let start = async |version: usize| {
        let socket = dir.join(format!("g{version}.sock"));
        let app = NodeApp::start(socket, &format!("v{version}")).await;
        publish(dir, &app.socket);
        app
    };
    let mut apps = vec![start(0).await];
    let script = load_script().expect("the caller has looked");
    let mut load = Command::new("node")
        .arg(script)
        .args(["--url", url, "--duration", "10", "--poll-ms", "1500"])
        .args(["--upload-s", "2", "--stream-s", "1", "--max-stale-ms", "0"])
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    for version in 1..=VERSIONS {
        let last = &apps[version - 1];
        eventually("the app answers requests", async || {
            load.try_wait().unwrap().is_some() || last.answered().await >= ANSWERED_EACH
        })
        .await;
        apps.push(start(version).await);
        published(version).await;
    }
    let output = load.wait_with_output().await.unwrap();
    let summary: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(summary["pass"], true, "{summary:#}");
    let seen = summary["versions"].as_array().unwrap().len();
    assert!(seen >= SEEN, "{summary:#}");
    assert_eq!(summary["stale"]["total"], 0, "{summary:#}");
    assert_eq!(
        summary["ok"]["ws"], 8,
        "all WebSockets were kept: {summary:#}"
    );
}

#[tokio::test]
async fn under_the_whole_mix_of_traffic_no_swap_loses_a_request() {
    if load_script().is_none() {
        return;
    }
    let rig = Rig::start().await;
    let url = format!("http://{}", rig.address());
    no_swap_loses_a_request(&url, rig.dir.path(), async |version| {
        // Whether the front is told or not.
        if version % 2 == 0 {
            let app = "shop".parse().unwrap();
            rig.client().await.published(&app).await.unwrap();
        }
    })
    .await;
}

#[tokio::test]
async fn under_the_whole_mix_of_traffic_a_front_can_follow_another() {
    if load_script().is_none() {
        return;
    }
    let mut rig = Rig::start().await;
    let url = format!("http://{}", rig.address());
    let dir = rig.dir.path().to_owned();
    let mut before = Vec::new();
    no_swap_loses_a_request(&url, &dir, async |version| {
        if version % 2 == 0 {
            let mut control = rig.client().await;
            control.drain(Duration::from_secs(60)).await.unwrap();
            before.push(rig.start_again().await);
            rig.route(&[rig.shop()]).await;
        }
    })
    .await;
    // Those before had only the WebSockets left.
    for front in &mut before {
        let ended = timeout(BOUND, front.wait()).await.unwrap().unwrap();
        assert_eq!(ended.code(), Some(0));
    }
}

#[tokio::test]
async fn a_refusal_of_nodes_reaches_a_client_that_still_sends() {
    let rig = Rig::start().await;
    let app = NodeApp::start(rig.path("g1.sock"), "v1").await;
    rig.publish(&app.socket);
    for _ in 0..20 {
        let mut client = rig.connect().await;
        client
            .send("POST /refuse HTTP/1.1\r\nHost: a\r\nContent-Length: 50000000\r\n\r\n")
            .await;
        for _ in 0..5 {
            // A reset would show itself in reading the answer.
            let _ = client.try_send(vec![b'x'; 1 << 20]).await;
        }
        assert_eq!(client.message().await.status(), 413);
    }
}
