//! A full disk, at whatever moment it becomes full and however much is left: the live version serves on, the pusher
//! reads that it is the disk, nothing half-written is taken for whole, and as soon as there is room the next push works.

#![allow(clippy::unwrap_used)] // tests end where something unexpected is

mod support;

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use support::invariants::branch;
use support::steady::Users;
use support::{Project, Pushed, Server, Shop, SmallDisk, http, until};

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;

/// What is left when the push begins: less than its objects need, less than the judge wants, and enough.
const AT_THE_PUSH: [u64; 20] = [
    0,
    4 * KIB,
    8 * KIB,
    12 * KIB,
    16 * KIB,
    24 * KIB,
    32 * KIB,
    64 * KIB,
    128 * KIB,
    512 * KIB,
    MIB - 4 * KIB,
    MIB,
    2 * MIB,
    8 * MIB,
    16 * MIB,
    63 * MIB,
    64 * MIB,
    65 * MIB,
    66 * MIB,
    72 * MIB,
];

/// What is left when the checkout begins: its files need 3 MiB.
const AT_THE_CHECKOUT: [u64; 10] = [
    0,
    4 * KIB,
    64 * KIB,
    512 * KIB,
    MIB,
    2 * MIB,
    3 * MIB,
    4 * MIB,
    6 * MIB,
    24 * MIB,
];

/// What the build leaves: the start of the new version, the swap and its record must do with it, or not begin.
const BY_THE_BUILD: [u64; 20] = [
    0,
    4 * KIB,
    8 * KIB,
    16 * KIB,
    32 * KIB,
    64 * KIB,
    128 * KIB,
    256 * KIB,
    512 * KIB,
    768 * KIB,
    MIB - 4 * KIB,
    MIB,
    MIB + 4 * KIB,
    MIB + 64 * KIB,
    MIB + 512 * KIB,
    2 * MIB,
    3 * MIB,
    6 * MIB,
    10 * MIB,
    16 * MIB,
];

/// An app that prints with each answer.
const TALKING_SERVER: &str = r"
const { readFileSync } = require('node:fs');
const { createServer } = require('node:http');
const version = readFileSync(`${__dirname}/VERSION`, 'utf8').trim();
createServer((req, res) => {
  console.log('asked for', req.url, 'which is answered here, in this line of the log, at some length');
  res.end(`version ${version}\n`);
}).listen(process.env.PORT);
";

/// A build that fills the disk until what the file `leave` names is left, if there is one: bytes, or inodes.
const FILLING_BUILD: &str = r"
const fs = require('node:fs');
const home = '../../../..';
if (!fs.existsSync(`${home}/leave`)) process.exit(0);
const [count, what] = fs.readFileSync(`${home}/leave`, 'utf8').split(' ');
const left = () => {
  const now = fs.statfsSync(home);
  return what === 'bytes' ? now.bavail * now.bsize : now.ffree;
};
if (what === 'inodes') fs.mkdirSync(`${home}/filler.d`, { recursive: true });
for (let n = 0; left() > Number(count); n++) {
  const more = Math.min(left() - Number(count), 1 << 20);
  if (what === 'bytes') fs.appendFileSync(`${home}/filler`, Buffer.alloc(more));
  else fs.writeFileSync(`${home}/filler.d/${n}`, '');
}
";

/// An app on a disk of its own, used by somebody.
struct Scene {
    users: Users,
    shop: Shop,
    disk: SmallDisk,
    version: u32,
}

impl Scene {
    fn open(disk: &str) -> Option<Self> {
        let (mut server, disk) = SmallDisk::with_server(disk, "keep_releases = 2\n")?;
        server.launch(&["--listen", "127.0.0.1:0"]);
        let shop = Shop::open_on(server, "v1", &[]);
        shop.project.write("server.js", TALKING_SERVER);
        let mut scene = Self {
            users: Users::of_any_version(shop.server.address()),
            shop,
            disk,
            version: 1,
        };
        scene.goes_live();
        Some(scene)
    }

    fn next_version(&mut self) -> String {
        self.version += 1;
        self.shop.project.version(&format!("v{}", self.version))
    }

    /// The next version goes live, as there is room.
    fn goes_live(&mut self) {
        self.next_version();
        self.shop.project.push(&self.shop.repo).went_live();
    }

    fn live(&self) -> String {
        let status = self.shop.server.status("shop");
        status["live"]["commit"].as_str().unwrap().to_owned()
    }

    /// A push with too little room (`how`): it has gone live, or nothing has changed and it says why. With room again it
    /// goes live.
    fn pushed(&self, how: &str, before: &str, commit: &str, told: &Pushed) {
        eprintln!(
            "{how}: {}",
            told.text
                .lines()
                .find(|line| is_verdict(line))
                .unwrap_or("?")
        );
        if told.code == 0 {
            assert_eq!(self.live(), commit, "{how}: {}", told.text);
        } else {
            assert_eq!(self.live(), before, "{how}: {}", told.text);
            assert!(names_the_disk(&told.text), "{how}: {}", told.text);
        }
        assert_eq!(branch(&self.shop.repo), self.live(), "{how}");
        self.shop.server.assert_right();
        self.disk.empty();
        if told.code != 0 {
            self.shop.project.push(&self.shop.repo).went_live();
            assert_eq!(self.live(), commit, "{how}");
        }
    }

    fn ends_well(self) {
        self.users.finish().all_answered();
        self.shop.server.until_drained("shop");
    }
}

fn is_verdict(line: &str) -> bool {
    ["error: ", "success: ", "fatal: "]
        .iter()
        .any(|word| line.contains(word))
}

fn names_the_disk(text: &str) -> bool {
    let words = [
        "No space left on device",
        "disk is full",
        "free where releases are kept",
        "ENOSPC",
        // What git says where it can't make a single directory.
        "unable to create temporary object directory",
    ];
    words.iter().any(|words| text.contains(words))
}

fn skipped() {
    support::skip("a file system can't be mounted here");
}

#[test]
fn a_disk_that_is_full_when_a_push_comes_stops_that_push_and_nothing_else() {
    let Some(mut scene) = Scene::open("size=160m") else {
        return skipped();
    };
    for left in AT_THE_PUSH {
        let (before, commit) = (scene.live(), scene.next_version());
        scene.disk.leave_bytes(left);
        let told = scene.shop.project.push(&scene.shop.repo);
        let how = format!("{left} bytes left at the push");
        scene.pushed(&how, &before, &commit, &told);
    }
    scene.ends_well();
}

#[test]
fn a_disk_that_becomes_full_during_a_checkout_stops_that_deploy_and_nothing_else() {
    let Some(mut scene) = Scene::open("size=160m") else {
        return skipped();
    };
    scene
        .shop
        .project
        .write("large.txt", &"large\n".repeat(512 << 10));
    for left in AT_THE_CHECKOUT {
        let (before, commit) = (scene.live(), scene.next_version());
        let told = scene.push_filling_at_the_checkout(left);
        let how = format!("{left} bytes left at the checkout");
        scene.pushed(&how, &before, &commit, &told);
    }
    scene.ends_well();
}

#[test]
fn a_disk_that_becomes_full_while_a_version_is_built_stops_that_version_and_nothing_else() {
    let Some(mut scene) = Scene::building("size=160m") else {
        return skipped();
    };
    for left in BY_THE_BUILD {
        scene.push_filling_by_the_build(&format!("{left} bytes"));
    }
    scene.ends_well();
}

#[test]
fn a_disk_without_inodes_stops_a_push_and_nothing_else() {
    let Some(mut scene) = Scene::building("size=160m,nr_inodes=4000") else {
        return skipped();
    };
    for left in [0, 2, 10, 100, 1000] {
        let (before, commit) = (scene.live(), scene.next_version());
        scene.disk.leave_inodes(left);
        let told = scene.shop.project.push(&scene.shop.repo);
        let how = format!("{left} inodes left at the push");
        scene.pushed(&how, &before, &commit, &told);
    }
    for left in [0, 2, 10, 63, 64, 80, 200] {
        scene.push_filling_by_the_build(&format!("{left} inodes"));
    }
    scene.ends_well();
}

/// Where the server's log lies there may be no room at any moment, in the middle of a line too.
#[test]
fn a_log_that_can_not_be_written_stops_nothing() {
    let mut server = Server::prepare("");
    std::os::unix::fs::symlink("/dev/full", server.log_path()).unwrap();
    server.launch(&["--listen", "127.0.0.1:0"]);
    let shop = Shop::open_on(server, "v1", &[]);
    shop.project.version("v2");
    shop.project.push(&shop.repo).went_live();
    std::fs::remove_file(shop.server.log_path()).unwrap();
    std::fs::write(shop.server.log_path(), "").unwrap();
}

#[test]
fn the_way_back_a_fresh_start_and_another_server_work_on_a_full_disk() {
    let Some(mut scene) = Scene::open("size=160m,nr_inodes=20000") else {
        return skipped();
    };
    scene.goes_live();
    let (second, first) = (scene.live(), "version v2\n");
    scene.shop.server.until_drained("shop");
    scene.disk.leave_bytes(0);
    scene.shop.server.ok(&["rollback", "shop"]);
    assert_eq!(scene.answer(), first);
    scene.full_again();
    scene.shop.server.ok(&["restart", "shop"]);
    scene.full_again();
    scene.disk.leave_inodes(0);
    scene.shop.server.ok(&["rollback", "shop"]);
    assert_eq!(scene.live(), second);
    scene.shop.server.assert_right();
    scene.shop.server.end(nix::sys::signal::Signal::SIGKILL);
    scene.disk.leave_bytes(0);
    scene.shop.server.launch_again();
    scene.shop.server.ok(&["restart", "shop"]);
    assert_eq!(scene.live(), second);
    scene.shop.server.assert_right();
    scene.disk.empty();
    scene.goes_live();
    until("room is kept back again", || {
        (scene.kept_back() > 0).then_some(())
    });
    scene.ends_well();
}

impl Scene {
    /// An app whose builds may fill the disk.
    fn building(disk: &str) -> Option<Self> {
        const PACKAGE: &str = r#"{"name": "fixture-http-port", "version": "1.0.0",
            "scripts": {"start": "node server.js", "build": "node fill.js"}}"#;
        let scene = Self::open(disk)?;
        scene.shop.project.write("package.json", PACKAGE);
        scene.shop.project.write("fill.js", FILLING_BUILD);
        Some(scene)
    }

    fn push_filling_by_the_build(&mut self, leave: &str) {
        let order = self.shop.server.home().join("leave");
        std::fs::write(&order, leave).unwrap();
        let (before, commit) = (self.live(), self.next_version());
        let told = self.shop.project.push(&self.shop.repo);
        std::fs::remove_file(order).unwrap();
        let how = format!("{leave} left by the build");
        self.pushed(&how, &before, &commit, &told);
    }

    /// Pushes, and fills the disk as soon as the staging directory is there.
    fn push_filling_at_the_checkout(&self, left: u64) -> Pushed {
        let releases = self.shop.server.app_dir("shop").join("releases");
        let over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    if has_staging(&releases) {
                        return self.disk.leave_bytes(left);
                    }
                }
            });
            let told = self.shop.project.push(&self.shop.repo);
            over.store(true, Ordering::Relaxed);
            told
        })
    }

    fn answer(&self) -> String {
        http::get(self.shop.server.address(), "/").unwrap().body
    }

    /// What is left of the room that was kept back is kept back again, and then the disk is filled again.
    fn full_again(&self) {
        self.shop.server.until_drained("shop");
        until("room is kept back again", || {
            (self.kept_back() > 0).then_some(())
        });
        self.disk.leave_bytes(0);
    }

    fn kept_back(&self) -> usize {
        let reserve = self.shop.server.home().join("reserve");
        std::fs::read_dir(reserve).into_iter().flatten().count()
    }
}

fn has_staging(releases: &Path) -> bool {
    let entries = std::fs::read_dir(releases).unwrap().flatten();
    let mut names = entries.map(|entry| entry.file_name());
    names.any(|name| name.to_string_lossy().starts_with(".staging-"))
}

#[test]
fn a_disk_that_is_nearly_full_is_told_before_anything_is_written() {
    let server = Server::start();
    let repo = server.create("shop");
    let project = Project::tiny();
    let releases = server.app_dir("shop").join("releases");
    let Some(small) = SmallDisk::mount(&releases, "size=1m") else {
        return support::skip("a file system can't be mounted here");
    };
    project
        .push(&repo)
        .rejected()
        .says("error: checkout: there are 1 MiB and ")
        .says("hint: the server's disk is full: `df -h` shows where");
    drop(small);
    project.push(&repo).went_live();
}
