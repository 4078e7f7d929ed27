//! The gate: `git push` exits with 0 only if the pushed commit is live, and the branch names what is live.

#![allow(clippy::unwrap_used)] // tests end where something unexpected is

mod support;

use std::io::Write as _;
use std::path::Path;
use std::process::Stdio;

use support::invariants::{Traces, branch, unchanged};
use support::project::{Pushed, git_in, pushed};
use support::{Project, Server, Shop, http};

fn body(server: &Server) -> String {
    http::get(server.address(), "/").unwrap().body
}

/// A commit whose build fails.
fn break_build(project: &Project) -> String {
    project.write(
        "package.json",
        r#"{"name": "fixture-http-port", "version": "1.0.0", "scripts": {"start": "node server.js", "build": "exit 3"}}"#,
    );
    project.commit("broken")
}

#[test]
fn a_good_push_exits_with_0_and_the_branch_names_what_is_live() {
    let shop = Shop::open("v1");
    let commit = shop.project.version("v2");
    let pushed = shop.project.push(&shop.repo);
    pushed.went_live();
    assert!(!pushed.text.contains("warning:"), "{}", pushed.text);
    assert_eq!(branch(&shop.repo), commit);
    assert_eq!(shop.server.status("shop")["live"]["commit"], commit);
    shop.project.push(&shop.repo).says("Everything up-to-date");
}

#[test]
fn a_bad_push_is_rejected_the_branch_stays_and_the_same_push_runs_again() {
    let shop = Shop::open("v1");
    let before = Traces::of(&shop.server, "shop");
    break_build(&shop.project);
    for deploy in [2, 3] {
        shop.project.push(&shop.repo).rejected().says(
            "! [remote rejected] main -> main (build: `npm run build` ended with exit code 3)",
        );
        let log = shop
            .server
            .app_dir("shop")
            .join(format!("logs/deploy-{deploy}.jsonl"));
        assert!(log.exists(), "it ran again");
        unchanged(&before, &shop.server, "shop");
    }
}

#[test]
fn without_the_gate_the_branch_is_put_back_and_the_same_commit_can_be_pushed_again() {
    let shop = Shop::open_without_gate("v1");
    let before = Traces::of(&shop.server, "shop");
    break_build(&shop.project);
    for _ in 0..2 {
        let pushed = shop.project.push(&shop.repo);
        assert_eq!(pushed.code, 0, "post-receive can't reject: {}", pushed.text);
        pushed
            .says("error: build: `npm run build` ended with exit code 3")
            .says("main is back at ")
            .says("push the same commit again to try again");
        unchanged(&before, &shop.server, "shop");
    }
}

#[test]
fn clients_of_every_protocol_version_get_the_verdict() {
    let shop = Shop::open("v0");
    for version in ["0", "1", "2"] {
        let option = format!("protocol.version={version}");
        let push = |project: &Project| -> Pushed {
            let repo = shop.repo.to_str().unwrap();
            let mut git = git_in(project.path());
            pushed(
                &git.args(["-c", &option, "push", repo, "main"])
                    .output()
                    .unwrap(),
            )
        };
        let commit = shop.project.version(&format!("v{version}"));
        push(&shop.project).went_live();
        assert_eq!(branch(&shop.repo), commit);
        break_build(&shop.project);
        push(&shop.project).rejected();
        assert_eq!(branch(&shop.repo), commit);
        shop.project.git(&["reset", "-q", "--hard", "HEAD~1"]);
    }
}

#[test]
fn an_atomic_push_of_several_refs_goes_live_as_a_whole_or_not_at_all() {
    let shop = Shop::open("v1");
    let commit = shop.project.version("v2");
    let refs = ["--atomic", "main", "main:dev", "main:refs/tags/v2"];
    shop.project.push_with(&shop.repo, &refs).went_live();
    for name in ["main", "dev", "v2"] {
        assert_eq!(names(&shop.repo, name), commit);
    }
    break_build(&shop.project);
    let failed = shop
        .project
        .push_with(&shop.repo, &["--atomic", "main", "main:dev"]);
    failed.rejected();
    for name in ["main", "dev"] {
        assert_eq!(names(&shop.repo, name), commit, "{}", failed.text);
    }
}

#[test]
fn of_several_refs_only_the_deploy_branch_waits_for_the_verdict() {
    let shop = Shop::open("v1");
    let commit = names(&shop.repo, "main");
    let bad = break_build(&shop.project);
    let pushed = shop.project.push_with(&shop.repo, &["main", "main:dev"]);
    pushed.rejected().says("[new branch]      main -> dev");
    assert_eq!(names(&shop.repo, "main"), commit);
    assert_eq!(names(&shop.repo, "dev"), bad);
    let both = shop
        .project
        .push_with(&shop.repo, &["main~1:refs/heads/dev2", "main:dev3"]);
    both.says("hint: nothing was deployed");
    assert_eq!(both.code, 0, "{}", both.text);
}

#[test]
fn a_lease_that_is_broken_is_refused_and_one_that_holds_needs_the_apps_leave() {
    let shop = Shop::open("v1");
    let first = shop.project.version("v2");
    shop.project.push(&shop.repo).went_live();
    shop.project.version("v3");
    shop.project.git(&["reset", "-q", "--hard", "HEAD~2"]);
    let other = shop.project.version("v4");

    let refused = shop.project.push(&shop.repo);
    assert_eq!(refused.code, 1);
    refused.says("[rejected]"); // by git's client itself
    let broken = format!("--force-with-lease=main:{}", "1".repeat(40));
    let broken = shop.project.push_with(&shop.repo, &[&broken, "main"]);
    assert_eq!(broken.code, 1);
    broken.says("stale info");
    let lease = format!("--force-with-lease=main:{first}");
    shop.project
        .push_with(&shop.repo, &[&lease, "main"])
        .rejected()
        .says("error: not a fast-forward: main names ")
        .says("hint: git pull --rebase <remote> main, and push again")
        .says("hint: to allow -o force for this app: handover app set shop force on");
    shop.project
        .push_with(&shop.repo, &[&lease, "-o", "force", "main"])
        .rejected()
        .says("error: -o force is not allowed for this app");
    assert_eq!(branch(&shop.repo), first);

    shop.server.ok(&["app", "set", "shop", "force", "on"]);
    shop.project
        .push_with(&shop.repo, &[&lease, "main"])
        .rejected()
        .says("hint: to deploy it all the same: git push --force -o force <remote> main");
    shop.project
        .push_with(&shop.repo, &[&lease, "-o", "force", "main"])
        .went_live();
    assert_eq!(branch(&shop.repo), other);
    assert_eq!(body(&shop.server), "version v4\n");
}

#[test]
fn a_shallow_clone_is_refused_before_anything_is_deployed() {
    let shop = Shop::open("v1");
    shop.project.version("v2");
    let before = Traces::of(&shop.server, "shop");
    let shallow = shop.project.shallow_clone();
    // Nothing of its history is known to the server.
    let server = Server::start();
    let repo = server.create("other");
    let mut push = git_in(shallow.path());
    let output = push
        .args(["push", repo.to_str().unwrap(), "main"])
        .output()
        .unwrap();
    let refused = pushed(&output);
    assert_eq!(refused.code, 1, "{}", refused.text);
    refused.says("! [remote rejected] main -> main (shallow update not allowed)");
    assert_eq!(branch(&repo), "");
    let deploys = std::fs::read_dir(server.app_dir("other").join("logs")).unwrap();
    assert_eq!(deploys.count(), 0, "nothing was deployed: {}", refused.text);
    unchanged(&before, &shop.server, "shop");
}

#[test]
fn the_gate_can_be_turned_off_and_on_again() {
    let shop = Shop::open("v1");
    let good = branch(&shop.repo);
    break_build(&shop.project);
    for (gate, code) in [("off", 0), ("on", 1), ("off", 0)] {
        shop.server.ok(&["app", "set", "shop", "gate", gate]);
        let pushed = shop.project.push(&shop.repo);
        assert_eq!(pushed.code, code, "{}", pushed.text);
        pushed.says("error: build: ");
        assert_eq!(branch(&shop.repo), good);
    }
}

#[test]
fn each_push_option_does_what_it_says_and_others_are_refused_with_the_list() {
    let shop = Shop::open("v1");
    let push = |options: &[&str]| {
        let mut args: Vec<&str> = options.iter().flat_map(|option| ["-o", option]).collect();
        args.push("main");
        shop.project.push_with(&shop.repo, &args)
    };
    shop.project.version("v2");
    push(&["froce"])
        .rejected()
        .says("error: receive: there is no push option `froce`; there are: force, no-cache, verbose, quiet, message=…");
    push(&["quiet", "message=Fixes the basket"]).went_live();
    let releases = shop.server.json(&["releases", "shop"]);
    assert_eq!(releases["releases"][1]["message"], "Fixes the basket");

    shop.project.version("v3");
    let quiet = push(&["quiet"]);
    assert!(
        !quiet.went_live().text.contains("checkout"),
        "{}",
        quiet.text
    );

    // That of another package manager, which the app has had before, is no better.
    let canaries = ["npm", "pnpm"].map(|manager| {
        let cache = shop.server.app_dir("shop").join("cache").join(manager);
        std::fs::create_dir_all(&cache).unwrap();
        std::fs::write(cache.join("canary"), "").unwrap();
        cache.join("canary")
    });
    let are_there = || canaries.each_ref().map(|canary| canary.exists());
    shop.project.version("v4");
    push(&[]).went_live();
    assert_eq!(are_there(), [true; 2], "the caches are kept");
    shop.project.version("v5");
    push(&["no-cache"]).went_live();
    assert_eq!(are_there(), [false; 2], "the caches are emptied");

    let talkative = format!(
        "console.log('I am starting');\n{}",
        shop.project.read("server.js")
    );
    shop.project.write("server.js", &talkative);
    shop.project.version("v6");
    push(&["verbose"]).went_live().says("I am starting");
    shop.project.version("v7");
    let usual = push(&[]);
    assert!(
        !usual.went_live().text.contains("I am starting"),
        "{}",
        usual.text
    );
}

#[test]
fn what_is_refused_early_leaves_no_objects_behind() {
    let shop = Shop::open("v1");
    shop.project.remove("package-lock.json");
    let commit = shop.project.commit("no lockfile");
    shop.project
        .push(&shop.repo)
        .rejected()
        .says("error: checkout: there is no package-lock.json");
    let known = git_in(&shop.repo)
        .args(["cat-file", "-e", &commit])
        .output()
        .unwrap();
    assert!(!known.status.success(), "the quarantine is gone");
    assert!(
        !shop
            .server
            .app_dir("shop")
            .join("logs/deploy-2.jsonl")
            .exists()
    );
}

#[test]
fn a_hook_of_ones_own_may_still_refuse() {
    let shop = Shop::open("v1");
    let own = shop.repo.join("hooks/pre-receive.chained");
    std::fs::write(&own, "#!/bin/sh\necho not on a Friday >&2\nexit 1\n").unwrap();
    std::fs::set_permissions(&own, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    shop.project.version("v2");
    let pushed = shop.project.push(&shop.repo);
    assert_eq!(pushed.code, 1);
    pushed.says("not on a Friday");
}

fn names(repo: &Path, name: &str) -> String {
    let output = git_in(repo)
        .args(["rev-parse", "--verify", "-q", name])
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[test]
fn a_server_that_was_killed_between_the_swap_and_the_branch_lets_the_branch_follow() {
    let mut shop = Shop::open("v1");
    let first = branch(&shop.repo);
    let commit = shop.project.version("v2");
    shop.project.push(&shop.repo).went_live();
    shop.server.end(nix::sys::signal::Signal::SIGKILL);
    // As it would be found had it been killed a moment earlier: swapped, and the branch still where it was.
    let database = rusqlite::Connection::open(shop.server.home().join("handover.db")).unwrap();
    let earlier =
        "UPDATE deploys SET state = 'running', release = NULL, ended_at = NULL, from_id = ?1
                   WHERE number = 2";
    assert_eq!(database.execute(earlier, [&first]).unwrap(), 1);
    drop(database);
    let moved = git_in(&shop.repo)
        .args(["update-ref", "refs/heads/main", &first])
        .status();
    assert!(moved.unwrap().success());
    let again = shop.server.same_address();
    shop.server.launch(&[&again[0], &again[1]]);
    support::until("the branch follows", || {
        (branch(&shop.repo) == commit).then_some(())
    });
    let status = shop.server.status("shop");
    assert_eq!(status["live"]["commit"], commit);
    assert_eq!(status["state"], "live", "nothing is deployed again");
    assert_eq!(body(&shop.server), "version v2\n");
    shop.project.push(&shop.repo).says("Everything up-to-date");
}

#[test]
fn a_branch_that_can_not_be_moved_fails_the_deploy_before_the_swap() {
    let shop = Shop::open("v1");
    let first = branch(&shop.repo);
    let commit = shop.project.version("v2");
    let before = Traces::of(&shop.server, "shop");
    let mut holder = git_in(&shop.repo);
    holder.args(["update-ref", "--stdin"]);
    let mut holder = holder
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let transaction = format!("start\nupdate refs/heads/main {first} {first}\nprepare\n");
    let mut hold = holder.stdin.take().unwrap();
    hold.write_all(transaction.as_bytes()).unwrap();
    let lock = shop.repo.join("refs/heads/main.lock");
    support::until("git holds the branch", || lock.exists().then_some(()));
    shop.project
        .push(&shop.repo)
        .rejected()
        .says("error: swap: ")
        .says("refs/heads/main.lock");
    assert_eq!(branch(&shop.repo), first);
    assert_eq!(body(&shop.server), "version v1\n");
    unchanged(&before, &shop.server, "shop");
    drop(hold);
    holder.wait().unwrap();
    shop.project.push(&shop.repo).went_live();
    assert_eq!(branch(&shop.repo), commit);
}

/// Wherever it happens to be: in the checkout, while a keeper starts, between two phases.
#[test]
fn a_deploy_that_is_cancelled_at_any_moment_leaves_nothing() {
    let shop = Shop::open("v1");
    let mut before = Traces::of(&shop.server, "shop");
    for round in 0..14 {
        shop.project.version(&format!("v2.{round}"));
        let mut push = shop.project.push_command(&shop.repo, &["main"]);
        let push = push.stderr(std::process::Stdio::piped()).spawn().unwrap();
        let cancelled = support::until("it is cancelled, or too late", || {
            // Swept: no event marks most of the moments that are meant.
            std::thread::sleep(std::time::Duration::from_millis(15 * round));
            let cancelled = shop.server.run(&["cancel", "shop"]);
            let words = String::from_utf8(cancelled.stderr).unwrap();
            let early = words.contains("no deploy of shop runs");
            let over = shop.server.status("shop")["live"]["commit"] != before.live["commit"];
            (!early || over).then_some(cancelled.status.success())
        });
        let told = pushed(&push.wait_with_output().unwrap());
        if cancelled {
            told.rejected().says("cancelled by ");
            unchanged(&before, &shop.server, "shop");
        } else {
            told.went_live();
            shop.server.until_drained("shop");
            before = Traces::of(&shop.server, "shop");
        }
    }
    shop.project.version("v3");
    shop.project.push(&shop.repo).went_live();
}
