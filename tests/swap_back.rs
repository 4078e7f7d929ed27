//! A version that goes live and does not stay up: what served before serves again, and everybody is told.

#![allow(clippy::unwrap_used)] // tests end where something unexpected is

mod support;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use support::invariants::branch;
use support::steady::{TICKING_SERVER, Users};
use support::{Server, Shop, http, until};

/// Answers, passes its health check, and crashes a second after its start, each time.
fn crashing_server() -> String {
    TICKING_SERVER.to_owned()
        + "setTimeout(() => { throw new Error('the queue is gone'); }, 1000);\n"
}

/// What was told of a deploy, as `handover logs` shows it.
fn told(server: &Server, deploy: u32) -> String {
    let output = server.run(&["logs", "shop", "--deploy", &deploy.to_string()]);
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn a_version_that_keeps_crashing_after_its_swap_is_swapped_back_by_itself() {
    let shop = Shop::open("v0");
    let first = shop.server.status("shop")["live"]["commit"].clone();
    let users = Users::of_any_version(shop.server.address());
    shop.project.write("server.js", &crashing_server());
    shop.project.version("v1");
    shop.project.push(&shop.repo).went_live();
    until("the first version serves again", || {
        let live = &shop.server.status("shop")["live"];
        (live["release"] == 1).then_some(())
    });
    shop.server.until_drained("shop");
    let body = http::get(shop.server.address(), "/").unwrap().body;
    assert_eq!(body, "version v0\n");

    let status = shop.server.status("shop");
    assert_eq!(status["state"], "live");
    assert_eq!(status["live"]["commit"], first);
    assert_eq!(branch(&shop.repo), first.as_str().unwrap());
    let told = told(&shop.server, 2);
    for words in [
        "success: release 2 is live",
        "error: watch: instance 0 keeps crashing: at last it ran for ",
        "with exit code 1",
        "release 1 serves again in place of release 2",
        "hint: what it printed: handover logs shop",
    ] {
        assert!(told.contains(words), "{words:?} is not in:\n{told}");
    }
    assert!(!told.contains("gone away"), "{told}");
    assert!(
        shop.server
            .ok(&["logs", "shop"])
            .contains("Error: the queue is gone")
    );

    // One user waits for one answer at a time: each crash can take one request that the app had accepted, and none
    // that waited in its queue.
    let tally = users.finish();
    assert!(tally.failures.len() <= 2, "{:#?}", tally.failures);
    assert!(tally.answers > 500, "{}", tally.answers);

    // The same commit can be pushed again, and comes to the same end.
    shop.project.push(&shop.repo).went_live();
    until("the first version serves again", || {
        let live = &shop.server.status("shop")["live"];
        (live["release"] == 1).then_some(())
    });
}

#[test]
fn swapping_back_returns_to_the_generation_that_still_drains() {
    let shop = Shop::open("v0");
    let before = shop.server.instance_pids("shop");
    let generation = shop.server.status("shop")["live"]["generation"].clone();
    // One who listens to the old version keeps it from ending, and hears it on through both swaps.
    let users = Users::listening(shop.server.address());
    shop.project.write("server.js", &crashing_server());
    shop.project.version("v1");
    shop.project.push(&shop.repo).went_live();
    until("the first generation serves again", || {
        let live = &shop.server.status("shop")["live"];
        (live["generation"] == generation).then_some(())
    });
    assert_eq!(shop.server.instance_pids("shop"), before);
    shop.server.until_drained("shop");
    assert_eq!(
        http::get(shop.server.address(), "/").unwrap().body,
        "version v0\n"
    );
    users.finish().all_answered();
}

#[test]
fn one_end_of_an_instance_is_an_accident_and_swaps_nothing_back() {
    let shop = Shop::open("v0");
    shop.project
        .write("handover.toml", "[watch]\nfor = \"3s\"\n");
    shop.project.version("v1");
    shop.project.push(&shop.repo).went_live();
    let killed = shop.server.instance_pids("shop");
    for pid in &killed {
        kill(Pid::from_raw(pid.cast_signed()), Signal::SIGKILL).unwrap();
    }
    until("the trial is over", || {
        shop.server
            .log()
            .contains("new version has stayed up")
            .then_some(())
    });
    let status = shop.server.status("shop");
    assert_eq!(status["live"]["release"], 2);
    assert_eq!(status["live"]["instances"][0]["restarts"], 1);
}

#[test]
fn a_way_back_that_is_due_waits_for_the_deploy_that_runs_and_comes_before_those_that_wait() {
    let shop = Shop::open("v0");
    let first = branch(&shop.repo);
    shop.project.write("server.js", &crashing_server());
    shop.project.version("v1");
    shop.project.push(&shop.repo).went_live();
    // A correction that does not even build, and takes longer than the crashes.
    shop.project.write(
        "package.json",
        r#"{"name": "fixture-http-port", "version": "1.0.0", "scripts": {"start": "node server.js", "build": "until [ -e go ]; do sleep 0.05; done; exit 1"}}"#,
    );
    shop.project.version("v2");
    let mut push = shop.project.push_command(&shop.repo, &["main"]);
    let push = push.stderr(std::process::Stdio::piped()).spawn().unwrap();
    until("the crashes are noticed", || {
        let noticed = shop.server.log().contains("new version does not stay up");
        noticed.then_some(())
    });
    assert_eq!(shop.server.status("shop")["live"]["release"], 2);
    let release = shop.server.app_dir("shop").join("releases/3");
    std::fs::write(release.join("go"), "").unwrap();
    let pushed = support::project::pushed(&push.wait_with_output().unwrap());
    pushed.says("error: build: ").says("release 2 serves on");
    until("the first version serves again", || {
        let status = shop.server.status("shop");
        (status["live"]["release"] == 1 && status["state"] == "live").then_some(())
    });
    assert_eq!(branch(&shop.repo), first);
}

#[test]
fn where_there_is_no_way_back_the_new_version_stays_and_it_is_told() {
    let shop = Shop::open("v0");
    // The version before can't be started any more: what it needs is gone.
    let needs = "if (require('node:fs').existsSync(`${__dirname}/../../gone`)) process.exit(9);\n";
    shop.project
        .write("server.js", &format!("{needs}{TICKING_SERVER}"));
    shop.project.version("v1");
    shop.project.push(&shop.repo).went_live();
    shop.project.write("server.js", &crashing_server());
    let bad = shop.project.version("v2");
    shop.project.push(&shop.repo).went_live();
    shop.server.until_drained("shop");
    std::fs::write(shop.server.app_dir("shop").join("gone"), "").unwrap();
    until("it is told", || {
        let told = told(&shop.server, 3);
        let words = "; and release 2 can't be brought back: start: instance 0 ended after ";
        (told.contains("warning: instance 0 keeps crashing") && told.contains(words)).then_some(())
    });
    assert_eq!(shop.server.status("shop")["live"]["release"], 3);
    assert_eq!(branch(&shop.repo), bad);
    // The next good version puts an end to it.
    shop.project.write("server.js", TICKING_SERVER);
    shop.project.version("v3");
    shop.project.push(&shop.repo).went_live();
    assert_eq!(
        http::get(shop.server.address(), "/").unwrap().body,
        "version v3\n"
    );
}

#[test]
fn a_trial_goes_on_when_the_server_is_started_again() {
    let mut shop = Shop::open("v0");
    shop.project.write("server.js", &crashing_server());
    shop.project.version("v1");
    shop.project.push(&shop.repo).went_live();
    shop.server.end(Signal::SIGKILL);
    let again = shop.server.same_address();
    shop.server.launch(&[&again[0], &again[1]]);
    until("the first version serves again", || {
        let live = &shop.server.status("shop")["live"];
        (live["release"] == 1).then_some(())
    });
    assert!(told(&shop.server, 2).contains("release 1 serves again in place of release 2"));
}
