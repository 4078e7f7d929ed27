//! Trees go into the store and come out the same, whatever is done to them.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileExt as _, MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::*;
use crate::ids::ReleaseNumber;

/// A store, and releases beside it.
struct Place {
    dir: tempfile::TempDir,
    store: Arc<Store>,
}

/// Kind and mode, and content or target.
type Tree = BTreeMap<PathBuf, (u32, Vec<u8>)>;

const KEYED: &str = "lockfile";

impl Place {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Arc::new(Store::at(dir.path().join("store")));
        Self { dir, store }
    }

    /// A release with what the commit holds.
    fn release(&self, name: &str) -> PathBuf {
        let release = self.dir.path().join("releases").join(name);
        fs::create_dir_all(release.join("packages/a")).unwrap();
        fs::write(release.join("package.json"), "{}").unwrap();
        release
    }

    /// Stores what an install makes in release 1.
    fn stored(&self, install: impl FnOnce(&Path)) -> Entry {
        self.try_stored("1", "a", install).unwrap()
    }

    fn try_stored(
        &self,
        release: &str,
        lock: &str,
        install: impl FnOnce(&Path),
    ) -> Result<Entry, PackError> {
        let id = self.installed(release, lock, install)?.seal()?;
        Ok(self.store.open(id)?.unwrap())
    }

    fn installed(
        &self,
        release: &str,
        lock: &str,
        install: impl FnOnce(&Path),
    ) -> Result<Pending, PackError> {
        let (release, number) = (self.release(release), release.parse().unwrap());
        let before = Snapshot::take(&release)?;
        install(&release);
        let made = Snapshot::take(&release)?.made_since(&before, |_| false)?;
        let about = about(&release, ReleaseNumber(number), lock);
        Ok(self.store.expect(key(lock), made, about)?)
    }

    /// What the install makes in release 1, and is not stored yet.
    fn pending(&self, lock: &str) -> Pending {
        let releases = self.dir.path().join("releases");
        let _ = fs::rename(releases.join("1"), releases.join(format!("before-{lock}")));
        self.installed("1", lock, install).unwrap()
    }

    fn files(&self) -> usize {
        fs::read_dir(&self.store.dir).unwrap().count()
    }

    fn found(&self, lock: &str) -> Option<Entry> {
        match self.store.find(&key(lock), |_| true) {
            Ok(Found::Tree(entry)) => Some(*entry),
            Ok(Found::Nothing(_)) | Err(StoreError::Damaged { .. }) => None,
            Err(error) => panic!("{error}"),
        }
    }

    fn only_file(&self) -> PathBuf {
        let mut files = fs::read_dir(self.dir.path().join("store")).unwrap();
        let file = files.next().unwrap().unwrap().path();
        assert!(files.next().is_none());
        file
    }
}

fn parts(lock: &str) -> BTreeMap<String, Digest> {
    [(KEYED.to_owned(), Digest::of(lock.as_bytes()))].into()
}

fn key(lock: &str) -> Key {
    Key::of(&parts(lock))
}

fn about(release: &Path, number: ReleaseNumber, lock: &str) -> About {
    About {
        made: crate::time::now(),
        release: number,
        directory: release.to_owned(),
        parts: parts(lock),
        reads: BTreeMap::new(),
        modes: BTreeMap::new(),
        packages: 3,
        warnings: vec!["mind the gap".to_owned()],
        took_ms: 7,
    }
}

/// Everything that an install may leave behind.
fn install(release: &Path) {
    let at = |path: &str| release.join(path);
    let mode =
        |path: &str, mode| fs::set_permissions(at(path), Permissions::from_mode(mode)).unwrap();
    for dir in [
        "node_modules/.bin",
        "node_modules/a/lib",
        "node_modules/empty",
        "packages/a/node_modules/b",
    ] {
        fs::create_dir_all(at(dir)).unwrap();
    }
    fs::write(at("node_modules/a/lib/index.js"), "module.exports = 1\n").unwrap();
    fs::write(at("node_modules/a/nothing"), "").unwrap();
    fs::write(at("node_modules/a/cli.js"), "#!/usr/bin/env node\n").unwrap();
    fs::write(at("node_modules/a/large.node"), vec![7; 300_001]).unwrap();
    fs::write(at("packages/a/node_modules/b/index.js"), "b").unwrap();
    fs::write(at("made-by-prepare.js"), "made").unwrap();
    let odd = std::ffi::OsStr::from_bytes(b"node_modules/a/\xff odd\nname");
    fs::write(release.join(odd), "odd").unwrap();
    symlink("../a/cli.js", at("node_modules/.bin/a")).unwrap();
    symlink("nowhere", at("node_modules/dangling")).unwrap();
    symlink("../packages/a", at("node_modules/workspace-a")).unwrap();
    mode("node_modules/a/cli.js", 0o755);
    mode("node_modules/a/nothing", 0o400);
    mode("node_modules/a/large.node", 0o4711);
    mode("node_modules/empty", 0o2775);
    mode("node_modules/a/lib", 0o555);
}

fn tree(top: &Path) -> Tree {
    let mut tree = Tree::new();
    let mut ahead = vec![top.to_owned()];
    while let Some(dir) = ahead.pop() {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            let found = fs::symlink_metadata(&path).unwrap();
            let content = if found.is_dir() {
                ahead.push(path.clone());
                Vec::new()
            } else if found.is_symlink() {
                fs::read_link(&path)
                    .unwrap()
                    .as_os_str()
                    .as_bytes()
                    .to_vec()
            } else {
                fs::read(&path).unwrap()
            };
            let inside = path.strip_prefix(top).unwrap().to_owned();
            tree.insert(inside, (found.mode(), content));
        }
    }
    tree
}

#[test]
fn a_tree_comes_out_as_it_went_in_mode_for_mode_and_link_for_link() {
    let place = Place::new();
    let entry = place.stored(install);
    let second = place.release("2");
    assert_eq!(place.store.lay_out(&entry, &second).unwrap(), Laid::Fresh);
    assert_eq!(tree(&second), tree(&place.release("1")));
    let found = place.found("a").unwrap();
    assert_eq!(
        found.about,
        about(&place.release("1"), ReleaseNumber(1), "a").made_at(&found)
    );
    assert_eq!(entry.bytes(), found.bytes());
    assert!(place.found("b").is_none());
}

impl About {
    fn made_at(self, entry: &Entry) -> Self {
        Self {
            made: entry.about.made,
            ..self
        }
    }
}

#[test]
fn a_tree_that_was_ready_is_the_same_and_is_taken_once() {
    let place = Place::new();
    let entry = place.stored(install);
    place.store.make_ready(&entry).unwrap();
    assert_eq!(place.store.spare().as_ref(), Some(&entry.id));
    for (release, laid) in [("2", Laid::Taken), ("3", Laid::Fresh)] {
        let release = place.release(release);
        assert_eq!(place.store.lay_out(&entry, &release).unwrap(), laid);
        assert_eq!(tree(&release), tree(&place.release("1")));
    }
    assert_eq!(place.store.spare(), None);
}

#[test]
fn a_tree_that_was_ready_is_never_that_of_another_install_with_the_same_name() {
    let place = Place::new();
    let first = place.stored(install);
    place.store.make_ready(&first).unwrap();
    let again = place.try_stored("2", "a", |release| {
        install(release);
        fs::write(release.join("node_modules/a/cli.js"), "downloaded anew\n").unwrap();
    });
    let again = again.unwrap();
    assert_eq!(again.id, first.id);
    assert_eq!(place.store.spare(), None, "what is ready is of the first");
    let third = place.release("3");
    assert_eq!(place.store.lay_out(&again, &third).unwrap(), Laid::Fresh);
    assert_eq!(tree(&third), tree(&place.release("2")));
    place.store.make_ready(&again).unwrap();
    assert_eq!(place.store.spare().as_ref(), Some(&again.id));
    let fourth = place.release("4");
    assert_eq!(place.store.lay_out(&again, &fourth).unwrap(), Laid::Taken);
    assert_eq!(tree(&fourth), tree(&place.release("2")));
}

#[test]
fn a_tree_that_was_ready_and_lacks_something_is_not_used() {
    let lacks: [fn(&Path); 4] = [
        |tree| fs::remove_file(tree.join("node_modules/a/cli.js")).unwrap(),
        |tree| fs::remove_dir_all(tree.join("node_modules")).unwrap(),
        |tree| fs::remove_dir_all(tree.join("node_modules/a")).unwrap(),
        |tree| fs::write(tree.join("node_modules/a/more.js"), "").unwrap(),
    ];
    for lack in lacks {
        let place = Place::new();
        let entry = place.stored(install);
        place.store.make_ready(&entry).unwrap();
        let ready = place.store.in_readiness().unwrap();
        // Whoever deletes it does not do so within the same tick of the clock.
        std::thread::sleep(Duration::from_millis(20));
        lack(&ready);
        let second = place.release("2");
        assert_eq!(place.store.lay_out(&entry, &second).unwrap(), Laid::Fresh);
        assert_eq!(tree(&second), tree(&place.release("1")));
    }
}

#[test]
fn a_release_in_which_a_directory_was_made_a_symlink_gives_nothing_of_what_that_leads_to() {
    let place = Place::new();
    let entry = place.stored(|release| {
        install(release);
        fs::create_dir_all(release.join("packages/a/data")).unwrap();
        fs::write(release.join("packages/a/data/seed"), "seed").unwrap();
    });
    let (donor, shared) = (place.release("2"), place.dir.path().join("shared"));
    place.store.lay_out(&entry, &donor).unwrap();
    fs::rename(donor.join("packages/a"), &shared).unwrap();
    symlink(&shared, donor.join("packages/a")).unwrap();
    let before = tree(&shared);
    place.store.donate(&entry, &donor).unwrap();
    assert_eq!(tree(&shared), before);
    place.store.make_ready(&entry).unwrap();
    let third = place.release("3");
    assert_eq!(place.store.lay_out(&entry, &third).unwrap(), Laid::Taken);
    assert_eq!(tree(&third), tree(&place.release("1")));
}

#[test]
fn directories_that_are_closed_to_their_owner_are_in_nobodys_way() {
    let place = Place::new();
    let work = || {
        let entry = place.stored(|release| {
            install(release);
            fs::create_dir(release.join("node_modules/closed")).unwrap();
            fs::write(release.join("node_modules/closed/file"), "").unwrap();
            for closed in ["node_modules/closed", "node_modules"] {
                let closed = release.join(closed);
                fs::set_permissions(closed, Permissions::from_mode(0o555)).unwrap();
            }
        });
        let donor = place.release("2");
        place.store.lay_out(&entry, &donor).unwrap();
        let strange = donor.join("node_modules/.cache/modules");
        fs::set_permissions(donor.join("node_modules"), Permissions::from_mode(0o755)).unwrap();
        fs::create_dir_all(&strange).unwrap();
        fs::write(strange.join("file"), "").unwrap();
        fs::set_permissions(&strange, Permissions::from_mode(0o555)).unwrap();
        fs::set_permissions(donor.join("node_modules"), Permissions::from_mode(0o555)).unwrap();
        place.store.donate(&entry, &donor).unwrap();
        assert!(!donor.join("node_modules").exists());
        place.store.make_ready(&entry).unwrap();
        let third = place.release("3");
        assert_eq!(place.store.lay_out(&entry, &third).unwrap(), Laid::Taken);
        assert_eq!(tree(&third), tree(&place.release("1")));
        place.store.make_ready(&entry).unwrap();
        assert_eq!(place.store.clear().unwrap().0, 1);
        assert_eq!(place.files(), 0);
    };
    crate::process::own::as_nobody(place.dir.path(), work);
}

#[test]
fn on_a_disk_that_is_short_of_room_everything_goes_as_long_as_it_is() {
    let place = Place::new();
    let old = place.stored(install);
    let new = place.try_stored("2", "b", install).unwrap();
    for (entry, used) in [(&old, 1), (&new, 2)] {
        let file = fs::File::options().append(true).open(&entry.path).unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(used))
            .unwrap();
    }
    place.store.make_ready(&new).unwrap();
    place.store.give_way(|_| false).unwrap();
    assert_eq!(
        (place.files(), place.store.spare()),
        (3, Some(new.id.clone()))
    );
    place.store.give_way(|_| place.files() > 1).unwrap();
    assert_eq!((place.files(), place.store.spare()), (1, None));
    assert!(place.store.open(new.id).unwrap().is_some());
    place.store.give_way(|_| true).unwrap();
    assert_eq!(place.files(), 0);
}

#[test]
fn the_path_of_the_release_is_that_of_the_new_one() {
    let place = Place::new();
    let mention = |release: &Path| {
        let path = release.display();
        fs::create_dir(release.join("node_modules")).unwrap();
        let text = format!("root={path}\n{path}/node_modules and {path}");
        fs::write(release.join("node_modules/config.gypi"), text).unwrap();
        fs::write(release.join("node_modules/other"), "x").unwrap();
    };
    let entry = place.stored(mention);
    for (name, ready) in [("22", false), ("333", true)] {
        if ready {
            place.store.make_ready(&entry).unwrap();
        }
        let (laid, fresh) = (place.release(name), place.release("9"));
        place.store.lay_out(&entry, &laid).unwrap();
        let content =
            |top: &Path| fs::read_to_string(top.join("node_modules/config.gypi")).unwrap();
        mention(&fresh);
        let expected = content(&fresh).replace(fresh.to_str().unwrap(), laid.to_str().unwrap());
        assert_eq!(content(&laid), expected);
        assert!(laid.join("node_modules/other").exists());
        fs::remove_dir_all(fresh).unwrap();
    }
}

#[test]
fn what_holds_the_path_of_its_release_for_good_is_not_stored() {
    let place = Place::new();
    let binary = place.try_stored("1", "a", |release| {
        let bytes = [b"\0ELF ", release.as_os_str().as_bytes()].concat();
        fs::write(release.join("addon.node"), bytes).unwrap();
    });
    let unfit = PackError::Unfit(Unfit::HoldsPath("addon.node".into()));
    assert_eq!(binary.unwrap_err().to_string(), unfit.to_string());
    let link = place.try_stored("2", "a", |release| {
        symlink(release.join("package.json"), release.join("link")).unwrap();
    });
    let unfit = PackError::Unfit(Unfit::LinkToRelease("link".into()));
    assert_eq!(link.unwrap_err().to_string(), unfit.to_string());
    assert!(place.found("a").is_none());
    assert_eq!(
        fs::read_dir(place.dir.path().join("store"))
            .unwrap()
            .count(),
        0
    );
}

#[test]
fn an_app_that_writes_into_its_tree_writes_to_nobody_elses() {
    let place = Place::new();
    let entry = place.stored(install);
    let expected = tree(&place.release("1"));
    place.store.make_ready(&entry).unwrap();
    let releases = ["2", "3", "4"].map(|name| place.release(name));
    for release in &releases {
        place.store.lay_out(&entry, release).unwrap();
    }
    for path in tree(&releases[1])
        .keys()
        .filter(|path| path.starts_with("node_modules"))
    {
        let path = releases[1].join(path);
        if path.is_file() && !path.is_symlink() {
            fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
            let file = fs::File::options().write(true).open(&path).unwrap();
            file.write_at(b"overwritten in place", 0).unwrap();
        }
    }
    assert!(matches!(
        place.store.verify(&entry.id).unwrap(),
        Verified::Right
    ));
    for release in [&releases[0], &releases[2], &place.release("1")] {
        assert_eq!(tree(release), expected);
    }
}

#[test]
fn what_is_ready_is_made_of_what_an_old_release_has_left_whatever_that_is() {
    let place = Place::new();
    let entry = place.stored(install);
    let expected = tree(&place.release("1"));
    let donor = place.release("2");
    place.store.lay_out(&entry, &donor).unwrap();
    let at = |path: &str| donor.join("node_modules").join(path);
    let writable =
        |path: &str| fs::set_permissions(at(path), Permissions::from_mode(0o755)).unwrap();
    // In place, the same size, and the time set back.
    let before = fs::metadata(at("a/cli.js")).unwrap().modified().unwrap();
    let file = fs::File::options()
        .write(true)
        .open(at("a/cli.js"))
        .unwrap();
    file.write_at(b"#!/bin/sh", 0).unwrap();
    file.set_modified(before).unwrap();
    writable("a/lib");
    fs::write(at("a/lib/index.js"), "longer than it was before").unwrap();
    fs::create_dir_all(at(".cache/deep")).unwrap();
    fs::write(at(".cache/deep/x"), "x").unwrap();
    fs::remove_file(at("dangling")).unwrap();
    fs::create_dir(at("dangling")).unwrap();
    fs::remove_file(at(".bin/a")).unwrap();
    symlink("elsewhere", at(".bin/a")).unwrap();
    fs::remove_dir(at("empty")).unwrap();
    fs::write(at("empty"), "a file now").unwrap();
    fs::hard_link(
        at("a/large.node"),
        place.dir.path().join("kept-by-somebody"),
    )
    .unwrap();
    fs::set_permissions(at("a/nothing"), Permissions::from_mode(0o666)).unwrap();
    place.store.donate(&entry, &donor).unwrap();
    place.store.make_ready(&entry).unwrap();
    assert!(
        !donor.join("node_modules").exists(),
        "the donor's tree was used"
    );
    fs::write(
        place.dir.path().join("kept-by-somebody"),
        "written to later",
    )
    .unwrap();
    let third = place.release("3");
    assert_eq!(place.store.lay_out(&entry, &third).unwrap(), Laid::Taken);
    assert_eq!(tree(&third), expected);
}

#[test]
fn what_is_ready_becomes_the_tree_of_a_newer_lockfile() {
    let place = Place::new();
    let old = place.stored(install);
    place.store.make_ready(&old).unwrap();
    let new = place.try_stored("2", "b", |release| {
        install(release);
        fs::write(release.join("node_modules/a/cli.js"), "newer\n").unwrap();
    });
    let new = new.unwrap();
    place.store.make_ready(&new).unwrap();
    assert_eq!(place.store.spare().as_ref(), Some(&new.id));
    let third = place.release("3");
    assert_eq!(place.store.lay_out(&new, &third).unwrap(), Laid::Taken);
    assert_eq!(tree(&third), tree(&place.release("2")));
}

#[test]
fn a_deploy_does_not_wait_for_what_is_made_ready_for_another_and_hurries_its_own() {
    let place = Place::new();
    let many = |release: &Path| {
        fs::create_dir(release.join("node_modules")).unwrap();
        for n in 0..3000 {
            fs::write(release.join(format!("node_modules/{n}.js")), format!("{n}")).unwrap();
        }
    };
    let (mine, other) = (
        place.stored(many),
        place.try_stored("2", "b", many).unwrap(),
    );
    for entry in [&mine, &other] {
        std::thread::scope(|scope| {
            let making = scope.spawn(|| place.store.make_ready(entry));
            while !place.dir.path().join("store/.spare").exists() {
                std::thread::yield_now();
            }
            let release = place.release(&format!("1{}", entry.about.release));
            place.store.lay_out(&mine, &release).unwrap();
            assert_eq!(tree(&release), tree(&place.release("1")));
            match making.join().unwrap() {
                Ok(()) | Err(StoreError::Stopped) => {}
                Err(error) => panic!("{error}"),
            }
        });
    }
    place.store.make_ready(&other).unwrap();
    let last = place.release("4");
    assert_eq!(place.store.lay_out(&other, &last).unwrap(), Laid::Taken);
    assert_eq!(tree(&last), tree(&place.release("2")));
}

/// Each as soon as it was noted what the install has made: however little time that leaves, it is seen.
#[test]
fn what_changes_before_it_is_stored_makes_it_no_entry() {
    type Change = fn(&Path);
    let changes: [(&str, Change); 6] = [
        ("a/cli.js", |file| {
            let again = fs::read(file).unwrap();
            fs::write(file, again).unwrap();
        }),
        ("a/cli.js", |file| fs::remove_file(file).unwrap()),
        ("a/cli.js", |file| {
            fs::remove_file(file).unwrap();
            symlink("/dev/zero", file).unwrap();
        }),
        ("a/cli.js", |file| {
            fs::remove_file(file).unwrap();
            let made = std::process::Command::new("mkfifo").arg(file).status();
            assert!(made.unwrap().success());
        }),
        (".bin/a", |link| {
            let target = fs::read_link(link).unwrap();
            fs::remove_file(link).unwrap();
            symlink(target, link).unwrap();
        }),
        ("a", |dir| {
            fs::rename(dir, dir.with_extension("away")).unwrap();
            fs::write(dir, "").unwrap();
        }),
    ];
    for (path, change) in changes {
        let place = Place::new();
        let pending = place.pending("a");
        assert!(!place.store.is_raced());
        let changed = place.dir.path().join("releases/1/node_modules").join(path);
        change(&changed);
        let error = pending.seal().unwrap_err();
        assert!(
            matches!(&error, PackError::Store(StoreError::Changed { path }) if path.starts_with(&changed)),
            "{path}: {error}"
        );
        assert!(place.found("a").is_none());
        assert!(place.store.is_raced());
        assert_eq!(place.store.not_stored(&key("a")), Some(error.to_string()));
        assert_eq!(place.store.not_stored(&key("b")), None);
        assert_eq!(place.files(), 0);
    }
}

#[test]
fn what_was_written_may_change_before_it_is_sealed() {
    let place = Place::new();
    let mut pending = place.pending("a");
    pending.write().unwrap();
    let release = place.dir.path().join("releases/1");
    fs::rename(&release, release.with_extension("away")).unwrap();
    pending.seal().unwrap();
    let release = place.release("2");
    let entry = place.found("a").unwrap();
    place.store.lay_out(&entry, &release).unwrap();
    let expected = place.release("3");
    install(&expected);
    assert_eq!(tree(&release), tree(&expected));
}

#[test]
fn what_was_written_and_not_sealed_is_no_entry() {
    let place = Place::new();
    let mut cut_off = place.pending("a");
    cut_off.write().unwrap();
    std::mem::forget(cut_off); // as a crash does
    let after = Store::at(&place.store.dir);
    assert!(matches!(
        after.find(&key("a"), |_| true),
        Ok(Found::Nothing(None))
    ));
    assert_eq!(place.files(), 1);
    assert_eq!(after.sweep().unwrap(), 1);
    assert_eq!(place.files(), 0);
    let mut given_up = place.pending("b");
    given_up.write().unwrap();
    drop(given_up);
    assert_eq!(place.files(), 0);
}

#[test]
fn a_tree_that_is_about_to_be_stored_is_waited_for() {
    let place = Place::new();
    let pending = place.pending("a");
    assert!(place.found("b").is_none(), "what is on its way is another");
    std::thread::scope(|scope| {
        let waits = scope.spawn(|| place.found("a").map(|entry| entry.about.release));
        std::thread::sleep(Duration::from_millis(50));
        assert!(!waits.is_finished());
        pending.seal().unwrap();
        assert_eq!(waits.join().unwrap(), Some(ReleaseNumber(1)));
    });
    let pending = place.pending("c");
    std::thread::scope(|scope| {
        let waits = scope.spawn(|| place.found("c").is_some());
        std::thread::sleep(Duration::from_millis(50));
        drop(pending);
        assert!(!waits.join().unwrap(), "it was given up");
    });
}

#[test]
fn nothing_is_made_in_a_store_that_is_closed() {
    let place = Place::new();
    let entry = place.stored(install);
    let pending = place.pending("b");
    std::thread::scope(|scope| {
        let closing = scope.spawn(|| place.store.close());
        std::thread::sleep(Duration::from_millis(50));
        assert!(!closing.is_finished(), "what is on its way has not ended");
        let error = pending.seal().unwrap_err();
        assert!(
            matches!(error, PackError::Store(StoreError::Stopped)),
            "{error}"
        );
    });
    fs::remove_dir_all(&place.store.dir).unwrap();
    let release = place.release("2");
    install(&release);
    place.store.donate(&entry, &release).unwrap();
    let error = place.store.make_ready(&entry).unwrap_err();
    assert!(matches!(error, StoreError::Stopped), "{error}");
    let error = place.installed("3", "c", install).unwrap_err();
    assert!(
        matches!(error, PackError::Store(StoreError::Stopped)),
        "{error}"
    );
    assert!(!place.store.dir.exists());
}

#[test]
fn no_damage_to_an_entry_is_ever_laid_out() {
    let place = Place::new();
    let entry = place.stored(install);
    let file = place.only_file();
    let right = fs::read(&file).unwrap();
    let expected = tree(&place.release("1"));
    // Every byte would take long; steps of a prime meet all parts: contents, records, about, footer.
    for at in (0..right.len())
        .step_by(9973)
        .chain(right.len() - 700..right.len())
    {
        let mut wrong = right.clone();
        wrong[at] ^= 1;
        fs::write(&file, &wrong).unwrap();
        let release = place.release("2");
        match place.found("a") {
            None => assert!(!file.exists(), "a damaged entry is removed"),
            Some(entry) => match place.store.lay_out(&entry, &release) {
                // Between two contents there are bytes that mean nothing.
                Ok(_) => assert_eq!(tree(&release), expected),
                Err(error) => {
                    assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
                    assert!(!release.join("node_modules").exists());
                    let verified = place.store.verify(&entry.id).unwrap();
                    assert!(matches!(verified, Verified::Removed(_)));
                }
            },
        }
        fs::remove_dir_all(release).unwrap();
    }
    for length in [0, 1, right.len() / 2, right.len() - 1] {
        fs::write(&file, &right[..length]).unwrap();
        assert!(place.found("a").is_none() && !file.exists());
    }
    fs::write(&file, &right).unwrap();
    assert!(matches!(
        place.store.verify(&entry.id).unwrap(),
        Verified::Right
    ));
}

#[test]
fn an_entry_that_is_open_can_be_laid_out_after_the_store_is_gone() {
    let place = Place::new();
    let entry = place.stored(install);
    fs::remove_dir_all(place.dir.path().join("store")).unwrap();
    let second = place.release("2");
    assert_eq!(place.store.lay_out(&entry, &second).unwrap(), Laid::Fresh);
    assert_eq!(tree(&second), tree(&place.release("1")));
}

#[test]
fn an_entry_is_found_if_what_its_install_has_read_is_still_so_and_the_nearest_is_told() {
    let place = Place::new();
    place.stored(install);
    let asked = place
        .store
        .find(&key("a"), |about| about.packages != 3)
        .unwrap();
    assert!(matches!(asked, Found::Nothing(Some(about)) if about.parts == parts("a")));
    let Found::Nothing(Some(nearest)) = place.store.find(&key("b"), |_| true).unwrap() else {
        panic!("found");
    };
    assert_eq!(differing(&nearest.parts, &parts("b")), [KEYED]);
    let empty = Place::new();
    assert!(matches!(
        empty.store.find(&key("a"), |_| true).unwrap(),
        Found::Nothing(None)
    ));
}

#[test]
fn what_is_old_or_too_much_is_pruned_and_never_what_was_used_last() {
    let place = Place::new();
    let names = ["1", "2", "3", "4"];
    let ids: Vec<_> = names
        .iter()
        .map(|name| place.try_stored(name, name, install).unwrap().id)
        .collect();
    let day = Duration::from_secs(24 * 3600);
    let now = SystemTime::now();
    for (n, id) in (0..).zip(&ids) {
        let file = place.dir.path().join("store").join(format!("{id}.tree"));
        let file = fs::File::options().append(true).open(file).unwrap();
        file.set_modified(now - n * 10 * day).unwrap();
    }
    let kept = || {
        let list = place.store.list().unwrap();
        list.into_iter().map(|kept| kept.id).collect::<Vec<_>>()
    };
    let largest = place
        .store
        .list()
        .unwrap()
        .into_iter()
        .map(|kept| kept.bytes)
        .max()
        .unwrap();
    let pruned = |bytes, days| {
        let limits = Limits {
            bytes,
            age: days * day,
        };
        place.store.prune(&limits, now).unwrap().0
    };
    assert_eq!(pruned(u64::MAX, 25), 1);
    assert_eq!(kept(), ids[..3]);
    assert_eq!(pruned(2 * largest, 25), 1);
    assert_eq!(kept(), ids[..2]);
    assert_eq!(pruned(0, 0), 1);
    assert_eq!(kept(), ids[..1]);
}
