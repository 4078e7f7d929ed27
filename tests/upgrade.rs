//! `serve` as a service: sockets that systemd passes, what it is told, and a binary that is replaced while apps run.

#![allow(clippy::unwrap_used)] // tests end where something unexpected is

mod support;

use std::fs::read_link;
use std::net::TcpListener;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::process::Command;

use nix::sys::signal::Signal;
use support::processes::sockets_of;
use support::steady::Users;
use support::{Server, Shop, http, until};

/// The inodes of a listener: every descriptor for it has the same one.
fn inode(listener: &TcpListener) -> String {
    use std::os::fd::AsRawFd;
    let link = read_link(format!("/proc/self/fd/{}", listener.as_raw_fd())).unwrap();
    link.to_str().unwrap()["socket:[".len()..]
        .trim_end_matches(']')
        .to_owned()
}

#[test]
fn the_front_listens_on_the_socket_that_was_passed_and_apps_never_have_it() {
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut server = Server::prepare("listen = [\"127.0.0.1:1\"]\n");
    server.launch_with_socket(&socket, &[]);
    assert_eq!(server.address(), socket.local_addr().unwrap());
    let Shop { server, .. } = Shop::open_on(server, "v1", &[]);
    assert_eq!(
        http::get(server.address(), "/").unwrap().body,
        "version v1\n"
    );

    let public = inode(&socket);
    let holders = |pids: Vec<u32>| {
        let mut holding = pids.into_iter();
        holding.any(|pid| sockets_of(pid).contains(&public))
    };
    assert!(holders(server.front_pids()), "the front has the socket");
    assert!(holders(vec![server.pid()]), "serve keeps it");
    let known = [server.front_pids(), vec![server.pid()]].concat();
    let mut pids = server.pids_like(|_| true);
    pids.retain(|pid| !known.contains(pid));
    assert!(pids.len() >= 2, "a keeper and an instance run: {pids:?}");
    assert!(
        !holders(pids),
        "neither keeper nor app has the public socket"
    );
}

#[test]
fn a_restart_with_the_same_passed_socket_keeps_the_front_and_loses_nothing() {
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut server = Server::prepare("");
    server.launch_with_socket(&socket, &[]);
    let Shop { mut server, .. } = Shop::open_on(server, "v1", &[]);
    let fronts = server.front_pids();
    let users = Users::of(server.address());
    for _ in 0..3 {
        server.end(Signal::SIGTERM);
        server.launch_with_socket(&socket, &[]);
        assert_eq!(server.address(), socket.local_addr().unwrap());
    }
    users.finish().all_answered();
    assert_eq!(server.front_pids(), fronts);
}

#[test]
fn after_an_upgrade_front_and_keepers_follow_and_nothing_is_lost() {
    let mut server = Server::prepare("");
    server.upgrade_binary();
    server.launch(&["--listen", "127.0.0.1:0"]);
    let mut shop = Shop::open_on(server, "v1", &[]);
    let before = shop.server.front_pids();
    let instances = shop.server.instance_pids("shop");
    let users = Users::of(shop.server.address());

    shop.server.upgrade_binary();
    shop.server.end(Signal::SIGTERM);
    shop.server.launch_again();
    // The old one stays for the user who listens without an end.
    let fresh = until("a new front runs beside the old one", || {
        let now = shop.server.front_pids();
        now.iter().find(|pid| !before.contains(pid)).copied()
    });
    until("the new front serves", || {
        let stat = sockets_of(fresh).len();
        (stat > 0 && http::get(shop.server.address(), "/").is_ok()).then_some(())
    });
    let installed = shop.server.home().join("handover");
    assert_eq!(program_of(fresh), installed);
    assert_eq!(shop.server.instance_pids("shop"), instances);
    users.finish().all_answered();
    until("the old front has gone with its last user", || {
        (shop.server.front_pids() == [fresh]).then_some(())
    });

    assert_ne!(program_of(shop.server.keeper_pid("shop")), installed);
    let users = Users::of_any_version(shop.server.address());
    shop.project.version("v2");
    shop.project.push(&shop.repo).went_live();
    assert_eq!(program_of(shop.server.keeper_pid("shop")), installed);
    users.finish().all_answered();
}

/// The file that a process runs; one whose name is gone has another one.
fn program_of(pid: u32) -> PathBuf {
    read_link(format!("/proc/{pid}/exe")).unwrap()
}

#[test]
fn a_socket_that_is_none_is_refused_with_words() {
    let server = Server::prepare("");
    let serve = server.command();
    let output = Command::new("sh")
        .args([
            "-c",
            r#"LISTEN_PID=$$ LISTEN_FDS=1 exec "$@" 3</dev/null"#,
            "sh",
        ])
        .arg(serve.get_program())
        .args(serve.get_args())
        .arg("serve")
        .output()
        .unwrap();
    let words = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{words}");
    assert!(
        words.contains("descriptor 3 is not a listening socket"),
        "{words}"
    );
}

#[test]
fn systemd_hears_when_the_server_is_ready_and_when_it_ends() {
    let notices = tempfile::tempdir().unwrap();
    let path = notices.path().join("notify");
    let heard = UnixDatagram::bind(&path).unwrap();
    let server = Server::prepare("");
    let mut command = server.command();
    command
        .args(["serve", "--no-front"])
        .env("NOTIFY_SOCKET", &path);
    let mut child = command.stdout(std::process::Stdio::null()).spawn().unwrap();
    let mut bytes = [0; 64];
    let length = heard.recv(&mut bytes).unwrap();
    assert_eq!(&bytes[..length], b"READY=1");
    server.ok(&["status"]);
    nix::sys::signal::kill(
        nix::unistd::Pid::from_raw(child.id().cast_signed()),
        Signal::SIGTERM,
    )
    .unwrap();
    let length = heard.recv(&mut bytes).unwrap();
    assert_eq!(&bytes[..length], b"STOPPING=1");
    assert!(child.wait().unwrap().success());
}
