//! The main job, end to end.

#![allow(clippy::unwrap_used)]

mod support;

use support::{Project, Server, http};

#[test]
fn a_push_deploys_and_a_second_one_takes_over() {
    let server = Server::start();
    let repo = server.create("shop");
    let project = Project::tiny();
    project.push(&repo).went_live().says("swap       release 1");
    assert!(
        http::get(server.address(), "/")
            .unwrap()
            .body
            .contains("v0")
    );

    project.version("v1");
    project
        .push(&repo)
        .went_live()
        .says("swap       release 1 → 2")
        .says("drain      release 1: ");
    assert!(
        http::get(server.address(), "/")
            .unwrap()
            .body
            .contains("v1")
    );
    server.until_drained("shop");
    assert_eq!(server.status("shop")["live"]["release"], 2);
}

#[test]
fn other_branches_and_tags_are_stored_and_told_so() {
    let server = Server::start();
    let repo = server.create("shop");
    let project = Project::tiny();
    project.git(&["tag", "v1"]);
    let pushed = project.push_with(&repo, &["main:dev", "v1"]);
    pushed
        .says("refs/heads/dev is stored; only main deploys")
        .says("refs/tags/v1 is stored")
        .says("hint: nothing was deployed");
    assert_eq!(server.status("shop")["state"], "empty");
    assert_eq!(http::get(server.address(), "/").unwrap().status, 503);
}

#[test]
fn pushing_what_is_live_again_says_so() {
    let server = Server::start();
    let repo = server.create("shop");
    let project = Project::tiny();
    project.push(&repo).went_live();
    let again = project.push(&repo);
    assert_eq!(again.code, 0);
    again.says("Everything up-to-date");
    server.ok(&["deploy", "shop"]);
    assert_eq!(
        server.status("shop")["live"]["release"],
        2,
        "asked for by hand, it is built again"
    );
}

#[test]
fn a_commit_that_is_not_on_the_branch_can_be_deployed_by_hand_and_the_branch_follows() {
    let server = Server::start();
    let repo = server.create("shop");
    let project = Project::tiny();
    let first = project.version("v1");
    project.push(&repo).went_live();
    project.version("v2");
    project.push(&repo).went_live();
    server.ok(&["deploy", "shop", &first[..8]]);
    assert!(
        http::get(server.address(), "/")
            .unwrap()
            .body
            .contains("v1")
    );
    assert_eq!(
        support::project::git_in(&repo)
            .args(["rev-parse", "main"])
            .output()
            .unwrap()
            .stdout,
        format!("{first}\n").into_bytes()
    );
}

#[test]
fn as_many_builds_run_at_once_as_the_settings_allow() {
    let server = Server::start_with("builds = 1\n", &["--listen", "127.0.0.1:0"]);
    let (first, second) = (server.create("first"), server.create("second"));
    let slow = Project::tiny();
    slow.write(
        "handover.toml",
        "[build]\ncommand = \"for i in $(seq 600); do test -e go && exit; sleep 0.05; done; exit 1\"\n",
    )
    .commit("a slow build");
    let quick = Project::tiny();
    std::thread::scope(|scope| {
        let building = scope.spawn(|| slow.push(&first));
        let build_dir = server.app_dir("first").join("releases/1");
        support::until("the build runs", || {
            // Refused as long as there is no such deploy.
            let log = server
                .run(&["logs", "first", "--deploy", "1", "--json"])
                .stdout;
            String::from_utf8(log)
                .unwrap()
                .contains("\"phase\":\"build\"")
                .then_some(())
        });
        let waiting = scope.spawn(|| quick.push(&second));
        support::until("the other waits", || {
            server.status("second")["deploying"]
                .is_number()
                .then_some(())
        });
        std::fs::write(build_dir.join("go"), "").unwrap();
        building.join().unwrap().went_live();
        waiting
            .join()
            .unwrap()
            .went_live()
            .says("waiting    for the builds of other apps to end");
    });
}
