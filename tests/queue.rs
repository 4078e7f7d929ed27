//! One deploy at a time for each app, several apps side by side, and the newest push wins.

#![allow(clippy::unwrap_used)] // tests end where something unexpected is

mod support;

use std::path::Path;
use std::process::{Child, Stdio};

use support::project::{Pushed, pushed};
use support::{Project, Server, http, until};

/// `package.json` whose build waits for the file `go` beside it.
const WAITING_BUILD: &str = r#"{
  "name": "fixture-http-port", "version": "1.0.0",
  "scripts": {
    "start": "node server.js",
    "build": "echo building; until [ -e go ]; do sleep 0.05; done"
  }
}
"#;

fn waiting_project() -> Project {
    let project = Project::tiny();
    project.write("package.json", WAITING_BUILD);
    project.version("v1");
    project
}

/// A push in the background.
struct Push(Child);

impl Push {
    fn begin(project: &Project, repo: &Path) -> Self {
        let mut command = project.push_command(repo, &["main"]);
        Self(command.stderr(Stdio::piped()).spawn().unwrap())
    }

    fn finish(self) -> Pushed {
        pushed(&self.0.wait_with_output().unwrap())
    }
}

/// Waits until the build of a release waits, as its log says.
fn until_building(server: &Server, app: &str, deploy: u32) {
    let log = server
        .app_dir(app)
        .join(format!("logs/deploy-{deploy}.jsonl"));
    until("the build runs", || {
        let told = std::fs::read_to_string(&log).unwrap_or_default();
        told.contains("\"line\":\"building\"").then_some(())
    });
}

fn until_waiting(server: &Server, app: &str, deploy: u32) {
    let log = server
        .app_dir(app)
        .join(format!("logs/deploy-{deploy}.jsonl"));
    until("the deploy waits", || {
        let told = std::fs::read_to_string(&log).unwrap_or_default();
        told.contains("\"event\":\"waiting\"").then_some(())
    });
}

fn go(server: &Server, app: &str, release: u32) {
    let release = server.app_dir(app).join(format!("releases/{release}"));
    std::fs::write(release.join("go"), "").unwrap();
}

fn get(server: &Server, host: &str) -> String {
    http::get_from(server.address(), host, "/").unwrap().body
}

#[test]
fn of_three_pushes_in_a_row_the_last_wins_and_the_second_is_told() {
    let server = Server::start();
    let repo = server.create("shop");
    let project = waiting_project();
    let first = Push::begin(&project, &repo);
    until_building(&server, "shop", 1);

    project.version("v2");
    let second = Push::begin(&project, &repo);
    until_waiting(&server, "shop", 2);

    project.remove("package.json");
    project.write(
        "package.json",
        &WAITING_BUILD.replace("until [ -e go ]", "until true"),
    );
    let third_commit = project.version("v3");
    let third = Push::begin(&project, &repo);
    until_waiting(&server, "shop", 3);

    let second = second.finish();
    second
        .says("waiting    for deploy 1 of this app to end")
        .says(&format!("error: superseded by {}", &third_commit[..7]));
    assert!(!second.text.contains("success:"), "{}", second.text);

    go(&server, "shop", 1);
    first
        .finish()
        .went_live()
        .says("success: release 1 is live");
    third
        .finish()
        .went_live()
        .says("waiting    for deploy 1 of this app to end")
        .says("success: release 2 is live");
    assert!(get(&server, "localhost").contains("v3"));
    let status = server.status("shop");
    assert_eq!(status["live"]["commit"], third_commit);
    assert_eq!(support::invariants::branch(&repo), third_commit);
    let releases = server.json(&["releases", "shop"]);
    assert_eq!(releases["releases"].as_array().unwrap().len(), 2);
}

#[test]
fn the_same_commit_pushed_by_two_is_deployed_once_and_told_to_both() {
    let server = Server::start();
    let repo = server.create("shop");
    let project = waiting_project();
    let push = Push::begin(&project, &repo);
    until_building(&server, "shop", 1);
    let mut follow = server.command();
    let follow = follow
        .args(["follow", "shop"])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    go(&server, "shop", 1);
    push.finish().went_live();
    let followed = pushed(&follow.wait_with_output().unwrap());
    assert_eq!(followed.code, 0);
    followed.says("building").says("success: release 1 is live");
}

#[test]
fn two_apps_deploy_side_by_side() {
    let server = Server::start_with("builds = 2\n", &["--listen", "127.0.0.1:0"]);
    let apps = ["one", "two"];
    let project = waiting_project();
    let repos = apps.map(|app| server.create(app));
    let pushes = repos.each_ref().map(|repo| Push::begin(&project, repo));
    // Both are in the middle of their build at the same time.
    for app in apps {
        until_building(&server, app, 1);
    }
    for app in apps {
        assert_eq!(server.status(app)["state"], "deploying");
        go(&server, app, 1);
    }
    for push in pushes {
        push.finish().went_live();
    }
    for app in apps {
        assert_eq!(server.status(app)["live"]["release"], 1);
    }
}
