//! git's own commands.

use nix::sys::signal::Signal;

use crate::support::invariants::branch;
use crate::support::project::pushed;
use crate::support::sshd::user;
use crate::support::{Project, http};
use crate::{Place, words};

#[test]
fn a_push_goes_live_with_each_version_of_gits_protocol_and_who_pushed_is_shown() {
    let Some(place) = Place::new() else { return };
    let (server, sshd) = (&place.server, &place.sshd);
    server.ok(&["domains", "shop", "add", "shop.test"]);
    let ada = sshd.key("ada", &["--app", "shop"]);
    for version in ["0", "1", "2"] {
        place.project.version(&format!("protocol {version}"));
        let protocol = format!("protocol.version={version}");
        sshd.push(&place.project, &ada, "shop", &["-c", &protocol])
            .went_live();
        let answer = http::get_from(server.address(), "shop.test", "/").unwrap();
        let wanted = format!("protocol {version}");
        assert!(answer.body.contains(&wanted), "{}", answer.body);
    }
    let releases = server.json(&["releases", "shop"]);
    let by: Vec<_> = releases["releases"]
        .as_array()
        .unwrap()
        .iter()
        .map(|release| release["pushed_by"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(
        by,
        [user().as_str(), "ada", "ada", "ada"],
        "the first was pushed here"
    );
    assert!(server.ok(&["releases", "shop"]).contains("  ada  "));
    let events = server.ok(&["logs", "shop", "--deploy", "2", "--json"]);
    let first = events.lines().next().unwrap();
    assert!(first.contains("\"by\":\"ada\""), "{first}");
}

#[test]
fn a_failed_push_is_rejected_with_each_version_of_gits_protocol_and_the_branch_stays() {
    let Some(place) = Place::new() else { return };
    let ada = place.sshd.key("ada", &["--app", "shop"]);
    let repo = place.server.app_dir("shop").join("repo.git");
    let live = branch(&repo);
    place.project.write("server.js", "process.exit(7);");
    place.project.commit("broken");
    for version in ["0", "1", "2"] {
        let protocol = format!("protocol.version={version}");
        place
            .sshd
            .push(&place.project, &ada, "shop", &["-c", &protocol])
            .rejected()
            .says("error: start: instance 0 ended after ");
        assert_eq!(branch(&repo), live);
    }
}

#[test]
fn atomic_leased_several_refs_and_shallow_pushes_get_a_true_verdict() {
    let Some(place) = Place::new() else { return };
    let ada = place.sshd.key("ada", &["--app", "shop"]);
    let repo = place.server.app_dir("shop").join("repo.git");
    let push = |args: &[&str]| {
        let url = place.sshd.url("shop");
        let mut git = place.sshd.git(place.project.path(), &ada, &[]);
        pushed(&git.arg("push").arg(&url).args(args).output().unwrap())
    };
    let first = branch(&repo);
    let commit = place.project.version("several");
    push(&["--atomic", "main", "main:dev", "main:refs/tags/v1"]).went_live();
    assert_eq!(branch(&repo), commit);
    push(&["main"]).says("Everything up-to-date");

    place.project.version("leased");
    let stale = format!("--force-with-lease=main:{first}");
    let refused = push(&[&stale, "main"]);
    assert_eq!(refused.code, 1);
    refused.says("stale info");
    let lease = format!("--force-with-lease=main:{commit}");
    push(&[&lease, "main"]).went_live();

    let shallow = place.project.shallow_clone();
    let blog = place.server.app_dir("blog").join("repo.git");
    let before = branch(&blog);
    let ada_too = place.sshd.key("ada-too", &["--app", "blog"]);
    let mut git = place.sshd.git(shallow.path(), &ada_too, &[]);
    let output = git
        .args(["push", &place.sshd.url("blog"), "main"])
        .output()
        .unwrap();
    let refused = pushed(&output);
    assert_eq!(refused.code, 1, "{}", refused.text);
    assert!(!refused.text.contains("checkout"), "{}", refused.text);
    assert_eq!(branch(&blog), before);
}

#[test]
fn a_clone_speaks_the_version_that_the_client_asks_for() {
    let Some(place) = Place::new() else { return };
    let reader = place.sshd.key("reader", &["--app", "shop", "--read"]);
    for (version, told) in [
        ("0", None),
        ("1", Some("version 1")),
        ("2", Some("version 2")),
    ] {
        let to = tempfile::tempdir().unwrap();
        let protocol = format!("protocol.version={version}");
        let output = place
            .sshd
            .git(to.path(), &reader, &["-c", &protocol])
            .args(["clone", "-q", &place.sshd.url("shop"), "copy"])
            .env("GIT_TRACE_PACKET", "1")
            .output()
            .unwrap();
        let words = words(&output);
        assert!(output.status.success(), "{words}");
        assert!(to.path().join("copy/package.json").exists());
        let spoken = words.lines().find_map(|line| {
            let packet = line.split_once("< ")?.1;
            packet.starts_with("version ").then(|| packet.to_owned())
        });
        assert_eq!(spoken.as_deref(), told, "protocol {version}");
    }
}

#[test]
fn a_key_that_may_only_read_can_not_push_and_the_branch_stays() {
    let Some(place) = Place::new() else { return };
    let reader = place.sshd.key("reader", &["--app", "shop", "--read"]);
    let repo = place.server.app_dir("shop").join("repo.git");
    let before = branch(&repo);
    place.project.version("v1");
    let refused = place.sshd.push(&place.project, &reader, "shop", &[]);
    assert_ne!(refused.code, 0);
    refused.says("error: failed to find an app `shop` that the key `reader` may push to");
    assert_eq!(branch(&repo), before);
}

#[test]
fn a_repository_is_found_by_each_form_of_its_address() {
    let Some(place) = Place::new() else { return };
    let ada = place.sshd.key("ada", &["--app", "shop"]);
    for path in ["shop", "shop.git", "~/shop", "~/shop.git"] {
        let output = place
            .sshd
            .git(place.project.path(), &ada, &[])
            .args(["ls-remote", &place.sshd.url(path), "main"])
            .output()
            .unwrap();
        assert!(
            words(&output).contains("refs/heads/main"),
            "{path}: {}",
            words(&output)
        );
    }
}

#[test]
fn the_server_asks_again_whose_push_it_is() {
    let Some(place) = Place::new() else { return };
    place.sshd.key("bob", &["--app", "blog"]);
    let repo = place.server.app_dir("shop").join("repo.git");
    for (key, told) in [
        ("bob", "that the key `bob` may push to"),
        ("nobody", "find the key `nobody`"),
        ("../etc", "this is not the name of a key"),
    ] {
        place.project.version(key);
        let output = place
            .project
            .push_command(&repo, &["main"])
            .env("HANDOVER_KEY", key)
            .output()
            .unwrap();
        pushed(&output).says(told);
    }
    let told = place.server.json(&["releases", "shop"]).to_string();
    assert!(!told.contains("bob"), "{told}");
}

#[test]
fn a_push_while_the_server_is_away_is_refused_and_the_branch_stays() {
    let Some(mut place) = Place::new() else {
        return;
    };
    let ada = place.sshd.key("ada", &["--app", "shop"]);
    place.server.end(Signal::SIGTERM);
    let repo = place.server.app_dir("shop").join("repo.git");
    let before = branch(&repo);
    place.project.version("v1");
    let refused = place.sshd.push(&place.project, &ada, "shop", &[]);
    assert_ne!(refused.code, 0);
    refused.says("the handover server");
    refused.says("it is not running");
    assert_eq!(branch(&repo), before);
    let asked = place.sshd.ssh(&ada, "status shop");
    assert_eq!(asked.status.code(), Some(3), "{}", words(&asked));
}

#[test]
fn verbs_say_who_asked_too() {
    let Some(place) = Place::new() else { return };
    let ada = place.sshd.key("ada", &["--app", "shop"]);
    let deployed = place.sshd.ssh(&ada, "deploy shop");
    assert!(deployed.status.success(), "{}", words(&deployed));
    let releases = place.server.json(&["releases", "shop"]);
    assert_eq!(releases["releases"][1]["pushed_by"], "ada", "{releases}");
}

#[test]
fn an_app_can_be_pushed_by_two_keys_and_a_key_can_push_two_apps() {
    let Some(place) = Place::new() else { return };
    let ada = place.sshd.key("ada", &["--app", "shop", "--app", "blog"]);
    let bob = place.sshd.key("bob", &["--app", "shop"]);
    let project = Project::tiny();
    for app in ["shop", "blog"] {
        place.server.ok(&["app", "set", app, "force", "on"]);
    }
    for (key, app, version) in [
        (&ada, "shop", "v1"),
        (&ada, "blog", "v2"),
        (&bob, "shop", "v3"),
    ] {
        project.version(version);
        let forced = place
            .sshd
            .git(project.path(), key, &[])
            .args(["push", "-f", "-o", "force", &place.sshd.url(app), "main"])
            .output()
            .unwrap();
        pushed(&forced).went_live();
    }
}
