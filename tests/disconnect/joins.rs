//! Whoever comes back joins what goes on, reads it from its beginning, and gets the same verdict.

use nix::sys::signal::Signal;

use crate::scene::{Plan, Scene, Stop, Transport};
use crate::support::Pusher;
use crate::support::invariants::{Traces, branch, unchanged};
use crate::support::project::Pushed;
use crate::support::told::events;

/// A push that is interrupted; what the same push from another clone and `handover follow` come to.
fn interrupted_and_joined(scene: &Scene) -> [Pushed; 2] {
    let first = scene.pusher();
    scene.until_stopped();
    first.signal_all(Signal::SIGINT);
    assert_ne!(first.finish().code, 0);

    let clone = scene.another_clone();
    let again = Pusher::start(&mut clone.push_command(&scene.repo, &["main"]));
    let follow = Pusher::start(scene.server.command().args(["follow", "shop"]));
    for joined in [&again, &follow] {
        joined.until_reads("install    npm ci");
    }
    scene.open_doors();
    [again, follow].map(|joined| {
        let ended = joined.finish();
        for wanted in ["handover  shop  main ", "checkout   ", "1 ...."] {
            ended.says(wanted);
        }
        ended
    })
}

#[test]
fn the_same_commit_pushed_again_joins_the_deploy_of_a_push_that_was_interrupted() {
    let scene = Scene::open(Transport::Local);
    let commit = scene.version(
        "v1",
        Plan {
            lines: 2,
            ..Plan::stop(Stop::Install)
        },
    );
    for joined in interrupted_and_joined(&scene) {
        joined.went_live().says("success: release 2 is live");
    }
    assert_eq!(branch(&scene.repo), commit);
    let third = events(&scene.server, "shop", 3);
    assert!(third.is_empty(), "one deploy for all of them: {third:#?}");
}

#[test]
fn who_joins_a_deploy_that_fails_reads_the_same_reason() {
    let scene = Scene::open(Transport::Local);
    let before = Traces::of(&scene.server, "shop");
    scene.version(
        "v1",
        Plan {
            lines: 2,
            fails: true,
            ..Plan::stop(Stop::Install)
        },
    );
    let [again, follow] = interrupted_and_joined(&scene);
    again.rejected();
    assert_eq!(follow.code, 1, "{}", follow.text);
    assert_eq!(errors(&again), errors(&follow));
    assert!(events(&scene.server, "shop", 3).is_empty());
    unchanged(&before, &scene.server, "shop");
}

/// The cause, without what git adds.
fn errors(pushed: &Pushed) -> Vec<&str> {
    let lines = pushed.text.lines();
    let errors =
        lines.filter(|line| line.starts_with("error: ") && !line.contains("failed to push"));
    let errors: Vec<_> = errors.collect();
    assert_eq!(errors.len(), 1, "{}", pushed.text);
    errors
}

/// As with Ctrl-Z: of a local push the hook stands still too. Hook and receive-pack are ended for it, and when the client
/// goes on it learns that the line is gone, but no false verdict.
#[test]
fn a_local_push_that_is_stopped_with_its_hook_leaves_nothing_and_reads_nothing_false() {
    let scene = Scene::open(Transport::Local);
    let commit = scene.version(
        "v1",
        Plan {
            lines: 20_000,
            ..Plan::stop(Stop::Install)
        },
    );
    let stopped = scene.pusher();
    scene.until_stopped();
    stopped.signal_all(Signal::SIGSTOP);
    scene.open_doors();
    let verdict = crate::support::told::until_verdict(&scene.server, "shop", 2);
    assert_eq!(verdict.event, "live");
    assert_eq!(branch(&scene.repo), commit);
    crate::gone::cleared(&scene, verdict.at, "stopped with its hook");
    scene.version("v2", Plan::stop(Stop::Nowhere));
    scene.push().went_live().says("success: release 3 is live");

    stopped.signal_all(Signal::SIGCONT);
    let ended = stopped.finish();
    assert_ne!(ended.code, 0, "{}", ended.text);
    assert!(!ended.text.contains("rejected"), "{}", ended.text);
}

/// The client neither reads nor closes while its deploy fails, and more is printed than it can find afterwards.
#[test]
fn a_client_that_was_stopped_while_its_deploy_failed_does_not_end_well() {
    for lines in [0, 20_000] {
        let scene = Scene::open(Transport::Local);
        let before = Traces::of(&scene.server, "shop");
        scene.version(
            "v1",
            Plan {
                lines,
                fails: true,
                ..Plan::stop(Stop::Install)
            },
        );
        let stopped = scene.pusher();
        scene.until_stopped();
        stopped.signal(Signal::SIGSTOP);
        scene.open_doors();
        let verdict = crate::support::told::until_verdict(&scene.server, "shop", 2);
        assert_eq!(verdict.event, "failed");
        crate::gone::cleared(&scene, verdict.at, "stopped, and its deploy fails");
        stopped.signal(Signal::SIGCONT);
        let ended = stopped.finish();
        assert_ne!(ended.code, 0, "{}", ended.text);
        assert!(!ended.text.contains("success:"), "{}", ended.text);
        unchanged(&before, &scene.server, "shop");
    }
}
