//! What an install reads decides whether a stored tree may stand for it: each of the inputs, changed by itself, makes a
//! miss, and the pusher reads which it was; what no install reads may change.

#![allow(clippy::unwrap_used)] // a panic is how a test fails

mod support;

#[path = "install_inputs/bench.rs"]
mod bench;
#[path = "install_inputs/npm.rs"]
mod npm;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};

use bench::{Bench, COPIES, LOCK, LOUD, Opened, QUIET, READS};

/// Something that becomes other than it was.
type Change = fn(&mut Bench);

#[track_caller]
fn misses(package: &str, opened: Opened<'_>, changes: &[(&str, Change)]) {
    for (words, change) in changes {
        let mut bench = Bench::with(package, opened);
        assert_eq!(bench.miss(), None, "nothing has changed");
        change(&mut bench);
        assert_eq!(bench.miss().as_deref(), Some(*words));
    }
}

#[track_caller]
fn hits(package: &str, opened: Opened<'_>, changes: &[Change]) {
    let mut bench = Bench::with(package, opened);
    for (n, change) in changes.iter().enumerate() {
        change(&mut bench);
        assert_eq!(bench.miss(), None, "change {n}");
    }
}

fn write(bench: &Bench, name: &str, content: &str) {
    bench.project.write(name, content);
}

fn remove(bench: &Bench, name: &str) {
    bench.project.remove(name);
}

fn mode(bench: &Bench, name: &str, mode: u32) {
    let path = bench.project.path().join(name);
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn link(bench: &Bench, target: &str, name: &str) {
    symlink(target, bench.project.path().join(name)).unwrap();
}

#[test]
fn what_npm_reads_of_the_app_is_told_by_its_name() {
    misses(
        QUIET,
        READS,
        &[
            ("`package-lock.json` changed since release 1", |b| {
                let lock = LOCK.replace("sha512-x", "sha512-y");
                b.project.write("package-lock.json", &lock);
            }),
            ("`package.json` changed since release 1", |b| {
                b.project
                    .write("package.json", &QUIET.replace("app", "shop"));
            }),
            ("`packages/a/package.json` changed since release 1", |b| {
                b.project
                    .write("packages/a/package.json", r#"{"name": "a"}"#);
            }),
            ("`packages/b/package.json` changed since release 1", |b| {
                b.project
                    .write("packages/b/package.json", r#"{"name": "b"}"#);
            }),
            ("`packages/a/package.json` changed since release 1", |b| {
                b.project.remove("packages/a/package.json");
            }),
            ("`package.json` changed since release 1", |b| {
                mode(b, "package.json", 0o755);
            }),
            ("`.npmrc` changed since release 1", |b| {
                b.project.write(".npmrc", "legacy-peer-deps=true\n");
            }),
            ("`npm-shrinkwrap.json` changed since release 1", |b| {
                b.project.write("npm-shrinkwrap.json", LOCK);
            }),
            ("`packages/a/.npmrc` changed since release 1", |b| {
                link(b, "../../README.md", "packages/a/.npmrc");
            }),
            (
                "`.npmrc`, `package-lock.json`, `package.json` and 1 more changed since release 1",
                |b| {
                    b.project
                        .write(".npmrc", "")
                        .write("package-lock.json", &LOCK.replace("sha512-x", "sha512-y"));
                    b.project.write("package.json", "{}").write(
                        "packages/a/package.json",
                        r#"{"name": "b", "bin": "cli.js"}"#,
                    );
                },
            ),
        ],
    );
}

#[test]
fn programs_of_workspaces_and_committed_packages_count() {
    misses(
        QUIET,
        READS,
        &[
            ("`packages/a/cli.js` changed since release 1", |b| {
                b.project.remove("packages/a/cli.js");
            }),
            ("`packages/a/cli.js` changed since release 1", |b| {
                b.project
                    .write("packages/a/cli.js", "#!/usr/bin/env node\r\n");
            }),
            ("`packages/a/cli.js` changed since release 1", |b| {
                b.project.remove("packages/a/cli.js");
                link(b, "package.json", "packages/a/cli.js");
            }),
            ("`node_modules` changed since release 1", |b| {
                b.project.write("node_modules/ms/index.js", "");
            }),
            ("`node_modules` changed since release 1", |b| {
                b.project.write("packages/a/node_modules/x", "");
            }),
            ("`node_modules` changed since release 1", |b| {
                link(b, "packages", "node_modules");
            }),
        ],
    );
    hits(
        QUIET,
        READS,
        &[
            |b| write(b, "packages/a/cli.js", "#!/usr/bin/env node\n// more\n"),
            |b| mode(b, "packages/a/cli.js", 0o755),
        ],
    );
}

#[test]
fn the_machine_the_arguments_and_the_environment_count() {
    misses(
        QUIET,
        READS,
        &[
            ("`npm` changed since release 1", |b| {
                set(&mut b.around.machine, "npm", "11.1.1");
            }),
            ("`node` changed since release 1", |b| {
                set(&mut b.around.machine, "node", "22.1.1");
            }),
            ("`abi` changed since release 1", |b| {
                set(&mut b.around.machine, "abi", "128");
            }),
            ("`arch` changed since release 1", |b| {
                set(&mut b.around.machine, "arch", "arm64");
            }),
            ("`libc` changed since release 1", |b| {
                set(&mut b.around.machine, "libc", "other");
            }),
            ("`the arguments` changed since release 1", |b| {
                b.around.arguments.push("--omit=optional".to_owned());
            }),
            // Two arguments are not one.
            ("`the arguments` changed since release 1", |b| {
                b.around.arguments = vec!["ci --include=dev".to_owned()];
            }),
            (
                "`environment npm_config_registry` changed since release 1",
                |b| {
                    set(&mut b.around.environment, "npm_config_registry", "s");
                },
            ),
            ("`environment PATH` changed since release 1", |b| {
                set(&mut b.around.environment, "PATH", "/usr/bin");
            }),
            ("`environment TZ` changed since release 1", |b| {
                b.around.environment.remove("TZ");
            }),
            ("`environment HTTP_PROXY` changed since release 1", |b| {
                set(&mut b.around.environment, "HTTP_PROXY", "");
            }),
        ],
    );
}

fn set(values: &mut BTreeMap<String, String>, name: &str, value: &str) {
    values.insert(name.to_owned(), value.to_owned());
}

#[test]
fn settings_files_outside_the_app_count_whether_they_are_there_or_not() {
    let contents: [Option<&str>; 4] = [Some("fund=true\n"), Some(""), None, Some("fund=false\n")];
    for n in 0..3 {
        for content in contents {
            let mut bench = Bench::with(QUIET, READS);
            let path = bench.settings[n].clone();
            let before = fs::read_to_string(&path).ok();
            match content {
                Some(content) => fs::write(&path, content).unwrap(),
                None if before.is_some() => fs::remove_file(&path).unwrap(),
                None => {}
            }
            let miss = bench.miss();
            if before.as_deref() == content {
                assert_eq!(miss, None);
            } else {
                let words = format!("`{}` changed since release 1", path.display());
                assert_eq!(miss, Some(words));
            }
        }
    }
}

#[test]
fn what_an_install_has_read_counts_and_nothing_else_does() {
    for package in [QUIET, LOUD] {
        let words = "`src/read.js` changed since release 1, and the install reads that";
        misses(
            package,
            READS,
            &[
                (words, |b| write(b, "src/read.js", "other")),
                (words, |b| mode(b, "src/read.js", 0o755)),
                (
                    "`node` changed since release 1, and the install reads that",
                    |b| write(b, "node", "other"),
                ),
                (words, |b| remove(b, "src/read.js")),
                (words, |b| {
                    b.project.remove("src/read.js");
                    link(b, "unread.js", "src/read.js");
                }),
            ],
        );
        hits(
            package,
            READS,
            &[
                |b| write(b, "src/unread.js", "other"),
                |b| write(b, "README.md", ""),
                |b| write(b, "src/unread.js", "unread"),
            ],
        );
    }
    hits(
        QUIET,
        READS,
        &[
            |b| write(b, "src/new.js", ""),
            |b| write(b, "new/dir/file.js", ""),
            |b| remove(b, "README.md"),
            |b| mode(b, "src/unread.js", 0o755),
            |b| link(b, "new.js", "src/link"),
        ],
    );
}

#[test]
fn where_scripts_run_names_count() {
    let words = "files were added or removed since release 1, which the install scripts of `package.json (postinstall)` may look for";
    misses(
        LOUD,
        READS,
        &[
            (words, |b| write(b, "new.js", "")),
            (words, |b| write(b, "new/dir/file.js", "")),
            (words, |b| remove(b, "README.md")),
            (words, |b| mode(b, "src/unread.js", 0o755)),
            (words, |b| link(b, "read.js", "src/link")),
            (words, |b| {
                b.project.remove("README.md");
                link(b, "src/unread.js", "README.md");
            }),
        ],
    );
    // Scripts run that have not run before.
    misses(
        QUIET,
        READS,
        &[(
            "files were added or removed since release 1, which the install scripts of `binding.gyp` may look for",
            |b| write(b, "binding.gyp", "{}"),
        )],
    );
    // So they do where a directory of the app is copied that the lockfile has as a link.
    misses(
        QUIET,
        COPIES,
        &[(
            "files were added or removed since release 1, and the install copies directories of the app",
            |b| write(b, "packages/a/new.js", ""),
        )],
    );
    // A program of a workspace may be read by a script as well as by npm.
    misses(
        LOUD,
        READS,
        &[(
            "`packages/a/cli.js` changed since release 1, and the install reads that",
            |b| write(b, "packages/a/cli.js", "other"),
        )],
    );
}

#[test]
fn where_it_is_not_known_what_was_read_everything_counts() {
    let words = "the app changed since release 1, and what of it the install reads is not known";
    for package in [QUIET, LOUD] {
        misses(
            package,
            None,
            &[
                (words, |b| write(b, "src/unread.js", "other")),
                (words, |b| write(b, "new.js", "")),
                (words, |b| mode(b, "src/unread.js", 0o755)),
            ],
        );
    }
}

#[test]
fn an_earlier_tree_is_found_again() {
    let mut bench = Bench::with(QUIET, READS);
    bench.project.write("src/read.js", "other");
    assert!(bench.miss().is_some());
    bench.store_the_first(READS);
    assert_eq!(bench.miss(), None);
    bench.project.write("src/read.js", "read");
    assert_eq!(bench.miss(), None);
}
