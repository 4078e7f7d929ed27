//! The tree that is kept in readiness: it is the right one, or it is not used.

use std::fs::{self, Permissions};
use std::os::unix::fs::{FileExt as _, MetadataExt as _, PermissionsExt as _, symlink};
use std::path::Path;

use super::place::{Place, install, tree};
use crate::process::files::wait_out_the_tick;
use crate::store::{Laid, StoreError};

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
        let sealed = fs::metadata(&ready).unwrap();
        wait_out_the_tick((sealed.mtime(), sealed.mtime_nsec()));
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

#[test]
fn what_was_ready_before_the_machine_was_started_is_compared_again() {
    let place = Place::new();
    let entry = place.stored(install);
    place.store.make_ready(&entry).unwrap();
    let ready = place.store.in_readiness().unwrap();
    let name = ready.file_name().unwrap().to_str().unwrap();
    let of_now = name.rsplit_once('.').unwrap().0;
    let before = ready.with_file_name(format!("{of_now}.0badb007"));
    fs::rename(&ready, &before).unwrap();
    fs::write(before.join("node_modules/a/cli.js"), "as it came back").unwrap();
    assert_eq!(place.store.spare(), None);
    let release = place.release("2");
    assert_eq!(place.store.lay_out(&entry, &release).unwrap(), Laid::Fresh);
    place.store.make_ready(&entry).unwrap();
    assert!(!before.exists());
    let release = place.release("3");
    assert_eq!(place.store.lay_out(&entry, &release).unwrap(), Laid::Taken);
    assert_eq!(tree(&release), tree(&place.release("1")));
}

#[test]
fn what_nobody_can_want_is_not_kept_ready() {
    let place = Place::new();
    let entry = place.stored(install);
    place.store.make_ready(&entry).unwrap();
    place.store.remove_orphan(true).unwrap();
    assert_eq!(place.store.spare().as_ref(), Some(&entry.id));
    place.store.remove(&entry.id).unwrap();
    place.store.remove_orphan(true).unwrap();
    assert_eq!(place.files(), 0);
    let entry = place.try_stored("2", "a", install).unwrap();
    place.store.make_ready(&entry).unwrap();
    place.store.remove_orphan(false).unwrap();
    assert_eq!(place.files(), 1);
}

#[test]
fn a_closed_directory_may_hold_the_path_of_its_release() {
    let place = Place::new();
    let work = || {
        let entry = place.stored(|release| {
            let closed = release.join("node_modules/closed");
            fs::create_dir_all(&closed).unwrap();
            fs::write(closed.join("path"), release.to_str().unwrap()).unwrap();
            fs::set_permissions(&closed, Permissions::from_mode(0o555)).unwrap();
        });
        place.store.make_ready(&entry).unwrap();
        let second = place.release("2");
        assert_eq!(place.store.lay_out(&entry, &second).unwrap(), Laid::Taken);
        let closed = second.join("node_modules/closed");
        let path = fs::read_to_string(closed.join("path")).unwrap();
        assert_eq!(path, second.to_str().unwrap());
        assert_eq!(fs::metadata(&closed).unwrap().mode() & 0o7777, 0o555);
        fs::set_permissions(&closed, Permissions::from_mode(0o755)).unwrap();
    };
    crate::process::own::as_nobody(place.dir.path(), work);
}
