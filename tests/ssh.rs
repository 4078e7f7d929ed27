//! Pushes and verbs over ssh, with a real sshd.

#![allow(clippy::unwrap_used)]

mod support;

use support::{Project, Server, Sshd, http, skip, sshd};

/// Whether these tests can run here.
fn can_run() -> bool {
    if !sshd::is_installed() {
        skip("this machine has no sshd");
    }
    sshd::is_installed()
}

#[test]
fn a_push_over_ssh_goes_live_with_each_version_of_gits_protocol_and_who_pushed_is_shown() {
    if !can_run() {
        return;
    }
    let server = Server::start();
    server.create("shop");
    let sshd = Sshd::start(&server);
    let ada = sshd.key("ada", &["--app", "shop"]);
    let project = Project::tiny();
    for version in ["0", "1", "2"] {
        project.version(&format!("protocol {version}"));
        let protocol = format!("protocol.version={version}");
        sshd.push(&project, &ada, "shop", &["-c", &protocol])
            .went_live();
        let body = http::get(server.address(), "/").unwrap().body;
        assert!(body.contains(&format!("protocol {version}")), "{body}");
    }
    let releases = server.json(&["releases", "shop"]);
    for release in releases["releases"].as_array().unwrap() {
        assert_eq!(release["pushed_by"], "ada", "{release}");
    }
    assert!(server.ok(&["releases", "shop"]).contains("  ada  "));
    let events = server.ok(&["logs", "shop", "--deploy", "1", "--json"]);
    assert!(
        events.lines().next().unwrap().contains("\"by\":\"ada\""),
        "{events}"
    );
}
