//! What clients may try to slip in.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::process::Stdio;

use crate::support::until;
use crate::{Place, words};

/// Commands of which nothing may run. `@` stands for a file that must not come into being.
const TRICKS: &[&str] = &[
    "git-receive-pack 'shop'; touch @",
    "git-receive-pack 'shop' && touch @",
    "git-receive-pack 'shop' || touch @",
    "git-receive-pack 'shop' | touch @",
    "git-receive-pack 'shop' & touch @",
    "git-receive-pack 'shop'\ntouch @",
    "git-receive-pack 'shop\ntouch @'",
    "git-receive-pack $(touch @)",
    "git-receive-pack '$(touch @)'",
    "git-receive-pack `touch @`",
    "git-receive-pack \"shop\"",
    "git-receive-pack 'sh'\\''op'",
    "git-receive-pack 'shop' > @",
    "git-receive-pack shop --foo",
    "git-receive-pack --foo shop",
    "git-receive-pack 'shop' 'blog'",
    "git-receive-pack",
    "git-receive-pack ''",
    "git-receive-pack '../shop'",
    "git-receive-pack 'shop/../blog'",
    "git-receive-pack '/etc'",
    "git-receive-pack '#REPO'",
    "git-receive-pack '~root/shop'",
    "git-receive-pack 'shöp'",
    "git-receive-pack 'ѕhop'",
    "git-receive-pack 'SHOP'",
    "git-receive-pack 'shop",
    "git receive-pack 'shop'",
    "git-receive-pack\t'shop'",
    " 'git-receive-pack shop'",
    "/usr/bin/git-receive-pack 'shop'",
    "git-upload-pack --upload-pack='touch @' 'shop'",
    "git-upload-pack '--upload-pack=touch @'",
    "git-upload-pack '-c core.fsmonitor=touch @'",
    "git-upload-archive 'shop'",
    "status shop; touch @",
    "status $(touch @)",
    "status '`touch @`'",
    "logs 'shop' > @",
    "logs '../../blog'",
    "logs shop --deploy ../1",
    "deploy shop '--upload-pack=touch @'",
    "deploy shop '$(touch @)'",
    "scale shop 'web=1;touch @'",
    "touch @",
    "sh -c 'touch @'",
    "HANDOVER_KEY=root status",
    "env HANDOVER_KEY=root handover status",
];

#[test]
fn no_trick_in_a_command_runs_anything() {
    let Some(place) = Place::new() else { return };
    let ada = place.sshd.key("ada", &["--app", "shop"]);
    let dir = tempfile::tempdir().unwrap();
    let canary = dir.path().join("canary");
    let repo = place.server.app_dir("shop").join("repo.git");
    let before = place.server.json(&["releases", "shop"]);
    for trick in TRICKS {
        let command = trick
            .replace('@', canary.to_str().unwrap())
            .replace("#REPO", repo.to_str().unwrap());
        let output = place.sshd.ssh(&ada, &command);
        let told = words(&output);
        assert!(!canary.exists(), "{command:?} has run something: {told}");
        assert!(!output.status.success(), "{command:?}: {told}");
        assert!(output.stdout.is_empty(), "{command:?}: {told}");
        assert!(
            told.starts_with("error: "),
            "{command:?} is refused in words: {told}"
        );
    }
    assert_eq!(place.server.json(&["releases", "shop"]), before);
}

#[test]
fn a_command_that_is_no_text_is_refused() {
    let Some(place) = Place::new() else { return };
    let control = place.server.home().join("run/control.sock");
    place.sshd.key("ada", &["--app", "shop"]);
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_handover"))
        .args(["ssh", "--control", control.to_str().unwrap(), "ada"])
        .env(
            "SSH_ORIGINAL_COMMAND",
            OsStr::from_bytes(b"git-receive-pack 'sh\xffop'"),
        )
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(!output.status.success());
    assert!(words(&output).contains("not UTF-8"), "{}", words(&output));
}

#[test]
fn only_a_version_of_the_protocol_reaches_git() {
    let Some(place) = Place::new() else { return };
    let ada = place.sshd.key("ada", &["--app", "shop"]);
    for (value, reaches) in [
        ("version=2", true),
        ("version=2:evil", false),
        ("$(id)", false),
    ] {
        let pass = ["-o", "SendEnv=GIT_PROTOCOL"];
        let mut asked = place.sshd.ssh_with(&ada, &pass, "git-upload-pack 'shop'");
        let asked = asked.env("GIT_PROTOCOL", value).stdin(Stdio::null());
        let told = words(&asked.output().unwrap());
        assert_eq!(told.contains("version 2"), reaches, "{value}: {told}");
    }
}

#[test]
fn whoever_follows_a_log_and_goes_away_leaves_no_process_behind() {
    let Some(place) = Place::new() else { return };
    let ada = place.sshd.key("ada", &["--app", "shop"]);
    let mut client = place
        .sshd
        .ssh_command(&ada, "logs -f shop")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let mark = format!("ssh --control {}", place.server.home().display());
    let served = || {
        let all = crate::support::invariants::processes_of(place.server.home());
        all.into_iter()
            .any(|process| process.contains(&mark) && !process.contains("-c "))
    };
    until("the log is followed", || served().then_some(()));
    client.kill().unwrap();
    client.wait().unwrap();
    until("nobody follows it any more", || (!served()).then_some(()));
}
