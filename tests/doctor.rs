//! `handover doctor --repair`: what it shows and mends, asked of a server that runs and of none.

#![allow(clippy::unwrap_used)] // tests end where something unexpected is

mod support;

use std::fs::File;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use nix::sys::signal::Signal;
use serde_json::Value;
use support::invariants::branch;
use support::project::git_in;
use support::steady::Users;
use support::{Server, Shop};

fn long_ago(path: &Path) {
    let hour = SystemTime::now() - Duration::from_secs(3600);
    File::open(path).unwrap().set_modified(hour).unwrap();
}

/// What `doctor` says of this check: the results, and the words.
fn findings(server: &Server, args: &[&str], check: &str) -> Vec<(String, String)> {
    let mut all = vec!["doctor", "--json"];
    all.extend(args);
    let output = server.run(&all);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let findings = report["findings"].as_array().unwrap().iter();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let of_check = findings.filter(|finding| finding["check"] == check);
    let words = |finding: &Value| {
        format!(
            "{} → {}{}",
            text(&finding["found"]),
            text(&finding["remedy"]),
            text(&finding["done"])
        )
    };
    of_check
        .map(|finding| (text(&finding["result"]), words(finding)))
        .collect()
}

/// What a killed git leaves in the way of every push.
fn leave_a_lock(shop: &Shop) -> PathBuf {
    let lock = shop.repo.join("packed-refs.lock");
    std::fs::write(&lock, "").unwrap();
    long_ago(&lock);
    lock
}

/// Breaks four things of an app whose second version is live, none of which a server looks for by itself.
fn break_things(shop: &Shop) {
    std::fs::remove_file(shop.repo.join("hooks/proc-receive")).unwrap();
    std::fs::remove_dir_all(shop.server.app_dir("shop").join("releases/1")).unwrap();
    let stranger = shop.server.home().join("apps/old");
    std::fs::create_dir(&stranger).unwrap();
    long_ago(&stranger);
    let apps = shop.server.home().join("apps");
    std::fs::set_permissions(apps, PermissionsExt::from_mode(0o755)).unwrap();
}

const LOCKS: (&str, &str) = ("locks", "packed-refs.lock");
const BROKEN: [(&str, &str); 4] = [
    ("hooks", "the hook proc-receive is missing"),
    ("releases", "the directory of release 1 of shop is gone"),
    ("files", "apps/old belongs to no app"),
    ("modes", "apps has the mode 0755, not 0700"),
];

fn shows_and_mends(shop: &Shop, checks: &[(&str, &str)]) {
    for &(check, words) in checks {
        let found = findings(&shop.server, &[], check);
        let [(result, told)] = &found[..] else {
            panic!("one finding of {check}: {found:?}")
        };
        assert_eq!(result, "warning", "{told}");
        assert!(
            told.contains(words) && told.contains("handover doctor --repair"),
            "{told}"
        );
    }
    let text = shop.server.ok(&["doctor", "--repair"]);
    for (_, words) in checks {
        assert!(text.contains(words), "{text}");
    }
    assert_eq!(
        text.lines()
            .filter(|line| line.starts_with("done "))
            .count(),
        checks.len(),
        "{text}"
    );
    for (check, _) in checks {
        assert_eq!(findings(&shop.server, &[], check), []);
    }
    let agrees = findings(&shop.server, &[], "database");
    assert_eq!(agrees[0].0, "good", "{agrees:?}");
}

fn with_two_versions() -> Shop {
    let shop = Shop::open("v1");
    shop.project.version("v2");
    shop.project.push(&shop.repo).went_live();
    shop.server.until_drained("shop");
    shop
}

#[test]
fn a_server_that_runs_mends_what_doctor_shows_while_its_apps_serve() {
    let shop = with_two_versions();
    let users = Users::of(shop.server.address());
    break_things(&shop);
    shows_and_mends(&shop, &BROKEN);
    let lock = leave_a_lock(&shop);
    shop.server.ok(&["doctor", "--repair"]);
    assert!(
        !lock.exists(),
        "removed by the doctor, or by the server before it"
    );
    users.finish().all_answered();
    shop.project.version("v3");
    shop.project.push(&shop.repo).went_live();
}

#[test]
fn without_a_server_doctor_mends_on_disk_and_leads_a_branch_back_that_was_led_astray() {
    let mut shop = with_two_versions();
    shop.server.end(Signal::SIGTERM);
    break_things(&shop);
    leave_a_lock(&shop);
    let live = branch(&shop.repo);
    let first = git_in(&shop.repo)
        .args(["rev-parse", "main~1"])
        .output()
        .unwrap();
    let first = String::from_utf8(first.stdout).unwrap().trim().to_owned();
    let led = git_in(&shop.repo)
        .args(["update-ref", "refs/heads/main", &first])
        .status();
    assert!(led.unwrap().success());
    let astray = findings(&shop.server, &[], "branch");
    assert!(
        astray[0].1.contains("does not contain the live commit"),
        "{astray:?}"
    );
    assert_eq!(branch(&shop.repo), first, "only shown");

    let mended = findings(&shop.server, &["--repair"], "branch");
    assert_eq!(mended[0].0, "mended", "{mended:?}");
    assert_eq!(branch(&shop.repo), live);
    let aside = git_in(&shop.repo)
        .args(["rev-parse", &format!("aside-main-{}", &first[..7])])
        .output();
    let aside = String::from_utf8(aside.unwrap().stdout).unwrap();
    assert_eq!(aside.trim(), first, "nothing is lost");

    break_again(&shop);
    leave_a_lock(&shop);
    let broken: Vec<_> = BROKEN.into_iter().chain([LOCKS]).collect();
    shows_and_mends(&shop, &broken);
    shop.server.launch_again();
    shop.project.version("v3");
    shop.project.push(&shop.repo).went_live();
}

/// What `--repair` has mended, broken once more; release 1 is forgotten, and is remembered here without its directory.
fn break_again(shop: &Shop) {
    let database = rusqlite::Connection::open(shop.server.home().join("handover.db")).unwrap();
    let again = "INSERT INTO releases (app, number, commit_id, subject, deploy, built_at)
                 SELECT app, 1, commit_id, subject, 1, built_at FROM releases";
    database.execute(again, []).unwrap();
    std::fs::create_dir_all(shop.server.app_dir("shop").join("releases/1")).unwrap();
    break_things(shop);
}

#[test]
fn a_damaged_database_is_shown_and_rebuilt_without_a_server_and_what_was_kept_is_told_afterwards() {
    let mut shop = Shop::open("v1");
    shop.server.end(Signal::SIGTERM);
    let database = shop.server.home().join("handover.db");
    let _ = std::fs::remove_file(shop.server.home().join("handover.db-wal")); // where there is one
    std::fs::write(&database, "damaged").unwrap();
    let shown = findings(&shop.server, &[], "database");
    assert_eq!(shown[0].0, "bad");
    assert!(
        shown[0]
            .1
            .contains("keep a damaged one aside and rebuild it"),
        "{shown:?}"
    );
    assert_eq!(std::fs::read(&database).unwrap(), b"damaged", "only shown");
    assert_eq!(shop.server.run(&["doctor"]).status.code(), Some(1));

    let rebuilt = findings(&shop.server, &["--repair"], "database");
    assert!(
        rebuilt[0].1.contains("the database was damaged"),
        "{rebuilt:?}"
    );
    shop.server.launch_again();
    let kept = findings(&shop.server, &[], "database");
    assert_eq!(kept[0].0, "warning");
    assert!(
        kept[0]
            .1
            .contains("when nothing is missing any more, delete"),
        "{kept:?}"
    );
    assert_eq!(shop.server.status("shop")["live"]["release"], 1);
    shop.project.version("v2");
    shop.project.push(&shop.repo).went_live();
}
