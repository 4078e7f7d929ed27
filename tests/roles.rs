//! Each kind of process dies under load, two kinds at once, and all at once: what is lost is what the dead process held,
//! and all is right again without anybody's help.
//!
//! `tests/kill_points.rs` has `serve`, keepers and fronts die at each step of a deploy, `tests/keeper_lost.rs` the keeper of
//! what is live, `tests/restart.rs` has `serve` away for a while, and `tests/disconnect` has pushers who get lost.

#![allow(clippy::unwrap_used)] // tests end where something unexpected is

mod support;

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use support::caller::{Caller, Listener, ask};
use support::invariants::{branch, processes_of};
use support::steady::TICKING_SERVER;
use support::{Group, Project, Pushed, Pusher, Server, Shop, http, until};

fn live_socket(server: &Server, app: &str) -> PathBuf {
    server.run_dir(app).join("live.sock")
}

fn end(pid: u32) {
    kill(Pid::from_raw(pid.cast_signed()), Signal::SIGKILL).unwrap();
}

/// The processes of an installation whose command line has these words.
fn processes(server: &Server, words: &str) -> Vec<u32> {
    let all = processes_of(server.home()).into_iter();
    let meant = all.filter(|line| line.contains(words));
    meant
        .map(|line| line.split(' ').next().unwrap().parse().unwrap())
        .collect()
}

fn keeper_of(server: &Server, app: &str, generation: u32) -> u32 {
    let dir = server.run_dir(app).join(format!("g{generation}"));
    let keepers = processes(server, dir.to_str().unwrap()).into_iter();
    let mut keepers = keepers.filter(|pid| command_of(*pid).contains(" keep "));
    keepers.next_back().unwrap()
}

fn command_of(pid: u32) -> String {
    let bytes = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&bytes).replace('\0', " ")
}

#[track_caller]
fn none_is_lost(caller: &Caller) {
    assert_eq!(caller.failures(), Vec::<String>::new());
}

/// What serves now is taken over by a push, as a proof that somebody is in charge.
fn next_version_goes_live(shop: &Shop, version: &str) {
    let commit = shop.project.version(version);
    shop.project.push(&shop.repo).went_live();
    assert_eq!(shop.server.status("shop")["live"]["commit"], commit);
    let answer = ask(&live_socket(&shop.server, "shop")).unwrap();
    assert_eq!(answer, format!("version {version}\n"));
}

#[test]
fn when_the_keeper_of_a_draining_version_dies_who_is_connected_to_it_stays_connected() {
    let shop = Shop::open("v1");
    let socket = live_socket(&shop.server, "shop");
    let mut listener = Listener::to(&socket).unwrap();
    let caller = Caller::at(socket);
    let orphan = shop.server.instance_pids("shop")[0];
    next_version_goes_live(&shop, "v2");
    let keeper = keeper_of(&shop.server, "shop", 1);
    end(keeper);
    until("the keeper is gone", || {
        command_of(keeper).is_empty().then_some(())
    });
    next_version_goes_live(&shop, "v3");
    listener.hears().unwrap();
    assert!(!command_of(orphan).is_empty());
    drop(listener);
    until("the orphan is ended", || {
        command_of(orphan).is_empty().then_some(())
    });
    shop.server.assert_right();
    none_is_lost(&caller);
}

/// A server that answers `/slow` when it is told to end, which is never.
const SLOW_SERVER: &str = r"
const { createServer } = require('node:http');
createServer((req, res) => { if (req.url !== '/slow') res.end('quick\n'); }).listen(process.env.PORT);
";

#[test]
fn an_instance_that_dies_takes_with_it_what_it_had_accepted_and_nothing_else() {
    let shop = Shop::open("v1");
    shop.project.write("server.js", SLOW_SERVER);
    shop.project.version("v2");
    shop.project.push(&shop.repo).went_live();
    shop.server.until_drained("shop");
    let socket = live_socket(&shop.server, "shop");
    let held: Vec<UnixStream> = (0..3).map(|_| asked(&socket, "/slow")).collect();
    let instance = Group(shop.server.instance_pids("shop")[0]);
    let own = shop.server.run_dir("shop").join("g2.sock");
    until("all three are accepted", || {
        (instance.connections(&own) == 3).then_some(())
    });
    // From here on it accepts nothing: who comes now waits in the queue, which is the keeper's.
    instance.freeze();
    let waiting: Vec<UnixStream> = (0..20).map(|_| asked(&socket, "/")).collect();
    instance.signal(Signal::SIGKILL);
    for stream in held {
        assert_eq!(answer(stream), "", "it was held by the instance");
    }
    for stream in waiting {
        assert!(answer(stream).ends_with("quick\n"), "it had only waited");
    }
    let status = shop.server.status("shop");
    assert_eq!(status["live"]["generation"], 2);
    assert_eq!(status["live"]["instances"][0]["restarts"], 1);
}

fn asked(socket: &Path, path: &str) -> UnixStream {
    let mut stream = UnixStream::connect(socket).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(30)))
        .unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    stream
}

/// What comes before the connection ends, however it ends.
fn answer(mut stream: UnixStream) -> String {
    let mut text = Vec::new();
    let _ = stream.read_to_end(&mut text); // a reset is an end, too
    String::from_utf8(text).unwrap()
}

/// A push of a version whose install or build goes on until `go` is there.
fn push_that_waits(shop: &Shop, script: &str) -> (Pusher, PathBuf) {
    let (begun, go) = (
        shop.server.home().join("begun"),
        shop.server.home().join("go"),
    );
    let (begun_at, go_at) = (begun.display(), go.display());
    let wait = format!("touch {begun_at}; until [ -e {go_at} ]; do sleep 0.05; done");
    shop.project.write(
        "package.json",
        &format!(r#"{{"name": "fixture-http-port", "version": "1.0.0", "scripts": {{"start": "node server.js", "{script}": "{wait}"}}}}"#),
    );
    shop.project.version("v2");
    let push = Pusher::start(&mut shop.project.push_command(&shop.repo, &["main"]));
    until("the script has begun", || begun.exists().then_some(()));
    (push, go)
}

#[test]
fn when_npm_dies_the_push_is_rejected_and_the_same_push_goes_live() {
    let shop = Shop::open("v1");
    let first = branch(&shop.repo);
    let caller = Caller::at(live_socket(&shop.server, "shop"));
    let (push, go) = push_that_waits(&shop, "postinstall");
    // npm calls itself by its name and its arguments.
    let npm = processes(&shop.server, "npm ci");
    assert!(!npm.is_empty());
    npm.into_iter().for_each(end);
    push.finish().rejected();
    assert_eq!(branch(&shop.repo), first);
    until("the script is ended with it", || {
        processes(&shop.server, "until [ -e")
            .is_empty()
            .then_some(())
    });
    shop.server.assert_right();
    std::fs::write(go, "").unwrap();
    shop.project.push(&shop.repo).went_live();
    none_is_lost(&caller);
}

/// Somebody on the pusher's way dies while the build goes on.
fn the_deploy_goes_on_without(words: &str) {
    let shop = Shop::open("v1");
    let caller = Caller::at(live_socket(&shop.server, "shop"));
    let (push, go) = push_that_waits(&shop, "build");
    let dead = processes(&shop.server, words);
    assert!(!dead.is_empty(), "{words} runs");
    dead.into_iter().for_each(end);
    let told: Pushed = push.finish();
    assert_ne!(told.code, 0, "{}", told.text);
    std::fs::write(go, "").unwrap();
    let commit = shop.project.git(&["rev-parse", "HEAD"]).trim().to_owned();
    until("the version is live all the same", || {
        (shop.server.status("shop")["live"]["commit"] == commit).then_some(())
    });
    shop.server.assert_right();
    let again = shop.project.push(&shop.repo);
    assert_eq!(again.code, 0, "{}", again.text);
    none_is_lost(&caller);
}

#[test]
fn when_the_hook_dies_the_deploy_goes_on() {
    the_deploy_goes_on_without(" hook proc-receive");
}

#[test]
fn when_gits_receiver_dies_the_deploy_goes_on() {
    the_deploy_goes_on_without("receive-pack ");
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Serve,
    Keeper,
    Front,
}

/// These die as close in time as can be; who connects to the app itself loses nothing.
fn die_together(roles: &[Role]) {
    let dies = |role| roles.contains(&role);
    let mut shop = Shop::open("v1");
    let socket = live_socket(&shop.server, "shop");
    let caller = Caller::at(socket.clone());
    let orphan = shop.server.instance_pids("shop")[0];
    let keepers = processes(&shop.server, " keep ");
    assert!(!keepers.is_empty());
    if dies(Role::Serve) {
        shop.server.end(Signal::SIGKILL);
    }
    if dies(Role::Keeper) {
        keepers.into_iter().for_each(end);
    }
    if dies(Role::Front) {
        shop.server.kill_front();
    }
    if dies(Role::Serve) {
        assert_eq!(ask(&socket).unwrap(), "version v1\n", "with nobody there");
        shop.server.launch_again();
    }
    until("the front answers", || {
        http::get(shop.server.address(), "/").ok()
    });
    shop.server.assert_right();
    assert_eq!(shop.server.status("shop")["live"]["release"], 1);
    assert_eq!(
        command_of(orphan).is_empty(),
        dies(Role::Keeper),
        "orphans are ended"
    );
    next_version_goes_live(&shop, "v2");
    none_is_lost(&caller);
}

#[test]
fn serve_and_a_keeper_die_together() {
    die_together(&[Role::Serve, Role::Keeper]);
}

#[test]
fn serve_and_the_front_die_together() {
    die_together(&[Role::Serve, Role::Front]);
}

#[test]
fn a_keeper_and_the_front_die_together() {
    die_together(&[Role::Keeper, Role::Front]);
}

#[test]
fn serve_a_keeper_and_the_front_die_together() {
    die_together(&[Role::Serve, Role::Keeper, Role::Front]);
}

/// Every process of an installation is killed, until there is none.
fn kill_all(server: &mut Server) {
    let serve = server.pid();
    until("nobody is left", || {
        let all: Vec<u32> = processes(server, "").into_iter().collect();
        for pid in all.iter().filter(|pid| **pid != serve) {
            let _ = kill(Pid::from_raw(pid.cast_signed()), Signal::SIGKILL); // it may just have ended
        }
        let _ = kill(Pid::from_raw(serve.cast_signed()), Signal::SIGKILL); // likewise
        all.is_empty().then_some(())
    });
    server.await_death();
}

#[test]
fn after_the_end_of_all_what_was_live_is_live_again() {
    let mut shop = Shop::open_on(Server::start(), "v1", &["--domain", "shop.test"]);
    let blog = shop.server.create_with("blog", &["--domain", "blog.test"]);
    let other = Project::tiny();
    other.write("server.js", TICKING_SERVER);
    let commit = other.version("b1");
    other.push(&blog).went_live();
    next_version_goes_live(&shop, "v1.1");
    // Two versions of one serve, of the other one is built.
    let listener = Listener::to(&live_socket(&shop.server, "blog")).unwrap();
    shop.server.ok(&["restart", "blog"]);
    let before = branch(&shop.repo);
    let (push, go) = push_that_waits(&shop, "build");

    kill_all(&mut shop.server);
    std::fs::remove_dir_all(shop.server.home().join("run")).unwrap();
    drop(listener);
    drop(push);
    shop.server.launch_again();
    for (host, answer) in [
        ("shop.test", "version v1.1\n"),
        ("blog.test", "version b1\n"),
    ] {
        until("what was live is live again", || {
            let found = http::get_from(shop.server.address(), host, "/").ok()?;
            (found.body == answer).then_some(())
        });
    }
    shop.server.assert_right();
    let status = shop.server.json(&["status"]);
    let live: Vec<_> = status["apps"].as_array().unwrap().iter().collect();
    assert_eq!(live[0]["live"]["commit"], commit);
    assert_eq!(live[1]["live"]["commit"], before);
    assert_eq!(
        (&live[0]["live"]["release"], &live[1]["live"]["release"]),
        (&1.into(), &2.into())
    );
    std::fs::write(go, "").unwrap();
    shop.project.push(&shop.repo).went_live();
}
