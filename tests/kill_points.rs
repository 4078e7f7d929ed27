//! Each process of handover's may be killed between any two steps: no request is lost, and the next start makes it right.
//!
//! The points are in the source (`kill_point`, see `src/process/rig.rs`) and in the table here, and a test compares the
//! two.

#![allow(clippy::unwrap_used)] // tests end where something unexpected is

mod support;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::Instant;

use support::invariants::branch;
use support::project::pushed;
use support::steady::Users;
use support::{Pushed, Server, Shop, http, until};

/// What is going on when the point is passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum While {
    /// A push of a good version.
    Good,
    /// A push of a version that ends at its start.
    Bad,
    /// A push of a good version that needs a package manager that is not there.
    Tools,
    /// A push after which an old release is pruned.
    Prune,
    /// A push whose install makes a tree that is not stored yet.
    Store,
    /// A push for which a tree is in readiness.
    Take,
    /// A push for which a tree is stored, and none in readiness.
    Lay,
    /// The start after a `serve` that was killed in the middle of a swap.
    Recovery,
    /// A push of a good version; it is the new version's keeper that dies.
    Keep,
    /// A second push: it is the keeper of the version that drains that dies.
    Drain,
    /// The start of a front, after one that was killed.
    Front,
    /// A push of a good version; it is the front that dies.
    Told,
}

use While::{Bad, Drain, Front, Good, Keep, Lay, Prune, Recovery, Store, Take, Told, Tools};

#[test]
fn the_table_has_all_points_that_the_source_has() {
    let mut found = BTreeSet::new();
    collect(
        &Path::new(env!("CARGO_MANIFEST_DIR")).join("src"),
        &mut found,
    );
    let table: BTreeSet<String> = POINTS.iter().map(|&name| name.to_owned()).collect();
    assert_eq!(found, table);
    assert!(table.len() >= 30);
    assert_eq!(table.len(), POINTS.len());
}

fn collect(dir: &Path, found: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(dir).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            collect(&path, found);
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        let calls = text.split("kill_point(\"").skip(1);
        found.extend(calls.map(|rest| rest.split('"').next().unwrap().to_owned()));
    }
}

/// The table of all points: what is going on then, and what has just happened. Each row is a test, so that they run side by
/// side.
macro_rules! points {
    ($($test:ident $name:literal $meanwhile:ident $what:literal)*) => {
        /// Every point, in the order in which it is passed.
        const POINTS: &[&str] = &[$($name),*];

        $(#[doc = $what] #[test] fn $test() { killed_at($name, $meanwhile); })*
    };
}

points! {
    push_received "push.received" Good "git has handed the refs over"
    deploy_added "deploy.added" Good "the deploy has a number and a row"
    deploy_accepted "deploy.accepted" Good "and a journal that begins"
    deploy_running "deploy.running" Good "its turn has come"
    release_numbered "release.numbered" Good "the release has a number"
    checkout_begun "checkout.begun" Good "the staging directory is there"
    checkout_written "checkout.written" Good "the tree is in it"
    checkout_renamed "checkout.renamed" Good "the release has its name"
    tools_filled "tools.filled" Tools "a package manager was fetched, and its manifest is written"
    tools_synced "tools.synced" Tools "it is on the disk"
    tools_kept "tools.kept" Tools "and has its name"
    step_started "step.started" Good "npm runs"
    store_taken "store.taken" Take "the tree in readiness has lost its name"
    store_laying "store.laying" Lay "a stored tree is half laid out in the release"
    install_done "install.done" Good "`node_modules` is there"
    carry_copied "carry.copied" Good "what the last build has left is beside the release"
    carry_placed "carry.placed" Good "and in it"
    build_done "build.done" Good "the build script has ended"
    build_strays_ended "build.strays_ended" Good "and what it has left running"
    generation_announced "generation.announced" Good "the generation has a row"
    keeper_specified "keeper.specified" Good "what the keeper is to do is written"
    keeper_spawned "keeper.spawned" Good "the keeper runs"
    keeper_ready "keeper.ready" Good "and has bound its sockets"
    start_listening "start.listening" Good "all instances listen"
    health_known "health.known" Good "the health check has passed"
    release_synced "release.synced" Good "the release is on the disk"
    release_remembered "release.remembered" Good "and has a row"
    branch_probed "branch.probed" Good "the branch could be moved"
    swap_intended "swap.intended" Good "what the branch names is written down"
    publish_previous_led "publish.previous_led" Good "previous.sock leads to the old generation"
    publish_linked "publish.linked" Good "the new socket has a second name"
    swap_published "swap.published" Good "live.sock leads to the new generation"
    swap_committed "swap.committed" Good "its keeper knows"
    swap_recorded "swap.recorded" Good "the database knows"
    swap_drain_told "swap.drain_told" Good "the old keeper knows"
    branch_locked "branch.locked" Good "the branch's new value is in its lock file"
    branch_renamed "branch.renamed" Good "the branch names the commit"
    swap_branch_moved "swap.branch_moved" Good "and the disk knows"
    deploy_ended "deploy.ended" Good "the deploy's end has been written down"
    deploy_told "deploy.told" Good "and told"
    store_begun "store.begun" Store "a tree is about to be written"
    store_written "store.written" Store "the tree is written, and has no name"
    store_sealed "store.sealed" Store "it has its name"
    store_donated "store.donated" Take "an old release is about to give its tree"
    store_spare_begun "store.spare_begun" Store "a tree is about to be laid out in advance"
    store_spare_made "store.spare_made" Store "it is laid out, and on the disk"
    store_spare_ready "store.spare_ready" Store "it is in readiness"
    retire_ended "retire.ended" Good "the old keeper has ended"
    retire_cleared "retire.cleared" Good "nothing is left of it but its row"
    undo_keeper_stopped "undo.keeper_stopped" Bad "the keeper of a failed deploy has ended"
    undo_generation_forgotten "undo.generation_forgotten" Bad "its generation has no row"
    undo_release_forgotten "undo.release_forgotten" Bad "its release has no row"
    deploy_failed "deploy.failed" Bad "its end is written down"
    prune_forgotten "prune.forgotten" Prune "an old release has no row"
    remove_begun "remove.begun" Prune "and its directory is about to go"
    remove_put_aside "remove.put_aside" Prune "it has another name, and waits to be deleted"
    remove_deleting "remove.deleting" Prune "it is being deleted"
    recovery_act "recovery.act" Recovery "each of the acts that mend"
    keep_bound "keep.bound" Keep "the sockets are bound"
    keep_ready_said "keep.ready_said" Keep "and serve knows"
    keep_instance_started "keep.instance_started" Keep "an instance runs, and is not written down"
    keep_recording "keep.recording" Keep "it is about to be"
    keep_committed "keep.committed" Keep "the generation is live"
    keep_drain_begun "keep.drain_begun" Drain "the drain has begun"
    keep_drained "keep.drained" Drain "all connections have ended"
    keep_stop_begun "keep.stop_begun" Drain "the instances are told to end"
    keep_emptied "keep.emptied" Drain "the instances have ended"
    keep_word_left "keep.word_left" Drain "how it went is written down"
    front_begun "front.begun" Front "the front has its listening sockets"
    front_claimed "front.claimed" Front "and its control socket"
    front_accepting "front.accepting" Front "its threads run"
    front_routes_set "front.routes_set" Front "it knows the apps"
    front_told_of_swap "front.told_of_swap" Told "it is about to hear of a swap"
}

fn killed_at(point: &str, meanwhile: While) {
    match meanwhile {
        Good | Tools | Prune => serve_dies(point, meanwhile),
        Store | Take | Lay => serve_dies_at_the_store(point, meanwhile),
        Bad => serve_dies_of_a_bad_version(point),
        Recovery => serve_dies_again(point),
        Keep => new_keeper_dies(point),
        Drain => draining_keeper_dies(point),
        Front => fronts_die(point),
        Told => front_dies_at_a_swap(point),
    }
}

/// An app with a build script, used by somebody.
fn used(settings: &str) -> (Shop, Users) {
    let shop = idle(settings);
    let users = Users::of_any_version(shop.server.address());
    (shop, users)
}

/// The same, used by nobody.
fn idle(settings: &str) -> Shop {
    let server = Server::start_with(settings, &["--listen", "127.0.0.1:0"]);
    let shop = Shop::open_on(server, "v1", &[]);
    // As if its build had left it for the next one.
    let cache = shop.server.app_dir("shop").join("releases/1/.vite");
    std::fs::create_dir(&cache).unwrap();
    std::fs::write(cache.join("entry"), "x").unwrap();
    shop.project.write(
        "package.json",
        r#"{"name": "fixture-http-port", "version": "1.0.0", "scripts": {"start": "node server.js", "build": "true"}}"#,
    );
    shop
}

/// Pushes, with the point armed, until somebody has died there. What the pusher has read comes later.
fn push_to_death(shop: &Shop, point: &str) -> Child {
    shop.server.kill_at(point);
    let mut push = shop.project.push_command(&shop.repo, &["main"]);
    let push = push.stderr(Stdio::piped()).spawn().unwrap();
    until(&format!("somebody dies at {point}"), || {
        shop.server.was_killed().then_some(())
    });
    push
}

/// Starts `serve` again; the push goes on, and everything is right when it has ended.
fn start_again(shop: &mut Shop, push: Child) -> Pushed {
    let began = Instant::now();
    shop.server.launch_again();
    let told = pushed(&push.wait_with_output().unwrap());
    shop.server.assert_right();
    eprintln!(
        "right again {} ms after the start began",
        began.elapsed().as_millis()
    );
    told
}

/// What the pusher read is so: `ok` and the commit is live, or it is not and the branch does not name it.
fn told_the_truth(shop: &Shop, commit: &str, told: &Pushed) {
    let live = shop.server.status("shop")["live"]["commit"] == commit;
    if told.code == 0 {
        assert!(live, "{}", told.text);
    } else {
        assert!(!live, "{}", told.text);
    }
    assert_eq!(branch(&shop.repo) == commit, live);
}

fn goes_live_now(shop: &Shop, commit: &str) {
    let again = shop.project.push(&shop.repo);
    assert_eq!(again.code, 0, "{}", again.text);
    assert_eq!(shop.server.status("shop")["live"]["commit"], commit);
    assert_eq!(branch(&shop.repo), commit);
}

fn serve_dies(point: &str, meanwhile: While) {
    let (mut shop, users) = used("keep_releases = 1\n");
    if meanwhile == Prune {
        shop.project.version("v1.1");
        shop.project.push(&shop.repo).went_live();
        shop.server.until_drained("shop");
    }
    if meanwhile == Tools {
        shop.project.remove("package-lock.json");
        shop.project.write("yarn.lock", "# yarn lockfile v1\n");
    }
    let commit = shop.project.version("v2");
    let push = push_to_death(&shop, point);
    shop.server.await_death();
    let tools = shop.server.home().join("tools/yarn");
    for name in names_in(&tools, |_| true) {
        let kept = tools.join(&name);
        let whole = kept.join("manifest.json").exists() && kept.join("bin/yarn").exists();
        assert!(whole || name.starts_with('.'), "{}", kept.display());
    }
    let told = start_again(&mut shop, push);
    told_the_truth(&shop, &commit, &told);
    goes_live_now(&shop, &commit);
    users.finish().all_answered();
}

/// An app with a dependency, so that its installs make something.
const DEPENDING: &str = r#"{"name": "depending", "version": "1.0.0", "scripts": {"start": "node server.js"}, "dependencies": {"kept": "file:kept"}}"#;
const DEPENDING_LOCKED: &str = r#"{"name": "depending", "version": "1.0.0", "lockfileVersion": 3, "requires": true, "packages": {
  "": {"name": "depending", "version": "1.0.0", "dependencies": {"kept": "file:kept"}},
  "kept": {"version": "1.0.0"},
  "node_modules/kept": {"resolved": "kept", "link": true}
}}"#;

/// No half of a tree is left, and what is there is laid out by the next push.
fn serve_dies_at_the_store(point: &str, meanwhile: While) {
    let (mut shop, users) = used("keep_releases = 1\n");
    let store = shop.server.app_dir("shop").join("store");
    let spare = || names_in(&store, |name| name.starts_with("spare-")).pop();
    // Of the first push: what comes is the next one's.
    let first = until("a tree is in readiness", spare);
    shop.project
        .write("package.json", DEPENDING)
        .write("package-lock.json", DEPENDING_LOCKED)
        .write(
            "kept/package.json",
            r#"{"name": "kept", "version": "1.0.0"}"#,
        );
    if matches!(meanwhile, Take | Lay) {
        shop.project.version("v1.1");
        shop.project.push(&shop.repo).went_live();
        let ready = until("its tree is in readiness", || {
            spare().filter(|name| *name != first)
        });
        shop.server.until_drained("shop");
        if meanwhile == Lay {
            std::fs::remove_dir_all(store.join(ready)).unwrap();
        }
    }
    let commit = shop.project.version("v2");
    let push = push_to_death(&shop, point);
    shop.server.await_death();
    let told = start_again(&mut shop, push);
    told_the_truth(&shop, &commit, &told);
    until("no half of a tree is left", || {
        let is_half = |name: &str| name.starts_with(".staging-") || name == ".taken";
        names_in(&store, is_half).is_empty().then_some(())
    });
    goes_live_now(&shop, &commit);
    let is_tree = |name: &str| Path::new(name).extension().is_some_and(|end| end == "tree");
    let entry = || names_in(&store, is_tree).len() == 2;
    if !entry() {
        // It was cut off before it was stored, and had been installed.
        shop.project.version("v2.1");
        shop.project.push(&shop.repo).went_live();
        until("the tree is stored", || entry().then_some(()));
    }
    shop.project.version("v3");
    let laid = shop.project.push(&shop.repo);
    laid.went_live().says(" installed them");
    let live = &shop.server.status("shop")["live"]["release"];
    let kept = shop
        .server
        .app_dir("shop")
        .join(format!("releases/{live}/node_modules/kept/package.json"));
    assert!(kept.exists(), "{}", laid.text);
    users.finish().all_answered();
}

fn names_in(dir: &Path, like: impl Fn(&str) -> bool) -> Vec<String> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    names.filter(|name| like(name)).collect()
}

fn serve_dies_of_a_bad_version(point: &str) {
    let (mut shop, users) = used("");
    let first = branch(&shop.repo);
    let good = shop.project.read("server.js");
    shop.project.write("server.js", "process.exit(1);");
    let bad = shop.project.version("v2");
    let push = push_to_death(&shop, point);
    shop.server.await_death();
    let told = start_again(&mut shop, push);
    assert_eq!(told.code, 1, "{}", told.text);
    assert_eq!(branch(&shop.repo), first);
    assert_ne!(first, bad);
    shop.project.write("server.js", &good);
    let commit = shop.project.version("v3");
    goes_live_now(&shop, &commit);
    users.finish().all_answered();
}

/// Killed in the middle of a swap, and then at each act of each start that follows, until there is nothing left to do.
fn serve_dies_again(point: &str) {
    let (mut shop, users) = used("");
    let commit = shop.project.version("v2");
    let push = push_to_death(&shop, "swap.published");
    shop.server.await_death();
    for act in 1..=3 {
        shop.server.kill_at(&format!("{point}:{act}"));
        shop.server.launch_to_die();
        assert!(shop.server.was_killed());
    }
    let told = start_again(&mut shop, push);
    told_the_truth(&shop, &commit, &told);
    assert_eq!(shop.server.status("shop")["live"]["commit"], commit);
    goes_live_now(&shop, &commit);
    users.finish().all_answered();
}

fn new_keeper_dies(point: &str) {
    let (shop, users) = used("");
    let commit = shop.project.version("v2");
    let push = push_to_death(&shop, point);
    let told = pushed(&push.wait_with_output().unwrap());
    shop.server.assert_right();
    told_the_truth(&shop, &commit, &told);
    goes_live_now(&shop, &commit);
    users.finish().all_answered();
}

fn draining_keeper_dies(point: &str) {
    let (shop, users) = used("");
    let commit = shop.project.version("v2");
    let push = push_to_death(&shop, point);
    let told = pushed(&push.wait_with_output().unwrap());
    told.went_live();
    shop.server.until_drained("shop");
    shop.server.assert_right();
    told_the_truth(&shop, &commit, &told);
    users.finish().all_answered();
}

/// Whoever comes while there is no front waits, and is answered by the next.
fn fronts_die(point: &str) {
    let shop = idle("");
    shop.server.kill_at(point);
    shop.server.kill_front();
    let address = shop.server.address();
    let waiting = std::thread::spawn(move || http::get(address, "/"));
    until("a front dies where it was to", || {
        shop.server.was_killed().then_some(())
    });
    // Only what the front had taken is lost with it.
    let answer = waiting.join().unwrap();
    if matches!(point, "front.begun" | "front.claimed") {
        assert_eq!(answer.unwrap().status, 200);
    }
    until("the next front answers", || http::get(address, "/").ok());
    let commit = shop.project.version("v2");
    goes_live_now(&shop, &commit);
}

fn front_dies_at_a_swap(point: &str) {
    let shop = idle("");
    let commit = shop.project.version("v2");
    let push = push_to_death(&shop, point);
    pushed(&push.wait_with_output().unwrap()).went_live();
    let answer = until("the next front answers", || {
        http::get(shop.server.address(), "/").ok()
    });
    assert_eq!(answer.body, "version v2\n");
    goes_live_now(&shop, &commit);
}
