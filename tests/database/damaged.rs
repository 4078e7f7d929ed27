//! A damaged database is kept aside and rebuilt, whatever the damage, and says what was lost.

use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rusqlite::{Connection, OpenFlags};
use serde_json::Value;

use crate::support::invariants::processes_of;
use crate::support::steady::{TICKING_SERVER, Users};
use crate::support::{Project, Server, Shop, http, until};

fn database(server: &Server) -> PathBuf {
    server.home().join("handover.db")
}

fn backup(server: &Server) -> PathBuf {
    server.home().join("handover.db.backup")
}

/// Waits until the backup says so.
fn until_backed_up(server: &Server, sql: &str) {
    until("the backup has it", || {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY;
        let found = Connection::open_with_flags(backup(server), flags).ok()?;
        let found: Option<i64> = found.query_row(sql, [], |row| row.get(0)).ok();
        found.filter(|count| *count > 0)
    });
}

/// Everything is in the file itself, and there is no log.
fn without_log(server: &Server) {
    let found = Connection::open(database(server)).unwrap();
    found
        .pragma_update(None, "wal_checkpoint", "TRUNCATE")
        .unwrap();
}

fn overwrite(path: &Path, at: u64, bytes: &[u8]) {
    let file = std::fs::File::options().write(true).open(path).unwrap();
    file.write_all_at(bytes, at).unwrap();
}

type Damage = fn(&Path);

/// Each kind of damage, to the files of a server that does not run.
const KINDS: &[(&str, Damage)] = &[
    ("header overwritten", |path| {
        overwrite(path, 0, &[0x55; 100]);
    }),
    ("page in the middle", |path| {
        let len = std::fs::metadata(path).unwrap().len();
        overwrite(path, len / 2 / 4096 * 4096, &[0xa5; 8192]);
    }),
    ("truncated", |path| {
        let file = std::fs::File::options().write(true).open(path).unwrap();
        let len = file.metadata().unwrap().len();
        file.set_len(len / 2).unwrap();
    }),
    ("empty", |path| std::fs::write(path, "").unwrap()),
    ("text", |path| {
        std::fs::write(path, "not a database\n".repeat(999)).unwrap();
    }),
    ("gone", |path| std::fs::remove_file(path).unwrap()),
    ("garbage for a log", |path| {
        std::fs::write(path.with_extension("db-wal"), [0x5a; 9000]).unwrap();
    }),
];

/// What somebody can see of the apps.
fn seen(server: &Server) -> Vec<Value> {
    let apps = ["shop", "blog"].iter().map(|app| {
        let status = server.status(app);
        let pids = server.instance_pids(app);
        let releases = server.json(&["releases", app]);
        let releases = releases["releases"].as_array().unwrap().iter();
        let releases: Vec<_> = releases
            .map(|one| {
                (
                    one["release"].clone(),
                    one["commit"].clone(),
                    one["subject"].clone(),
                )
            })
            .collect();
        let live = &status["live"];
        serde_json::json!([
            live["release"],
            live["generation"],
            live["commit"],
            status["branch"],
            pids,
            releases
        ])
    });
    apps.collect()
}

/// An app more, whose first version is live.
fn open_blog(server: &Server) -> (PathBuf, Project) {
    let repo = server.create_with("blog", &["--no-gate", "--domain", "blog.example"]);
    let project = Project::tiny();
    project.write("server.js", TICKING_SERVER);
    project.version("blog 1");
    project.push(&repo).went_live();
    (repo, project)
}

#[test]
fn whatever_the_damage_apps_serve_on_and_deploy_again_and_what_was_lost_is_told() {
    let mut shop = Shop::open_on(Server::start(), "v1", &["--domain", "localhost"]);
    until_backed_up(&shop.server, "SELECT count(*) FROM releases");
    let early = std::fs::read(backup(&shop.server)).unwrap();
    // All of this the backup does not know.
    shop.project.version("v2");
    shop.project.push(&shop.repo).went_live();
    let (blog, blog_project) = open_blog(&shop.server);
    shop.server.until_drained("shop");
    let before = seen(&shop.server);
    let users = Users::of(shop.server.address());
    for (kind, damage) in KINDS {
        shop.server.end(Signal::SIGKILL);
        without_log(&shop.server);
        std::fs::write(backup(&shop.server), &early).unwrap();
        damage(&database(&shop.server));
        shop.server.launch_again();
        assert_eq!(seen(&shop.server), before, "{kind}");
        shop.server.assert_right();
    }
    users.finish().all_answered();
    shop.project.version("v3");
    shop.project.push(&shop.repo).went_live();
    blog_project.version("blog 2");
    blog_project.push(&blog).went_live();
    assert_eq!(shop.server.status("shop")["live"]["release"], 3);

    let log = shop.server.log();
    for told in [
        "the database was damaged (file is not a database",
        "the database was damaged (it is gone)",
        "rebuilt from the backup of 20",
        "app `blog` is taken up again from its repository; its host names",
        "app `shop`: 1 more of its releases are remembered again",
    ] {
        assert!(log.contains(told), "{told:?} is not in the log:\n{log}");
    }
    let entries = std::fs::read_dir(shop.server.home()).unwrap();
    let kept = entries.filter(|entry| {
        let name = entry.as_ref().unwrap().file_name();
        let name = name.to_str().unwrap().strip_prefix("handover.db.damaged-");
        name.is_some_and(|rest| rest.strip_suffix(".txt").is_some())
    });
    assert_eq!(
        kept.count(),
        KINDS.len(),
        "each time it is told in a file, too"
    );
}

const KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPaAHKrdqlmoTkXwDSxmVGOVgIcmm1ZBEoxZ6rOhFRG8 ada";

fn add_key(server: &Server, key: &str) {
    let file = server.home().join("ada.pub");
    std::fs::write(&file, key).unwrap();
    let mut add = server.command();
    add.args(["keys", "add", "ada"])
        .stdin(std::fs::File::open(file).unwrap());
    let output = add.output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn without_a_backup_and_with_nothing_running_apps_come_back_on_the_same_release() {
    let mut shop = Shop::open("v1");
    open_blog(&shop.server);
    shop.project.version("v2");
    shop.project.push(&shop.repo).went_live();
    shop.server.ok(&["rollback", "shop"]);
    shop.server.until_drained("shop");
    add_key(&shop.server, KEY);

    shop.server.end(Signal::SIGKILL);
    for line in processes_of(shop.server.home()) {
        let pid = line.split(' ').next().unwrap().parse().unwrap();
        let _ = kill(Pid::from_raw(pid), Signal::SIGKILL); // it may end with another
    }
    until("nothing runs", || {
        processes_of(shop.server.home()).is_empty().then_some(())
    });
    without_log(&shop.server);
    std::fs::remove_file(backup(&shop.server)).unwrap();
    overwrite(&database(&shop.server), 0, &[0x55; 100]);
    shop.server.launch_again();
    until("both are live again", || {
        let live = |app| shop.server.status(app)["state"] == "live";
        (live("shop") && live("blog")).then_some(())
    });
    let status = shop.server.status("shop");
    assert_eq!(status["live"]["release"], 1, "what was gone back to");
    let releases = shop.server.json(&["releases", "shop"]);
    assert_eq!(releases["releases"].as_array().unwrap().len(), 2);
    let log = shop.server.log();
    assert!(
        log.contains("begun anew, as there is no good backup"),
        "{log}"
    );
    assert!(
        log.contains("keys are lost") && log.contains("VgIcmm1ZBEoxZ6rOhFRG8"),
        "{log}"
    );
    shop.project.version("v3");
    shop.project.push(&shop.repo).went_live();
    assert_eq!(
        shop.server.status("shop")["live"]["release"],
        3,
        "no number is given twice"
    );
}

#[test]
fn damage_that_is_found_while_the_server_runs_ends_deploys_until_it_is_restarted() {
    let mut shop = Shop::open("v1");
    until_backed_up(
        &shop.server,
        "SELECT count(*) FROM generations WHERE state = 'live'",
    );
    let users = Users::of(shop.server.address());
    without_log(&shop.server);
    let path = database(&shop.server);
    let len = std::fs::metadata(&path).unwrap().len();
    overwrite(
        &path,
        4096,
        &vec![0xa5; usize::try_from(len).unwrap() - 4096],
    );
    shop.project.version("v2");
    for _ in 0..2 {
        shop.project
            .push(&shop.repo)
            .rejected()
            .says("is damaged; restart the server, which keeps it aside and rebuilds it");
    }
    assert_eq!(shop.server.status("shop")["state"], "live");
    shop.server.end(Signal::SIGTERM);
    shop.server.launch_again();
    users.finish().all_answered();
    shop.project.push(&shop.repo).went_live();
    assert_eq!(
        http::get(shop.server.address(), "/").unwrap().body,
        "version v2\n"
    );
}
