//! Databases of other versions: an older one becomes one of this version, and a newer one is left alone.

use std::path::{Path, PathBuf};

use nix::sys::signal::Signal;
use rusqlite::Connection;

use crate::support::steady::Users;
use crate::support::{Server, Shop, http};

const RELEASED: &[&str] = &[
    include_str!("versions/1.sql"),
    include_str!("versions/2.sql"),
    include_str!("versions/3.sql"),
    include_str!("versions/4.sql"),
    include_str!("versions/5.sql"),
];

fn database(server: &Server) -> PathBuf {
    server.home().join("handover.db")
}

fn names(connection: &Connection, sql: &str) -> Vec<String> {
    let mut statement = connection.prepare(sql).unwrap();
    let rows = statement.query_map([], |row| row.get(0)).unwrap();
    rows.map(Result::unwrap).collect()
}

/// The database as a handover of that version would have written it: what its tables have no place for is left out.
fn as_of_version(version: usize, path: &Path) {
    let earlier = path.with_extension("earlier");
    let old = Connection::open(&earlier).unwrap();
    old.execute_batch(RELEASED[version - 1]).unwrap();
    old.execute("ATTACH ?1 AS now", [path.to_str().unwrap()])
        .unwrap();
    // As they refer to each other.
    let parents_first = "SELECT name FROM main.sqlite_schema WHERE type = 'table' ORDER BY name NOT IN ('apps', 'keys')";
    for table in names(&old, parents_first) {
        let columns = names(
            &old,
            &format!("SELECT name FROM pragma_table_info('{table}', 'main')"),
        );
        let columns = columns.join(", ");
        let copy =
            format!("INSERT INTO main.{table} ({columns}) SELECT {columns} FROM now.{table}");
        old.execute(&copy, []).unwrap();
    }
    old.execute_batch("DETACH now").unwrap();
    old.pragma_update(None, "user_version", u32::try_from(version).unwrap())
        .unwrap();
    drop(old);
    for ending in ["db-wal", "db-shm"] {
        let _ = std::fs::remove_file(path.with_extension(ending)); // where there is one
    }
    std::fs::rename(earlier, path).unwrap();
}

#[test]
fn a_server_takes_over_what_a_server_of_each_earlier_version_has_left_running() {
    let mut shop = Shop::open("v0");
    for version in 1..=RELEASED.len() {
        let users = Users::of(shop.server.address());
        let (pids, live) = (
            shop.server.instance_pids("shop"),
            shop.server.status("shop")["live"]["commit"].clone(),
        );
        shop.server.end(Signal::SIGKILL);
        as_of_version(version, &database(&shop.server));
        shop.server.launch_again();
        assert_eq!(
            shop.server.status("shop")["live"]["commit"],
            live,
            "version {version}"
        );
        assert_eq!(shop.server.instance_pids("shop"), pids, "version {version}");
        users.finish().all_answered();
        let name = format!("v{version}");
        shop.project.version(&name);
        shop.project.push(&shop.repo).went_live();
        assert_eq!(
            http::get(shop.server.address(), "/").unwrap().body,
            format!("version {name}\n")
        );
        shop.server.until_drained("shop");
        shop.server.assert_right();
    }
}

#[test]
fn a_newer_database_is_refused_with_the_way_out_and_left_alone_while_apps_serve_on() {
    let mut shop = Shop::open("v1");
    let users = Users::of(shop.server.address());
    shop.server.end(Signal::SIGTERM);
    let path = database(&shop.server);
    let version = |version: u32| {
        let found = Connection::open(&path).unwrap();
        found.pragma_update(None, "user_version", version).unwrap();
    };
    version(99);
    let before = std::fs::read(&path).unwrap();
    let refused = shop.server.run(&["serve", "--no-front"]);
    let words = String::from_utf8(refused.stderr).unwrap();
    assert_eq!(refused.status.code(), Some(1), "{words}");
    assert!(
        words
            .contains("it has version 99, this handover knows 5; install the newer handover again"),
        "{words}"
    );
    assert!(
        std::fs::read(&path).unwrap() == before,
        "nothing was written"
    );
    users.finish().all_answered();
    version(5);
    shop.server.launch_again();
    shop.project.version("v2");
    shop.project.push(&shop.repo).went_live();
}
