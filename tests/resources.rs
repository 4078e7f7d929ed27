//! What a machine may be short of beside disk: memory, processes, descriptors, a quick disk. Whoever pushes reads what it is,
//! and whoever uses the app notices nothing.

#![allow(clippy::unwrap_used)] // tests end where something unexpected is

mod support;

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use support::steady::Users;
use support::{Cgroup, Group, Pusher, Shop, http, until};

const MIB: u64 = 1 << 20;

fn skipped(controller: &str) {
    support::skip(&format!(
        "there is no control group for {controller} to be had here"
    ));
}

/// Uses 200 MiB.
const LARGE_SERVER: &str = r"
globalThis.held = Buffer.alloc(200 << 20, 1);
require('node:http').createServer((req, res) => res.end('large\n')).listen(process.env.PORT);
";

#[test]
fn a_pusher_is_warned_where_two_versions_do_not_fit_into_memory() {
    let Some(group) = Cgroup::make("memory") else {
        return skipped("memory");
    };
    let shop = Shop::open("v1");
    group.take(shop.server.pid());
    let good = shop.project.read("server.js");
    shop.project.write("server.js", LARGE_SERVER);
    shop.project.version("v2");
    let told = shop.project.push(&shop.repo);
    assert!(!told.went_live().text.contains("memory is short"));
    shop.server.until_drained("shop");
    // As much as npm needs, and not another 200 MiB.
    group.limit_memory(group.memory() + 150 * MIB);
    shop.project.write("server.js", &good);
    shop.project.version("v3");
    let told = shop.project.push(&shop.repo);
    told.went_live()
        .says("warning: memory is short: the live version uses 2");
    shop.server.until_drained("shop");
    drop(shop);
}

#[test]
fn a_build_gives_way_to_the_app_and_is_the_first_to_be_killed() {
    const PACKAGE: &str = r#"{"name": "fixture-http-port", "version": "1.0.0", "scripts": {"start": "node server.js",
        "build": "echo adj=$(cat /proc/self/oom_score_adj) nice=$(nice) io=$(ionice)"}}"#;
    let shop = Shop::open("v1");
    shop.project.write("package.json", PACKAGE);
    shop.project.version("v2");
    let own: i32 = {
        let nice = Command::new("nice").output().unwrap();
        String::from_utf8(nice.stdout)
            .unwrap()
            .trim()
            .parse()
            .unwrap()
    };
    let lower = (own + 10).min(19);
    shop.project
        .push(&shop.repo)
        .went_live()
        .says(&format!("adj=500 nice={lower} io=best-effort: prio 7"));
    let pid = shop.server.instance_pids("shop")[0];
    let of = |pid: u32| std::fs::read_to_string(format!("/proc/{pid}/oom_score_adj")).unwrap();
    assert_eq!(
        of(pid),
        of(shop.server.pid()),
        "the app stands where the server does"
    );
}

#[test]
fn a_refused_fork_fails_the_deploy_in_clear_words_and_nothing_else() {
    let Some(group) = Cgroup::make("pids") else {
        return skipped("processes");
    };
    let shop = Shop::open("v1");
    let users = Users::of_any_version(shop.server.address());
    group.take(shop.server.pid());
    let first = shop.server.status("shop")["live"]["commit"].clone();
    let commit = shop.project.version("v2");
    group.allow_no_more(true);
    shop.project
        .push(&shop.repo)
        .rejected()
        .says("Resource temporarily unavailable");
    assert_eq!(
        shop.server.status("shop")["live"]["commit"],
        *first.as_str().unwrap()
    );
    group.allow_no_more(false);
    shop.project.push(&shop.repo).went_live();
    assert_eq!(shop.server.status("shop")["live"]["commit"], *commit);
    users.finish().all_answered();
    drop(shop);
}

#[test]
fn an_instance_that_can_not_be_started_for_want_of_processes_starts_later() {
    let Some(group) = Cgroup::make("pids") else {
        return skipped("processes");
    };
    let shop = Shop::open("v1");
    group.take(shop.server.pid());
    shop.project.version("v2");
    shop.project.push(&shop.repo).went_live();
    shop.server.until_drained("shop");
    group.allow_no_more(true);
    Group(shop.server.instance_pids("shop")[0]).signal(Signal::SIGKILL);
    until("the keeper says that it can't", || {
        let log = shop.server.ok(&["logs", "shop"]);
        log.contains("Resource temporarily unavailable")
            .then_some(())
    });
    group.allow_no_more(false);
    let answer = until("the app answers again", || {
        http::get(shop.server.address(), "/").ok()
    });
    assert_eq!(answer.body, "version v2\n");
    drop(shop);
}

#[test]
fn a_server_without_descriptors_says_so_and_goes_on_when_there_are_some() {
    let shop = Shop::open("v1");
    let users = Users::of_any_version(shop.server.address());
    let commit = shop.project.version("v2");
    let pid = shop.server.pid();
    let open = std::fs::read_dir(format!("/proc/{pid}/fd"))
        .unwrap()
        .count();
    // A few for the connection that asks, and none for what it asks for.
    limit_descriptors(pid, open + 3);
    let told = shop.project.push(&shop.repo);
    assert_eq!(told.code, 1, "{}", told.text);
    told.says("Too many open files");
    limit_descriptors(pid, 1024);
    shop.project.push(&shop.repo).went_live();
    assert_eq!(shop.server.status("shop")["live"]["commit"], *commit);
    users.finish().all_answered();
}

fn limit_descriptors(pid: u32, count: usize) {
    let mut prlimit = Command::new("prlimit");
    prlimit.args(["--pid", &pid.to_string(), &format!("--nofile={count}:")]);
    assert!(prlimit.status().unwrap().success());
}

#[test]
fn apps_have_the_limit_of_descriptors_that_the_server_began_with() {
    const PACKAGE: &str = r#"{"name": "fixture-http-port", "version": "1.0.0", "scripts": {"start": "node server.js",
        "build": "echo open files: $(ulimit -Sn) of $(ulimit -Hn)"}}"#;
    let shop = Shop::open("v1");
    shop.project.write("package.json", PACKAGE);
    shop.project.version("v2");
    let own = Command::new("sh")
        .args(["-c", "echo open files: $(ulimit -Sn) of $(ulimit -Hn)"])
        .output()
        .unwrap();
    shop.project
        .push(&shop.repo)
        .went_live()
        .says(String::from_utf8(own.stdout).unwrap().trim());
}

/// Each of these takes a second longer from now on, in the server and in what it starts.
const SLOW: &str = "fsync,fdatasync,syncfs,sync_file_range";

/// strace, attached to a server; ended when this is dropped.
struct SlowDisk {
    strace: Child,
    log: PathBuf,
}

impl SlowDisk {
    fn under(pid: u32, log: PathBuf) -> Option<Self> {
        if tracer_of(pid) != 0 {
            return None; // by scripts/strace-suite
        }
        let mut strace = Command::new("strace");
        let (trace, inject) = (
            format!("trace={SLOW}"),
            format!("inject={SLOW}:delay_exit=1000000"),
        );
        strace
            .args([
                "-f",
                "-e",
                &trace,
                "-e",
                &inject,
                "-p",
                &pid.to_string(),
                "-o",
            ])
            .arg(&log)
            .stderr(Stdio::null());
        let strace = strace.spawn().ok()?;
        until("strace is attached", || {
            (tracer_of(pid) == strace.id()).then_some(())
        });
        Some(Self { strace, log })
    }

    /// The threads that have waited for the disk, once for each time.
    fn who_waited(&self) -> Vec<u32> {
        let text = std::fs::read_to_string(&self.log).unwrap();
        let calls = text
            .lines()
            .filter(|line| line.contains("sync") && !line.contains("resumed"));
        let thread = |line: &str| line.split(' ').next()?.parse().ok();
        calls.filter_map(thread).collect()
    }
}

impl Drop for SlowDisk {
    fn drop(&mut self) {
        // SIGINT makes it let go of whom it is attached to.
        let _ = kill(
            Pid::from_raw(self.strace.id().cast_signed()),
            Signal::SIGINT,
        );
        let _ = self.strace.wait();
    }
}

fn tracer_of(pid: u32) -> u32 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let tracer = status
        .lines()
        .find_map(|line| line.strip_prefix("TracerPid:"));
    tracer.unwrap().trim().parse().unwrap()
}

#[test]
fn the_servers_allocator_keeps_nothing_back_and_apps_know_nothing_of_that() {
    let shop = Shop::open("v1");
    let knows = |pid: u32| {
        let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap();
        String::from_utf8_lossy(&environment).contains("GLIBC_TUNABLES=glibc.malloc.tcache_count=0")
    };
    assert!(knows(shop.server.pid()));
    let others = shop.server.pids_like(|_| true).into_iter();
    for pid in others.filter(|pid| *pid != shop.server.pid()) {
        assert!(!knows(pid), "process {pid}");
    }
}

#[test]
fn a_slow_disk_makes_a_push_slow_and_nobody_else() {
    let shop = Shop::open("v1");
    let users = Users::of_any_version(shop.server.address());
    let commit = shop.project.version("v2");
    let log = shop.server.home().join("strace.log");
    let Some(slow) = SlowDisk::under(shop.server.pid(), log) else {
        return support::skip("the server can't be traced here");
    };
    let push = Pusher::start(&mut shop.project.push_command(&shop.repo, &["main"]));
    let mut asked = 0;
    while !push.so_far().contains("success: ") && !push.so_far().contains("error: ") {
        let status = shop.server.status("shop");
        assert!(status["live"]["release"].is_u64(), "{status}");
        asked += 1;
    }
    push.finish().went_live();
    assert!(asked > 1, "status answers while a push waits for the disk");
    assert_eq!(shop.server.status("shop")["live"]["commit"], *commit);
    let waited = slow.who_waited();
    assert!(waited.len() > 5, "{waited:?}");
    assert!(
        !waited.contains(&shop.server.pid()),
        "the thread that serves everybody has waited for the disk"
    );
    drop(slow);
    users.finish().all_answered();
}
