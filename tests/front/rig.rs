//! A running front with a listening socket, a directory for sockets, and one app.

use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use handover::front::{FrontClient, FrontStatus, Route, RouteState};
use handover::process::child::{Group, Output, Signal, Spawn};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::backend::Backend;
use crate::peer::{BOUND, Message, Peer};

/// Waits until something holds.
pub(crate) async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let waiting = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(BOUND, waiting)
        .await
        .unwrap_or_else(|_| panic!("it never came to this: {what}"));
}

/// A directory for sockets, a public listener, and a front.
pub(crate) struct Rig {
    pub(crate) dir: TempDir,
    /// Held open as `serve` does, so that the sockets outlive a front.
    pub(crate) listener: TcpListener,
    pub(crate) front: Group,
}

impl Rig {
    /// A front that has an empty `shop` as its only app.
    pub(crate) async fn start() -> Self {
        Self::with(&[]).await
    }

    /// The same, with further arguments.
    pub(crate) async fn with(arguments: &[&str]) -> Self {
        let rig = Self::without_routes(arguments).await;
        rig.route(&[rig.shop()]).await;
        rig
    }

    /// A front that was told nothing yet.
    pub(crate) async fn without_routes(arguments: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let front = spawn_front(dir.path(), &listener, arguments);
        let rig = Self {
            dir,
            listener,
            front,
        };
        rig.client().await;
        rig
    }

    /// Starts another front with the same sockets and waits until it answers. Gives the one before, which ends when it
    /// is dropped.
    pub(crate) async fn start_again(&mut self) -> Group {
        let next = spawn_front(self.dir.path(), &self.listener, &[]);
        let before = std::mem::replace(&mut self.front, next);
        self.client().await;
        before
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.listener.local_addr().unwrap()
    }

    /// Connects to the control socket as soon as it answers.
    pub(crate) async fn client(&self) -> FrontClient {
        let socket = self.path("front.sock");
        let mut client = None;
        eventually("the front answers at its control socket", async || {
            client = FrontClient::connect(&socket).await.ok();
            client.is_some()
        })
        .await;
        client.unwrap()
    }

    pub(crate) async fn route(&self, routes: &[Route]) {
        let mut client = self.client().await;
        client.routes(routes.to_vec()).await.unwrap();
    }

    pub(crate) async fn status(&self) -> FrontStatus {
        self.client().await.status().await.unwrap()
    }

    /// The route of the app that tests use when one is enough.
    pub(crate) fn shop(&self) -> Route {
        self.app("shop", &[], RouteState::Live)
    }

    /// The route of an app whose socket is `<app>.sock`, and `live.sock` for `shop`.
    pub(crate) fn app(&self, app: &str, hosts: &[&str], state: RouteState) -> Route {
        let socket = if app == "shop" { "live" } else { app };
        Route {
            app: app.parse().unwrap(),
            socket: self.path(&format!("{socket}.sock")),
            hosts: hosts.iter().map(|host| host.parse().unwrap()).collect(),
            state,
        }
    }

    /// Makes a socket the live one, with one rename.
    pub(crate) fn publish(&self, socket: &Path) {
        publish(self.dir.path(), socket);
    }

    /// Starts an app that answers with these words and publishes it.
    pub(crate) fn live(&self, name: &str, words: &'static str) -> Backend {
        let backend = Backend::saying(&self.path(name), words);
        self.publish(&backend.socket);
        backend
    }

    pub(crate) async fn connect(&self) -> Peer<TcpStream> {
        Peer::new(TcpStream::connect(self.address()).await.unwrap())
    }

    /// One request over a connection of its own.
    pub(crate) async fn ask(&self, request: &str) -> Message {
        self.connect().await.ask(request).await
    }

    pub(crate) async fn get(&self, host: &str) -> Message {
        self.ask(&get(host)).await
    }

    /// Kills the front, as nothing else would.
    pub(crate) async fn kill(&mut self) {
        self.front.signal(Signal::SIGKILL);
        self.ending().await;
    }

    /// Waits for the front's end.
    pub(crate) async fn ending(&mut self) -> std::process::ExitStatus {
        timeout(BOUND, self.front.wait()).await.unwrap().unwrap()
    }

    /// A line of the front's `/proc/PID/status`, in kB.
    pub(crate) fn memory_kb(&self, line: &str) -> usize {
        let path = format!("/proc/{}/status", self.front.pid());
        let text = std::fs::read_to_string(path).unwrap();
        let line = text.lines().find(|it| it.starts_with(line)).unwrap();
        let number = line.split_whitespace().nth(1).unwrap();
        number.parse().unwrap()
    }
}

/// Makes a socket `live.sock` of a directory, with one rename.
pub(crate) fn publish(dir: &Path, socket: &Path) {
    let staged = dir.join("staged.sock");
    std::fs::hard_link(socket, &staged).unwrap();
    std::fs::rename(&staged, dir.join("live.sock")).unwrap();
}

/// A plain `GET /`.
pub(crate) fn get(host: &str) -> String {
    format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n")
}

fn spawn_front(dir: &Path, listener: &TcpListener, arguments: &[&str]) -> Group {
    let listener = OwnedFd::from(listener.try_clone().unwrap());
    Spawn::new(env!("CARGO_BIN_EXE_handover"))
        .args(["front", "--threads", "2", "--control"])
        .arg(dir.join("front.sock"))
        .args(["--listen-fd", "20"])
        .args(arguments)
        .stderr(Output::Null)
        .inherit_fd(listener, 20)
        .spawn()
        .unwrap()
}

/// Whether a test that needs what this machine lacks may be skipped: what would be lost without it is told, and
/// `HANDOVER_TEST_NO_SKIP` (set in CI) forbids it for everything that a script can install.
pub(crate) fn skip(why: &str) {
    assert!(
        std::env::var_os("HANDOVER_TEST_NO_SKIP").is_none(),
        "nothing may be skipped here, but: {why}"
    );
    eprintln!("SKIPPED: {why}");
}
