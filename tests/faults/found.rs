//! What the sweep has found, each by itself.

use std::process::Stdio;

use nix::sys::signal::Signal;

use super::bench::{Bench, End};
use super::shim::{Call, How};
use crate::support::project::pushed;
use crate::support::{Group, http, until};

const SYNC: &str = "serve sync handover.db-wal";
const SWAP: &str = "serve rename run/shop/.publish-#-# -> run/shop/live.sock";
const TELL: &str = "serve connect run/shop/g#/control.sock";

fn call(name: &str, nth: usize) -> Call {
    Call {
        name: name.to_owned(),
        nth,
        after: None,
    }
}

fn after_the_swap(name: &str, nth: usize) -> Call {
    Call {
        after: Some(SWAP),
        ..call(name, nth)
    }
}

/// What the deploy is called `running` by.
fn the_begin(bench: &mut Bench) -> Call {
    let calls = bench.calls();
    let made = |call: &&Call| call.name == "serve mkdir apps/shop/releases";
    let before = calls.iter().position(|call| made(&call)).unwrap();
    let mut syncs = calls[..before].iter().rev();
    syncs.find(|call| call.name == SYNC).unwrap().clone()
}

#[test]
fn a_deploy_that_can_not_be_begun_does_not_block_the_next() {
    let mut bench = Bench::open();
    let begin = the_begin(&mut bench);
    assert_eq!(bench.fault(&begin, How::Io), End::Rejected);
}

#[test]
fn instances_whose_keeper_is_killed_before_the_swap_are_ended() {
    let mut bench = Bench::open();
    let logs = call("keep open apps/shop/logs/app.log", 1);
    assert_eq!(bench.fault(&logs, How::Killed), End::Rejected);
}

#[test]
fn a_name_that_can_not_be_removed_does_not_undo_the_swap() {
    let mut bench = Bench::open();
    let name = after_the_swap("serve unlink run/shop/.publish-#-#", 1);
    assert_eq!(bench.fault(&name, How::Io), End::Live);
}

#[test]
fn a_swap_that_can_not_be_written_down_is_written_down_later() {
    let mut bench = Bench::open();
    assert_eq!(bench.fault(&after_the_swap(SYNC, 1), How::Full), End::Live);
}

#[test]
fn a_branch_that_can_not_be_moved_follows_later() {
    const MOVE: &str = "serve rename apps/shop/repo.git/refs/heads/main.lock -> apps/shop/repo.git/refs/heads/main";
    let mut bench = Bench::open();
    assert_eq!(bench.fault(&call(MOVE, 1), How::Io), End::Live);
}

/// Not even by a start between the swap and the branch's next chance.
#[test]
fn a_branch_that_can_not_be_moved_does_not_bring_the_old_version_back() {
    const OPEN: &str = "serve open apps/shop/repo.git/refs/heads/main.lock";
    let mut bench = Bench::open();
    assert_eq!(bench.fault_then_restart(&call(OPEN, 2), How::Io), End::Live);
}

#[test]
fn a_keeper_that_does_not_hear_that_it_is_live_is_told_again() {
    let mut bench = Bench::open();
    let commit = after_the_swap(TELL, 1);
    assert_eq!(bench.deploy_with(&commit, How::Io).1, End::Live);
    let shop = bench.shop();
    until("the keeper is told again", || {
        shop.server
            .log()
            .contains("the keeper knows what has become of it")
            .then_some(())
    });
    let before = shop.server.instance_pids("shop");
    Group(before[0]).signal(Signal::SIGKILL);
    until("an instance that ends is started again", || {
        let now = shop.server.instance_pids("shop");
        (!now.is_empty() && now != before).then_some(())
    });
    until("it answers", || http::get(shop.server.address(), "/").ok());
}

#[test]
fn a_keeper_that_does_not_hear_that_it_is_replaced_is_told_again() {
    let mut bench = Bench::open();
    assert_eq!(bench.fault(&after_the_swap(TELL, 2), How::Io), End::Live);
}

/// Three pushes, and the second is to learn that it has lost its place, whether or not that can be written down.
#[test]
fn who_has_lost_his_place_learns_it_even_if_it_can_not_be_written_down() {
    let bench = Bench::open();
    let shop = bench.shop();
    let held = shop.server.home().join("held");
    std::fs::write(&held, "").unwrap();
    let package = format!(
        r#"{{"name": "shop", "version": "1.0.0", "scripts": {{"start": "node server.js", "build": "while [ -e {} ]; do sleep 0.05; done"}}}}"#,
        held.display()
    );
    shop.project.write("package.json", &package);
    let push = |version: &str| {
        shop.project.version(version);
        let mut push = shop.project.push_command(&shop.repo, &["main"]);
        push.stderr(Stdio::piped()).spawn().unwrap()
    };
    let says = |wanted: &str| {
        until(wanted, || shop.server.log().contains(wanted).then_some(()));
    };
    let first = push("a");
    says("npm run build");
    let second = push("b");
    says("Waiting { reason: \"for deploy");
    // The new deploy gets a number and a row before the other one's end is written down.
    bench.shim().arm(&call(SYNC, 3), How::Io);
    let third = push("c");
    let second = pushed(&second.wait_with_output().unwrap());
    second.says("error: superseded by");
    assert!(bench.shim().hit().is_some());
    std::fs::remove_file(held).unwrap();
    for push in [first, third] {
        pushed(&push.wait_with_output().unwrap()).went_live();
    }
    shop.server.until_drained("shop");
    shop.server.assert_right();
}

#[test]
fn a_keeper_that_is_killed_over_its_last_word_leaves_nothing() {
    let mut bench = Bench::open();
    let word = call("keep write run/shop/g#.retired.json.new", 1);
    assert_eq!(bench.fault(&word, How::Killed), End::Live);
}

#[test]
fn a_last_word_that_can_not_be_removed_is_removed_later() {
    let mut bench = Bench::open();
    let word = call("serve unlink run/shop/g#.retired.json", 1);
    assert_eq!(bench.fault(&word, How::Io), End::Live);
}

#[test]
fn what_the_tree_in_readiness_lay_in_is_removed_later() {
    let mut bench = Bench::open();
    let emptied = call("serve rmdir apps/shop/store/.taken", 1);
    assert_eq!(bench.fault(&emptied, How::Full), End::Live);
    let log = bench.shop().server.log();
    assert!(!log.contains("stored tree can't be laid out"), "{log}");
}
