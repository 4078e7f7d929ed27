//! A push outlives a restart of the server: its output goes on, and its verdict is true.

#![allow(clippy::unwrap_used)] // tests end where something unexpected is

mod support;

use std::path::PathBuf;
use std::process::{Child, Output, Stdio};

use nix::sys::signal::Signal;
use support::invariants::branch;
use support::project::pushed;
use support::steady::{TICKING_SERVER, Users};
use support::{Project, Pushed, Server, Shop, until};

/// An app whose builds wait until they may go on.
struct Waiting {
    repo: PathBuf,
    project: Project,
    /// Exists as soon as a build has begun.
    begun: PathBuf,
    /// Builds go on when it exists.
    go: PathBuf,
    host: &'static str,
}

impl Waiting {
    fn create(server: &Server, host: &'static str, more: &[&str]) -> Self {
        let name = host.split('.').next().unwrap();
        let repo = server.create_with(name, &[&["--domain", host], more].concat());
        let project = Project::tiny();
        project.write("server.js", TICKING_SERVER);
        project.version("v1");
        project.push(&repo).went_live();
        let app = Self {
            begun: server.home().join(format!("{name}.begun")),
            go: server.home().join(format!("{name}.go")),
            repo,
            project,
            host,
        };
        let build = format!(
            "touch {}; until [ -e {} ]; do sleep 0.05; done",
            app.begun.display(),
            app.go.display()
        );
        app.project.write(
            "package.json",
            &format!(r#"{{"name": "fixture-http-port", "version": "1.0.0", "scripts": {{"start": "node server.js", "build": "{build}"}}}}"#),
        );
        app
    }

    /// Pushes this version, and returns while its build waits.
    fn push(&self, version: &str) -> Child {
        self.project.version(version);
        let mut push = self.project.push_command(&self.repo, &["main"]);
        let push = push.stderr(Stdio::piped()).spawn().unwrap();
        self.until_it_builds();
        push
    }

    /// Waits for the next build.
    fn until_it_builds(&self) {
        until("the build has begun", || self.begun.exists().then_some(()));
        std::fs::remove_file(&self.begun).unwrap();
    }

    fn go_on(&self) {
        std::fs::write(&self.go, "").unwrap();
    }
}

fn end_of(push: Child) -> Pushed {
    pushed(&push.wait_with_output().unwrap())
}

/// Three pushes are being built when the server is restarted in this way.
fn three_pushes_go_on(signal: Signal, more: &[&str]) {
    let mut server = Server::start_with("builds = 3\n", &["--listen", "127.0.0.1:0"]);
    let apps =
        ["shop.test", "blog.test", "wiki.test"].map(|host| Waiting::create(&server, host, more));
    let users = apps
        .each_ref()
        .map(|app| Users::at(server.address(), app.host));
    let pushes = apps.each_ref().map(|app| app.push("v2"));
    server.end(signal);
    server.launch_again();
    for (app, push) in apps.iter().zip(pushes) {
        app.until_it_builds();
        app.go_on();
        let told = end_of(push);
        told.went_live();
        told.says("the server has gone away; waiting until it is back");
        assert_eq!(told.text.matches("success: ").count(), 1, "{}", told.text);
        let name = app.host.split('.').next().unwrap();
        let live = &server.status(name)["live"]["commit"];
        assert_eq!(*live, branch(&app.repo), "{}", told.text);
        assert_eq!(*live, app.project.git(&["rev-parse", "HEAD"]).trim());
    }
    for users in users {
        users.finish().all_answered();
    }
}

#[test]
fn three_pushes_go_on_when_the_server_is_restarted() {
    three_pushes_go_on(Signal::SIGTERM, &[]);
}

#[test]
fn three_pushes_go_on_when_the_server_is_killed() {
    three_pushes_go_on(Signal::SIGKILL, &[]);
}

#[test]
fn without_the_gate_pushes_go_on_too() {
    three_pushes_go_on(Signal::SIGKILL, &["--no-gate"]);
}

#[test]
fn who_waited_for_his_turn_waits_again_and_who_was_overtaken_meanwhile_is_told() {
    let mut server = Server::start();
    let app = Waiting::create(&server, "shop.test", &[]);
    let building = app.push("v2");
    app.project.version("v3");
    let mut waiting = app.project.push_command(&app.repo, &["main"]);
    let waiting = waiting.stderr(Stdio::piped()).spawn().unwrap();
    until("the second waits", || {
        server.log().contains("Waiting { reason").then_some(())
    });
    server.end(Signal::SIGKILL);
    server.launch_again();
    app.until_it_builds();
    app.go_on();
    let (building, waiting) = (end_of(building), end_of(waiting));
    waiting.went_live();
    // Whichever of the two reached the server first: the newer one ends live.
    if building.code == 0 {
        building.says("success: ");
    } else {
        building.rejected();
    }
    let newest = app.project.git(&["rev-parse", "HEAD"]).trim().to_owned();
    assert_eq!(branch(&app.repo), newest);
    assert_eq!(server.status("shop")["live"]["commit"], newest);
}

#[test]
fn a_server_that_stays_away_is_told_and_nothing_has_changed() {
    let mut shop = Shop::open("v1");
    let first = branch(&shop.repo);
    shop.project.version("v2");
    shop.server.kill_at("health.known");
    let mut push = shop.project.push_command(&shop.repo, &["main"]);
    let push = push.stderr(Stdio::piped()).spawn().unwrap();
    shop.server.await_death();
    let told = end_of(push);
    assert_eq!(told.code, 1, "{}", told.text);
    told.says("the server has gone away; waiting until it is back")
        .says("  … 5 s without the server")
        .says("warning: the verdict is not known")
        .says("! [remote rejected] main -> main (the server has gone away before the verdict)");
    assert_eq!(branch(&shop.repo), first);
    shop.server.launch_again();
    shop.project.push(&shop.repo).went_live();
}

/// A restart of the app by the command line while the server is killed at this point, and what the command said.
fn restart_killed_at(point: &str) -> (Shop, Output) {
    let mut shop = Shop::open("v1");
    shop.server.kill_at(point);
    let mut restart = shop.server.command();
    let restart = restart.args(["restart", "shop"]);
    let restart = restart.stdout(Stdio::piped()).stderr(Stdio::piped());
    let restart = restart.spawn().unwrap();
    shop.server.await_death();
    shop.server.launch_again();
    let output = restart.wait_with_output().unwrap();
    (shop, output)
}

#[test]
fn a_verb_that_is_watched_is_told_to_its_end_over_a_restart_of_the_server() {
    let (shop, output) = restart_killed_at("swap.recorded");
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{said}");
    for once in [
        "the server has gone away; waiting until it is back",
        "  health ",
        "success: ",
    ] {
        assert_eq!(said.matches(once).count(), 1, "{once}: {said}");
    }
    assert_eq!(shop.server.status("shop")["live"]["generation"], 2);
}

#[test]
fn a_verb_whose_deploy_did_not_outlive_the_server_is_told_so() {
    let (shop, output) = restart_killed_at("health.known");
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert_eq!(said.matches("error: ").count(), 1, "{said}");
    assert_eq!(shop.server.status("shop")["live"]["generation"], 1);
}
