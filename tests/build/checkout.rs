//! What is checked out is what was committed, or nothing at all.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

use handover::build::{Aside, CheckoutError, Limits, StepFailure, put_aside, sync_release};
use handover::process::delete::delete_now;
use handover::report::Phase;
use nix::fcntl::{OFlag, openat};
use nix::sys::stat::{Mode, mkdirat};
use proptest::prelude::*;

use crate::trees::{Entry, Place, entry, names_in};

const FILE: &str = "100644";
const PROGRAM: &str = "100755";
const LINK: &str = "120000";
const DIR: &str = "40000";

#[test]
fn a_release_is_the_tree_byte_for_byte() {
    let place = Place::new();
    let inner = place.tree(&[
        entry(LINK, "back", &place.blob("../read me")),
        entry(PROGRAM, "run.sh", &place.blob("#!/bin/sh\n")),
    ]);
    let attributes = "* text eol=crlf filter=evil ident\nread* export-ignore\n";
    let written = place
        .check_out(&[
            entry(FILE, ".gitattributes", &place.blob(attributes)),
            entry(DIR, "bin", &inner),
            entry(FILE, "empty", &place.blob("")),
            entry(FILE, "read me", &place.blob("one\ntwo $Id$\n")),
        ])
        .unwrap();
    assert_eq!((written.files, written.warnings.len()), (5, 0));
    let release = place.release();
    let mode = |name: &str| {
        fs::metadata(release.join(name))
            .unwrap()
            .permissions()
            .mode()
            & 0o7777
    };
    assert_eq!(
        fs::read(release.join("read me")).unwrap(),
        b"one\ntwo $Id$\n"
    );
    assert_eq!(fs::read(release.join("empty")).unwrap(), b"");
    assert_eq!(
        fs::read_link(release.join("bin/back")).unwrap(),
        Path::new("../read me")
    );
    assert_eq!((mode("read me"), mode("bin/run.sh")), (0o644, 0o755));
    assert_eq!((mode("bin"), mode("")), (0o755, 0o755));
    assert_eq!(names_in(&place.path("releases")), ["1"]);
    sync_release(&release).unwrap();
}

#[test]
fn names_with_a_meaning_of_their_own_are_refused() {
    let place = Place::new();
    let blob = place.blob("x");
    for bad in [
        &b".git"[..],
        b".GIT",
        b"GIT~1",
        b".",
        b"..",
        b"a/b",
        b"../evil",
        b"/etc/evil",
        b"line\nbreak",
        b"\x1b[31mred",
        &[b'x'; 256],
    ] {
        let words = place.refusal(&[entry(FILE, bad, &blob)]);
        assert!(words.contains("has a name that is not allowed"), "{words}");
        assert!(!words.contains(['\u{1b}', '\n']), "{words:?}");
    }
    // As directories too, and below others.
    let tree = place.tree(&[entry(FILE, "config", &blob)]);
    place.refusal(&[entry(DIR, ".git", &tree)]);
    let below = place.tree(&[entry(DIR, ".Git", &tree)]);
    let words = place.refusal(&[entry(DIR, "sub", &below)]);
    assert!(words.contains("`sub/.Git`"), "{words}");
}

#[test]
fn what_is_no_file_directory_or_symlink_is_refused() {
    let place = Place::new();
    let blob = place.blob("x");
    let words = place.refusal(&[entry("160000", "lib", &"ab".repeat(20))]);
    assert_eq!(
        words,
        "`lib` is a submodule, and its content does not come with a push"
    );
    for mode in ["100664", "104755", "20000", "60000", "140000"] {
        let words = place.refusal(&[entry(mode, "odd", &blob)]);
        assert!(words.contains(&format!("has the mode {mode}")), "{words}");
    }
}

#[test]
fn a_name_that_is_there_twice_is_refused() {
    let place = Place::new();
    let link = entry(LINK, "a", &place.blob("b"));
    let inside = place.tree(&[entry(FILE, "x", &place.blob("x"))]);
    let words = place.refusal(&[link, entry(DIR, "a", &inside)]);
    assert!(words.contains("is in its directory twice"), "{words}");
}

#[test]
fn symlinks_that_lead_out_are_refused_however_they_do_it() {
    let place = Place::new();
    let link = |name: &str, target: &str| entry(LINK, name, &place.blob(target));
    for target in ["/etc/passwd", "..", "../x", "a/../../x"] {
        let words = place.refusal(&[link("link", target)]);
        assert_eq!(
            words,
            format!("`link` is a symlink to `{target}`, which lies outside of the repository")
        );
    }
    let deep = place.tree(&[link("x", "../top")]);
    place.refusal(&[entry(DIR, "deep", &deep), link("y", "deep/x/../..")]);
    let words = place.refusal(&[link("empty", "")]);
    assert!(words.contains("a target that is empty"), "{words}");
    let words = place.refusal(&[link("long", &"x/".repeat(3000))]);
    assert!(words.contains("longer than 4095 bytes"), "{words}");
}

#[test]
fn a_tree_beyond_the_limits_is_refused_before_it_is_written() {
    let limits = Limits {
        entries: 3,
        bytes: 10 << 20,
        path: 20,
        depth: 2,
        ..Limits::default()
    };
    let place = Place::new();
    let blob = place.blob("x");
    let refused = |entries: &[Entry]| {
        let error = place.check_out_within(entries, &limits).unwrap_err();
        assert_eq!(names_in(&place.path("releases")), [] as [String; 0]);
        error.to_string()
    };
    let many: Vec<_> = ["a", "b", "c", "d"]
        .iter()
        .map(|n| entry(FILE, n, &blob))
        .collect();
    assert_eq!(
        refused(&many),
        "the tree has more than 3 files and directories"
    );
    let large = place.blob(vec![b'x'; 6 << 20]);
    let twice = [entry(FILE, "a", &large), entry(FILE, "b", &large)];
    assert_eq!(refused(&twice), "the tree has more than 10 MiB of files");
    let long = refused(&[entry(FILE, "a-name-of-more-than-20", &blob)]);
    assert!(long.contains("22 bytes; 20 are allowed"), "{long}");
    let mut deep = place.tree(&[]);
    for _ in 0..3 {
        deep = place.tree(&[entry(DIR, "d", &deep)]);
    }
    assert_eq!(
        refused(&[entry(DIR, "d", &deep)]),
        "the tree has more than 2 directories within directories"
    );
}

#[test]
fn a_small_pack_that_stands_for_billions_of_files_is_refused() {
    let place = Place::new();
    let mut tree = place.tree(&[entry(FILE, "f", &place.blob("x"))]);
    for _ in 0..12 {
        let ten: Vec<_> = ('0'..='9')
            .map(|n| entry(DIR, n.to_string(), &tree))
            .collect();
        tree = place.tree(&ten);
    }
    let words = place.refusal(&[entry(DIR, "bomb", &tree)]);
    assert_eq!(words, "the tree has more than 200000 files and directories");
}

#[test]
fn an_object_that_is_missing_fails_and_leaves_nothing() {
    let place = Place::new();
    let missing = "ab".repeat(20);
    let error = place.check_out(&[entry(FILE, "a", &missing)]).unwrap_err();
    assert!(matches!(error, CheckoutError::Git(_)), "{error:?}");
    assert_eq!(names_in(&place.path("releases")), [] as [String; 0]);
}

#[test]
fn what_an_earlier_checkout_left_is_replaced_and_a_release_never_is() {
    let place = Place::new();
    let entries = [entry(FILE, "a", &place.blob("x"))];
    let staging = place.path("releases/.staging-1");
    fs::create_dir_all(staging.join("old")).unwrap();
    place.check_out(&entries).unwrap();
    assert_eq!(names_in(&place.release()), ["a"]);
    let error = place.check_out(&entries).unwrap_err();
    assert!(matches!(error, CheckoutError::Exists { .. }), "{error:?}");
    assert_eq!(names_in(&place.path("releases")), ["1"]);
}

#[test]
fn pointers_of_lfs_and_a_committed_node_modules_are_told() {
    let place = Place::new();
    let pointer =
        place.blob("version https://git-lfs.github.com/spec/v1\noid sha256:4d7a2146\nsize 12345\n");
    let modules = place.tree(&[entry(FILE, "x", &place.blob("x"))]);
    let written = place
        .check_out(&[
            entry(FILE, "a.png", &pointer),
            entry(FILE, "b.png", &pointer),
            entry(DIR, "node_modules", &modules),
        ])
        .unwrap();
    assert!(written.warnings[0].starts_with("`a.png` and 1 more are Git LFS pointers"));
    assert!(written.warnings[1].contains("git rm -r --cached node_modules"));
}

#[test]
fn a_refused_tree_is_told_as_a_failed_checkout_with_a_way_out() {
    let place = Place::new();
    let error = place
        .check_out(&[entry("160000", "lib", &"ab".repeat(20))])
        .unwrap_err();
    let failed = StepFailure::from(error);
    assert_eq!(failed.phase, Phase::Checkout);
    assert!(
        failed.hints[0].contains("git rm --cached lib"),
        "{:?}",
        failed.hints
    );
}

fn any_name() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => "[abc]".prop_map(String::into_bytes),
        1 => "\\.\\.?|\\.git|a/b|\\.\\./x|/x".prop_map(String::into_bytes),
        1 => proptest::collection::vec(1..=255_u8, 0..4),
    ]
}

fn any_target() -> impl Strategy<Value = String> {
    "/?((\\.\\.|a|b|c|\\.)/){0,3}(\\.\\.|a|b|c)"
}

#[derive(Debug, Clone)]
enum Any {
    File,
    Link(String),
    Odd,
    Dir(Vec<(Vec<u8>, Any)>),
}

fn any_entry() -> impl Strategy<Value = Any> {
    let leaf = prop_oneof![
        6 => Just(Any::File),
        6 => any_target().prop_map(Any::Link),
        1 => Just(Any::Odd)
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        proptest::collection::vec((any_name(), inner), 0..4).prop_map(Any::Dir)
    })
}

fn write_tree(place: &Place, entries: &[(Vec<u8>, Any)]) -> String {
    let entries: Vec<_> = entries
        .iter()
        .map(|(name, any)| match any {
            Any::File => entry(FILE, name, &place.blob("x")),
            Any::Link(target) => entry(LINK, name, &place.blob(target)),
            Any::Odd => entry("100664", name, &place.blob("x")),
            Any::Dir(inner) => entry(DIR, name, &write_tree(place, inner)),
        })
        .collect();
    place.tree(&entries)
}

fn all_below(dir: &Path, found: &mut Vec<std::path::PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let entry = entry.unwrap();
        found.push(entry.path());
        if entry.file_type().unwrap().is_dir() {
            all_below(&entry.path(), found);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn no_accepted_tree_writes_or_leads_outside_of_its_release(
        entries in proptest::collection::vec((any_name(), any_entry()), 1..5)
    ) {
        let place = Place::new();
        let commit = place.commit(&write_tree(&place, &entries));
        fs::create_dir(place.path("releases")).unwrap();
        let result = place.check_out_commit(&commit, &Limits::default());
        let releases = names_in(&place.path("releases"));
        prop_assert_eq!(names_in(place.dir.path()), ["releases", "repo.git"]);
        if result.is_err() {
            prop_assert_eq!(releases, [] as [String; 0]);
        } else {
            prop_assert_eq!(releases, ["1"]);
            let top = place.release().canonicalize().unwrap();
            let mut all = Vec::new();
            all_below(&top, &mut all);
            for path in all {
                if let Ok(real) = path.canonicalize() {
                    prop_assert!(real.starts_with(&top), "{:?} leads to {:?}", path, real);
                }
            }
        }
    }
}

// ---- removing

#[test]
fn a_removed_release_is_gone_and_what_its_symlinks_name_is_not() {
    let place = Place::new();
    let release = place.release();
    fs::create_dir_all(release.join("deep/er")).unwrap();
    fs::create_dir(place.path("kept")).unwrap();
    fs::write(place.path("kept/file"), "x").unwrap();
    symlink(place.path("kept"), release.join("deep/link")).unwrap();
    fs::set_permissions(release.join("deep"), fs::Permissions::from_mode(0o555)).unwrap();
    delete_now(&release).unwrap();
    assert_eq!(names_in(&place.path("releases")), [] as [String; 0]);
    assert!(place.path("kept/file").exists());
    // Again is fine, and so is a file.
    delete_now(&release).unwrap();
    delete_now(&place.path("kept/file")).unwrap();
    assert!(!place.path("kept/file").exists());
}

#[test]
fn directories_that_are_deeper_than_any_path_are_deleted() {
    let place = Place::new();
    let top = place.path("deep");
    fs::create_dir(&top).unwrap();
    let mut dir = std::os::fd::OwnedFd::from(fs::File::open(&top).unwrap());
    for _ in 0..300 {
        let (mode, name) = (Mode::S_IRWXU, "twenty-letters-long!");
        mkdirat(&dir, name, mode).unwrap();
        dir = openat(&dir, name, OFlag::O_DIRECTORY, Mode::empty()).unwrap();
        openat(&dir, "file", OFlag::O_CREAT | OFlag::O_WRONLY, mode).unwrap();
    }
    delete_now(&top).unwrap();
    assert!(!top.exists());
}

#[test]
fn what_is_put_aside_has_another_name_and_nothing_else_is_taken_for_it() {
    let place = Place::new();
    let releases = place.path("releases");
    for name in ["1", "2", ".staging-7/a", ".trash-2-0/b"] {
        fs::create_dir_all(releases.join(name)).unwrap();
    }
    let aside = put_aside(&releases.join("2")).unwrap().unwrap();
    assert_eq!(put_aside(&releases.join("2")).unwrap(), None);
    assert_eq!(aside.path(), releases.join(".trash-2-1"));
    let mut all: Vec<_> = Aside::all_in(&releases)
        .iter()
        .map(|aside| aside.path().to_owned())
        .collect();
    all.sort();
    assert_eq!(
        all,
        [releases.join(".trash-2-0"), releases.join(".trash-2-1")]
    );
    assert_eq!(Aside::all_in(&place.path("missing")), []);
}
