//! Trees go into the store and come out the same.

use std::fs::{self, Permissions};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileExt as _, PermissionsExt as _, symlink};
use std::path::Path;

use super::place::{Place, about, install, tree};
use crate::ids::ReleaseNumber;
use crate::store::{About, Entry, Laid, PackError, StoreError, Unfit, Verified};

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

impl About {
    fn made_at(self, entry: &Entry) -> Self {
        Self {
            made: entry.about.made,
            ..self
        }
    }
}
