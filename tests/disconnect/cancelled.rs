//! `handover cancel`: before the swap everything ends and is taken back, and all who watch are told.

use std::path::Path;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::scene::{Plan, Scene, Stop, Transport};
use crate::support::invariants::{Traces, branch, processes_of, unchanged};
use crate::support::project::{Pushed, pushed};
use crate::support::told::until_phase;
use crate::support::{Pusher, until};

/// How many processes `family.js` starts.
const FAMILY: usize = 5;

fn cancel(scene: &Scene) -> Pushed {
    pushed(&scene.server.run(&["cancel", "shop"]))
}

#[track_caller]
fn is_cancelled(told: &Pushed, deploy: u32) {
    assert_eq!(told.code, 0, "{}", told.text);
    told.says(&format!("deploy {deploy} of shop is cancelled"));
}

/// Cancels a deploy at this moment, with two who watch it, and then pushes the same again.
fn cancelled_at(plan: Plan) {
    let scene = Scene::open(Transport::Local);
    let before = Traces::of(&scene.server, "shop");
    let commit = scene.version("v1", plan);
    let pusher = scene.pusher();
    scene.until_stopped();
    let clone = scene.another_clone();
    let joined = Pusher::start(&mut clone.push_command(&scene.repo, &["main"]));
    joined.until_reads("checkout   ");
    if plan.family {
        until_family(&scene);
    }
    is_cancelled(&cancel(&scene), 2);
    for told in [pusher.finish(), joined.finish()] {
        told.rejected()
            .says(": cancelled")
            .says("hint: push the same commit again to deploy it after all")
            .says("release 1 serves on; nothing has changed");
    }
    until_gone(&scene.family());
    unchanged(&before, &scene.server, "shop");

    scene.open_doors();
    scene.push().went_live();
    assert_eq!(branch(&scene.repo), commit);
    // A build that goes well may not leave anything about either.
    until_gone(&scene.family());
}

fn until_family(scene: &Scene) {
    until("all of the family is there", || {
        (scene.family().len() == FAMILY).then_some(())
    });
}

fn until_gone(pids: &[u32]) {
    until("all of the family is gone", || {
        let runs = |pid: &u32| {
            let stat =
                std::fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("stat"));
            stat.is_ok_and(|stat| !stat.rsplit(')').next().unwrap().trim().starts_with('Z'))
        };
        (!pids.iter().any(runs)).then_some(())
    });
}

#[test]
fn during_the_install_with_all_that_its_scripts_have_started() {
    cancelled_at(Plan {
        family: true,
        ..Plan::stop(Stop::Install)
    });
}

#[test]
fn during_the_build_with_all_that_it_has_started() {
    cancelled_at(Plan {
        family: true,
        ..Plan::stop(Stop::Build)
    });
}

#[test]
fn while_the_app_starts() {
    cancelled_at(Plan::stop(Stop::Start));
}

#[test]
fn while_the_app_is_not_well_yet() {
    cancelled_at(Plan::stop(Stop::Health));
}

#[test]
fn just_before_the_swap() {
    cancelled_at(Plan::stop(Stop::Swap));
}

#[test]
fn while_it_waits_for_another_apps_build() {
    let scene = Scene::open_with("builds = 1\n", Transport::Local);
    let blog = scene.server.create("blog");
    let other = scene.version("blog's", Plan::stop(Stop::Build));
    let builds = Pusher::start(&mut scene.project.push_command(&blog, &["main"]));
    scene.until_stopped();

    let before = Traces::of(&scene.server, "shop");
    let commit = scene.version("v1", Plan::stop(Stop::Nowhere));
    let waits = scene.pusher();
    waits.until_reads("for the builds of other apps to end; this is the next");
    is_cancelled(&cancel(&scene), 2);
    waits.finish().rejected().says(": cancelled");
    unchanged(&before, &scene.server, "shop");

    // It has given up its place.
    let again = scene.pusher();
    again.until_reads("for the builds of other apps to end; this is the next");
    scene.open_doors();
    builds.finish().went_live();
    again.finish().went_live();
    assert_eq!(branch(&blog), other);
    assert_eq!(branch(&scene.repo), commit);
}

#[test]
fn the_one_that_waits_gets_its_turn() {
    let scene = Scene::open(Transport::Local);
    scene.version("v1", Plan::stop(Stop::Install));
    let first = scene.pusher();
    scene.until_stopped();
    let commit = scene.version("v2", Plan::stop(Stop::Nowhere));
    let second = scene.pusher();
    second.until_reads("waiting    for deploy 2 of this app to end");
    is_cancelled(&cancel(&scene), 2);
    first.finish().rejected().says(": cancelled");
    second
        .finish()
        .went_live()
        .says("success: release 2 is live");
    assert_eq!(branch(&scene.repo), commit);
}

#[test]
fn nothing_that_does_not_run() {
    let scene = Scene::open(Transport::Local);
    let told = cancel(&scene);
    assert_eq!(told.code, 1, "{}", told.text);
    told.says("error: no deploy of shop runs");
}

#[test]
fn nothing_after_the_swap() {
    let scene = Scene::open(Transport::Local);
    let commit = scene.version("v1", Plan::stop(Stop::Health));
    let pusher = scene.pusher();
    scene.until_stopped();
    // The keeper of what was live can't be told to drain, and so the deploy does not end.
    let keeper = keeper_of(&scene, 1);
    kill(keeper, Signal::SIGSTOP).unwrap();
    scene.open_doors();
    until_phase(&scene.server, "shop", 2, "done", "swap");
    let asks = Pusher::start(scene.server.command().args(["cancel", "shop"]));
    until("the server is asked", || {
        (connections_of(&asks) > 0).then_some(())
    });
    assert_eq!(scene.server.status("shop")["state"], "deploying");
    kill(keeper, Signal::SIGCONT).unwrap();

    let told = asks.finish();
    assert_eq!(told.code, 1, "{}", told.text);
    told.says("error: deploy 2 of shop could not be cancelled any more");
    pusher.finish().went_live();
    assert_eq!(branch(&scene.repo), commit);
}

fn keeper_of(scene: &Scene, generation: u32) -> Pid {
    let dir = format!("/g{generation}");
    let keeper = processes_of(scene.server.home())
        .into_iter()
        .find(|one| one.contains(" keep ") && one.contains(&dir))
        .expect("a generation has a keeper");
    Pid::from_raw(keeper.split(' ').next().unwrap().parse().unwrap())
}

/// How many sockets a command has open.
fn connections_of(command: &Pusher) -> usize {
    crate::support::processes::sockets_of(command.pid().as_raw().cast_unsigned()).len()
}
