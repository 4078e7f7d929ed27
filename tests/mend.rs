//! What somebody or something has changed behind the server's back is set right, at the next look or at the next start.

#![allow(clippy::unwrap_used)] // tests end where something unexpected is

mod support;

use std::os::unix::net::UnixStream;

use nix::sys::signal::Signal;
use rusqlite::Connection;
use support::steady::Users;
use support::{Server, Shop, http, until};

/// A server that looks often, with an app whose first version is live.
fn watchful() -> Shop {
    let server = Server::start_with("look_every = \"200ms\"\n", &["--listen", "127.0.0.1:0"]);
    Shop::open_on(server, "v1", &[])
}

fn database(shop: &Shop) -> Connection {
    Connection::open(shop.server.home().join("handover.db")).unwrap()
}

fn mended(shop: &Shop, words: &str) {
    until(words, || {
        let log = shop.server.log();
        let told = log
            .lines()
            .any(|line| line.contains("mended: ") && line.contains(words));
        told.then_some(())
    });
}

#[test]
fn a_live_sock_that_was_removed_or_led_elsewhere_comes_back() {
    let shop = watchful();
    let run = shop.server.run_dir("shop");
    let live = run.join("live.sock");
    std::fs::remove_file(&live).unwrap();
    until("live.sock leads to the app again", || {
        UnixStream::connect(&live).ok()
    });
    mended(&shop, "live.sock leads to generation 1 again");

    // The first version still drains: somebody's request has not ended.
    let held = UnixStream::connect(&live).unwrap();
    shop.project.version("v2");
    shop.project.push(&shop.repo).went_live();
    std::fs::remove_file(&live).unwrap();
    std::fs::hard_link(run.join("g1.sock"), &live).unwrap();
    until("the second version serves again", || {
        let answer = http::get(shop.server.address(), "/").ok()?;
        (answer.body == "version v2\n").then_some(())
    });
    mended(&shop, "live.sock leads to generation 2 again");
    drop(held);
}

#[test]
fn what_belongs_to_nobody_is_removed_and_a_deploy_that_nobody_ends_is_ended() {
    let shop = watchful();
    let stray = shop.server.app_dir("shop").join("releases/77");
    std::fs::create_dir_all(stray.join("node_modules")).unwrap();
    let run = shop.server.run_dir("shop");
    std::fs::create_dir(run.join("g9")).unwrap();
    std::fs::write(run.join("g9.sock"), "").unwrap();
    let open = "UPDATE deploys SET state = 'running', ended_at = NULL WHERE number = 1";
    let more = "INSERT INTO deploys (app, number, origin, branch, commit_id, subject, state, began_at)
                SELECT app, 9, origin, branch, commit_id, subject, 'running', began_at FROM deploys";
    database(&shop)
        .execute_batch(&format!("{open};{more}"))
        .unwrap();
    mended(&shop, "`77`, which is no release, is removed");
    mended(&shop, "generation 9, whose keeper is gone, is cleared away");
    mended(&shop, "deploy 9 was cut off, and is at its end");
    mended(
        &shop,
        "deploy 1 was cut off after its swap, and release 1 is live",
    );
    until("nothing is left of them", || {
        let left = [&stray, &run.join("g9"), &run.join("g9.sock")];
        (!left.iter().any(|path| path.exists())).then_some(())
    });
    let state = "SELECT group_concat(state) FROM (SELECT state FROM deploys ORDER BY number)";
    let states: String = database(&shop)
        .query_row(state, [], |row| row.get(0))
        .unwrap();
    assert_eq!(states, "live,interrupted");
}

#[test]
fn an_app_that_runs_and_is_not_remembered_goes_on_running_and_is_remembered() {
    let mut shop = Shop::open("v1");
    let (pids, commit) = (
        shop.server.instance_pids("shop"),
        shop.server.status("shop")["live"]["commit"].clone(),
    );
    let users = Users::of_any_version(shop.server.address());
    shop.server.end(Signal::SIGKILL);
    // As with a copy of the database that was made before the deploy.
    let earlier = "DELETE FROM generations; DELETE FROM releases; DELETE FROM deploys;
                   UPDATE apps SET live_generation = NULL, next_generation = 1, next_release = 1, next_deploy = 1";
    database(&shop).execute_batch(earlier).unwrap();
    let again = shop.server.same_address();
    shop.server.launch(&[&again[0], &again[1]]);
    mended(
        &shop,
        "generation 1, which runs, is remembered again; generation 1 is remembered as the live one",
    );
    let status = shop.server.status("shop");
    assert_eq!(status["live"]["commit"], commit);
    assert_eq!(shop.server.instance_pids("shop"), pids);
    shop.project.version("v2");
    shop.project.push(&shop.repo).went_live();
    let live = &shop.server.status("shop")["live"];
    assert_eq!(
        (&live["release"], &live["generation"]),
        (&2.into(), &2.into())
    );
    users.finish().all_answered();
}
