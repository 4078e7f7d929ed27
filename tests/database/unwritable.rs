//! A full disk, or one that became read-only: new deploys are refused, and nothing else stops.

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::support::pusher::Pusher;
use crate::support::steady::{TICKING_SERVER, Users};
use crate::support::{self, Project, Server, SmallHome, http, until};

/// A server with a small disk of its own for the database, and an app whose first version is live.
struct SmallShop {
    home: SmallHome,
    repo: std::path::PathBuf,
    project: Project,
}

impl SmallShop {
    /// Nothing where mounting is not allowed.
    fn open() -> Option<Self> {
        let Some(mut home) = SmallHome::prepare("look_every = \"200ms\"\n") else {
            support::skip("a file system can't be mounted here");
            return None;
        };
        home.server_mut().launch(&["--listen", "127.0.0.1:0"]);
        let repo = home.server().create("shop");
        let project = Project::tiny();
        project.write("server.js", TICKING_SERVER);
        project.version("v1");
        project.push(&repo).went_live();
        Some(Self {
            home,
            repo,
            project,
        })
    }

    fn server(&self) -> &Server {
        self.home.server()
    }

    fn body(&self) -> String {
        http::get(self.server().address(), "/").unwrap().body
    }

    /// Everything that only looks works.
    fn can_be_looked_at(&self) {
        let server = self.server();
        let status = server.status("shop");
        assert_eq!(
            (&status["state"], &status["live"]["release"]),
            (&"live".into(), &1.into())
        );
        let releases = server.json(&["releases", "shop"]);
        assert_eq!(numbers(&releases["releases"]), [1]);
        let told = server.ok(&["logs", "shop", "--deploy", "1", "--json"]);
        assert!(told.contains(r#""event":"live""#), "{told}");
        assert_eq!(
            server.json(&["keys", "list"])["keys"],
            Value::Array(Vec::new())
        );
        assert_eq!(server.json(&["app", "list"])["apps"][0]["name"], "shop");
    }

    /// A new version is refused, for a reason that names the database, and what to do.
    fn refuses(&self, version: &str, reason: &str) {
        let commit = self.project.version(version);
        self.project
            .push(&self.repo)
            .rejected()
            .says(self.server().home().join("handover.db").to_str().unwrap())
            .says(reason);
        let status = self.server().status("shop");
        assert_ne!(status["live"]["commit"], commit);
    }
}

fn numbers(list: &Value) -> Vec<u64> {
    let list = list.as_array().unwrap().iter();
    list.map(|one| one["release"].as_u64().unwrap()).collect()
}

#[test]
fn on_a_full_disk_new_deploys_are_refused_and_nothing_else_until_there_is_room_again() {
    let Some(shop) = SmallShop::open() else {
        return;
    };
    let users = Users::of(shop.server().address());
    shop.home.fill();
    for version in ["v2", "v3"] {
        shop.refuses(version, "is full");
    }
    shop.can_be_looked_at();
    for refused in [
        &["app", "create", "blog"][..],
        &["scale", "shop", "web=2"],
        &["domains", "shop", "add", "shop.example.com"],
        &["rollback", "shop", "1"],
        &["restart", "shop"],
        &["app", "destroy", "shop", "--yes"],
    ] {
        let output = shop.server().run(refused);
        let words = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{refused:?}: {words}");
        if refused[0] != "rollback" {
            assert!(words.contains("is full"), "{refused:?}: {words}");
        }
    }
    assert_eq!(shop.body(), "version v1\n");
    users.finish().all_answered();

    shop.home.empty();
    shop.project.push(&shop.repo).went_live();
    assert_eq!(shop.body(), "version v3\n");
    shop.server().until_drained("shop");
}

#[test]
fn a_server_starts_on_a_full_disk_and_deploys_when_there_is_room_again() {
    for signal in [Signal::SIGKILL, Signal::SIGTERM] {
        let Some(mut shop) = SmallShop::open() else {
            return;
        };
        let users = Users::of(shop.server().address());
        shop.home.server_mut().end(signal);
        shop.home.fill();
        shop.home.server_mut().launch_again();
        shop.can_be_looked_at();
        shop.refuses("v2", "is full");
        shop.can_be_looked_at();
        users.finish().all_answered();
        shop.home.empty();
        shop.project.push(&shop.repo).went_live();
        assert_eq!(shop.body(), "version v2\n");
    }
}

#[test]
fn a_server_starts_on_a_disk_that_became_read_only_and_deploys_when_it_can_be_written() {
    for signal in [Signal::SIGKILL, Signal::SIGTERM] {
        let Some(mut shop) = SmallShop::open() else {
            return;
        };
        let users = Users::of(shop.server().address());
        shop.home.server_mut().end(signal);
        shop.home.read_only();
        shop.home.server_mut().launch_again();
        shop.can_be_looked_at();
        shop.refuses("v2", "can't be written");
        shop.can_be_looked_at();
        users.finish().all_answered();
        shop.home.writable();
        shop.project.push(&shop.repo).went_live();
        assert_eq!(shop.body(), "version v2\n");
    }
}

/// `package.json` whose build waits for the file `go` beside it.
const WAITING_BUILD: &str = r#"{
  "name": "fixture-http-port", "version": "1.0.0",
  "scripts": {
    "start": "node server.js",
    "build": "echo building; until [ -e go ]; do sleep 0.05; done"
  }
}
"#;

#[test]
fn a_deploy_that_runs_when_the_disk_becomes_full_ends_with_a_true_verdict() {
    let Some(shop) = SmallShop::open() else {
        return;
    };
    shop.project.write("package.json", WAITING_BUILD);
    shop.project.version("v2");
    let push = Pusher::start(&mut shop.project.push_command(&shop.repo, &["main"]));
    push.until_reads("building");
    shop.home.fill();
    let release = shop.server().app_dir("shop").join("releases/2");
    std::fs::write(release.join("go"), "").unwrap();
    push.finish().rejected().says("is full");
    assert!(!release.exists(), "nothing is left of it");
    assert_eq!(shop.body(), "version v1\n");
    let state = || {
        let database =
            rusqlite::Connection::open(shop.server().home().join("handover.db")).unwrap();
        let sql = "SELECT state FROM deploys WHERE number = 2";
        database
            .query_row(sql, [], |row| row.get::<_, String>(0))
            .unwrap()
    };
    assert_eq!(state(), "running", "that can't be written down");

    shop.home.empty();
    until("the verdict is written down", || {
        (state() == "failed").then_some(())
    });
    shop.project.write("go", "");
    shop.project.version("v3");
    shop.project.push(&shop.repo).went_live();
    shop.server().until_drained("shop");
}
