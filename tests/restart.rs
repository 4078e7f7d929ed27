//! `serve` comes and goes: pushes while it is away, apps that run on without it, and ends that leave nothing.

#![allow(clippy::unwrap_used)] // tests end where something unexpected is

mod support;

use std::path::PathBuf;
use std::thread::ScopedJoinHandle;

use nix::sys::signal::Signal;
use support::invariants::{Traces, branch, processes_of};
use support::project::{git_in, pushed};
use support::steady::Users;
use support::{Shop, http, until};

impl Shop {
    /// Starts `serve` at the address that it had.
    fn start_again(&mut self) {
        let again = self.server.same_address();
        self.server.launch(&[&again[0], &again[1]]);
    }

    /// Waits until this release is live and nothing is deployed any more.
    #[track_caller]
    fn until_live(&self, release: u32) {
        until("the release is live", || {
            let status = self.server.status("shop");
            (status["live"]["release"] == release && status["state"] == "live").then_some(())
        });
    }

    fn body(&self) -> String {
        http::get(self.server.address(), "/").unwrap().body
    }
}

#[test]
fn a_push_while_the_server_is_away_is_stored_told_and_deployed_later() {
    let mut shop = Shop::open_without_gate("v1");
    let users = Users::of_any_version(shop.server.address());
    shop.server.end(Signal::SIGTERM);
    let commit = shop.project.version("v2");
    let pushed = shop.project.push(&shop.repo);
    assert_eq!(pushed.code, 0, "post-receive can't refuse: {}", pushed.text);
    pushed
        .says("warning: the handover server is not running")
        .says("your push is stored, and is deployed when the server is started")
        .says("hint: start it with `handover serve`; then watch with `handover follow shop`");
    assert_eq!(branch(&shop.repo), commit);
    shop.start_again();
    shop.until_live(2);
    assert_eq!(shop.body(), "version v2\n");
    assert_eq!(shop.server.status("shop")["live"]["commit"], commit);
    users.finish().all_answered();
}

#[test]
fn the_gate_refuses_a_push_while_the_server_is_away_and_takes_it_later() {
    let mut shop = Shop::open("v1");
    let first = branch(&shop.repo);
    shop.server.end(Signal::SIGTERM);
    shop.project.version("v2");
    let pushed = shop.project.push(&shop.repo);
    assert_eq!(pushed.code, 1, "{}", pushed.text);
    pushed
        .says("error: the handover server is not running")
        .says("hint: start it with `handover serve`, then push again; nothing has changed")
        .says("! [remote rejected] main -> main (the handover server is not running)");
    assert_eq!(branch(&shop.repo), first);
    shop.start_again();
    assert_eq!(shop.body(), "version v1\n");
    shop.project.push(&shop.repo).went_live();
    assert_eq!(shop.body(), "version v2\n");
}

#[test]
fn a_branch_that_moves_without_a_hook_is_deployed() {
    let shop = Shop::open("v1");
    let commit = shop.project.version("v2");
    shop.project.push_with(&shop.repo, &["main:refs/heads/dev"]);
    let moved = git_in(&shop.repo)
        .args(["update-ref", "refs/heads/main", &commit])
        .status()
        .unwrap();
    assert!(moved.success());
    shop.until_live(2);
    assert_eq!(shop.body(), "version v2\n");
}

#[test]
fn a_branch_that_moves_to_what_fails_is_tried_once_and_led_back() {
    let shop = Shop::open("v1");
    let before = Traces::of(&shop.server, "shop");
    shop.project.write("server.js", "process.exit(1);");
    let commit = shop.project.commit("broken");
    shop.project.push_with(&shop.repo, &["main:refs/heads/dev"]);
    git_in(&shop.repo)
        .args(["update-ref", "refs/heads/main", &commit])
        .status()
        .unwrap();
    until("the deploy has failed", || {
        shop.server.log().contains("deploy failed").then_some(())
    });
    support::invariants::unchanged(&before, &shop.server, "shop");
    assert_eq!(shop.server.log().matches("deploy failed").count(), 1);
}

/// `serve` ends in this way: everything that it runs goes on, and the next start finds it.
fn server_comes_back(signal: Signal) {
    let mut shop = Shop::open("v1");
    let mut before = Traces::of(&shop.server, "shop");
    let users = Users::of(shop.server.address());
    let old = shop.server.pid();
    shop.server.end(signal);
    for _ in 0..20 {
        assert_eq!(shop.body(), "version v1\n", "while the server is away");
    }
    shop.start_again();
    let new = shop.server.pid();
    let mut after = Traces::of(&shop.server, "shop");
    for (traces, pid) in [(&mut before, old), (&mut after, new)] {
        let serve = format!("{pid} ");
        traces.processes.retain(|one| !one.starts_with(&serve));
    }
    assert_eq!(after, before, "the same processes, release and generation");
    // And it is really in charge of what it has found.
    shop.project.version("v2");
    shop.project.push(&shop.repo);
    shop.until_live(2);
    assert_eq!(shop.body(), "version v2\n");
    let tally = users.finish();
    let strange = tally
        .failures
        .iter()
        .filter(|failure| !failure.contains("answered \"version v2"));
    assert_eq!(strange.collect::<Vec<_>>(), Vec::<&String>::new());
}

#[test]
fn sigterm_leaves_everything_running_and_the_next_start_finds_it() {
    server_comes_back(Signal::SIGTERM);
}

#[test]
fn sigkill_leaves_everything_running_and_the_next_start_finds_it() {
    server_comes_back(Signal::SIGKILL);
}

#[test]
fn sigint_ends_everything() {
    let mut shop = Shop::open("v1");
    // One who never ends would keep a drain waiting.
    let users = Users::listening(shop.server.address());
    shop.server.end(Signal::SIGINT);
    users.finish();
    let home = shop.server.home();
    assert_eq!(processes_of(home), [].into());
    let run = std::fs::read_dir(home.join("run/shop")).unwrap();
    let sockets: Vec<_> = run.map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(sockets, Vec::<std::ffi::OsString>::new());
    // What was live is live again after the next start.
    shop.start_again();
    shop.until_live(1);
    assert_eq!(shop.body(), "version v1\n");
}

/// Builds until it is told to end, in a process of its own.
const ENDLESS_BUILD: &str = r#"{
  "name": "fixture-http-port", "version": "1.0.0",
  "scripts": {"start": "node server.js", "build": "echo the build has begun; sleep 1000 & wait"}
}
"#;

/// Two pushes: one that builds and does not end, one that waits for it.
fn push_two(shop: &Shop) -> [std::process::Child; 2] {
    let push = || {
        let mut command = shop.project.push_command(&shop.repo, &["main"]);
        command
            .stderr(std::process::Stdio::piped())
            .spawn()
            .unwrap()
    };
    shop.project.write("package.json", ENDLESS_BUILD);
    shop.project.version("v2");
    let building = push();
    until("the build runs", || build_runs(shop).then_some(()));
    shop.project.version("v3");
    let waiting = push();
    until("the second waits", || {
        let log = shop.server.log();
        log.contains("Waiting { reason").then_some(())
    });
    [building, waiting]
}

fn build_runs(shop: &Shop) -> bool {
    let all = processes_of(shop.server.home());
    all.iter().any(|one| one.contains("sleep 1000"))
}

#[test]
fn sigint_during_a_deploy_ends_it_and_all_of_its_processes_and_tells_the_pushers() {
    let mut shop = Shop::open("v1");
    let pushes = push_two(&shop);
    shop.server.end(Signal::SIGINT);
    let [building, waiting] = pushes.map(|push| pushed(&push.wait_with_output().unwrap()));
    building
        .says("the build has begun")
        .says("the app is being stopped")
        .says("hint: push again when the server is back")
        .says("! [remote rejected] main -> main (receive: the app is being stopped)");
    waiting.says("the app is being stopped");
    until("no process is left", || {
        processes_of(shop.server.home()).is_empty().then_some(())
    });
}

/// `serve` ends in this way in the middle of a deploy: the pushers are told, the build ends, and the next start
/// deploys what the branch names.
fn server_ends_during_a_deploy(signal: Signal) {
    let mut shop = Shop::open_without_gate("v1");
    let users = Users::of_any_version(shop.server.address());
    let pushes = push_two(&shop);
    shop.server.end(signal);
    assert_eq!(shop.body(), "version v1\n");

    // The branch names what would build for ever; what is pushed to it now, with nobody there, is what counts.
    shop.project.write(
        "package.json",
        &ENDLESS_BUILD.replace("sleep 1000 & wait", "true"),
    );
    let commit = shop.project.version("v4");
    shop.project.push(&shop.repo).says("is not running");
    shop.start_again();
    for push in pushes {
        pushed(&push.wait_with_output().unwrap())
            .says("the server has gone away; waiting until it is back")
            .says("error: superseded by ");
    }
    assert!(
        !build_runs(&shop),
        "what was cut off is ended at the latest now"
    );
    until("it is live", || {
        let status = shop.server.status("shop");
        (status["live"]["commit"] == commit.as_str() && status["state"] == "live").then_some(())
    });
    assert_eq!(shop.body(), "version v4\n");
    let releases = shop.server.json(&["releases", "shop"]);
    let known = releases["releases"].as_array().unwrap().len();
    let dirs = std::fs::read_dir(shop.server.app_dir("shop").join("releases")).unwrap();
    assert_eq!(dirs.count(), known, "what was cut off is gone");
    users.finish().all_answered();
}

#[test]
fn with_the_gate_a_deploy_that_was_cut_off_is_begun_again_and_can_be_given_up() {
    let mut shop = Shop::open("v1");
    let first = branch(&shop.repo);
    let pushes = push_two(&shop);
    shop.server.end(Signal::SIGKILL);
    shop.start_again();
    let ended = std::thread::scope(|scope| {
        let ends = pushes.map(|push| scope.spawn(|| pushed(&push.wait_with_output().unwrap())));
        until("both have been given up", || {
            shop.server.run(&["cancel", "shop"]);
            ends.iter().all(ScopedJoinHandle::is_finished).then_some(())
        });
        ends.map(|end| end.join().unwrap())
    });
    for told in ended {
        told.says("the server has gone away; waiting until it is back");
        assert_eq!(told.code, 1, "{}", told.text);
    }
    assert!(!build_runs(&shop), "what was cut off is ended");
    assert_eq!(branch(&shop.repo), first);
    assert_eq!(shop.server.status("shop")["state"], "live");
    assert_eq!(shop.body(), "version v1\n");
    shop.project.write(
        "package.json",
        &ENDLESS_BUILD.replace("sleep 1000 & wait", "true"),
    );
    shop.project.version("v4");
    shop.project.push(&shop.repo).went_live();
    assert_eq!(shop.body(), "version v4\n");
}

#[test]
fn sigterm_during_a_deploy_loses_nothing() {
    server_ends_during_a_deploy(Signal::SIGTERM);
}

#[test]
fn sigkill_during_a_deploy_loses_nothing() {
    server_ends_during_a_deploy(Signal::SIGKILL);
}

#[test]
fn destroying_an_app_leaves_nothing_of_it() {
    let shop = Shop::open("v1");
    let before = processes_of(shop.server.home());
    let create = ["app", "create", "other", "--domain", "other.test"];
    let told = shop.server.ok(&create);
    let repo = PathBuf::from(told.lines().last().unwrap());
    shop.project.push(&repo).went_live();
    let other = shop.server.instance_pids("shop");
    // As much as there can be of it: a live generation, one that drains and has a listener, and a build.
    let listener = Users::listening_to(shop.server.address(), "other.test");
    shop.project.version("v2");
    shop.project.push(&repo).went_live();
    shop.project.write("package.json", ENDLESS_BUILD);
    shop.project.version("v3");
    let mut push = shop
        .project
        .push_command(&repo, &["main"])
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    until("the build runs", || build_runs(&shop).then_some(()));
    assert_eq!(
        shop.server.status("other")["draining"]
            .as_array()
            .unwrap()
            .len(),
        1
    );

    shop.server.ok(&["app", "destroy", "other", "--yes"]);
    listener.finish();
    assert!(!shop.server.app_dir("other").exists());
    assert!(!shop.server.run_dir("other").exists());
    push.wait().unwrap();
    until("no process of it is left", || {
        (processes_of(shop.server.home()) == before).then_some(())
    });
    assert!(!shop.server.run(&["status", "other"]).status.success());
    assert_eq!(
        shop.server.instance_pids("shop"),
        other,
        "others are left alone"
    );
    assert_eq!(shop.body(), "version v1\n");
    // Its name is free.
    let repo = shop.server.create("other");
    assert_eq!(branch(&repo), "");
}
