//! {local, ssh} × {SIGINT, SIGKILL, SIGSTOP for 30 s, a reset line} × {install, install with 2 MB of output, health,
//! just before the swap}: nobody who gets lost stops a deploy, is in its way, or leaves anything behind.

use std::collections::BTreeSet;
use std::path::Path;
use std::thread::{scope, sleep};
use std::time::{Duration, Instant, SystemTime};

use nix::sys::signal::Signal;

use crate::scene::{Plan, Scene, Stop, Transport};
use crate::support::invariants::{branch, processes_of};
use crate::support::project::pushed;
use crate::support::told::until_verdict;
use crate::support::wait::until_or;
use crate::support::{Pusher, skip, sshd};

/// How a pusher gets lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// Ctrl-C: a terminal signals the whole group, and of a local push `receive-pack` and its hook are members too.
    Interrupt,
    /// git's client is killed, and nothing else.
    Kill,
    /// The client is stopped and neither reads nor closes. Of a local push that is git's client alone: `receive-pack`
    /// and the hook run on the server's side.
    Stop,
    /// The connection is reset. A local push has none: there everything is killed that holds an end of its pipes.
    Reset,
}

/// How long a stopped client stays stopped.
const STOPPED: Duration = Duration::from_secs(30);
/// How soon after the deploy's end nothing of the push may be left.
const CLEARED: Duration = Duration::from_secs(5);

/// More than all the pipes and buffers between a build and a client hold.
const LOUD: u32 = 20_000;

const MOMENTS: [Plan; 4] = [
    at(Stop::Install, 0),
    at(Stop::Install, LOUD),
    at(Stop::Health, 0),
    at(Stop::Swap, 0),
];

const fn at(stop: Stop, lines: u32) -> Plan {
    Plan {
        stop,
        lines,
        fails: false,
        family: false,
    }
}

/// Gets lost in this way at every moment, in an installation of its own each.
fn gets_lost(transport: Transport, way: Way) {
    if transport == Transport::Ssh && !sshd::is_installed() {
        return skip("this machine has no sshd");
    }
    scope(|scope| {
        for plan in MOMENTS {
            scope.spawn(move || gets_lost_at(transport, way, plan));
        }
    });
}

fn gets_lost_at(transport: Transport, way: Way, plan: Plan) {
    let case = format!("{transport:?}, {way:?}, {plan:?}");
    let scene = Scene::open(transport);
    let commit = scene.version("v1", plan);
    let pusher = scene.pusher();
    scene.until_stopped();

    let lost = Instant::now();
    lose(&scene, &pusher, way, transport);
    scene.open_doors();
    let verdict = until_verdict(&scene.server, "shop", 2);
    assert_eq!(verdict.event, "live", "{case}");
    cleared(&scene, verdict.at, &case);

    assert_eq!(branch(&scene.repo), commit, "{case}");
    let live = &scene.server.status("shop")["live"];
    assert_eq!(live["commit"], commit, "{case}");
    let followed = pushed(&scene.server.run(&["follow", "shop"]));
    assert_eq!(followed.code, 0, "{case}: {}", followed.text);
    followed.says("success: release 2 is live");
    if plan.lines > 0 {
        followed.says(&format!("{} ....", plan.lines - 1));
    }

    comes_back(pusher, way, plan, lost, &case);
    scene.version("v2", Plan::stop(Stop::Nowhere));
    scene.push().went_live().says("success: release 3 is live");
}

fn lose(scene: &Scene, pusher: &Pusher, way: Way, transport: Transport) {
    match (way, transport) {
        (Way::Interrupt, _) => pusher.signal_all(Signal::SIGINT),
        (Way::Kill, _) => pusher.signal(Signal::SIGKILL),
        (Way::Stop, Transport::Local) => pusher.signal(Signal::SIGSTOP),
        (Way::Stop, Transport::Ssh) => pusher.signal_all(Signal::SIGSTOP),
        (Way::Reset, Transport::Local) => pusher.signal_all(Signal::SIGKILL),
        (Way::Reset, Transport::Ssh) => scene.cut_line(),
    }
}

/// Nothing of the push and of the build is left soon after the deploy's end.
pub fn cleared(scene: &Scene, end: SystemTime, case: &str) {
    let home = scene.server.home();
    let gone = until_or(
        || left(home).is_empty().then(SystemTime::now),
        || format!("{case}: these are left: {:#?}", left(home)),
    );
    let took = gone.duration_since(end).unwrap_or_default();
    eprintln!("{case}: nothing is left after {took:?}");
    assert!(took < CLEARED, "{case}: it took {took:?}");
}

/// Hooks, what git runs for the push, and what is marked as the app's: installs and builds.
pub fn left(home: &Path) -> BTreeSet<String> {
    let mark = format!("HANDOVER_BUILD={}", home.display());
    let builds = |process: &str| {
        let pid = process.split(' ').next().unwrap();
        let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        String::from_utf8_lossy(&environment).contains(&mark)
    };
    processes_of(home)
        .into_iter()
        // The shell by which a client starts its receive-pack is the client's.
        .filter(|one| !(one.contains("/sh -c") && one.contains("receive-pack")))
        .filter(|one| one.contains(" hook ") || one.contains("receive-pack") || builds(one))
        .collect()
}

/// The client ends, and does not say that all is well where it can't know.
fn comes_back(pusher: Pusher, way: Way, plan: Plan, lost: Instant, case: &str) {
    match way {
        Way::Interrupt | Way::Kill | Way::Reset => {
            let ended = pusher.finish();
            assert_ne!(ended.code, 0, "{case}: {}", ended.text);
        }
        Way::Stop => {
            sleep(STOPPED.saturating_sub(lost.elapsed()));
            pusher.signal_all(Signal::SIGCONT);
            let ended = pusher.finish();
            // What little there was to read has waited for it. What was too much has not, but the commit is live
            // whatever it says.
            if plan.lines == 0 {
                ended.went_live();
            }
        }
    }
}

macro_rules! cases {
    ($($name:ident: $transport:ident, $way:ident;)*) => {$(
        #[test]
        fn $name() {
            gets_lost(Transport::$transport, Way::$way);
        }
    )*};
}

cases! {
    a_local_push_that_is_interrupted_is_deployed: Local, Interrupt;
    a_local_push_whose_client_is_killed_is_deployed: Local, Kill;
    a_local_push_whose_client_is_stopped_is_deployed: Local, Stop;
    a_local_push_that_is_killed_altogether_is_deployed: Local, Reset;
    a_push_over_ssh_that_is_interrupted_is_deployed: Ssh, Interrupt;
    a_push_over_ssh_whose_client_is_killed_is_deployed: Ssh, Kill;
    a_push_over_ssh_whose_client_is_stopped_is_deployed: Ssh, Stop;
    a_push_over_ssh_whose_line_is_reset_is_deployed: Ssh, Reset;
}
