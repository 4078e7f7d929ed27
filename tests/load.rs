//! No request is lost: strictly counted traffic of every kind while versions are pushed, behind the built-in front and
//! behind nginx.
//!
//! The two plain rounds make 20 deploys each; the others a few, and 20 with `HANDOVER_LOAD_FULL=1`. Each test wants the
//! machine for itself.

#![allow(clippy::unwrap_used)]

mod support;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use support::load::{Client, Pushes};
use support::nginx::{self, Nginx};
use support::{Group, Project, Server, skip, until};

/// Deploys in a plain round.
const DEPLOYS: u32 = 20;
/// Deploys in the other rounds, unless the full number is wanted.
const FEW_DEPLOYS: u32 = 6;
/// From one push to the next, at least.
const BETWEEN_PUSHES: Duration = Duration::from_millis(2500);
/// How long a push takes under load, for a client that has to know beforehand how long it runs: so much, or so many
/// times as long as without traffic.
const UNDER_LOAD: (Duration, u32) = (Duration::from_secs(6), 4);

/// Who stands in front of the app.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Before {
    Front,
    Nginx,
}

/// Which traffic's app, and what is special about it.
#[derive(Debug, Clone, Copy)]
struct Setting {
    before: Before,
    /// Whether the app has a handler for SIGTERM.
    graceful: bool,
    instances: u32,
}

const PLAIN: Setting = Setting {
    before: Before::Front,
    graceful: false,
    instances: 1,
};

/// A deployed app, and somebody in front of it.
struct Site {
    // Dropped in this order: traffic is over when the app ends.
    nginx: Option<Nginx>,
    server: Server,
    project: Project,
    repo: PathBuf,
    client: Client,
    _alone: MutexGuard<'static, ()>,
}

/// One test at a time.
fn alone() -> MutexGuard<'static, ()> {
    static MACHINE: Mutex<()> = Mutex::new(());
    MACHINE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn project(setting: Setting) -> Project {
    let project = Project::of_fixture("load");
    prepare(&project, setting);
    project
}

fn prepare(project: &Project, setting: Setting) {
    project.write(
        "handover.toml",
        &format!(
            "[web]\ninstances = {}\n[drain]\ntimeout = \"1h\"\n",
            setting.instances
        ),
    );
    if setting.graceful {
        project.write("GRACEFUL", "");
    }
    project.version("v0");
}

impl Site {
    /// `None`: this machine lacks something.
    fn new(setting: Setting) -> Option<Self> {
        let alone = alone();
        let Some(client) = Client::find() else {
            skip("there is no load client: HANDOVER_LOAD names none");
            return None;
        };
        Self::with(setting, project(setting), client, alone)
    }

    fn with(
        setting: Setting,
        project: Project,
        client: Client,
        alone: MutexGuard<'static, ()>,
    ) -> Option<Self> {
        if setting.before == Before::Nginx && !nginx::is_installed() {
            skip("there is no nginx");
            return None;
        }
        let server = match setting.before {
            Before::Front => Server::start(),
            Before::Nginx => Server::start_with(&nginx::settings(), &["--no-front"]),
        };
        let repo = server.create("shop");
        project.push(&repo).went_live();
        let nginx = (setting.before == Before::Nginx).then(|| Nginx::start(&server, "shop"));
        Some(Self {
            nginx,
            server,
            project,
            repo,
            client,
            _alone: alone,
        })
    }

    fn address(&self) -> SocketAddr {
        match &self.nginx {
            Some(nginx) => nginx.address(),
            None => self.server.address(),
        }
    }

    /// How long a push takes.
    fn push_once_more(&self) -> Duration {
        self.project.commit("to see how long it takes");
        let began = Instant::now();
        self.project.push(&self.repo).went_live();
        began.elapsed()
    }

    /// Pushes so many versions under load; nothing may be lost, and nothing may be left.
    #[track_caller]
    fn deploys_without_loss(&self, count: u32) {
        let at_most = UNDER_LOAD.0.max(self.push_once_more() * UNDER_LOAD.1);
        for n in 1..=count {
            self.project.version(&format!("v{n}"));
            self.project.git(&["tag", &format!("v{n}")]);
        }
        let pushes = Pushes {
            project: &self.project,
            repo: &self.repo,
            count,
            every: BETWEEN_PUSHES,
            at_most,
        };
        let report = self.client.run(self.address(), &pushes);
        report.nothing_was_lost();
        self.server.until_drained("shop");
        assert_eq!(self.server.status("shop")["live"]["release"], count + 2);
        assert_eq!(generation_sockets(&self.server.run_dir("shop")), 1);
    }
}

fn generation_sockets(dir: &Path) -> usize {
    let names = std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names
        .filter(|name| {
            name.starts_with('g') && Path::new(name).extension().is_some_and(|e| e == "sock")
        })
        .count()
}

fn few() -> u32 {
    if std::env::var_os("HANDOVER_LOAD_FULL").is_some_and(|full| full == "1") {
        DEPLOYS
    } else {
        FEW_DEPLOYS
    }
}

#[test]
fn behind_the_front_no_request_is_lost_in_20_deploys() {
    if let Some(site) = Site::new(PLAIN) {
        site.deploys_without_loss(DEPLOYS);
    }
}

#[test]
fn behind_nginx_no_request_is_lost_in_20_deploys() {
    let setting = Setting {
        before: Before::Nginx,
        ..PLAIN
    };
    if let Some(site) = Site::new(setting) {
        site.deploys_without_loss(DEPLOYS);
    }
}

/// Both fronts, a few deploys.
macro_rules! few_deploys {
    ($($name:ident: $setting:expr),* $(,)?) => {
        $(mod $name {
            use super::*;

            #[test]
            fn behind_the_front() {
                if let Some(site) = Site::new($setting) {
                    site.deploys_without_loss(few());
                }
            }

            #[test]
            fn behind_nginx() {
                let setting = Setting { before: Before::Nginx, ..$setting };
                if let Some(site) = Site::new(setting) {
                    site.deploys_without_loss(few());
                }
            }
        })*
    };
}

few_deploys! {
    nothing_is_lost_with_an_app_that_handles_sigterm: Setting { graceful: true, ..PLAIN },
    nothing_is_lost_with_four_instances: Setting { instances: 4, ..PLAIN },
}

#[test]
fn the_app_that_the_acceptance_load_brings_along_loses_nothing() {
    let alone = alone();
    let Some((client, app)) =
        Client::find().and_then(|client| client.app().map(|app| (client, app)))
    else {
        eprintln!("left out: there is none");
        return;
    };
    let project = Project::of(&app);
    prepare(&project, PLAIN);
    if let Some(site) = Site::with(PLAIN, project, client, alone) {
        site.deploys_without_loss(few());
    }
}

/// How long traffic lasts during which something else is done than deploying, in seconds.
const A_WHILE_S: u32 = 25;

/// Does something in the midst of traffic.
fn meanwhile(site: &Site, act: impl FnOnce()) -> support::load::Report {
    let traffic = site.client.begin(site.address(), A_WHILE_S);
    until("the WebSockets are open", || {
        (site.server.status("shop")["live"]["connections"].as_u64()? > 8).then_some(())
    });
    act();
    traffic.end()
}

/// Does something for a part of the time that traffic lasts.
fn again_and_again(mut act: impl FnMut()) {
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(A_WHILE_S.into()) / 2 {
        act();
    }
}

#[test]
fn nothing_is_lost_when_instances_come_and_go() {
    let Some(site) = Site::new(PLAIN) else { return };
    let report = meanwhile(&site, || {
        again_and_again(|| {
            for wanted in ["web=4", "web=1"] {
                site.server.ok(&["scale", "shop", wanted]);
            }
        });
    });
    report.nothing_was_lost();
    until("one instance is left", || {
        (site.server.instance_pids("shop").len() == 1).then_some(())
    });
}

#[test]
fn nothing_is_lost_in_restarts() {
    let Some(site) = Site::new(PLAIN) else { return };
    let report = meanwhile(&site, || {
        again_and_again(|| drop(site.server.ok(&["restart", "shop"])));
    });
    report.nothing_was_lost();
    site.server.until_drained("shop");
}

/// Losses that can't be explained by the end of the process that had the connection.
const NOT_BY_A_KILL: &[&str] = &[
    "refused",
    "timeout",
    "bad",
    "http_other",
    "stalled",
    "mangled",
    "unexpected",
];

/// The instance is frozen first, so that what it has accepted can be counted. Whoever stands in front can tell its
/// clients no better than with a 502 that the app has ended without an answer: those are counted too, and are no more
/// than the connections that the instance had.
fn a_kill_loses_only_what_was_accepted(before: Before) {
    let setting = Setting {
        before,
        instances: 2,
        ..PLAIN
    };
    let Some(site) = Site::new(setting) else {
        return;
    };
    let generation = &site.server.status("shop")["live"]["generation"];
    let socket = site
        .server
        .run_dir("shop")
        .join(format!("g{generation}.sock"));
    let mut accepted = 0;
    let report = meanwhile(&site, || {
        let groups = site.server.instance_pids("shop").into_iter().map(Group);
        let busiest = groups.max_by_key(|group| group.connections(&socket));
        let victim = busiest.expect("there are two instances");
        victim.freeze();
        accepted = victim.connections(&socket);
        victim.signal(Signal::SIGKILL);
    });
    let lost: u64 = report.lost.values().sum();
    eprintln!(
        "{accepted} connections accepted, {lost} lost: {:?}",
        report.lost
    );
    assert!(lost <= accepted as u64, "{:?} of {accepted}", report.lost);
    for (what, count) in &report.lost {
        let class = what.split_once('.').unwrap().1;
        assert!(!NOT_BY_A_KILL.contains(&class), "{what}: {count}");
    }
    let instances = &site.server.status("shop")["live"]["instances"];
    assert_eq!(instances.as_array().unwrap().len(), 2, "{instances}");
    let restarts = instances.as_array().unwrap().iter();
    let restarts: u64 = restarts.filter_map(|one| one["restarts"].as_u64()).sum();
    assert_eq!(restarts, 1, "{instances}");
}

#[test]
fn behind_the_front_a_killed_instance_loses_only_what_it_had_accepted() {
    a_kill_loses_only_what_was_accepted(Before::Front);
}

#[test]
fn behind_nginx_a_killed_instance_loses_only_what_it_had_accepted() {
    a_kill_loses_only_what_was_accepted(Before::Nginx);
}
