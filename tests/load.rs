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

use support::load::{Client, Pushes};
use support::nginx::{self, Nginx};
use support::{Project, Server, skip};

/// Deploys in a plain round.
const DEPLOYS: u32 = 20;
/// Deploys in the other rounds, unless the full number is wanted.
const FEW_DEPLOYS: u32 = 6;
/// From one push to the next, at least. A slower machine needs longer: it is measured.
const BETWEEN_PUSHES: Duration = Duration::from_millis(2500);

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

    /// How far pushes are to be apart: twice what one takes.
    fn pace(&self) -> Duration {
        self.project.commit("once more, to see how long it takes");
        let began = Instant::now();
        self.project.push(&self.repo).went_live();
        self.server.until_drained("shop");
        BETWEEN_PUSHES.max(began.elapsed() * 2)
    }

    /// Pushes so many versions under load; nothing may be lost, and nothing may be left.
    #[track_caller]
    fn deploys_without_loss(&self, count: u32) {
        let every = self.pace();
        for n in 1..=count {
            self.project.version(&format!("v{n}"));
            self.project.git(&["tag", &format!("v{n}")]);
        }
        let pushes = Pushes {
            project: &self.project,
            repo: &self.repo,
            count,
            every,
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
