//! `handover keys`: what is let in, what is refused, and what is written for sshd.

#![allow(clippy::unwrap_used)] // a panic is how a test fails

mod support;

use std::io::{Seek, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Output;

use nix::sys::signal::Signal;
use support::Server;
use support::sshd::user;

const ADA: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGcf5Nc6R+cvo337WH7Fxls5Use622rhJ0rENiQWiKyx";
const BOB: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti";

/// `handover keys add` with this on standard input: from a file, for what is refused at once does not read it.
fn add(server: &Server, args: &[&str], input: &str) -> Output {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(input.as_bytes()).unwrap();
    file.rewind().unwrap();
    let mut command = server.command();
    command.args(["keys", "add"]).args(args).stdin(file);
    command.output().unwrap()
}

#[track_caller]
fn added(server: &Server, args: &[&str], input: &str) -> String {
    let output = add(server, args, input);
    let words = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{args:?}: {words}");
    words
}

#[track_caller]
fn refused(server: &Server, args: &[&str], input: &str, reason: &str) {
    let output = add(server, args, input);
    let words = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{args:?}: {words}");
    assert!(words.contains(reason), "{args:?}: {words}");
}

fn file(server: &Server) -> PathBuf {
    server.home().join("authorized_keys")
}

fn forced(server: &Server, name: &str, key: &str) -> String {
    let (binary, home) = (env!("CARGO_BIN_EXE_handover"), server.home().display());
    format!("restrict,command=\"{binary} ssh --control {home}/run/control.sock {name}\" {key}")
}

#[test]
fn a_key_is_written_anew_for_the_one_command_in_a_file_for_nobody_else() {
    let server = Server::start();
    server.create("shop");
    let words = added(
        &server,
        &["ada", "--app", "shop"],
        &format!("{ADA} ada@laptop \"x\n"),
    );
    assert!(
        words.contains("may push to and run shop, and nothing else"),
        "{words}"
    );
    let text = std::fs::read_to_string(file(&server)).unwrap();
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines[1..lines.len() - 1], [forced(&server, "ada", ADA)]);
    let mode = std::fs::metadata(file(&server))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    server.ok(&["keys", "remove", "ada"]);
    let text = std::fs::read_to_string(file(&server)).unwrap();
    assert!(!text.contains("ssh-ed25519"), "{text}");
}

#[test]
fn a_key_without_apps_has_all_of_them_and_that_is_said() {
    let server = Server::start();
    let words = added(&server, &["ada"], ADA);
    assert!(words.contains("may push and change every app"), "{words}");
    assert_eq!(server.json(&["keys"])["keys"][0]["admin"], true);
    assert!(server.ok(&["keys", "list"]).contains("(every app)"));
}

#[test]
fn the_names_in_json_are_stable() {
    let server = Server::start();
    server.create("shop");
    let output = add(&server, &["ada", "--app", "shop", "--read", "--json"], ADA);
    let told: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let listed = server.json(&["keys", "list"])["keys"][0].clone();
    assert_eq!(told, listed);
    assert_eq!(listed["name"], "ada");
    assert_eq!(listed["type"], "ssh-ed25519");
    assert_eq!(
        listed["fingerprint"],
        "SHA256:f3JVlJQFEocKXddhDpwhPDElAmgCsbN7DC0U7XVPn+Y"
    );
    assert_eq!(listed["admin"], false);
    assert_eq!(
        listed["apps"],
        serde_json::json!([{"app": "shop", "level": "read"}])
    );
    assert!(listed["added_at"].is_string() && listed["last_used_at"].is_null());
}

#[test]
fn what_can_not_be_let_in_is_refused_with_a_reason_and_changes_nothing() {
    let server = Server::start();
    server.create("shop");
    added(&server, &["ada", "--app", "shop"], ADA);
    let before = (
        server.json(&["keys"]),
        std::fs::read(file(&server)).unwrap(),
    );
    for (args, input, reason) in [
        (&["ada"][..], BOB, "there is one of that name already"),
        (&["bob"], ADA, "it is known already, as `ada`"),
        (&["bob", "--app", "blog"], BOB, "find the app `blog`"),
        (&["bob"], "", "there is none"),
        (
            &["bob"],
            &format!("{BOB}\n{ADA}\n"),
            "there are 2; add one at a time",
        ),
        (
            &["bob"],
            &format!("command=\"id\" {BOB}"),
            "with no options before it",
        ),
        (
            &["bob"],
            "ssh-dss AAAAB3NzaC1kc3MAAACB",
            "no type of key that is taken",
        ),
        (&["bob"], "ssh-ed25519 AAAA", "not a whole key"),
        (
            &["bob"],
            "-----BEGIN OPENSSH PRIVATE KEY-----\n",
            "this is a private key",
        ),
    ] {
        refused(&server, args, input, reason);
    }
    let after = (
        server.json(&["keys"]),
        std::fs::read(file(&server)).unwrap(),
    );
    assert_eq!(after, before);
    for args in [
        &["Bob"][..],
        &["-bob"],
        &["b\"ob"],
        &["bob", "--read"],
        &["bob", "--app", "Shop"],
    ] {
        assert_eq!(add(&server, args, BOB).status.code(), Some(2), "{args:?}");
    }
    let gone = server.run(&["keys", "remove", "bob"]);
    assert_eq!(gone.status.code(), Some(1));
}

#[test]
fn lines_that_a_person_keeps_in_the_file_stay() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("authorized_keys");
    let theirs = format!("# mine\n{BOB} bob@laptop\n");
    std::fs::write(&path, &theirs).unwrap();
    let settings = format!("authorized_keys = \"{}\"\n", path.display());
    let server = Server::start_with(&settings, &["--no-front"]);
    assert_eq!(
        std::fs::read_to_string(&path).unwrap(),
        theirs,
        "nothing to add yet"
    );
    added(&server, &["ada"], ADA);
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.starts_with(&theirs), "{text}");
    assert!(text.contains(&forced(&server, "ada", ADA)), "{text}");
    assert!(!file(&server).exists());
    refused(
        &server,
        &["bob"],
        BOB,
        "lets it in already by a line of its own",
    );
    server.ok(&["keys", "remove", "ada"]);
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(
        text.starts_with(&theirs) && !text.contains("ssh --control"),
        "{text}"
    );
}

#[test]
fn a_file_that_can_not_be_written_lets_nobody_in_and_the_key_is_not_kept() {
    let server = Server::start_with(
        "authorized_keys = \"/nowhere/authorized_keys\"\n",
        &["--no-front"],
    );
    refused(&server, &["ada"], ADA, "write `/nowhere/authorized_keys`");
    assert_eq!(server.json(&["keys"])["keys"], serde_json::json!([]));
}

#[test]
fn a_start_of_the_server_sets_the_file_right() {
    let mut server = Server::start_with("", &["--no-front"]);
    added(&server, &["ada"], ADA);
    let before = std::fs::read(file(&server)).unwrap();
    for wrong in [None, Some(forced(&server, "eve", BOB))] {
        server.end(Signal::SIGTERM);
        match wrong {
            None => std::fs::remove_file(file(&server)).unwrap(),
            Some(line) => {
                let text = format!("# handover begin\n{line}\n# handover end\n");
                std::fs::write(file(&server), text).unwrap();
            }
        }
        server.launch(&["--no-front"]);
        assert_eq!(std::fs::read(file(&server)).unwrap(), before);
    }
}

#[test]
fn sshd_can_ask_for_the_lines_whether_the_server_is_there_or_not() {
    let mut server = Server::start_with("", &["--no-front"]);
    added(&server, &["ada"], ADA);
    added(&server, &["bob"], BOB);
    let (ada, bob) = (forced(&server, "ada", ADA), forced(&server, "bob", BOB));
    let (kind, numbers) = BOB.split_once(' ').unwrap();
    for away in [false, true] {
        if away {
            server.end(Signal::SIGTERM);
        }
        let ask = |args: &[&str]| server.ok(&[&["keys", "authorized"], args].concat());
        assert_eq!(ask(&[]), format!("{ada}\n{bob}\n"));
        assert_eq!(ask(&[&user()]), format!("{ada}\n{bob}\n"));
        assert_eq!(ask(&[&user(), kind, numbers]), format!("{bob}\n"));
        assert_eq!(ask(&[&user(), kind, "AAAA"]), "");
        assert_eq!(
            ask(&["daemon"]),
            "",
            "nobody logs in as another user by these"
        );
        assert_eq!(ask(&["no-such-user"]), "");
    }
}
