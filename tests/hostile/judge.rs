//! The judge itself: whatever it is there to see, it sees.

use std::fs;
use std::process::{Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::case::{Case, Expect};
use crate::ground::{APP, Ground, MAIN};

/// What is different, in one text.
fn seen(ground: &Ground) -> String {
    ground.differences().join("\n")
}

#[test]
fn what_a_push_must_not_do_is_seen() {
    let mut ground = Ground::prepare();
    assert_eq!(seen(&ground), "");

    let evil = ground.server.app_dir(APP).join("evil");
    fs::write(&evil, "x").unwrap();
    assert!(seen(&ground).contains("apps/shop/evil"));
    fs::remove_file(evil).unwrap();

    fs::write(ground.bait(), "").unwrap();
    assert!(seen(&ground).contains("bait/taken"));
    fs::remove_file(ground.bait()).unwrap();

    let unfinished = ground.repo.join("objects/tmp_objdir-incoming-x");
    fs::create_dir(&unfinished).unwrap();
    assert!(seen(&ground).contains("unfinished"));
    fs::remove_dir(unfinished).unwrap();

    let live = ground.live.to_string();
    ground.git(&["update-ref", "refs/heads/more", &live]);
    assert!(seen(&ground).contains("refs/heads/more"));
    ground.git(&["update-ref", "-d", "refs/heads/more"]);

    // Left behind by what started it, as a build's would be.
    let left = Command::new("sh")
        .args(["-c", "sleep 600 >&2 & echo $!"])
        .current_dir(ground.server.home())
        .stderr(Stdio::null())
        .output()
        .unwrap();
    let left = String::from_utf8(left.stdout).unwrap();
    assert!(seen(&ground).contains("sleep 600"));
    kill(Pid::from_raw(left.trim().parse().unwrap()), Signal::SIGKILL).unwrap();
    ground.accept();
    assert_eq!(seen(&ground), "");
}

#[test]
fn a_push_that_is_let_in_is_no_refusal_and_a_refused_one_no_deploy() {
    let mut ground = Ground::prepare();
    let let_in = Case::new("let in", Expect::Refused(""), Ground::harmless);
    let faults = let_in.faults(&mut ground).join("\n");
    assert!(
        faults.contains("it was told that it is accepted"),
        "{faults}"
    );
    assert!(faults.contains("npm was run for it"), "{faults}");
    assert!(faults.contains(MAIN), "{faults}");
    ground.accept();

    let refused = Case::new("refused", Expect::Live, |ground| {
        ground.harmless().options(["unknown"])
    });
    let faults = refused.faults(&mut ground).join("\n");
    assert!(faults.contains("it was not deployed"), "{faults}");

    let other_words = Case::new("other words", Expect::Refused("no such words"), |ground| {
        ground.harmless().options(["unknown"])
    });
    let faults = other_words.faults(&mut ground).join("\n");
    assert!(faults.contains("no reason says"), "{faults}");
}
