//! `handover app set`.

use serde_json::{Value, json};

use crate::node::accepts;
use crate::receiver::Receiver;
use crate::support::Server;

fn set(server: &Server, args: &[&str]) -> (Option<i32>, String, String) {
    let mut all = vec!["app", "set", "shop"];
    all.extend(args);
    let output = server.run(&all);
    (
        output.status.code(),
        String::from_utf8(output.stdout).unwrap(),
        String::from_utf8(output.stderr).unwrap(),
    )
}

fn all(server: &Server) -> Value {
    server.json(&["app", "set", "shop"])
}

#[test]
fn settings_are_shown_set_and_taken_away() {
    let server = Server::start_with("", &["--no-front"]);
    server.create("shop");
    let defaults = json!({"app": "shop", "gate": true, "force": false, "webhook": null});
    assert_eq!(all(&server), defaults);
    assert_eq!(set(&server, &["force"]).1, "off\n");
    assert_eq!(set(&server, &["webhook"]).1, "off\n");

    let (code, stdout, words) = set(&server, &["force", "on"]);
    assert_eq!((code, stdout.as_str()), (Some(0), ""));
    assert_eq!(words, "shop: force is on\n");
    set(&server, &["gate", "off"]);
    assert_eq!(set(&server, &["force"]).1, "on\n");
    let overview = set(&server, &[]).1;
    for row in [
        "gate            off",
        "force           on",
        "webhook         off",
    ] {
        assert!(overview.contains(row), "{overview}");
    }

    set(&server, &["--unset", "force"]);
    set(&server, &["gate", ""]);
    assert_eq!(all(&server), defaults);
}

#[test]
fn settings_outlive_the_server() {
    let mut server = Server::start_with("", &["--no-front"]);
    server.create("shop");
    let receiver = Receiver::start();
    set(&server, &["webhook", &receiver.url()]);
    set(&server, &["force", "on"]);
    let before = server.json(&["app", "set", "shop", "webhook"]);
    server.end(nix::sys::signal::Signal::SIGKILL);
    server.launch(&["--no-front"]);
    assert_eq!(server.json(&["app", "set", "shop", "webhook"]), before);
    assert_eq!(before["force"], true);
}

#[test]
fn what_can_not_be_set_is_refused_with_what_can() {
    let server = Server::start_with("", &["--no-front"]);
    server.create("shop");
    let (code, _, words) = set(&server, &["colour", "red"]);
    assert_eq!(code, Some(2));
    for key in ["gate", "force", "webhook", "webhook-secret"] {
        assert!(words.contains(&format!("\n  {key} ")), "{words}");
    }
    for (args, right) in [
        (["force", "maybe"], "neither on nor off"),
        (
            ["webhook", "hooks.example.com"],
            "begins with http:// or https://",
        ),
        (["webhook", "https://ada:pw@a.example/"], "leave it out"),
        (["webhook-secret", "short"], "16 to 256"),
    ] {
        let (code, _, words) = set(&server, &args);
        assert_eq!(code, Some(2), "{args:?}");
        assert!(words.contains(right) && !words.contains("pw"), "{words}");
    }
    let (code, _, words) = set(&server, &["webhook-secret", "0123456789abcdef"]);
    assert_eq!(code, Some(1));
    assert!(
        words.contains("set it first: handover app set shop webhook URL"),
        "{words}"
    );
    assert_eq!(server.run(&["app", "set", "shoe"]).status.code(), Some(1));
}

#[test]
fn the_secret_is_the_servers_until_somebody_sets_another_and_is_shown_on_demand() {
    let server = Server::start_with("", &["--no-front"]);
    server.create("shop");
    let receiver = Receiver::start();
    let (code, secret, words) = set(&server, &["webhook", &receiver.url()]);
    assert_eq!((code, secret.trim_end().len()), (Some(0), 64));
    assert!(words.contains("ping: answered 204 in "), "{words}");
    assert!(!words.contains("T0KEN"), "{words}");
    assert!(!set(&server, &[]).1.contains(secret.trim_end()));
    assert!(all(&server)["webhook"].get("secret").is_none());
    assert!(set(&server, &["webhook"]).1.contains(secret.trim_end()));

    let own = "a-secret-of-my-own";
    set(&server, &["webhook-secret", own]);
    assert_eq!(set(&server, &["webhook-secret"]).1, format!("{own}\n"));
    let pings = receiver.received();
    assert_eq!(pings.len(), 2, "each change is shown to the receiver");
    assert_eq!(pings[1].event(), "ping");
    assert!(accepts(own, &pings[1], &pings[1].body));
    assert!(!accepts(own, &pings[0], &pings[0].body));

    set(&server, &["--unset", "webhook-secret"]);
    let fresh = set(&server, &["webhook-secret"]).1;
    assert!(fresh.len() == 65 && fresh != secret);
    set(&server, &["webhook", "off"]);
    assert_eq!(all(&server)["webhook"], json!(null));
}
