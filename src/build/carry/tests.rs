use std::cell::Cell;
use std::collections::BTreeMap;
use std::os::unix::fs::symlink;

use super::*;

/// Two releases: `1` was built, `2` is to be.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        for release in ["1", "2"] {
            fs::create_dir(place.path(release)).unwrap();
        }
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, content: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    fn carry(&self, caches: &[&str]) -> Carried {
        self.carry_within(caches, 1 << 30, &|| true)
    }

    fn carry_within(&self, caches: &[&str], limit: u64, go_on: &dyn Fn() -> bool) -> Carried {
        let caches: Vec<_> = caches
            .iter()
            .map(|path| CachePath::read(path).unwrap())
            .collect();
        let copies = CarryRequest {
            from: &self.path("1"),
            staging: &self.path(".staging-9"),
            caches: &caches,
            limit,
            go_on,
        }
        .copy();
        let carried = copies.place(&self.path("2"));
        assert!(
            !self.path(".staging-9").exists(),
            "nothing is left of the way"
        );
        carried
    }

    /// All files of the new release with their contents, and the symlinks with their targets.
    fn new_release(&self) -> BTreeMap<String, String> {
        let top = self.path("2");
        let (mut ahead, mut found) = (vec![top.clone()], BTreeMap::new());
        while let Some(dir) = ahead.pop() {
            for entry in fs::read_dir(dir).unwrap().map(Result::unwrap) {
                let path = entry.path();
                let name = path
                    .strip_prefix(&top)
                    .unwrap()
                    .to_str()
                    .unwrap()
                    .to_owned();
                let kind = entry.file_type().unwrap();
                if kind.is_dir() {
                    ahead.push(path);
                } else if kind.is_symlink() {
                    let target = fs::read_link(&path).unwrap();
                    found.insert(name, format!("-> {}", target.display()));
                } else {
                    found.insert(name, fs::read_to_string(&path).unwrap());
                }
            }
        }
        found
    }

    fn has(&self, expected: &[(&str, &str)]) {
        let text = |(name, content): &(&str, &str)| ((*name).to_owned(), (*content).to_owned());
        assert_eq!(self.new_release(), expected.iter().map(text).collect());
    }
}

fn names(carried: &Carried) -> Vec<String> {
    carried.caches.iter().map(ToString::to_string).collect()
}

#[test]
fn what_is_listed_is_copied_and_nothing_else() {
    let place = Place::new();
    place.write("1/.next/cache/a/b", "b");
    place.write("1/.next/cache/c", "c");
    place.write("1/.next/server/page.js", "built anew");
    place.write("1/.turbo/cache/x", "not listed");
    place.write("1/.next/cache/webpack/0.pack", "of this release");
    place.write("2/package.json", "{}");
    let carried = place.carry(&[".next/cache", ".parcel-cache"]);
    assert_eq!(names(&carried), [".next/cache"]);
    assert_eq!((carried.files, carried.bytes), (2, 2));
    assert!(carried.left_out.is_empty(), "{carried:?}");
    place.has(&[
        (".next/cache/a/b", "b"),
        (".next/cache/c", "c"),
        ("package.json", "{}"),
    ]);
}

#[test]
fn copies_are_files_of_their_own() {
    let place = Place::new();
    place.write("1/.vite/file", "old");
    fs::hard_link(place.path("1/.vite/file"), place.path("1/.vite/other")).unwrap();
    place.carry(&[".vite"]);
    fs::write(place.path("2/.vite/file"), "new").unwrap();
    assert_eq!(fs::read(place.path("1/.vite/file")).unwrap(), b"old");
    assert_eq!(fs::read(place.path("2/.vite/other")).unwrap(), b"old");
}

#[test]
fn symlinks_and_modes_are_as_they_were_and_what_is_no_file_is_left_out() {
    let place = Place::new();
    place.write("1/.vite/bin/tool", "tool");
    let mode = |mode| Permissions::from_mode(mode);
    fs::set_permissions(place.path("1/.vite/bin/tool"), mode(0o555)).unwrap();
    fs::set_permissions(place.path("1/.vite/bin"), mode(0o550)).unwrap();
    symlink("/etc/passwd", place.path("1/.vite/out")).unwrap();
    symlink("bin/tool", place.path("1/.vite/in")).unwrap();
    symlink(place.path("1/server.js"), place.path("1/.vite/back")).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(place.path("1/.vite/socket")).unwrap();
    place.carry(&[".vite"]);
    place.has(&[
        (".vite/bin/tool", "tool"),
        (".vite/in", "-> bin/tool"),
        (".vite/out", "-> /etc/passwd"),
    ]);
    let mode_of = |name: &str| fs::metadata(place.path(name)).unwrap().mode() & 0o777;
    assert_eq!(mode_of("2/.vite/bin/tool"), 0o555);
    // Or else nobody could ever delete it.
    assert_eq!(mode_of("2/.vite/bin"), 0o750);
}

#[test]
fn what_lies_in_its_place_already_stays_and_gets_what_is_beside_it() {
    let place = Place::new();
    place.write("1/node_modules/.cache/babel/1.json", "old");
    place.write("1/node_modules/.cache/prisma/engine", "old");
    place.write("1/node_modules/.cache/prisma/more", "old");
    place.write("2/node_modules/.cache/prisma/engine", "of the install");
    place.write("1/.eslintcache", "old");
    place.write("2/.eslintcache", "new");
    place.write("1/.vite", "a file");
    place.write("2/.vite/dir", "a directory");
    let carried = place.carry(&["node_modules/.cache", ".eslintcache", ".vite"]);
    assert_eq!(names(&carried), ["node_modules/.cache"]);
    place.has(&[
        ("node_modules/.cache/babel/1.json", "old"),
        ("node_modules/.cache/prisma/engine", "of the install"),
        (".eslintcache", "new"),
        (".vite/dir", "a directory"),
    ]);
    assert!(
        place.carry(&["node_modules/.cache"]).caches.is_empty(),
        "nothing is missing"
    );
}

#[test]
fn a_single_file_is_carried_too() {
    let place = Place::new();
    place.write("1/sub/.eslintcache", "x");
    assert_eq!(
        names(&place.carry(&["sub/.eslintcache"])),
        ["sub/.eslintcache"]
    );
    place.has(&[("sub/.eslintcache", "x")]);
}

#[test]
fn no_symlink_leads_out_of_either_release() {
    let place = Place::new();
    place.write("elsewhere/cache/secret", "s");
    fs::create_dir_all(place.path("1/.next")).unwrap();
    symlink(place.path("elsewhere"), place.path("1/out")).unwrap();
    symlink(place.path("elsewhere/cache"), place.path("1/.next/cache")).unwrap();
    place.write("1/.turbo/cache/x", "x");
    symlink(place.path("elsewhere"), place.path("2/.turbo")).unwrap();
    let carried = place.carry(&["out/cache", ".next/cache", ".turbo/cache"]);
    assert!(carried.caches.is_empty());
    for (_, why) in &carried.left_out {
        assert!(matches!(why, LeftOut::Symlink { .. }), "{why}");
    }
    assert_eq!(carried.left_out.len(), 3);
    assert!(!place.path("elsewhere/cache/x").exists());
}

#[test]
fn a_cache_that_is_too_large_is_left_out_and_the_next_is_not() {
    let place = Place::new();
    place.write("1/.next/cache/large", &"x".repeat(1000));
    place.write("1/.vite/small", &"x".repeat(600));
    place.write("1/.turbo/cache/small", &"x".repeat(600));
    let caches = [".next/cache", ".vite", ".turbo/cache"];
    let carried = place.carry_within(&caches, 999, &|| true);
    assert_eq!(names(&carried), [".vite"]);
    let why: Vec<_> = carried
        .left_out
        .iter()
        .map(|(path, why)| format!("{path}: {why}"))
        .collect();
    assert_eq!(
        why,
        [
            ".next/cache: it has 1000 bytes, and 999 are left of what may be carried",
            ".turbo/cache: it has 600 bytes, and 399 are left of what may be carried",
        ]
    );
}

#[test]
fn a_deploy_that_is_given_up_gets_nothing_that_is_not_whole() {
    let place = Place::new();
    place.write("1/.vite/a", "a");
    place.write("1/.vite/b", "b");
    place.write("1/.next/cache/c", "c");
    let asked = Cell::new(0);
    let twice = || {
        asked.set(asked.get() + 1);
        asked.get() <= 2
    };
    let carried = place.carry_within(&[".vite", ".next/cache"], 1 << 30, &twice);
    assert!(carried.caches.is_empty());
    assert!(matches!(carried.left_out[0].1, LeftOut::GivenUp));
    place.has(&[]);
}

#[test]
fn what_was_left_halfway_before_is_not_taken_for_anything() {
    let place = Place::new();
    place.write(".staging-9/cache/half", "h");
    place.write("1/.vite/a", "a");
    place.carry(&[".vite"]);
    place.has(&[(".vite/a", "a")]);
}

#[test]
fn files_that_come_and_go_under_the_copy_are_left_out() {
    let place = Place::new();
    for n in 0..2000 {
        place.write(&format!("1/.vite/kept/{n}"), "kept");
    }
    let over = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(std::sync::atomic::Ordering::Relaxed) {
                for n in 0..50 {
                    let path = place.path(&format!("1/.vite/passing-{n}"));
                    fs::write(&path, "passing").unwrap();
                    fs::remove_file(&path).unwrap();
                }
            }
        });
        let carried = place.carry(&[".vite"]);
        over.store(true, std::sync::atomic::Ordering::Relaxed);
        assert_eq!(names(&carried), [".vite"], "{carried:?}");
    });
    let there = place.new_release();
    let kept = there.iter().filter(|(_, content)| *content == "kept");
    assert_eq!(kept.count(), 2000);
    let whole = |(name, content): (&String, &String)| {
        name.contains("kept") || content == "passing" || content.is_empty()
    };
    assert!(there.iter().all(whole), "{there:?}");
}
