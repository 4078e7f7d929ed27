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
CREATE TABLE generations (
        app        TEXT NOT NULL REFERENCES apps(name) ON DELETE CASCADE,
        number     INTEGER NOT NULL,
        release    INTEGER NOT NULL,
        deploy     INTEGER NOT NULL,
        state      TEXT NOT NULL CHECK (state IN ('starting', 'live', 'draining')),
        since      TEXT NOT NULL,
        PRIMARY KEY (app, number)
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
