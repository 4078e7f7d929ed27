use std::fs;
use std::path::PathBuf;
use std::time::Instant;

use super::*;
use crate::build::remove::is_trash;

/// On a disk that has room, whatever it has.
fn unhurried() -> Remover {
    Remover::start_where_low_is(Free {
        bytes: 0,
        inodes: None,
    })
    .unwrap()
}

/// Releases of some files each.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn release(&self, name: &str, files: usize) -> PathBuf {
        let release = self.0.path().join(name);
        for n in 0..files {
            let dir = release.join(format!("node_modules/{}", n % 7));
            fs::create_dir_all(&dir).unwrap();
            fs::write(dir.join(n.to_string()), "x").unwrap();
        }
        release
    }

    fn names(&self) -> Vec<String> {
        crate::process::files::names_in(self.0.path())
    }

    fn files_left(&self) -> usize {
        let mut ahead = vec![self.0.path().to_owned()];
        let mut files = 0;
        while let Some(dir) = ahead.pop() {
            for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
                match entry.file_type() {
                    Ok(found) if found.is_dir() => ahead.push(entry.path()),
                    _ => files += 1,
                }
            }
        }
        files
    }
}

fn until(what: &str, met: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !met() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn what_is_removed_has_no_name_at_once_and_is_gone_soon() {
    let (place, remover) = (Place::new(), unhurried());
    for name in ["1", "2"] {
        let release = place.release(name, 50);
        remover.remove(&release).unwrap();
        assert!(!release.exists());
        remover.remove(&release).unwrap(); // again is fine
    }
    until("both are gone", || place.names().is_empty());
    until("and the remover knows", || {
        remover.waiting(place.0.path()) == 0
    });
}

#[test]
fn nothing_is_deleted_while_a_deploy_is_at_work_and_everything_afterwards() {
    let (place, remover) = (Place::new(), unhurried());
    let deploys = [remover.pause(), remover.pause()];
    let release = place.release("1", 20);
    remover.remove(&release).unwrap();
    assert_eq!(remover.waiting(place.0.path()), 1);
    let [first, second] = deploys;
    drop(first);
    // It is awake now, looks, and finds that it may not.
    assert_eq!(place.files_left(), 20);
    assert!(place.names().iter().all(|name| is_trash(name)));
    drop(second);
    until("it is gone", || place.names().is_empty());
}

#[test]
fn a_deploy_that_begins_halts_it_in_the_middle_of_a_directory() {
    let (place, remover) = (Place::new(), unhurried());
    let before = 4000;
    remover.remove(&place.release("1", before)).unwrap();
    until("it has begun", || place.files_left() < before);
    let pause = remover.pause();
    // The file that it is at may still go.
    let halted = place.files_left();
    std::thread::sleep(Duration::from_millis(50));
    let later = place.files_left();
    assert!(halted - later <= 1, "{halted} files, then {later}");
    drop(pause);
    until("it is gone", || place.names().is_empty());
}

#[test]
fn what_was_put_aside_before_is_found_and_taken_once() {
    let place = Place::new();
    let remover = unhurried();
    let pause = remover.pause();
    place.release(".trash-3-0", 3);
    place.release("4", 3);
    for _ in 0..3 {
        for aside in Aside::all_in(place.0.path()) {
            remover.take(aside).unwrap();
        }
    }
    assert_eq!(remover.waiting(place.0.path()), 1);
    drop(pause);
    until("only the release is left", || place.names() == ["4"]);
}

#[test]
fn what_is_of_use_may_be_taken_out_before_the_rest_goes() {
    let (place, remover) = (Place::new(), unhurried());
    let aside = put_aside(&place.release("1", 10)).unwrap().unwrap();
    let taken = place.0.path().join("taken");
    fs::rename(aside.path().join("node_modules"), &taken).unwrap();
    remover.take(aside).unwrap();
    until("the rest is gone", || place.names() == ["taken"]);
    assert_eq!(place.files_left(), 10);
}

#[test]
fn what_somebody_else_deletes_is_left_to_him() {
    let (place, remover) = (Place::new(), unhurried());
    let pause = remover.pause();
    remover.remove(&place.release("1", 3)).unwrap();
    remover.forget(place.0.path());
    drop(pause);
    assert_eq!(remover.waiting(place.0.path()), 0);
    assert_eq!(place.files_left(), 3);
}

#[test]
fn on_a_disk_that_is_nearly_full_nothing_waits_for_anybody() {
    let place = Place::new();
    let remover = Remover::start_where_low_is(Free {
        bytes: u64::MAX,
        inodes: None,
    })
    .unwrap();
    let _pause = remover.pause();
    remover.remove(&place.release("1", 20)).unwrap();
    assert_eq!(place.names(), [] as [String; 0], "at once");
}

#[test]
fn what_waits_goes_as_soon_as_the_disk_is_nearly_full() {
    let place = Place::new();
    let mut remover = unhurried();
    let _pause = remover.pause();
    for name in ["1", "2"] {
        remover.remove(&place.release(name, 20)).unwrap();
    }
    remover.make_room();
    assert_eq!(remover.waiting(place.0.path()), 2, "there is room");
    // As if it had become full meanwhile.
    let waiting = remover.0.lock().waiting.clone();
    remover = Remover::start_where_low_is(Free {
        bytes: u64::MAX,
        inodes: None,
    })
    .unwrap();
    let _pause = remover.pause();
    remover.0.lock().waiting = waiting;
    remover.make_room();
    assert_eq!(place.names(), [] as [String; 0]);
    until("the remover knows", || remover.waiting(place.0.path()) == 0);
}
