//! Whatever happens to the store, deploys go on: npm runs where the store can't help, and the pusher reads why.

#![allow(clippy::unwrap_used)] // a panic is how a test fails

mod support;

use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use support::project::pushed;
use support::same_tree::{lock, tarball};
use support::{Orchard, Project, Server, SmallDisk, skip, until};

/// A project whose install makes a tree of this many bytes, beside a package, and waits where a file says so.
fn making(bytes: usize) -> Project {
    let project = Project::empty();
    project
        .write(
            "package.json",
            r#"{"name": "making", "version": "1.0.0", "private": true, "scripts": {"start": "node server.js", "postinstall": "node make.js"}, "dependencies": {"kept": "file:kept"}}"#,
        )
        .write(
            "package-lock.json",
            r#"{"name": "making", "version": "1.0.0", "lockfileVersion": 3, "requires": true, "packages": {
  "": {"name": "making", "version": "1.0.0", "hasInstallScript": true, "dependencies": {"kept": "file:kept"}},
  "kept": {"version": "1.0.0"},
  "node_modules/kept": {"resolved": "kept", "link": true}
}}"#,
        )
        .write("kept/package.json", r#"{"name": "kept", "version": "1.0.0"}"#)
        .write(
            "make.js",
            &format!(
                "const fs = require('node:fs');
for (let n = 0; n < 16; n++) fs.writeFileSync(`node_modules/made-${{n}}`, Buffer.alloc({bytes} / 16, 'made '));
const home = '../../../..';
if (fs.existsSync(`${{home}}/wait`)) {{
  fs.writeFileSync(`${{home}}/waits`, '');
  const nap = () => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 20);
  while (fs.existsSync(`${{home}}/wait`)) nap();
}}
"
            ),
        );
    project.commit("an install that makes something");
    project
}

const SOME: usize = 1 << 20;

fn flip(path: &Path, at: u64) {
    let file = File::options().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ 1], at).unwrap();
}

#[test]
fn a_damaged_tree_is_told_and_replaced() {
    let mut app = Orchard::of(making(SOME));
    app.push_installs("nothing is stored yet");
    // A content, what tells where contents are, and the last byte.
    for place in ["content", "index", "end"] {
        fs::remove_dir_all(app.until_ready()).unwrap();
        let entry = app.until_stored();
        let size = fs::metadata(&entry).unwrap().len();
        match place {
            "content" => flip(&entry, 0),
            "index" => flip(&entry, size - 200),
            _ => flip(&entry, size - 1),
        }
        let told = app.push();
        told.says("npm ci  (").says("is damaged");
        app.assert_same();
        app.until_stored();
        app.push_lays_out();
        app.assert_same();
    }
}

#[test]
fn a_store_that_vanishes_is_made_anew() {
    let mut app = Orchard::of(making(SOME));
    app.push_installs("nothing is stored yet");
    app.until_ready();
    fs::remove_dir_all(app.store()).unwrap();
    app.push_installs("nothing is stored yet");
    app.assert_same();
    app.until_ready();
    // With the tree that is ready gone, and with the tree that it was made of gone.
    fs::remove_dir_all(app.until_ready()).unwrap();
    app.push_lays_out();
    fs::remove_file(app.until_stored()).unwrap();
    app.push_installs("nothing is stored yet");
    app.assert_same();
}

#[test]
fn a_store_that_vanishes_during_a_deploy_harms_nobody() {
    let mut app = Orchard::of(making(SOME));
    app.push_installs("nothing is stored yet");
    app.until_ready();
    // While npm runs.
    let home = app.server.home().to_owned();
    fs::write(home.join("wait"), "").unwrap();
    app.next_version();
    let args = ["main", "-o", "no-cache"];
    let push = app.project.push_command(&app.repo, &args);
    let push = { push }.stderr(Stdio::piped()).spawn().unwrap();
    until("npm waits", || home.join("waits").exists().then_some(()));
    fs::remove_dir_all(app.store()).unwrap();
    fs::remove_file(home.join("wait")).unwrap();
    pushed(&push.wait_with_output().unwrap()).went_live();
    app.assert_same();
    app.push_lays_out();
    // While whatever happens, happens.
    for _ in 0..4 {
        app.next_version();
        let push = app.project.push_command(&app.repo, &["main"]);
        let push = { push }.stderr(Stdio::piped()).spawn().unwrap();
        let removed = || fs::remove_dir_all(app.store()).is_ok();
        until("a store is removed", || removed().then_some(()));
        pushed(&push.wait_with_output().unwrap()).went_live();
        app.assert_same();
    }
}

/// As generators of database clients do.
#[test]
fn a_build_that_writes_into_its_dependencies_is_told_and_stored_before_the_next_time() {
    let mut app = Orchard::of(making(SOME));
    let build = r#""start": "node server.js", "build": "echo built >> node_modules/made-0""#;
    let package = app.project.read("package.json");
    let package = package.replace(r#""start": "node server.js""#, build);
    app.project.write("package.json", &package);
    let size = |app: &Orchard| {
        fs::metadata(app.release().join("node_modules/made-0"))
            .unwrap()
            .len()
    };
    let built = SOME as u64 / 16 + "built\n".len() as u64;
    app.push_installs("nothing is stored yet");
    assert_eq!(size(&app), built);
    app.push()
        .says("npm ci  (the last tree could not be stored: ")
        .says("node_modules/made-0` changed while it was stored)");
    assert_eq!(size(&app), built);
    for _ in 0..2 {
        app.push_lays_out();
        assert_eq!(size(&app), built, "what was stored is what npm has made");
    }
}

#[test]
fn what_is_no_directory_is_no_store() {
    let mut app = Orchard::of(making(SOME));
    fs::write(app.store(), "a file").unwrap();
    for _ in 0..2 {
        app.push().says("npm ci  (").says("not stored: ");
        app.assert_same();
    }
    fs::remove_file(app.store()).unwrap();
    app.push_installs("nothing is stored yet");
    app.until_stored();
    app.push_lays_out();
}

#[test]
fn two_apps_with_the_same_lockfile_deploy_at_once() {
    let server = Server::start();
    let repos = ["one", "two"].map(|name| server.create(name));
    let projects = [making(SOME), making(SOME)];
    let tiny = Project::tiny().read("server.js");
    for (n, words) in ["(nothing is stored yet)", ", as release 1 installed them"]
        .into_iter()
        .enumerate()
    {
        let pushes: Vec<_> = projects
            .iter()
            .zip(&repos)
            .map(|(project, repo)| {
                project.write("server.js", &tiny).version(&format!("v{n}"));
                let mut push = project.push_command(repo, &["main"]);
                push.stderr(Stdio::piped()).spawn().unwrap()
            })
            .collect();
        for push in pushes {
            let told = pushed(&push.wait_with_output().unwrap());
            told.went_live().says(words);
        }
        for name in ["one", "two"] {
            let dir = server.app_dir(name);
            until("its tree is stored", || {
                let mut names = fs::read_dir(dir.join("store")).ok()?.flatten();
                names.find(|name| name.path().extension().is_some_and(|end| end == "tree"))
            });
            let made = dir.join(format!("releases/{}/node_modules/made-0", n + 1));
            assert_eq!(fs::metadata(made).unwrap().len(), SOME as u64 / 16);
        }
    }
}

#[test]
fn what_does_not_fit_on_the_disk_is_not_stored() {
    const MIB: usize = 1 << 20;
    let Some((mut server, disk)) = SmallDisk::with_server("size=280m", "keep_releases = 1\n")
    else {
        skip("nothing can be mounted here");
        return;
    };
    server.launch(&["--listen", "127.0.0.1:0"]);
    // There is room for the release, and for it with its tree, but then not enough for the next push.
    let mut app = Orchard::on(server, making(80 * MIB), &[]);
    app.push().says("not stored: only ").says("MiB are free");
    assert!(app.entries().is_empty());
    // The same with the last byte, and with room again.
    disk.leave_bytes(100 * MIB as u64);
    app.push().says("not stored: only ");
    disk.empty();
    disk.remount("remount,size=1g");
    app.push_installs("nothing is stored yet");
    app.until_ready();
    app.push_lays_out();
    app.assert_same();
}

#[test]
fn on_a_disk_so_full_that_pushes_are_refused_stored_trees_go() {
    const MIB: usize = 1 << 20;
    let settings = "look_every = \"1s\"\n";
    let Some((mut server, disk)) = SmallDisk::with_server("size=400m", settings) else {
        skip("nothing can be mounted here");
        return;
    };
    server.launch(&["--listen", "127.0.0.1:0"]);
    let mut app = Orchard::on(server, making(16 * MIB), &[]);
    app.push_installs("nothing is stored yet");
    app.until_ready();
    app.push_lays_out();
    app.until_ready();
    disk.leave_bytes(100 * MIB as u64);
    until("what is stored goes", || {
        let ready = app.stored(|name| name.starts_with("spare-"));
        (ready.is_empty() && app.entries().is_empty()).then_some(())
    });
    disk.empty();
    app.push_installs("nothing is stored yet");
}

#[test]
fn what_npm_went_on_without_is_not_missing_for_ever() {
    let project = Project::empty();
    project.write(
        "package.json",
        r#"{"name": "going-on", "version": "1.0.0", "private": true, "scripts": {"start": "node server.js"}, "optionalDependencies": {"flaky": "file:flaky-1.0.0.tgz"}}"#,
    );
    // Once it fails, as where the network does.
    let package =
        r#"{"name": "flaky", "version": "1.0.0", "scripts": {"install": "node install.js"}}"#;
    let install = "const fs = require('node:fs');
const again = `${process.env.npm_config_cache}/again`;
if (!fs.existsSync(again)) { fs.writeFileSync(again, ''); process.exit(1); }
";
    let files = [
        ("package.json", 0o644, package),
        ("install.js", 0o644, install),
    ];
    tarball(&project, "flaky-1.0.0.tgz", &files);
    lock(&project);
    let mut app = Orchard::of(project);
    app.push().says("not stored: npm went on without `flaky`");
    assert!(!app.release().join("node_modules/flaky").exists());
    app.push_installs("nothing is stored yet");
    assert!(app.release().join("node_modules/flaky").exists());
    app.until_stored();
    app.push_lays_out();
    assert!(app.release().join("node_modules/flaky").exists());
}

#[test]
fn an_app_that_is_destroyed_while_its_tree_is_stored_or_made_ready_leaves_nothing() {
    let project = making(0);
    project.write(
        "make.js",
        "const fs = require('node:fs');
for (let n = 0; n < 6000; n++) fs.writeFileSync(`node_modules/made-${n}`, `${n}`);",
    );
    let mut app = Orchard::of(project);
    let home = app.server.app_dir("shop");
    for moment in ["at once", "when it is stored"] {
        app.push_installs("nothing is stored yet");
        if moment == "when it is stored" {
            app.until_stored();
        }
        app.server.ok(&["app", "destroy", "shop", "--yes"]);
        assert!(!home.exists(), "{moment}");
        // Whatever was under way would have come by now.
        std::thread::sleep(Duration::from_millis(500));
        assert!(!home.exists(), "{moment}");
        app.repo = app.server.create("shop");
    }
}

/// Where the server's home is behind a symlink, programs know their directory by another path than ours.
#[test]
fn a_home_behind_a_symlink() {
    let elsewhere = tempfile::Builder::new()
        .prefix("ho")
        .tempdir_in("/tmp")
        .unwrap();
    let mut server = Server::prepare("");
    fs::create_dir(elsewhere.path().join("apps")).unwrap();
    let apps = server.home().join("apps");
    std::os::unix::fs::symlink(elsewhere.path().join("apps"), apps).unwrap();
    server.launch(&["--listen", "127.0.0.1:0"]);
    let project = making(SOME);
    project.write(
        "make.js",
        "require('node:fs').writeFileSync('node_modules/where', __dirname + '\\n' + process.cwd());",
    );
    let mut app = Orchard::on(server, project, &[]);
    app.push_installs("nothing is stored yet");
    app.until_ready();
    for _ in 0..2 {
        app.push_lays_out();
        app.assert_same();
        fs::remove_dir_all(app.until_ready()).unwrap();
    }
}
