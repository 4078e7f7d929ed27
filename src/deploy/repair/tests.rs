use std::fs::File;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::Path;
use std::time::{Duration, SystemTime};

use super::*;
use crate::git::Repo;
use crate::git::hooks::{self, Gate};
use crate::ids::DeployNumber;
use crate::paths::Surroundings;
use crate::state::NewApp;

/// An installation with the app `shop`, in which all is well.
struct Home {
    _dir: tempfile::TempDir,
    place: Place,
}

impl Home {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::choose(Some(dir.path()), &Surroundings::default()).unwrap();
        let mut private = std::fs::DirBuilder::new();
        private.mode(0o700).recursive(true);
        private.create(layout.apps()).unwrap();
        std::fs::set_permissions(layout.apps(), PermissionsExt::from_mode(0o700)).unwrap();
        let database = Database::open(&layout.database()).unwrap();
        let name: AppName = "shop".parse().unwrap();
        let repo = layout.app(&name).repo();
        Repo::init_bare(&repo, "main").unwrap();
        let new = NewApp {
            name: name.clone(),
            branch: "main".into(),
            repo: repo.clone(),
            gate: true,
            hosts: Vec::new(),
        };
        database.create_app(&new).unwrap();
        let link = hooks::Link {
            app: name,
            home: layout.home().to_owned(),
            control: layout.control_socket(),
            binary: "/bin/sh".into(),
            branch: "main".into(),
            gate: Gate::On,
        };
        hooks::install(&repo, &link).unwrap();
        let executable = "/bin/sh".into();
        let place = Place {
            layout,
            database,
            executable,
        };
        Self { _dir: dir, place }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.place.layout.home().join(name)
    }

    /// The one fault that there is, its mending, and nothing afterwards.
    fn mended(&self, check: &str, words: &str) -> String {
        let faults = find(&self.place).unwrap();
        let [fault] = faults.as_slice() else {
            panic!("one fault, of {check}: {faults:?}")
        };
        assert_eq!(fault.check(), check);
        assert!(fault.found().contains(words), "{}", fault.found());
        assert!(fault.remedy().is_some());
        let done = mend(&self.place, fault).unwrap().unwrap();
        assert_eq!(find(&self.place).unwrap(), []);
        done
    }
}

fn long_ago(path: &Path) {
    let hour = SystemTime::now() - Duration::from_secs(3600);
    File::open(path).unwrap().set_modified(hour).unwrap();
}

#[test]
fn an_installation_in_which_all_is_well_has_no_fault() {
    assert_eq!(find(&Home::new().place).unwrap(), []);
}

#[test]
fn hooks_that_are_missing_changed_or_foreign_are_put_right_and_foreign_ones_kept() {
    let home = Home::new();
    let hook = home.path("apps/shop/repo.git/hooks/post-receive");
    std::fs::remove_file(&hook).unwrap();
    home.mended("hooks", "the hook post-receive is missing");
    let ours = std::fs::read_to_string(&hook).unwrap();
    std::fs::write(&hook, format!("{ours}\nexit 1\n")).unwrap();
    home.mended("hooks", "the hook post-receive was changed");
    std::fs::remove_file(&hook).unwrap();
    std::fs::write(&hook, "#!/bin/sh\necho mine\n").unwrap();
    home.mended("hooks", "another hook is in the place of post-receive");
    let kept = std::fs::read_to_string(hook.with_extension("chained")).unwrap();
    assert!(kept.contains("echo mine"));
}

#[test]
fn a_repository_that_is_gone_is_made_anew() {
    let home = Home::new();
    let repo = home.path("apps/shop/repo.git");
    std::fs::remove_dir_all(&repo).unwrap();
    home.mended("repository", "the repository of shop is gone");
    assert!(hooks::link(&repo).unwrap().is_some());
}

#[test]
fn an_old_lock_is_removed_and_a_young_one_or_one_in_use_is_left() {
    let home = Home::new();
    let repo = home.path("apps/shop/repo.git");
    for lock in ["packed-refs.lock", "refs/heads/topic.lock"] {
        let lock = repo.join(lock);
        std::fs::write(&lock, "").unwrap();
        assert_eq!(find(&home.place).unwrap(), [], "somebody may hold it");
        long_ago(&lock);
        let mut git = std::process::Command::new("sleep");
        let mut git = git.arg("60").current_dir(&repo).spawn().unwrap();
        assert_eq!(find(&home.place).unwrap(), [], "somebody works there");
        git.kill().unwrap();
        git.wait().unwrap();
        home.mended("locks", "a git that was killed has left a lock");
        assert!(!lock.exists());
    }
}

#[test]
fn a_release_whose_directory_is_gone_is_forgotten() {
    let home = Home::new();
    let shop = "shop".parse().unwrap();
    let commit = "a".repeat(40).parse().unwrap();
    let add = |number| {
        let release = ReleaseNumber(number);
        let added =
            home.place
                .database
                .add_release(&shop, release, &commit, "", DeployNumber(1), None);
        added.unwrap();
    };
    add(1);
    add(2);
    std::fs::create_dir_all(home.path("apps/shop/releases/2")).unwrap();
    home.mended("releases", "the directory of release 1 of shop is gone");
    assert_eq!(home.place.database.releases(&shop).unwrap().len(), 1);
}

#[test]
fn what_belongs_to_no_app_is_moved_aside_unless_somebody_works_in_it() {
    let home = Home::new();
    let old = home.path("apps/old");
    std::fs::create_dir_all(old.join("releases/1")).unwrap();
    std::fs::write(old.join("releases/1/server.js"), "work").unwrap();
    assert_eq!(find(&home.place).unwrap(), [], "it may be being made");
    long_ago(&old);
    let mut app = std::process::Command::new("sleep");
    let mut app = app
        .arg("60")
        .current_dir(old.join("releases/1"))
        .spawn()
        .unwrap();
    let faults = find(&home.place).unwrap();
    assert!(matches!(&faults[..], [Fault::Inhabited { pids, .. }] if *pids == [app.id()]));
    assert_eq!(mend(&home.place, &faults[0]).unwrap(), None);
    app.kill().unwrap();
    app.wait().unwrap();
    home.mended("files", "apps/old belongs to no app");
    let aside = std::fs::read_dir(home.path("aside"))
        .unwrap()
        .next()
        .unwrap()
        .unwrap();
    let kept = std::fs::read_to_string(aside.path().join("releases/1/server.js"));
    assert_eq!(kept.unwrap(), "work");
}

#[test]
fn what_waits_to_be_deleted_is_no_fault_at_once_and_can_be_deleted() {
    let home = Home::new();
    let path = home.path("apps/shop/releases/.trash-3-0");
    std::fs::create_dir_all(path.join("node_modules")).unwrap();
    long_ago(&path); // when it was put aside is what counts
    assert_eq!(find(&home.place).unwrap(), []);
    let fault = Fault::Trash { path: path.clone() };
    assert!(fault.found().contains(".trash-3-0 is to be deleted"));
    let done = mend(&home.place, &fault).unwrap().unwrap();
    assert!(done.ends_with("is deleted"), "{done}");
    assert!(!path.exists());
}

#[test]
fn modes_that_let_others_in_are_set_right() {
    let home = Home::new();
    for (name, mode, should) in [
        ("handover.db", 0o644, 0o600),
        ("apps", 0o755, 0o700),
        ("", 0o777, 0o755),
    ] {
        let path = home.path(name);
        std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
        let done = home.mended(
            "modes",
            &format!("has the mode {mode:04o}, not {should:04o}"),
        );
        assert!(done.ends_with(&format!("{should:04o}")), "{done}");
    }
}

#[test]
fn what_a_killed_writer_has_left_is_removed_and_a_kept_database_shown() {
    let home = Home::new();
    let left = home.path("handover.db.backup-new");
    std::fs::write(&left, "half").unwrap();
    assert_eq!(find(&home.place).unwrap(), [], "it may be being written");
    long_ago(&left);
    home.mended("files", "handover.db.backup-new was left");

    std::fs::write(home.path("handover.db.damaged-20261123T143305Z"), "x").unwrap();
    std::fs::write(
        home.path("handover.db.damaged-20261123T143305Z.txt"),
        "the database was damaged\nmore\n",
    )
    .unwrap();
    let faults = find(&home.place).unwrap();
    assert_eq!(faults.len(), 1);
    assert!(
        faults[0]
            .found()
            .starts_with("the database was damaged (all that was told: /")
    );
    assert_eq!(
        mend(&home.place, &faults[0]).unwrap(),
        None,
        "somebody has to look at it"
    );
}
