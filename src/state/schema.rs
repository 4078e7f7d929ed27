//! The tables, and how an older database becomes a newer one.

use std::path::Path;

use rusqlite::Connection;

use super::error::StateError;

/// Each entry takes the database one version further; `user_version` counts them. Never changed once released.
const MIGRATIONS: &[&str] = &[
    r"
    CREATE TABLE apps (
        name            TEXT PRIMARY KEY,
        branch          TEXT NOT NULL,
        repo            TEXT NOT NULL UNIQUE,
        gate            INTEGER NOT NULL,
        instances       INTEGER,
        created_at      TEXT NOT NULL,
        next_release    INTEGER NOT NULL DEFAULT 1,
        next_generation INTEGER NOT NULL DEFAULT 1,
        next_deploy     INTEGER NOT NULL DEFAULT 1,
        live_generation INTEGER
    ) STRICT;

    CREATE TABLE hosts (
        host TEXT PRIMARY KEY,
        app  TEXT NOT NULL REFERENCES apps(name) ON DELETE CASCADE
    ) STRICT;

    CREATE TABLE releases (
        app      TEXT NOT NULL REFERENCES apps(name) ON DELETE CASCADE,
        number   INTEGER NOT NULL,
        commit_id TEXT NOT NULL,
        subject  TEXT NOT NULL,
        deploy   INTEGER NOT NULL,
        built_at TEXT NOT NULL,
        PRIMARY KEY (app, number)
    ) STRICT;

    CREATE TABLE generations (
        app        TEXT NOT NULL REFERENCES apps(name) ON DELETE CASCADE,
        number     INTEGER NOT NULL,
        release    INTEGER NOT NULL,
        deploy     INTEGER NOT NULL,
        state      TEXT NOT NULL CHECK (state IN ('starting', 'live', 'draining')),
        since      TEXT NOT NULL,
        PRIMARY KEY (app, number)
    ) STRICT;

    CREATE TABLE deploys (
        app       TEXT NOT NULL REFERENCES apps(name) ON DELETE CASCADE,
        number    INTEGER NOT NULL,
        origin    TEXT NOT NULL,
        branch    TEXT NOT NULL,
        commit_id TEXT NOT NULL,
        subject   TEXT NOT NULL,
        from_id   TEXT,
        state     TEXT NOT NULL CHECK (state IN ('waiting', 'running', 'live', 'failed', 'superseded', 'interrupted')),
        release   INTEGER,
        phase     TEXT,
        cause     TEXT,
        began_at  TEXT NOT NULL,
        ended_at  TEXT,
        PRIMARY KEY (app, number)
    ) STRICT;
",
    // A state of deploys more; SQLite can't change a CHECK.
    r"
    ALTER TABLE deploys RENAME TO deploys_before;
    CREATE TABLE deploys (
        app       TEXT NOT NULL REFERENCES apps(name) ON DELETE CASCADE,
        number    INTEGER NOT NULL,
        origin    TEXT NOT NULL,
        branch    TEXT NOT NULL,
        commit_id TEXT NOT NULL,
        subject   TEXT NOT NULL,
        from_id   TEXT,
        state     TEXT NOT NULL CHECK (state IN ('waiting', 'running', 'live', 'failed', 'superseded', 'interrupted', 'swapped_back')),
        release   INTEGER,
        phase     TEXT,
        cause     TEXT,
        began_at  TEXT NOT NULL,
        ended_at  TEXT,
        PRIMARY KEY (app, number)
    ) STRICT;
    INSERT INTO deploys SELECT * FROM deploys_before;
    DROP TABLE deploys_before;
",
    // The gate, and what a pusher says about a deploy.
    r"
    ALTER TABLE apps ADD COLUMN allow_force INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE deploys ADD COLUMN moves_branch INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE deploys ADD COLUMN message TEXT;
    ALTER TABLE releases ADD COLUMN message TEXT;
",
    // Webhooks, with what waits to be delivered.
    r"
    ALTER TABLE apps ADD COLUMN webhook_url TEXT;
    ALTER TABLE apps ADD COLUMN webhook_secret TEXT;

    CREATE TABLE deliveries (
        id       TEXT NOT NULL UNIQUE,
        app      TEXT NOT NULL REFERENCES apps(name) ON DELETE CASCADE,
        event    TEXT NOT NULL,
        body     TEXT NOT NULL,
        attempts INTEGER NOT NULL DEFAULT 0,
        next_at  INTEGER NOT NULL
    ) STRICT;
    CREATE INDEX deliveries_by_time ON deliveries (app, next_at);

    CREATE TABLE last_deliveries (
        app       TEXT PRIMARY KEY REFERENCES apps(name) ON DELETE CASCADE,
        event     TEXT NOT NULL,
        at        TEXT NOT NULL,
        delivered INTEGER NOT NULL,
        result    TEXT NOT NULL
    ) STRICT;
",
    // Keys, what each may do, and who pushed.
    r"
    CREATE TABLE keys (
        name         TEXT PRIMARY KEY,
        key          TEXT NOT NULL UNIQUE,
        admin        INTEGER NOT NULL,
        added_at     TEXT NOT NULL,
        last_used_at TEXT
    ) STRICT;

    CREATE TABLE key_apps (
        key   TEXT NOT NULL REFERENCES keys(name) ON DELETE CASCADE,
        app   TEXT NOT NULL REFERENCES apps(name) ON DELETE CASCADE,
        level TEXT NOT NULL CHECK (level IN ('read', 'push')),
        PRIMARY KEY (key, app)
    ) STRICT;

    ALTER TABLE deploys ADD COLUMN pushed_by TEXT;
    ALTER TABLE releases ADD COLUMN pushed_by TEXT;
",
];

/// Brings the database to the version of this binary; refuses one from a newer binary.
pub(super) fn migrate(connection: &mut Connection, path: &Path) -> Result<(), StateError> {
    let found: u32 = connection
        .pragma_query_value(None, "user_version", |row| row.get(0))
        .map_err(StateError::doing("read the version"))?;
    let known = u32::try_from(MIGRATIONS.len()).expect("migrations are counted by hand");
    if found > known {
        return Err(StateError::Newer {
            path: path.to_owned(),
            found,
            known,
        });
    }
    for version in found..known {
        let step = connection
            .transaction()
            .map_err(StateError::doing("begin a migration"))?;
        step.execute_batch(MIGRATIONS[version as usize])
            .and_then(|()| step.pragma_update(None, "user_version", version + 1))
            .and_then(|()| step.commit())
            .map_err(StateError::doing("migrate the tables"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
