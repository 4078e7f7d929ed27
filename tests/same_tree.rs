//! What is laid out from the store is the tree that a real `npm ci` makes of the same commit in the same place: byte for
//! byte, mode for mode, link for link. Where that can't be known npm runs, and the pusher reads why.
//!
//! The lockfiles are in `tests/trees`; those that hold digests of tarballs, or a path, are written by npm in the test.

#![allow(clippy::unwrap_used)] // a panic is how a test fails

mod support;

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use support::same_tree::{lock, tarball, tree};
use support::{Orchard, Project, skip};

/// One push for which npm runs, and three for which it does not: the tree is taken from the spare, laid out afresh, and
/// whatever a push that comes at once finds.
fn comes_out_the_same(mut app: Orchard) {
    app.push_installs("nothing is stored yet");
    app.assert_same();

    let ready = app.until_ready();
    let inode = |top: &Path| fs::metadata(top.join("node_modules")).map(|found| found.ino());
    let was_ready = inode(&ready).ok();
    app.push_lays_out().says(", as release 1 installed them");
    assert_eq!(
        inode(&app.release()).ok(),
        was_ready,
        "the tree was taken from the spare"
    );
    app.assert_same();

    fs::remove_dir_all(app.until_ready()).unwrap();
    app.push_lays_out();
    app.assert_same();

    app.push_lays_out();
    app.assert_same();
}

/// One test for each lockfile.
macro_rules! trees {
    ($($test:ident: $tree:literal),* $(,)?) => {
        $(#[test]
        fn $test() {
            comes_out_the_same(Orchard::of_tree($tree));
        })*
    };
}

trees! {
    no_dependencies: "empty",
    workspaces: "workspaces",
    peer_and_optional_dependencies: "peers-and-optional",
    aliases: "aliases",
    overrides: "overrides",
    a_postinstall_that_writes: "esbuild",
    patch_package: "patch-package",
    a_prepare_that_writes_elsewhere: "prepare",
    a_lockfile_of_npm_6: "old-lockfile",
    a_shrinkwrap: "shrinkwrap",
    a_directory_as_a_link: "file-directory",
    a_directory_as_a_copy: "file-directory-copied",
}

/// npm has a record of the tree in the tree, and believes it only while it is newer than all packages.
#[test]
fn npm_believes_its_record_of_the_tree() {
    let mut app = Orchard::of_tree("workspaces");
    app.push_installs("nothing is stored yet");
    for ready in [true, false] {
        let tree = app.until_ready();
        if !ready {
            fs::remove_dir_all(tree).unwrap();
        }
        app.push_lays_out();
        let output = Command::new("npm")
            .args(["ls", "--all", "--loglevel=verbose"])
            .current_dir(app.release())
            .output()
            .unwrap();
        let words = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{words}");
        assert!(!words.contains("failed to load node_modules"), "{words}");
    }
}

#[test]
fn without_dev_dependencies() {
    let project = tree("shrinkwrap");
    project.write("handover.toml", "[install]\nomit = [\"dev\"]\n");
    let app = Orchard::of(project);
    comes_out_the_same(app);
}

/// A project with one dependency: a tarball in it.
fn with_tarball(files: &[(&str, u32, &str)]) -> Project {
    let project = Project::empty();
    project.write(
        "package.json",
        r#"{"name": "tree-tarball", "version": "1.0.0", "private": true, "scripts": {"start": "node server.js"}, "dependencies": {"kept": "file:vendor/kept-1.0.0.tgz"}}"#,
    );
    tarball(&project, "vendor/kept-1.0.0.tgz", files);
    lock(&project);
    project
}

#[test]
fn bundled_dependencies() {
    let bundled = [
        (
            "package.json",
            0o644,
            r#"{"name": "kept", "version": "1.0.0", "dependencies": {"in-it": "1.0.0", "@in/scope": "1.0.0"}, "bundleDependencies": ["in-it", "@in/scope"]}"#,
        ),
        (
            "node_modules/in-it/package.json",
            0o644,
            r#"{"name": "in-it", "version": "1.0.0", "bin": "cli.js"}"#,
        ),
        ("node_modules/in-it/cli.js", 0o755, "#!/usr/bin/env node\n"),
        (
            "node_modules/@in/scope/package.json",
            0o644,
            r#"{"name": "@in/scope", "version": "1.0.0"}"#,
        ),
    ];
    comes_out_the_same(Orchard::of(with_tarball(&bundled)));
}

#[test]
fn files_that_are_read_only_executable_and_oddly_named() {
    let files = [
        (
            "package.json",
            0o644,
            r#"{"name": "kept", "version": "1.0.0", "bin": {"kept": "bin/kept"}, "scripts": {"postinstall": "node postinstall.js"}}"#,
        ),
        (
            "postinstall.js",
            0o644,
            "const fs = require('node:fs');
fs.chmodSync('sealed', 0o400);
fs.writeFileSync('for the group', '', { mode: 0o640 });
fs.chmodSync('everybody', 0o666);
fs.mkdirSync('closed');
fs.writeFileSync('closed/in it', 'x');
fs.chmodSync('closed', 0o555);
fs.writeFileSync(Buffer.from('\\xff not text', 'latin1'), '');
",
        ),
        ("bin/kept", 0o555, "#!/bin/sh\n"),
        ("bin/unmarked", 0o644, "#!/bin/sh\n"),
        ("read-only", 0o444, "read only\n"),
        ("sealed", 0o644, "sealed\n"),
        ("everybody", 0o644, "everybody\n"),
        ("all", 0o777, "all\n"),
        ("with a space and a 'quote'", 0o600, "odd\n"),
        ("empty", 0o644, ""),
    ];
    comes_out_the_same(Orchard::of(with_tarball(&files)));
}

/// Where node's headers are: nodedir, for node-gyp.
fn headers() -> Option<PathBuf> {
    let output = Command::new("node")
        .args(["-p", "process.execPath"])
        .output();
    let node = String::from_utf8(output.unwrap().stdout).unwrap();
    let beside = Path::new(node.trim()).ancestors().nth(2).map(PathBuf::from);
    let places = beside.into_iter().chain([PathBuf::from("/usr")]);
    let mut places = places.filter(|place| place.join("include/node/node_api.h").exists());
    places.next()
}

/// An app on a server where node-gyp needs no download.
fn with_headers(project: Project) -> Option<Orchard> {
    let Some(headers) = headers() else {
        skip("node's headers are not installed (apt-get install libnode-dev)");
        return None;
    };
    let nodedir = headers.to_str().unwrap();
    Some(Orchard::among(project, &[("npm_config_nodedir", nodedir)]))
}

#[test]
fn a_native_addon_in_a_directory_of_the_apps() {
    if let Some(app) = with_headers(tree("native")) {
        comes_out_the_same(app);
    }
}

#[test]
fn a_native_addon_among_the_packages() {
    let addon = tree("native");
    let read = |name: &str| addon.read(&format!("addon/{name}"));
    let package = r#"{"name": "kept", "version": "1.0.0", "main": "index.js"}"#;
    let project = with_tarball(&[
        ("package.json", 0o644, package),
        ("binding.gyp", 0o644, &read("binding.gyp")),
        ("addon.c", 0o644, &read("addon.c")),
        ("index.js", 0o644, &read("index.js")),
    ]);
    if let Some(app) = with_headers(project) {
        comes_out_the_same(app);
    }
}

/// A project with one dependency: what is in a git repository.
fn with_git_dependency(package: &str) -> (Project, Project) {
    let dependency = Project::empty();
    dependency.write("package.json", package);
    dependency.write("index.js", "module.exports = 'from git';\n");
    let commit = dependency.commit("the dependency");
    let project = Project::empty();
    let url = format!("git+file://{}#{commit}", dependency.path().display());
    project.write(
        "package.json",
        &format!(
            r#"{{"name": "tree-git", "version": "1.0.0", "private": true, "scripts": {{"start": "node server.js"}}, "dependencies": {{"from-git": "{url}"}}}}"#
        ),
    );
    lock(&project);
    (project, dependency)
}

#[test]
fn what_comes_from_git_is_installed_each_time() {
    let (project, _dependency) = with_git_dependency(r#"{"name": "from-git", "version": "1.0.0"}"#);
    let why = "the lockfile does not fix the content of `from-git` (no integrity)";
    let mut app = Orchard::of(project);
    for _ in 0..2 {
        app.push_installs(why);
        app.assert_same();
    }
    assert!(app.entries().is_empty());
}
