use std::collections::BTreeMap;

use rusqlite::types::Value;

use super::*;
use crate::state::Database;

/// The tables of each version, as they were released; tests of whole servers use them, too.
const RELEASED: &[&str] = &[
    include_str!("../../../tests/database/versions/1.sql"),
    include_str!("../../../tests/database/versions/2.sql"),
    include_str!("../../../tests/database/versions/3.sql"),
    include_str!("../../../tests/database/versions/4.sql"),
    include_str!("../../../tests/database/versions/5.sql"),
];

/// What a database of a version may hold: every table, every column, every state. Each is added from its version on.
const ROWS: &[(usize, &str)] = &[
    (
        1,
        "INSERT INTO apps (name, branch, repo, gate, instances, created_at, next_release, next_generation, next_deploy, live_generation)
         VALUES ('shop', 'main', '/srv/shop.git', 1, 3, '2026-01-01T00:00:00Z', 3, 4, 9, 2),
                ('blog', 'trunk', '/srv/blog.git', 0, NULL, '2026-01-02T00:00:00Z', 1, 1, 1, NULL);
         INSERT INTO hosts VALUES ('shop.example.com', 'shop'), ('www.shop.example.com', 'shop');
         INSERT INTO releases (app, number, commit_id, subject, deploy, built_at)
         VALUES ('shop', 1, '1111111111111111111111111111111111111111', 'Open', 1, '2026-01-01T00:00:01Z'),
                ('shop', 2, '2222222222222222222222222222222222222222', 'Add the ☕ basket', 2, '2026-01-01T00:00:02Z');
         INSERT INTO generations VALUES ('shop', 1, 1, 1, 'draining', '2026-01-01T00:00:01Z'),
                ('shop', 2, 2, 2, 'live', '2026-01-01T00:00:02Z'), ('shop', 3, 2, 3, 'starting', '2026-01-01T00:00:03Z');
         INSERT INTO deploys (app, number, origin, branch, commit_id, subject, from_id, state, release, phase, cause, began_at, ended_at)
         VALUES ('shop', 1, 'push', 'main', '1111111111111111111111111111111111111111', 'Open', NULL, 'live', 1, NULL, NULL, '2026-01-01T00:00:00Z', '2026-01-01T00:00:01Z'),
                ('shop', 2, 'ref', 'main', '2222222222222222222222222222222222222222', 'Add', '1111111111111111111111111111111111111111', 'live', 2, NULL, NULL, '2026-01-01T00:00:00Z', '2026-01-01T00:00:01Z'),
                ('shop', 3, 'command', 'main', '3333333333333333333333333333333333333333', '', NULL, 'failed', NULL, 'build', 'no', '2026-01-01T00:00:00Z', '2026-01-01T00:00:01Z'),
                ('shop', 4, 'push', 'main', '3333333333333333333333333333333333333333', '', NULL, 'superseded', NULL, NULL, NULL, '2026-01-01T00:00:00Z', '2026-01-01T00:00:01Z'),
                ('shop', 5, 'restart', 'main', '3333333333333333333333333333333333333333', '', NULL, 'interrupted', NULL, NULL, NULL, '2026-01-01T00:00:00Z', '2026-01-01T00:00:01Z'),
                ('shop', 6, 'push', 'main', '3333333333333333333333333333333333333333', '', NULL, 'running', NULL, NULL, NULL, '2026-01-01T00:00:00Z', NULL),
                ('shop', 7, 'push', 'main', '3333333333333333333333333333333333333333', '', NULL, 'waiting', NULL, NULL, NULL, '2026-01-01T00:00:00Z', NULL);",
    ),
    (
        2,
        "INSERT INTO deploys (app, number, origin, branch, commit_id, subject, state, release, cause, began_at, ended_at)
         VALUES ('shop', 8, 'push', 'main', '3333333333333333333333333333333333333333', '', 'swapped_back', 2, 'it crashed', '2026-01-01T00:00:00Z', '2026-01-01T00:00:01Z');",
    ),
    (
        3,
        "UPDATE apps SET allow_force = 1 WHERE name = 'shop';
         UPDATE deploys SET moves_branch = 1, message = 'by hand' WHERE number = 2;
         UPDATE releases SET message = 'by hand' WHERE number = 2;",
    ),
    (
        4,
        "UPDATE apps SET webhook_url = 'https://example.com/hook', webhook_secret = '0123456789abcdef' WHERE name = 'shop';
         INSERT INTO deliveries VALUES ('d1', 'shop', 'deploy.live', '{}', 2, 1767225600);
         INSERT INTO last_deliveries VALUES ('shop', 'deploy.live', '2026-01-01T00:00:01Z', 0, '500');",
    ),
    (
        5,
        "INSERT INTO keys VALUES ('ada', 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPaAHKrdqlmoTkXwDSxmVGOVgIcmm1ZBEoxZ6rOhFRG8', 0, '2026-01-01T00:00:00Z', NULL);
         INSERT INTO key_apps VALUES ('ada', 'shop', 'push');
         UPDATE deploys SET pushed_by = 'ada' WHERE number = 1;
         UPDATE releases SET pushed_by = 'ada' WHERE number = 1;",
    ),
];

/// A database as the handover of this version has left it.
fn written_by(version: usize, path: &Path) -> Connection {
    let old = Connection::open(path).unwrap();
    old.pragma_update(None, "journal_mode", "wal").unwrap();
    old.execute_batch(RELEASED[version - 1]).unwrap();
    for (_, rows) in ROWS.iter().filter(|(from, _)| *from <= version) {
        old.execute_batch(rows).unwrap();
    }
    old.pragma_update(None, "user_version", u32::try_from(version).unwrap())
        .unwrap();
    old
}

type Content = BTreeMap<String, (Vec<String>, Vec<Vec<Value>>)>;

fn names(connection: &Connection, sql: &str) -> Vec<String> {
    let mut statement = connection.prepare(sql).unwrap();
    let rows = statement.query_map([], |row| row.get(0)).unwrap();
    rows.map(Result::unwrap).collect()
}

/// The columns of each table, and what is in them.
fn content(connection: &Connection) -> Content {
    let tables = names(
        connection,
        "SELECT name FROM sqlite_schema WHERE type = 'table'",
    );
    let content = tables.into_iter().map(|table| {
        let columns = names(
            connection,
            &format!("SELECT name FROM pragma_table_info('{table}')"),
        );
        let rows = rows_of(connection, &table, &columns);
        (table, (columns, rows))
    });
    content.collect()
}

fn rows_of(connection: &Connection, table: &str, columns: &[String]) -> Vec<Vec<Value>> {
    let sql = format!("SELECT {} FROM {table} ORDER BY rowid", columns.join(", "));
    let mut statement = connection.prepare(&sql).unwrap();
    let row = |row: &rusqlite::Row<'_>| (0..columns.len()).map(|at| row.get(at)).collect();
    let rows = statement.query_map([], row).unwrap();
    rows.map(Result::unwrap).collect()
}

#[test]
fn what_was_released_is_never_changed() {
    assert_eq!(
        RELEASED.len(),
        MIGRATIONS.len(),
        "a new version needs its tables and rows here"
    );
    for version in 1..=MIGRATIONS.len() {
        let stepped = Connection::open_in_memory().unwrap();
        for step in &MIGRATIONS[..version] {
            stepped.execute_batch(step).unwrap();
        }
        let schema = "SELECT sql || ';' FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY name";
        let schema = names(&stepped, schema).join("\n");
        assert_eq!(
            schema.trim(),
            RELEASED[version - 1].trim(),
            "version {version}"
        );
    }
}

#[test]
fn a_database_of_each_earlier_version_becomes_one_of_this_and_loses_nothing() {
    for version in 1..=MIGRATIONS.len() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("handover.db");
        let old = written_by(version, &path);
        let before = content(&old);
        assert!(
            before.values().all(|(_, rows)| !rows.is_empty()),
            "every table has rows"
        );
        drop(old);

        drop(Database::open(&path).unwrap());
        let new = Connection::open(&path).unwrap();
        for (table, (columns, rows)) in before {
            let after = rows_of(&new, &table, &columns);
            assert_eq!(after, rows, "{table}, from version {version}");
        }
        assert_eq!(names(&new, "PRAGMA integrity_check"), ["ok"]);
        let strange = "SELECT \"table\" FROM pragma_foreign_key_check";
        assert_eq!(names(&new, strange), [""; 0], "from version {version}");
        let found: u32 = new
            .pragma_query_value(None, "user_version", |row| row.get(0))
            .unwrap();
        assert_eq!(found as usize, MIGRATIONS.len());
    }
}

#[test]
fn what_each_earlier_version_has_written_is_read() {
    for version in 1..=MIGRATIONS.len() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("handover.db");
        drop(written_by(version, &path));
        let database = Database::open(&path).unwrap();
        let names: Vec<_> = database
            .apps()
            .unwrap()
            .into_iter()
            .map(|app| app.name)
            .collect();
        let [blog, shop] = names.as_slice() else {
            panic!("{names:?}")
        };
        assert_eq!(blog.as_str(), "blog");
        let app = database.app(shop).unwrap();
        assert_eq!((app.hosts.len(), app.instances), (2, Some(3)));
        assert_eq!(app.allow_force, version >= 3);
        assert_eq!(app.webhook.is_some(), version >= 4);
        assert_eq!(database.releases(shop).unwrap().len(), 2);
        assert_eq!(database.generations(shop).unwrap().len(), 3);
        let deploys = database.deploys(shop, 100).unwrap();
        let states: Vec<_> = deploys.iter().map(|deploy| deploy.state.name()).collect();
        let first = [
            "live",
            "live",
            "failed",
            "superseded",
            "interrupted",
            "running",
            "waiting",
        ];
        assert_eq!(states[..7], first);
        assert_eq!(states[7..], ["swapped_back"][..usize::from(version >= 2)]);
        assert_eq!(deploys[1].moves_branch, version >= 3);
        assert_eq!(deploys[0].pushed_by.is_some(), version >= 5);
        assert_eq!(database.keys().unwrap().len(), usize::from(version >= 5));
        let waiting = database.waiting_deliveries(shop).unwrap();
        assert_eq!(waiting > 0, version >= 4);
        assert_eq!(
            database.last_delivery(shop).unwrap().is_some(),
            version >= 4
        );
    }
}

/// The disk is full, or the power is cut: a step is done or not begun.
#[test]
fn a_migration_that_fails_leaves_the_version_before() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("handover.db");
    let old = written_by(1, &path);
    let before = content(&old);
    let pages: u32 = old
        .pragma_query_value(None, "page_count", |row| row.get(0))
        .unwrap();
    drop(old);
    let mut full = Connection::open(&path).unwrap();
    full.pragma_update(None, "max_page_count", pages).unwrap();
    assert!(migrate(&mut full, &path).is_err());
    assert_eq!(content(&full), before);
    drop(full);
    drop(Database::open(&path).unwrap());
}
