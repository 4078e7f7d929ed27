//! What nobody needs any more goes in the background: never beside a deploy, unless room is short; and whatever a server has
//! not come to, the next one does.

#![allow(clippy::unwrap_used)] // tests end where something unexpected is

mod support;

use std::path::{Path, PathBuf};

use nix::sys::signal::Signal;
use support::{Project, Pusher, Server, Shop, SmallDisk, until};

const SETTINGS: &str = "keep_releases = 1\nbuilds = 4\n";

/// Builds for as long as the file `hold` lies in the home.
const PACKAGE: &str = r#"{"name": "fixture-http-port", "version": "1.0.0", "scripts": {"start": "node server.js",
    "build": "while [ -e ../../../../hold ]; do sleep 0.1; done"}}"#;

/// The app `shop`, three of whose versions have been live, and the app `slow`, which is being built meanwhile.
struct Busy {
    shop: Shop,
    _project: Project,
}

impl Busy {
    fn on(server: Server) -> (Self, Pusher) {
        let shop = Shop::open_on(server, "v1", &[]);
        shop.project.version("v2");
        shop.project.push(&shop.repo).went_live();
        shop.server.until_drained("shop");
        std::fs::write(hold(&shop.server), "").unwrap();
        let repo = shop.server.create("slow");
        let project = Project::tiny();
        project.write("package.json", PACKAGE);
        project.version("v1");
        let slow = Pusher::start(&mut project.push_command(&repo, &["main"]));
        until("the other app is built", || {
            slow.so_far().contains("npm run build").then_some(())
        });
        shop.project.version("v3");
        shop.project.push(&shop.repo).went_live();
        let busy = Self {
            shop,
            _project: project,
        };
        (busy, slow)
    }

    fn release_1(&self) -> PathBuf {
        self.shop.server.app_dir("shop").join("releases/1")
    }

    fn trash(&self) -> usize {
        let releases = self.release_1();
        let names = std::fs::read_dir(releases.parent().unwrap()).unwrap();
        let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name.starts_with(".trash-")).count()
    }
}

fn hold(server: &Server) -> PathBuf {
    server.home().join("hold")
}

fn let_go(hold: &Path) {
    std::fs::remove_file(hold).unwrap();
}

#[test]
fn an_old_release_goes_when_the_last_deploy_has_ended() {
    let (busy, slow) = Busy::on(Server::start_with(SETTINGS, &["--listen", "127.0.0.1:0"]));
    until("the old release has no name", || {
        (!busy.release_1().exists()).then_some(())
    });
    until("it is shown", || {
        (busy.shop.server.status("shop")["removing"] == 1).then_some(())
    });
    let shown = busy.shop.server.ok(&["status", "shop"]);
    assert!(
        shown.contains("1 directory, while no deploy is at work"),
        "{shown}"
    );
    assert_eq!(busy.trash(), 1, "all the time that the other app is built");
    let_go(&hold(&busy.shop.server));
    slow.finish().went_live();
    until("it is gone", || {
        (busy.shop.server.status("shop")["removing"] == 0).then_some(())
    });
    assert_eq!(busy.trash(), 0);
    let shown = busy.shop.server.ok(&["status", "shop"]);
    assert!(!shown.contains("removing"), "{shown}");
}

#[test]
fn what_a_killed_server_has_not_come_to_the_next_one_does() {
    let (mut busy, slow) = Busy::on(Server::start_with(SETTINGS, &["--listen", "127.0.0.1:0"]));
    until("the old release is put aside", || {
        (busy.trash() == 1).then_some(())
    });
    busy.shop.server.end(Signal::SIGKILL);
    let_go(&hold(&busy.shop.server));
    busy.shop.server.launch_again();
    until("it is gone", || (busy.trash() == 0).then_some(()));
    let log = busy.shop.server.log();
    assert!(
        !log.contains(".trash-"),
        "that is nothing to be mended: {log}"
    );
    slow.finish();
}

#[test]
fn a_destroyed_app_is_gone_at_once_with_all_that_was_to_go() {
    let (busy, slow) = Busy::on(Server::start_with(SETTINGS, &["--listen", "127.0.0.1:0"]));
    until("the old release is put aside", || {
        (busy.trash() == 1).then_some(())
    });
    busy.shop.server.ok(&["app", "destroy", "shop", "--yes"]);
    assert!(!busy.shop.server.app_dir("shop").exists());
    let_go(&hold(&busy.shop.server));
    slow.finish().went_live();
    let log = busy.shop.server.log();
    assert!(!log.contains("can't be deleted"), "{log}");
}

#[test]
fn where_room_is_short_nothing_waits() {
    let Some((mut server, disk)) = SmallDisk::with_server("size=200m", SETTINGS) else {
        return support::skip("a file system can't be mounted here");
    };
    server.launch(&["--listen", "127.0.0.1:0"]);
    let (busy, slow) = Busy::on(server);
    until("the old release is gone", || {
        (!busy.release_1().exists()).then_some(())
    });
    until("with all that was in it", || {
        (busy.trash() == 0).then_some(())
    });
    assert!(
        hold(&busy.shop.server).exists(),
        "the other app is still being built"
    );
    let_go(&hold(&busy.shop.server));
    slow.finish().went_live();
    drop(busy.shop);
    drop(disk);
}
