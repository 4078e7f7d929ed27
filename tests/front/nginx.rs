//! A real nginx with the configuration that handover writes for it.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use handover::front::nginx;
use handover::ids::HostName;
use handover::process::child::{Group, Spawn};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::sync::Notify;

use crate::backend::{Backend, ok};
use crate::nodes::{NodeApp, load_script, no_swap_loses_a_request};
use crate::peer::Peer;
use crate::rig::{eventually, get, publish, skip};

/// An nginx of its own, on a port of its own, in a directory of its own.
struct Nginx {
    dir: TempDir,
    address: SocketAddr,
    _master: Group,
}

/// `None`: there is no nginx on this machine.
fn program() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let places = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/usr/local/sbin".into()]);
    let found = places.map(|dir| dir.join("nginx")).find(|it| it.exists());
    if found.is_none() {
        skip("there is no nginx");
    }
    found
}

/// Writes handover's text and what has to be around it. Only where nginx listens is changed.
fn write_config(dir: &Path, address: SocketAddr, app_text: &str) -> PathBuf {
    let listening = format!("listen {address};");
    assert!(app_text.contains("listen 80;") && app_text.contains("listen [::]:80;"));
    let app_text = app_text
        .replace("listen 80;", &listening)
        .replace("listen [::]:80;", "");
    let root = handover::process::socket::is_root();
    let user = if root { "user root;" } else { "" };
    let base = dir.display();
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|kind| format!("{kind}_temp_path {base}/{kind};\n"))
        .concat();
    let text = format!(
        "{user} daemon off; worker_processes 2; pid {base}/nginx.pid; error_log {base}/error.log;\n\
         events {{}}\nhttp {{ access_log off;\n{temporary}{app_text}}}\n"
    );
    let path = dir.join("nginx.conf");
    std::fs::write(&path, text).unwrap();
    path
}

/// What `nginx -t` says of a text.
fn tested(nginx: &Path, app: &str, socket: &Path, hosts: &[&str]) -> Result<(), String> {
    let dir = tempfile::tempdir().unwrap();
    let hosts: Vec<HostName> = hosts.iter().map(|host| host.parse().unwrap()).collect();
    let text = nginx::config(&app.parse().unwrap(), socket, &hosts, Some("web"));
    let config = write_config(dir.path(), "127.0.0.1:1".parse().unwrap(), &text);
    let output = Command::new(nginx)
        .args(["-t", "-p"])
        .arg(dir.path())
        .arg("-c")
        .arg(config)
        .output()
        .unwrap();
    if output.status.success() {
        return Ok(());
    }
    Err(String::from_utf8_lossy(&output.stderr).into_owned())
}

impl Nginx {
    /// Starts it in front of `live.sock` in its directory. `None`: there is no nginx on this machine.
    async fn start() -> Option<Self> {
        let program = program()?;
        let dir = tempfile::tempdir().unwrap();
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = free.local_addr().unwrap();
        drop(free);
        let live = dir.path().join("live.sock");
        let text = nginx::config(&"shop".parse().unwrap(), &live, &[], None);
        let config = write_config(dir.path(), address, &text);
        let master = Spawn::new(program)
            .arg("-p")
            .arg(dir.path())
            .arg("-c")
            .arg(config)
            .spawn()
            .unwrap();
        eventually("nginx listens", async || {
            TcpStream::connect(address).await.is_ok()
        })
        .await;
        Some(Self {
            dir,
            address,
            _master: master,
        })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    async fn connect(&self) -> Peer<TcpStream> {
        Peer::new(TcpStream::connect(self.address).await.unwrap())
    }
}

#[test]
fn nginx_accepts_the_text() {
    let Some(nginx) = program() else { return };
    let cases: [(&str, &str, &[&str]); 3] = [
        ("shop", "/run/handover/shop/live.sock", &[]),
        ("my-shop-2", "/srv/my apps/\"x\"/live.sock", &["a.test"]),
        ("a", "/run/a:b/$c/live.sock", &["a.test", "www.a.test"]),
    ];
    for (app, socket, hosts) in cases {
        tested(&nginx, app, Path::new(socket), hosts).unwrap_or_else(|said| panic!("{said}"));
    }
}

#[tokio::test]
async fn nginx_keeps_no_connection_to_the_app() {
    let Some(nginx) = Nginx::start().await else {
        return;
    };
    let shop = Backend::start(&nginx.path("g1.sock"), |mut peer, _| async move {
        let seen = peer.message().await;
        assert_eq!(seen.head.field("connection"), Some("close"));
        assert_eq!(seen.head.field("x-forwarded-for"), Some("127.0.0.1"));
        assert_eq!(seen.head.field("x-forwarded-proto"), Some("http"));
        assert_eq!(seen.head.field("x-forwarded-host"), Some("shop.test:81"));
        assert_eq!(seen.head.field("host"), Some("shop.test:81"));
        assert_eq!(seen.head.field("forwarded"), None);
        peer.send(ok(seen.text())).await;
        assert_eq!(peer.rest().await, "");
    });
    publish(nginx.dir.path(), &shop.socket);
    let mut client = nginx.connect().await;
    let request = "POST / HTTP/1.1\r\nHost: shop.test:81\r\nX-Forwarded-For: 10.0.0.1\r\nForwarded: for=10.0.0.1\r\n\
                   Content-Length: 3\r\n\r\nabc";
    for _ in 0..3 {
        assert_eq!(client.ask(request).await.text(), "abc");
    }
    // With a script that failed one would stay open for ever.
    eventually("the app has no connection", async || shop.open() == 0).await;
    assert_eq!(shop.accepted(), 3);
}

#[tokio::test]
async fn bodies_flow_through_nginx_both_ways() {
    let Some(nginx) = Nginx::start().await else {
        return;
    };
    let arrived = Arc::new(Notify::new());
    let told = Arc::clone(&arrived);
    let shop = Backend::start(&nginx.path("g1.sock"), move |mut peer, _| {
        let told = Arc::clone(&told);
        async move {
            peer.head().await;
            assert_eq!(peer.chunk().await, b"part");
            peer.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n")
                .await;
            told.notified().await;
            peer.send("6\r\nsecond\r\n0\r\n\r\n").await;
        }
    });
    publish(nginx.dir.path(), &shop.socket);
    let mut client = nginx.connect().await;
    client
        .send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npart\r\n")
        .await;
    assert_eq!(client.head().await.status(), 200);
    assert_eq!(client.chunk().await, b"first");
    arrived.notify_one();
    assert_eq!(client.chunk().await, b"second");
}

#[tokio::test]
async fn a_large_upload_and_a_swap_pass_through_nginx() {
    let Some(nginx) = Nginx::start().await else {
        return;
    };
    let first = NodeApp::start(nginx.path("g1.sock"), "v1").await;
    publish(nginx.dir.path(), &first.socket);
    let mut client = nginx.connect().await;
    let size = 20 << 20;
    client
        .send(format!(
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {size}\r\n\r\n"
        ))
        .await;
    client.send(vec![b'x'; size]).await;
    assert_eq!(client.message().await.text(), format!("{size}\n"));
    let second = NodeApp::start(nginx.path("g2.sock"), "v2").await;
    publish(nginx.dir.path(), &second.socket);
    assert_eq!(client.ask(&get("a")).await.text(), "v2\n");
}

#[tokio::test]
async fn under_the_whole_mix_of_traffic_nginx_loses_no_request_to_a_swap() {
    if load_script().is_none() {
        return;
    }
    let Some(nginx) = Nginx::start().await else {
        return;
    };
    let url = format!("http://{}", nginx.address);
    no_swap_loses_a_request(&url, nginx.dir.path(), async |_| {}).await;
}
