//! The command line is a contract: exit codes, stdout and stderr, and the names in `--json`.

#![allow(clippy::unwrap_used)]

mod support;

use std::process::Command;

use serde_json::Value;
use support::{Project, Server, http, until};

fn keys(value: &Value) -> Vec<&str> {
    let mut keys: Vec<&str> = value
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    keys.sort_unstable();
    keys
}

#[test]
fn without_a_server_the_exit_code_is_3_and_the_words_say_how_to_start_one() {
    let home = tempfile::tempdir().unwrap();
    let run = Command::new(env!("CARGO_BIN_EXE_handover"))
        .arg("--home")
        .arg(home.path())
        .arg("status")
        .output()
        .unwrap();
    assert_eq!(run.status.code(), Some(3));
    assert!(run.stdout.is_empty());
    assert!(String::from_utf8_lossy(&run.stderr).contains("handover serve"));
}

#[test]
fn what_makes_no_sense_has_exit_code_2() {
    for args in [
        &["status", "Not-A-Name"][..],
        &["scale", "shop", "web=0"],
        &["no-such-verb"],
        &["logs", "shop", "--deploy", "x"],
    ] {
        let run = Command::new(env!("CARGO_BIN_EXE_handover"))
            .args(args)
            .output()
            .unwrap();
        assert_eq!(run.status.code(), Some(2), "{args:?}");
    }
}

#[test]
fn what_is_refused_has_exit_code_1_and_a_reason() {
    let server = Server::start();
    for (args, reason) in [
        (&["status", "shop"][..], "there is none of that name"),
        (&["deploy", "shop"], "there is none of that name"),
        (&["app", "destroy", "shop"], "there is none of that name"),
    ] {
        let run = server.run(args);
        assert_eq!(run.status.code(), Some(1), "{args:?}");
        assert!(
            String::from_utf8_lossy(&run.stderr).contains(reason),
            "{args:?}: {run:?}"
        );
    }
    server.create("shop");
    let again = server.run(&["app", "create", "shop"]);
    assert_eq!(again.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&again.stderr).contains("it exists already"));
    let nothing = server.run(&["restart", "shop"]);
    assert_eq!(nothing.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&nothing.stderr).contains("nothing was deployed yet"));
}

#[test]
fn app_create_prints_the_url_last_and_only_that_on_stdout() {
    let server = Server::start();
    let run = server.run(&["app", "create", "shop"]);
    let stdout = String::from_utf8(run.stdout).unwrap();
    let url = stdout.lines().last().unwrap();
    assert!(
        std::path::Path::new(url)
            .join("hooks/post-receive")
            .is_file()
    );
    assert!(String::from_utf8_lossy(&run.stderr).contains("git push production main"));
}

#[test]
fn the_repository_of_an_app_is_set_up_for_pushes() {
    let server = Server::start();
    let repo = server.create("shop");
    let git = |args: &[&str]| {
        let output = support::project::git_in(&repo).args(args).output().unwrap();
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    for (key, value) in [
        ("receive.fsckObjects", "true"),
        ("receive.denyDeletes", "true"),
        ("receive.advertisePushOptions", "true"),
        ("receive.autogc", "false"),
        ("core.fsync", "all"),
        ("gc.auto", "0"),
        ("core.bare", "true"),
    ] {
        assert_eq!(git(&["config", key]), value, "{key}");
    }
    assert_eq!(git(&["symbolic-ref", "HEAD"]), "refs/heads/main");
}

#[test]
fn status_releases_and_deploy_logs_have_their_stable_names() {
    let server = Server::start();
    let repo = server.create("shop");
    Project::tiny().push(&repo).went_live();

    let status = server.status("shop");
    assert_eq!(
        keys(&status),
        [
            "branch",
            "deploying",
            "draining",
            "live",
            "name",
            "removing",
            "repo",
            "socket",
            "state",
            "urls"
        ]
    );
    assert_eq!(status["state"], "live");
    assert_eq!(
        keys(&status["live"]),
        [
            "commit",
            "connections",
            "generation",
            "instances",
            "release",
            "since"
        ]
    );
    assert_eq!(
        keys(&status["live"]["instances"][0]),
        ["index", "pid", "restarts", "rss_bytes"]
    );
    assert!(
        status["live"]["since"]
            .as_str()
            .unwrap()
            .parse::<handover::time::Timestamp>()
            .is_ok()
    );

    let releases = server.json(&["releases", "shop"]);
    assert_eq!(
        keys(&releases["releases"][0]),
        [
            "built_at",
            "commit",
            "deploy",
            "live",
            "message",
            "pushed_by",
            "release",
            "subject"
        ]
    );

    let log = server.ok(&["logs", "shop", "--deploy", "1", "--json"]);
    let events: Vec<Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(events[0]["event"], "accepted");
    let done: Vec<&str> = events
        .iter()
        .filter(|event| event["event"] == "done")
        .map(|event| event["phase"].as_str().unwrap())
        .collect();
    assert_eq!(done, ["checkout", "install", "start", "health", "swap"]);
    assert_eq!(events.last().unwrap()["event"], "live");
}

#[test]
fn logs_show_what_the_app_prints_and_follow_it() {
    use std::io::BufRead;
    let server = Server::start();
    let repo = server.create("shop");
    let project = Project::tiny();
    project.push(&repo).went_live();
    assert!(server.ok(&["logs", "shop"]).contains(" g1.0 "));

    let mut follow = server.command();
    let mut child = follow
        .args(["logs", "shop", "-f", "-n", "0"])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = std::io::BufReader::new(child.stdout.take().unwrap()).lines();
    server.ok(&["restart", "shop"]);
    assert!(lines.next().unwrap().unwrap().contains(" g2.0 "));
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn follow_shows_the_last_deploy_and_its_verdict() {
    let server = Server::start();
    let repo = server.create("shop");
    Project::tiny().push(&repo).went_live();
    let follow = server.run(&["follow", "shop"]);
    assert_eq!(follow.status.code(), Some(0));
    assert!(String::from_utf8_lossy(&follow.stderr).contains("success: release 1 is live"));

    server.ok(&["restart", "shop"]);
    server.until_drained("shop");
    until("the first generation is told of", || {
        server
            .ok(&["logs", "shop", "--deploy", "2", "--json"])
            .contains("\"retired\"")
            .then_some(())
    });
    assert_eq!(
        server.run(&["follow", "shop"]).status.code(),
        Some(0),
        "what comes after the verdict does not change it"
    );

    let broken = Project::tiny();
    broken
        .write("server.js", "process.exit(1)")
        .commit("broken");
    let commit = broken.git(&["rev-parse", "main"]);
    broken.push_with(&repo, &["main:dev"]);
    server.run(&["deploy", "shop", commit.trim()]);
    let follow = server.run(&["follow", "shop"]);
    assert_eq!(follow.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&follow.stderr).contains("error: start: "));
}

#[test]
fn host_names_lead_to_their_apps() {
    let server = Server::start();
    for (app, host) in [("shop", "shop.example.com"), ("blog", "blog.example.com")] {
        let repo = server.create(app);
        let project = Project::tiny();
        project.version(app);
        project.push(&repo).went_live();
        server.ok(&["domains", app, "add", host]);
    }
    let body = |host: &str| http::get_from(server.address(), host, "/").unwrap();
    until("the front has heard of both", || {
        body("blog.example.com").body.contains("blog").then_some(())
    });
    assert!(body("shop.example.com").body.contains("shop"));
    assert_eq!(body("other.example.com").status, 404);
    server.ok(&["domains", "blog", "remove", "blog.example.com"]);
    until("the front has forgotten it", || {
        (body("blog.example.com").status == 404).then_some(())
    });
    let taken = server.run(&["domains", "blog", "add", "shop.example.com"]);
    assert!(String::from_utf8_lossy(&taken.stderr).contains("belongs to `shop`"));
}

#[test]
fn doctor_finds_this_machine_fit_and_names_what_is_wrong() {
    let server = Server::start();
    let report = server.json(&["doctor"]);
    let checks: Vec<&str> = report["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|finding| finding["check"].as_str().unwrap())
        .collect();
    assert_eq!(
        checks,
        [
            "git", "node", "npm", "home", "run", "sockets", "disk", "inodes", "settings", "server",
            "database"
        ]
    );

    std::fs::write(
        server.home().join("handover.toml"),
        "front_grup = \"www-data\"\n",
    )
    .unwrap();
    let run = server
        .command()
        .env("PATH", "/nowhere")
        .arg("doctor")
        .output()
        .unwrap();
    let text = String::from_utf8(run.stdout).unwrap();
    assert_eq!(run.status.code(), Some(1));
    assert!(
        text.contains("there is no `node` in PATH") && text.contains("apt-get install nodejs"),
        "{text}"
    );
    assert!(text.contains("front_grup"), "{text}");
}

#[test]
fn completions_know_the_verbs() {
    for shell in ["bash", "zsh", "fish"] {
        let run = Command::new(env!("CARGO_BIN_EXE_handover"))
            .args(["completions", shell])
            .output()
            .unwrap();
        assert!(run.status.success());
        assert!(
            String::from_utf8(run.stdout).unwrap().contains("restart"),
            "{shell}"
        );
    }
}

#[test]
fn a_second_server_for_the_same_home_is_refused() {
    let server = Server::start();
    let second = server.run(&["serve", "--no-front"]);
    assert_eq!(second.status.code(), Some(1));
    assert!(
        String::from_utf8_lossy(&second.stderr).contains("another `handover serve` uses this home")
    );
}

#[test]
fn an_existing_repository_becomes_an_app_and_is_given_back_as_it_was() {
    let server = Server::start();
    let dir = tempfile::tempdir().unwrap();
    let bare = dir.path().join("site.git");
    let project = Project::tiny();
    project.git(&["init", "-q", "--bare", "-b", "main", bare.to_str().unwrap()]);
    let own = bare.join("hooks/post-receive");
    std::fs::write(&own, "#!/bin/sh\ncat > \"$GIT_DIR/told\"\n").unwrap();
    std::fs::set_permissions(&own, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();

    for _ in 0..2 {
        server.ok(&["hooks", "install", bare.to_str().unwrap(), "site"]);
    }
    project.push(&bare).went_live();
    assert!(
        http::get(server.address(), "/")
            .unwrap()
            .body
            .contains("v0")
    );
    assert!(
        std::fs::read_to_string(bare.join("told"))
            .unwrap()
            .contains("refs/heads/main"),
        "its own hook ran too"
    );

    server.ok(&["hooks", "remove", bare.to_str().unwrap()]);
    assert!(std::fs::read_to_string(&own).unwrap().contains("told"));
    assert!(!bare.join("hooks/post-receive.chained").exists());
    assert_eq!(server.run(&["status", "site"]).status.code(), Some(1));
    assert!(bare.join("HEAD").exists(), "the repository itself stays");
}

#[test]
fn changed_settings_are_read_without_a_restart_and_wrong_ones_change_nothing() {
    let server = Server::start();
    server.create("shop");
    let settings = server.home().join("handover.toml");
    let group_shown = |group: &str| server.ok(&["nginx", "shop"]).contains(group);
    std::fs::write(&settings, "front_group = \"daemon\"\n").unwrap();
    until("the group is known", || group_shown("daemon").then_some(()));
    std::fs::write(&settings, "front_group = 7\n").unwrap();
    until("the mistake is told", || {
        server.log().contains("settings are wrong").then_some(())
    });
    assert!(group_shown("daemon"));
}
