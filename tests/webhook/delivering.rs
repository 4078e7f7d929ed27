//! What a receiver is told, and what becomes of a delivery that it does not take.

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::node::accepts;
use crate::receiver::{Received, Receiver, Reply};
use crate::support::{Project, Server, until};

/// An app that ends by itself a moment after it has gone live.
const CRASHING: &str = "
require('node:http').createServer((req, res) => res.end('ok')).listen(process.env.PORT);
setTimeout(() => { throw new Error('the queue is gone'); }, 1000);
";

fn webhook(server: &Server) -> Value {
    server.json(&["app", "set", "shop", "webhook"])["webhook"].clone()
}

fn told(received: &[Received]) -> Vec<(String, Value)> {
    // Whether the ping comes before what waited is left to chance.
    let told = received.iter().filter(|one| one.event() != "ping");
    told.map(|one| (one.event(), one.json()["deploy"].clone()))
        .collect()
}

#[test]
fn the_ends_of_deploys_are_told_with_a_signature_that_node_accepts() {
    let server = Server::start();
    let repo = server.create("shop");
    let receiver = Receiver::start();
    let url = receiver.url();
    let secret = server.ok(&["app", "set", "shop", "webhook", &url]);
    let secret = secret.trim_end();

    let project = Project::tiny();
    project.push(&repo).went_live();
    receiver.until_received(2);
    // A fresh start is no news.
    server.ok(&["restart", "shop"]);
    project.write("server.js", "process.exit(7)");
    let broken = project.commit("Break “it”");
    project.push(&repo).says("error: start: ");
    receiver.until_received(3);
    project.write("server.js", CRASHING);
    project.version("v2");
    project.push(&repo).went_live();
    let received = receiver.until_received(5);

    assert_eq!(
        told(&received),
        [
            ("live".to_owned(), json!(1)),
            ("failed".to_owned(), json!(3)),
            ("live".to_owned(), json!(4)),
            ("swapped_back".to_owned(), json!(4)),
        ]
    );
    let failed = &received[2];
    assert_eq!(failed.line, "POST /deploys?token=T0KEN HTTP/1.1");
    assert_eq!(failed.header("host"), receiver.address().to_string());
    assert_eq!(failed.header("content-type"), "application/json");
    assert_eq!(failed.header("x-handover-event"), "failed");
    let agent = format!("handover/{}", env!("CARGO_PKG_VERSION"));
    assert_eq!(failed.header("user-agent"), agent);
    let body = failed.json();
    assert_eq!(body["delivery"], failed.header("x-handover-delivery"));
    assert_eq!(
        (&body["app"], &body["branch"]),
        (&json!("shop"), &json!("main"))
    );
    assert_eq!(
        (&body["commit"], &body["subject"]),
        (&json!(broken), &json!("Break “it”"))
    );
    assert_eq!(
        (&body["release"], &body["previous_release"]),
        (&json!(null), &json!(1))
    );
    assert_eq!(&body["phase"], &json!("start"));
    assert!(body["pushed_by"].is_string(), "{body}");
    assert!(
        body["cause"].as_str().unwrap().contains("exit code 7"),
        "{body}"
    );
    let back = received[4].json();
    assert_eq!(back["previous_release"], 1);
    assert_eq!(back["release"], received[3].json()["release"]);
    assert!(
        back["cause"].as_str().unwrap().contains("keeps crashing"),
        "{back}"
    );
    assert_eq!(
        back["urls"],
        json!([format!("http://{}", server.address())])
    );

    for one in &received {
        assert!(accepts(secret, one, &one.body), "{one:?}");
    }
    let forged = failed.body.replace("failed", "live");
    assert!(!accepts(secret, failed, &forged));
    assert!(!accepts(
        "another secret of some length",
        failed,
        &failed.body
    ));
    let mut late = failed.clone();
    for (name, value) in &mut late.headers {
        if name == "x-handover-timestamp" {
            *value = (value.parse::<i64>().unwrap() - 600).to_string();
        }
    }
    assert!(!accepts(secret, &late, &late.body));
    // Neither the token in the URL nor the secret is in any log.
    assert!(!server.log().contains("T0KEN") && !server.log().contains(secret));
}

#[test]
fn what_is_not_taken_is_tried_again_until_it_is() {
    let settings = "webhook_retry = [\"100ms\", \"100ms\", \"1h\"]";
    let server = Server::start_with(settings, &["--listen", "127.0.0.1:0"]);
    let repo = server.create("shop");
    let receiver = Receiver::answering(|before| match before {
        1 => Reply::Status(500),
        2 => Reply::Status(302),
        _ => Reply::Status(200),
    });
    server.ok(&["app", "set", "shop", "webhook", &receiver.url()]);
    Project::tiny().push(&repo).went_live();
    let received = receiver.until_received(4);
    for one in &received[2..] {
        assert_eq!(one.body, received[1].body);
        let id = received[1].header("x-handover-delivery");
        assert_eq!(one.header("x-handover-delivery"), id);
    }
    let webhook = until("nothing waits any more", || {
        Some(webhook(&server)).filter(|webhook| webhook["waiting"] == 0)
    });
    assert_eq!(webhook["last"]["event"], "live");
    assert_eq!(webhook["last"]["delivered"], true);
    let result = webhook["last"]["result"].as_str().unwrap();
    assert!(result.starts_with("answered 200 in "), "{result}");
    assert_eq!(receiver.received().len(), 4);
}

#[test]
fn what_is_never_taken_is_given_up_and_seen() {
    let server = Server::start_with("webhook_retry = []", &["--listen", "127.0.0.1:0"]);
    let repo = server.create("shop");
    let receiver = Receiver::answering(|_| Reply::Status(503));
    let set = server.run(&["app", "set", "shop", "webhook", &receiver.url()]);
    let words = String::from_utf8_lossy(&set.stderr);
    assert!(words.contains("warning: ping: answered 503 in "), "{words}");
    assert_eq!(set.status.code(), Some(0), "it is set all the same");
    Project::tiny().push(&repo).went_live();
    receiver.until_received(2);
    let webhook = until("nothing waits any more", || {
        Some(webhook(&server)).filter(|webhook| webhook["waiting"] == 0)
    });
    assert_eq!(webhook["last"]["event"], "live");
    assert_eq!(webhook["last"]["delivered"], false);
    assert!(server.log().contains("webhook not told; given up"));
}

#[test]
fn a_receiver_that_never_answers_holds_up_no_deploy() {
    let server = Server::start();
    let repo = server.create("shop");
    let receiver = Receiver::answering(|before| match before {
        0 => Reply::Status(200),
        _ => Reply::Silence,
    });
    server.ok(&["app", "set", "shop", "webhook", &receiver.url()]);
    let project = Project::tiny();
    project.push(&repo).went_live();
    // The push is over, and the first attempt to tell of it is not.
    until("the first attempt waits for its answer", || {
        let attempts = receiver.received().len() - 1;
        assert!(attempts <= 1, "the first attempt was over before the push");
        (receiver.unanswered() == 1).then_some(())
    });
    project.version("v2");
    project.push(&repo).went_live();
    assert_eq!(server.status("shop")["live"]["release"], 2);
    // Neither has been taken.
    assert_eq!(webhook(&server)["waiting"], 2);
}

#[test]
fn what_waits_when_the_server_is_killed_is_delivered_by_the_next_one() {
    let mut server = Server::start();
    let repo = server.create("shop");
    let receiver = Receiver::answering(|before| match before {
        1 => Reply::Silence,
        _ => Reply::Status(200),
    });
    server.ok(&["app", "set", "shop", "webhook", &receiver.url()]);
    Project::tiny().push(&repo).went_live();
    receiver.until_received(2);
    server.end(Signal::SIGKILL);
    let again = server.same_address();
    server.launch(&[&again[0], &again[1]]);
    let received = receiver.until_received(3);
    assert_eq!(received[2].body, received[1].body);
    until("nothing waits any more", || {
        (webhook(&server)["waiting"] == 0).then_some(())
    });
}

#[test]
fn a_webhook_that_moves_gets_what_the_old_one_did_not_take() {
    let settings = "webhook_retry = [\"1h\"]";
    let server = Server::start_with(settings, &["--listen", "127.0.0.1:0"]);
    let repo = server.create("shop");
    let (wrong, right) = (
        Receiver::answering(|_| Reply::Status(404)),
        Receiver::start(),
    );
    let secret = server.ok(&["app", "set", "shop", "webhook", &wrong.url()]);
    Project::tiny().push(&repo).went_live();
    until("it was tried there", || {
        (webhook(&server)["last"]["event"] == "live").then_some(())
    });
    let same = server.ok(&["app", "set", "shop", "webhook", &right.url()]);
    assert_eq!(same, secret, "the secret is the app's");
    let received = right.until_received(2);
    assert_eq!(told(&received), [("live".to_owned(), json!(1))]);
}

#[test]
fn a_deploy_whose_swap_was_the_last_that_a_killed_server_did_is_live_and_told() {
    let mut server = Server::start();
    let repo = server.create("shop");
    let receiver = Receiver::start();
    server.ok(&["app", "set", "shop", "webhook", &receiver.url()]);
    let project = Project::tiny();
    project.push(&repo).went_live();
    project.version("v2");
    project.push(&repo).went_live();
    receiver.until_received(3);
    server.end(Signal::SIGKILL);
    // As it would be found had it been killed a moment earlier: swapped, and not recorded.
    let database = rusqlite::Connection::open(server.home().join("handover.db")).unwrap();
    let undo =
        "UPDATE deploys SET state = 'running', release = NULL, ended_at = NULL WHERE number = 2;
                UPDATE generations SET state = 'starting' WHERE number = 2;
                INSERT OR REPLACE INTO generations (app, number, release, deploy, state, since)
                    SELECT app, 1, 1, 1, 'live', since FROM generations WHERE number = 2;
                UPDATE apps SET live_generation = 1;
                DELETE FROM deliveries;";
    database.execute_batch(undo).unwrap();
    drop(database);
    let again = server.same_address();
    server.launch(&[&again[0], &again[1]]);
    let told = receiver.until_received(4)[3].json();
    assert_eq!(
        (&told["event"], &told["deploy"]),
        (&json!("live"), &json!(2))
    );
    let releases = (&told["release"], &told["previous_release"]);
    assert_eq!(releases, (&json!(2), &json!(1)));
    assert_eq!(server.status("shop")["live"]["release"], 2);
}
