//! node behind the front, and the whole mix of traffic while it is swapped.

use std::path::PathBuf;
use std::process::Stdio;

use tokio::process::{Child, Command};

use crate::rig::{Rig, eventually};

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
            tokio::net::UnixStream::connect(&socket).await.is_ok()
        })
        .await;
        Self {
            socket,
            _process: process,
        }
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
        eprintln!("skipped: no load script; name it in HANDOVER_LOAD");
    }
    found
}

/// Runs the load while `swap` brings one version after the other; gives the load's summary.
pub(crate) async fn load_while<F>(url: &str, versions: usize, mut swap: F) -> serde_json::Value
where
    F: AsyncFnMut(usize),
{
    let script = load_script().expect("the caller has looked");
    let load = Command::new("node")
        .arg(script)
        .args(["--url", url, "--duration", "8", "--poll-ms", "1500"])
        .args(["--upload-s", "2", "--stream-s", "1", "--max-stale-ms", "0"])
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    for version in 1..=versions {
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        swap(version).await;
    }
    let output = load.wait_with_output().await.unwrap();
    let summary: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(summary["pass"], true, "{summary:#}");
    let seen = summary["versions"].as_array().unwrap().len();
    assert_eq!(seen, versions + 1, "{summary:#}");
    summary
}

#[tokio::test]
async fn under_the_whole_mix_of_traffic_no_swap_loses_a_request() {
    if load_script().is_none() {
        return;
    }
    let rig = Rig::start().await;
    let mut apps = vec![NodeApp::start(rig.path("g0.sock"), "v0").await];
    rig.publish(&apps[0].socket);
    let url = format!("http://{}", rig.address());
    let summary = load_while(&url, 5, async |version| {
        let socket = rig.path(&format!("g{version}.sock"));
        apps.push(NodeApp::start(socket, &format!("v{version}")).await);
        rig.publish(&apps[version].socket);
        if version % 2 == 0 {
            let app = "shop".parse().unwrap();
            rig.client().await.published(&app).await.unwrap();
        }
    })
    .await;
    assert_eq!(summary["stale"]["total"], 0, "{summary:#}");
    assert_eq!(
        summary["ok"]["ws"], 8,
        "all WebSockets were kept: {summary:#}"
    );
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
