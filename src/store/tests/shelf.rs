//! Which tree is found, and which goes.

use std::fs;
use std::time::{Duration, SystemTime};

use super::place::{KEYED, Place, install, key, parts};
use crate::store::{Found, Limits, differing};

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
    assert_eq!(pruned(1, 0), 1);
    assert_eq!(kept(), ids[..1]);
}

#[test]
fn where_nothing_is_to_be_kept_everything_goes() {
    let place = Place::new();
    let entry = place.stored(install);
    place.store.make_ready(&entry).unwrap();
    let limits = Limits {
        bytes: 0,
        age: Duration::from_secs(3600),
    };
    let gone = place.store.prune(&limits, SystemTime::now()).unwrap();
    assert_eq!((gone.0, place.files()), (1, 0));
}
