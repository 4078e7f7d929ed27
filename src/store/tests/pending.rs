//! What an install has made, until it is stored.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::Duration;

use super::place::{Place, install, key, tree};
use crate::ids::ReleaseNumber;
use crate::store::{Found, PackError, Store, StoreError};

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
