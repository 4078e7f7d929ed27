//! Apps as people write them, unchanged, with the frameworks and starters that they use: each goes live by a push,
//! answers through the front, and hands over to its next version without one failed request.
//!
//! Those whose build takes long are named `heavy_…`.

#![allow(clippy::unwrap_used)]

mod support;

use support::{Project, Pushed, Server, Visitor, WebSocket, http};

/// An app on a server of its own, its first version live.
struct Deployed {
    server: Server,
    project: Project,
    repo: std::path::PathBuf,
}

impl Deployed {
    fn fixture(name: &str) -> Self {
        Self::project(Project::of_fixture(name))
    }

    fn project(project: Project) -> Self {
        let server = Server::start();
        let repo = server.create("shop");
        project.push(&repo).went_live();
        Self {
            server,
            project,
            repo,
        }
    }

    #[track_caller]
    fn answers(&self, texts: &[&str]) {
        let answer = http::get(self.server.address(), "/").unwrap();
        assert_eq!(answer.status, 200, "{answer:?}");
        for text in texts {
            assert!(answer.body.contains(text), "{text:?} in {answer:?}");
        }
    }

    /// Pushes `v1` while somebody uses the app, who never meets a failure, nor the old version once the push is over.
    #[track_caller]
    fn hands_over_to_v1(&self) -> Pushed {
        self.project.version("v1");
        let visitor = Visitor::arrive(self.server.address());
        let pushed = self.project.push(&self.repo);
        pushed.went_live();
        for _ in 0..20 {
            self.answers(&["v1"]);
        }
        let answers = visitor.leave_satisfied();
        let first_new = answers.iter().position(|answer| answer.body.contains("v1"));
        let (old, new) = answers.split_at(first_new.expect("v1 is live"));
        assert!(old.iter().all(|answer| answer.body.contains("v0")));
        assert!(
            new.iter().all(|answer| answer.body.contains("v1")),
            "the old version answered after the new one had"
        );
        pushed
    }
}

fn goes_live_and_hands_over(name: &str) {
    let app = Deployed::fixture(name);
    app.answers(&[name, "v0"]);
    app.hands_over_to_v1();
    app.answers(&[name, "v1"]);
    app.server.until_drained("shop");
}

/// One test for each fixture.
macro_rules! unchanged {
    ($($test:ident: $fixture:literal),* $(,)?) => {
        $(#[test]
        fn $test() {
            goes_live_and_hands_over($fixture);
        })*
    };
}

unchanged! {
    express4: "express4",
    express5: "express5",
    fastify: "fastify",
    koa: "koa",
    hapi: "hapi",
    hono: "hono",
    http_port: "http-port",
    http_socket: "http-socket",
    cluster: "cluster",
    tsx: "tsx",
    cross_env: "cross-env",
    esm_with_top_level_await: "esm-tla",
    fastify_cli: "fastify-cli",
    express_generator: "express-generator",
    not_node: "not-node",
    heavy_nest_express: "nest-express",
    heavy_nest_fastify: "nest-fastify",
    heavy_next: "next",
}

/// Next.js says by itself whether it has found the cache of a build before (where it takes the machine for one of those
/// that should have one).
#[test]
fn heavy_next_builds_with_what_the_build_before_has_left() {
    let project = Project::of_fixture("next");
    let package = project.read("package.json");
    let build = package.replace("\"next build\"", "\"CI=1 next build --webpack\"");
    assert_ne!(package, build);
    project.write("package.json", &build);
    project.commit("a build that tells of its cache");
    let server = Server::start();
    let repo = server.create("shop");
    let first = project.push(&repo);
    first.went_live().says("No build cache found");
    let app = Deployed {
        server,
        project,
        repo,
    };
    let second = app.hands_over_to_v1();
    assert!(
        !second.text.contains("No build cache found"),
        "{}",
        second.text
    );
    app.server.until_drained("shop");
}

/// turbo says by itself whether it has found what it is to make.
#[test]
fn turbo_finds_what_the_build_before_has_made() {
    let server = Server::start();
    let repo = server.create("shop");
    let project = Project::of_fixture("turbo");
    project
        .push(&repo)
        .went_live()
        .says("cache miss, executing");
    project.version("v2");
    project
        .push(&repo)
        .went_live()
        .says("cache hit, replaying logs");
    let made = "releases/2/dist/greeting.js";
    assert!(server.app_dir("shop").join(made).exists());
    project.write("src/greeting.js", "export const greeting = 'good day';\n");
    project.version("v3");
    project
        .push(&repo)
        .went_live()
        .says("cache miss, executing");
}

/// `nest start` compiles anew at each start, in the directory that all instances share.
#[test]
fn heavy_nest_with_several_instances() {
    let project = Project::of_fixture("nest-express");
    project.write("handover.toml", "[web]\ninstances = 2\n");
    project.commit("two instances");
    let app = Deployed::project(project);
    app.answers(&["nest-express", "v0"]);
    app.hands_over_to_v1();
    app.server.until_drained("shop");
}

/// An app with WebSockets: one that was opened before a push goes on with the old version, new ones get the new one.
fn keeps_websockets(app: &Deployed, name: &str, open: impl Fn() -> WebSocket, say: &str) {
    app.answers(&[name, "v0"]);
    let mut early = open();
    early.echo(say);
    app.hands_over_to_v1().says("1 WebSocket");
    early.echo(say);
    open().echo(say);
    early.echo(say);
    drop(early);
    app.server.until_drained("shop");
}

#[test]
fn ws() {
    let app = Deployed::fixture("ws");
    keeps_websockets(
        &app,
        "ws",
        || WebSocket::open(app.server.address(), "/ws"),
        "hi",
    );
}

#[test]
fn socketio() {
    let app = Deployed::fixture("socketio");
    let open = || {
        let mut socket = WebSocket::open(
            app.server.address(),
            "/socket.io/?EIO=4&transport=websocket",
        );
        assert!(
            socket.receive().unwrap().starts_with("0{"),
            "engine.io's greeting"
        );
        socket.send("40").unwrap();
        assert!(
            socket.receive().unwrap().starts_with("40{"),
            "socket.io's greeting"
        );
        socket
    };
    keeps_websockets(&app, "socketio", open, r#"42["echo","hi"]"#);
}

#[test]
fn websockets_of_an_app_that_listens_on_its_port_are_relayed() {
    let project = Project::of_fixture("ws");
    project.write("handover.toml", "[web]\npreload = false\n");
    project.commit("no preload");
    let app = Deployed::project(project);
    app.answers(&["ws v0"]);
    let open = || WebSocket::open(app.server.address(), "/ws");
    let mut early = open();
    early.echo("hi");
    // Nobody tells which of its connections are WebSockets.
    app.hands_over_to_v1().says(" connection");
    early.echo("hi");
    open().echo("hi");
    drop(early);
    app.server.until_drained("shop");
}

#[test]
fn an_app_sees_the_address_that_it_asked_for() {
    const SERVER: &str = r"
const http = require('node:http');
const tell = (server) => (req, res) => res.end(JSON.stringify({
  address: server.address(), port: process.env.PORT, socket: process.env.HANDOVER_SOCKET,
  listening: server.listening, forwarded: req.headers['x-forwarded-for'],
}));
const server = http.createServer((req, res) => tell(server)(req, res));
const side = http.createServer();
side.listen(0, () => {
  if (side.address().port === Number(process.env.PORT)) throw new Error('port 0 was taken for PORT');
  WHERE
});
";
    let ask = |listen: &str| -> serde_json::Value {
        let project = Project::tiny();
        project.write("server.js", &SERVER.replace("WHERE", listen));
        project.commit("tell the address");
        let app = Deployed::project(project);
        let answer = http::get(app.server.address(), "/").unwrap();
        let told = serde_json::from_str(&answer.body).unwrap();
        app.server.ok(&["app", "destroy", "shop", "--yes"]);
        told
    };
    let by_port = ask("server.listen(process.env.PORT, '127.0.0.1');");
    assert_eq!(by_port["address"]["address"], "127.0.0.1");
    assert_eq!(
        by_port["address"]["port"].to_string(),
        by_port["port"].as_str().unwrap()
    );
    assert_eq!(by_port["listening"], true);
    assert_eq!(by_port["forwarded"], "127.0.0.1");
    let by_path = ask("server.listen({ path: process.env.HANDOVER_SOCKET });");
    assert_eq!(by_path["address"], by_path["socket"]);
}
