use std::os::unix::fs::FileExt;

use super::*;
use crate::state::NewApp;

struct Home {
    dir: tempfile::TempDir,
}

impl Home {
    /// A database with the app `shop` in its backup, and `blog` beside it; closed.
    fn new() -> Self {
        let home = Self {
            dir: tempfile::tempdir().unwrap(),
        };
        let database = Database::open(&home.path()).unwrap();
        for name in ["shop", "blog"] {
            let new = NewApp {
                name: name.parse().unwrap(),
                branch: "main".into(),
                repo: format!("/srv/{name}.git").into(),
                gate: true,
                hosts: Vec::new(),
            };
            database.create_app(&new).unwrap();
            if name == "shop" {
                database.back_up().unwrap();
            }
        }
        home
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("handover.db")
    }

    fn overwrite(&self, ending: &str, at: u64, bytes: &[u8]) {
        let path = beside(&self.path(), ending);
        let file = std::fs::File::options().write(true).open(path).unwrap();
        file.write_all_at(bytes, at).unwrap();
    }

    /// The apps that there are after a start, and what was told.
    fn start(&self) -> (String, Option<Rescued>) {
        let (database, rescued) = Database::open_or_rescue(&self.path(), true).unwrap();
        let apps = database.apps().unwrap();
        let names: Vec<_> = apps.iter().map(|app| app.name.to_string()).collect();
        if let Some(rescued) = &rescued {
            database.rebuilt(rescued, "told").unwrap();
        }
        (names.join(" "), rescued)
    }

    fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.dir.path()).unwrap();
        let mut names: Vec<_> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

fn len(home: &Home) -> u64 {
    std::fs::metadata(home.path()).unwrap().len()
}

type Damage = &'static dyn Fn(&Home);

#[test]
fn every_kind_of_damage_is_kept_aside_and_the_backup_takes_its_place() {
    let kinds: [(&str, Damage); 7] = [
        ("header overwritten", &|home| {
            home.overwrite("", 0, &[0x55; 100]);
        }),
        ("page in the middle", &|home| {
            home.overwrite("", len(home) / 2 / 4096 * 4096, &[0xa5; 8192]);
        }),
        ("truncated", &|home| {
            let file = std::fs::File::options().write(true).open(home.path());
            file.unwrap().set_len(len(home) / 2).unwrap();
        }),
        ("empty", &|home| std::fs::write(home.path(), "").unwrap()),
        ("text", &|home| {
            std::fs::write(home.path(), "not a database\n".repeat(999)).unwrap();
        }),
        ("gone", &|home| std::fs::remove_file(home.path()).unwrap()),
        ("garbage for a log", &|home| {
            std::fs::write(beside(&home.path(), "-wal"), [0x5a; 9000]).unwrap();
        }),
    ];
    for (kind, damage) in kinds {
        let home = Home::new();
        damage(&home);
        let damaged = std::fs::read(home.path()).ok();
        let (apps, rescued) = home.start();
        assert_eq!(apps, "shop", "{kind}");
        let rescued = rescued.expect(kind);
        assert!(
            rescued.words.contains("rebuilt from the backup of 20"),
            "{rescued:?}"
        );
        assert_eq!(std::fs::read(&rescued.kept).ok(), damaged, "{kind}");
        assert_eq!(
            kept_aside(&home.path()),
            std::slice::from_ref(&rescued.kept),
            "{kind}"
        );
        assert_eq!(report_of(&rescued.kept).as_deref(), Some("told"), "{kind}");
        assert_eq!(home.start(), ("shop".to_owned(), None), "{kind}: once");
    }
}

#[test]
fn without_a_good_backup_a_sound_file_is_used_without_its_log_and_else_a_new_one() {
    let home = Home::new();
    std::fs::write(backup_of(&home.path()), "no backup").unwrap();
    std::fs::write(beside(&home.path(), "-wal"), [0x5a; 9000]).unwrap();
    let (apps, rescued) = home.start();
    assert_eq!(apps, "blog shop");
    assert!(rescued.unwrap().words.contains("without its log"));

    home.overwrite("", 0, &[0x55; 100]);
    let (apps, rescued) = home.start();
    assert_eq!(apps, "");
    assert!(rescued.unwrap().words.contains("no good backup"));
    assert_eq!(kept_aside(&home.path()).len(), 2);
}

#[test]
fn a_rescue_that_was_cut_off_anywhere_goes_on_at_the_next_start() {
    let home = Home::new();
    home.overwrite("", 0, &[0x55; 100]);
    let (_, first) = Database::open_or_rescue(&home.path(), true).unwrap();
    // Killed before what is on disk was added.
    let (_, again) = Database::open_or_rescue(&home.path(), true).unwrap();
    assert_eq!(first, again);
    // Killed before the backup was in place.
    std::fs::remove_file(home.path()).unwrap();
    let (apps, rescued) = home.start();
    assert_eq!(apps, "shop");
    assert_ne!(rescued, None);
    assert_eq!(home.start(), ("shop".to_owned(), None));
    let strange: Vec<_> = home
        .names()
        .into_iter()
        .filter(|name| !name.starts_with("handover.db.damaged-"))
        .collect();
    assert_eq!(strange, ["handover.db", "handover.db.backup"]);
}

#[test]
fn a_first_start_and_one_that_was_cut_off_at_once_rescue_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("handover.db");
    std::fs::write(&path, "").unwrap();
    let (_, rescued) = Database::open_or_rescue(&path, false).unwrap();
    assert_eq!(rescued, None);
}

#[test]
fn a_newer_database_or_backup_is_refused_and_nothing_is_touched() {
    let newer = |path: &Path| {
        let file = rusqlite::Connection::open(path).unwrap();
        file.pragma_update(None, "user_version", 99).unwrap();
    };
    let refused = |home: &Home| {
        let files = || -> Vec<_> {
            let names = home.names().into_iter();
            names
                .map(|name| (std::fs::read(home.dir.path().join(&name)).unwrap(), name))
                .collect()
        };
        let before = files();
        let error = Database::open_or_rescue(&home.path(), true).unwrap_err();
        assert!(
            matches!(error, StateError::Newer { found: 99, .. }),
            "{error:?}"
        );
        assert!(files() == before, "{:?}", home.names());
    };
    let home = Home::new();
    newer(&home.path());
    refused(&home);
    let home = Home::new();
    newer(&backup_of(&home.path()));
    home.overwrite("", 0, &[0x55; 100]);
    refused(&home);
}
