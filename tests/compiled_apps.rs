//! What node has compiled is kept for the starts that follow, where node can name it without the release's number; and
//! nothing that happens to it is ever the app's concern.

#![allow(clippy::unwrap_used)] // tests end where something unexpected is

mod support;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use support::{Project, Server, SmallDisk, http, skip, until};
use tempfile::TempDir;

/// A version of node from npm's registry.
struct Node(TempDir);

impl Node {
    fn install(version: &str) -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("package.json"), "{}").unwrap();
        let arch = match std::env::consts::ARCH {
            "aarch64" => "arm64",
            _ => "x64",
        };
        let package = format!("node-linux-{arch}@{version}");
        let mut npm = Command::new("npm");
        npm.args(["install", "--no-audit", "--no-fund", "--silent", &package]);
        let installed = npm
            .current_dir(dir.path())
            .status()
            .is_ok_and(|status| status.success());
        std::os::unix::fs::symlink(
            dir.path()
                .join(format!("node_modules/node-linux-{arch}/bin")),
            dir.path().join("bin"),
        )
        .unwrap();
        if !installed {
            skip("npm's registry can't be reached");
        }
        installed.then_some(Self(dir))
    }

    /// Before everything else that the server finds.
    fn path(&self) -> String {
        let others = std::env::var("PATH").unwrap();
        format!("{}:{others}", self.0.path().join("bin").display())
    }
}

/// An app of some modules, which say what node does with its cache.
struct App {
    server: Server,
    project: Project,
    repo: PathBuf,
}

const COMMAND: &str = "[web]\ncommand = \"NODE_DEBUG_NATIVE=COMPILE_CACHE node server.js\"\n";

impl App {
    fn on(server: Server) -> Self {
        let repo = server.create("shop");
        let project = Project::tiny();
        let server_js = project.read("server.js");
        let modules = 0..20;
        for n in modules.clone() {
            let lib = format!("lib/{n}.js");
            project.write(&lib, &format!("exports.number = () => {n};"));
        }
        let required = modules.map(|n| format!("require('./lib/{n}.js').number();\n"));
        let required: String = required.collect();
        project.write("server.js", &(required + &server_js));
        project.write("handover.toml", COMMAND);
        project.version("v1");
        project.push(&repo).went_live();
        Self {
            server,
            project,
            repo,
        }
    }

    fn goes_live(&self, version: &str) {
        self.project.version(version);
        self.project.push(&self.repo).went_live();
        self.server.until_drained("shop");
        let answer = http::get(self.server.address(), "/").unwrap();
        assert_eq!(answer.body, format!("http-port {version}\n"));
    }

    fn cache(&self) -> PathBuf {
        self.server.app_dir("shop").join("cache/compile")
    }

    fn link(&self, release: u32) -> PathBuf {
        let releases = self.server.app_dir("shop").join("releases");
        releases
            .join(release.to_string())
            .join(".handover-compile-cache")
    }

    /// The entries for modules, once there are as many as this.
    fn entries(&self, at_least: usize) -> BTreeSet<PathBuf> {
        until("the cache is written", || {
            let found = files(&self.cache());
            (found.len() >= at_least).then_some(found)
        })
    }

    /// How many modules of the app the generation that serves has taken from the cache.
    fn taken(&self) -> usize {
        let generation = self.server.status("shop")["live"]["generation"]
            .as_u64()
            .unwrap();
        let log = self.server.ok(&["logs", "shop", "-n", "1000"]);
        let own = log
            .lines()
            .filter(|line| line.contains(&format!(" g{generation}.")));
        let taken = own.filter(|line| line.contains("lib/") && line.contains("was accepted"));
        taken.count()
    }
}

fn files(top: &Path) -> BTreeSet<PathBuf> {
    let (mut ahead, mut found) = (vec![top.to_owned()], BTreeSet::new());
    while let Some(dir) = ahead.pop() {
        for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => ahead.push(entry.path()),
                _ => _ = found.insert(entry.path()),
            }
        }
    }
    found
}

fn with_node(version: &str) -> Option<(Node, Server)> {
    let node = Node::install(version)?;
    let server = Server::start_among(&[("PATH", &node.path())], "", &["--listen", "127.0.0.1:0"]);
    Some((node, server))
}

#[test]
fn a_release_starts_with_what_the_one_before_has_compiled() {
    let Some((_node, server)) = with_node("24") else {
        return;
    };
    let app = App::on(server);
    assert_eq!(app.taken(), 0, "there was nothing");
    let first = app.entries(21);
    app.goes_live("v2");
    until("each module is found", || (app.taken() == 20).then_some(()));
    assert_eq!(
        files(&app.cache()),
        first,
        "the same names for the same modules"
    );
    // One that has changed is compiled anew, and written in its place.
    app.project.write(
        "lib/7.js",
        "exports.number = () => 'seven'; exports.more = () => 8;",
    );
    app.goes_live("v3");
    until("all others are found", || (app.taken() == 19).then_some(()));
    app.goes_live("v4");
    until("and that one, too", || (app.taken() == 20).then_some(()));
    assert_eq!(files(&app.cache()), first);
    app.server.ok(&["rollback", "shop", "3"]);
    until("also on the way back", || (app.taken() == 20).then_some(()));
}

#[test]
fn a_broken_cache_breaks_nothing_and_is_made_whole() {
    let Some((_node, server)) = with_node("24") else {
        return;
    };
    let app = App::on(server);
    for (n, entry) in app.entries(21).iter().enumerate() {
        let whole = std::fs::read(entry).unwrap();
        let broken = match n % 4 {
            0 => Vec::new(),
            1 => whole[..whole.len() / 2].to_vec(),
            2 => whole.iter().map(|byte| !byte).collect(),
            _ => vec![0; 3 << 20],
        };
        std::fs::write(entry, broken).unwrap();
    }
    app.goes_live("v2");
    assert_eq!(app.taken(), 0);
    app.server.ok(&["restart", "shop"]);
    app.server.until_drained("shop");
    until("it is whole again", || {
        app.server.ok(&["restart", "shop"]);
        app.server.until_drained("shop");
        (app.taken() == 20).then_some(())
    });
    // In its place there is something else altogether, or nothing can be written.
    std::fs::remove_dir_all(app.cache()).unwrap();
    std::fs::write(app.cache(), "a file").unwrap();
    app.goes_live("v3");
    std::fs::remove_file(app.cache()).unwrap();
    std::fs::create_dir(app.cache()).unwrap();
    for (options, version) in [("size=1m,ro", "v4"), ("size=1m", "v5")] {
        let Some(disk) = SmallDisk::mount(&app.cache(), options) else {
            return skip("a file system can't be mounted here");
        };
        if version == "v5" {
            disk.leave_bytes(0);
        }
        app.goes_live(version);
        // Who has it open ends before it is taken away.
        app.project.write(
            "handover.toml",
            &format!("{COMMAND}compile_cache = false\n"),
        );
        app.goes_live(&format!("{version} without"));
        app.project.write("handover.toml", COMMAND);
        drop(disk);
    }
}

#[test]
fn who_wants_none_has_none_and_a_push_may_begin_anew() {
    let Some((_node, server)) = with_node("24") else {
        return;
    };
    let app = App::on(server);
    let entries = app.entries(21);
    app.project.version("v2");
    app.project
        .push_with(&app.repo, &["-o", "no-cache", "main"])
        .went_live();
    assert_eq!(app.taken(), 0);
    assert_eq!(app.entries(21), entries);
    app.project.write(
        "handover.toml",
        &format!("{COMMAND}compile_cache = false\n"),
    );
    app.goes_live("v3");
    assert_eq!(app.taken(), 0);
    assert!(app.link(2).is_symlink() && !app.link(3).exists());
}

#[test]
fn a_node_that_would_name_its_entries_by_release_goes_without() {
    let Some((_node, server)) = with_node("22") else {
        return;
    };
    let app = App::on(server);
    app.goes_live("v2");
    app.server.ok(&["restart", "shop"]);
    assert!(!app.link(2).exists() && !app.cache().exists());
}
