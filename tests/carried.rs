//! What a build has left for the next one is there when that begins: from the release that is live, as copies, and never
//! from a deploy that has failed.

#![allow(clippy::unwrap_used)] // tests end where something unexpected is

mod support;

use std::path::PathBuf;

use support::{Project, Pushed, Server};

/// Builds, and counts in `.vite/count` how many builds have passed the cache on to each other.
const BUILD: &str = r"
const fs = require('node:fs');
const found = fs.existsSync('.vite/count') ? Number(fs.readFileSync('.vite/count')) : 0;
console.log('builds before:', found);
fs.mkdirSync('.vite', { recursive: true });
fs.writeFileSync('.vite/count', String(found + 1));
fs.mkdirSync('node_modules/.cache/tool', { recursive: true });
fs.writeFileSync('node_modules/.cache/tool/entry', 'x'.repeat(2000));
fs.writeFileSync('tsconfig.tsbuildinfo', '{}');
";

const PACKAGE: &str = r#"{"name": "fixture-http-port", "version": "1.0.0",
    "scripts": {"start": "node server.js", "build": "node build.js"}}"#;

/// An app with such a build, its first version live.
struct Built {
    server: Server,
    project: Project,
    repo: PathBuf,
    version: u32,
}

impl Built {
    fn open(settings: &str) -> Self {
        let server = Server::start_with(settings, &["--listen", "127.0.0.1:0"]);
        let repo = server.create("shop");
        let project = Project::tiny();
        project.write("package.json", PACKAGE);
        project.write("build.js", BUILD);
        let mut built = Self {
            server,
            project,
            repo,
            version: 0,
        };
        built.goes_live().says("builds before: 0");
        built
    }

    fn push(&mut self, options: &[&str]) -> Pushed {
        self.version += 1;
        self.project.version(&format!("v{}", self.version));
        let args: Vec<_> = options.iter().flat_map(|option| ["-o", option]).collect();
        self.project
            .push_with(&self.repo, &[&args[..], &["main"]].concat())
    }

    fn goes_live(&mut self) -> Pushed {
        let told = self.push(&[]);
        told.went_live();
        told
    }

    fn file(&self, release: u32, name: &str) -> PathBuf {
        let releases = self.server.app_dir("shop").join("releases");
        releases.join(release.to_string()).join(name)
    }

    fn count(&self, release: u32) -> String {
        std::fs::read_to_string(self.file(release, ".vite/count")).unwrap()
    }
}

#[test]
fn a_build_finds_what_the_last_has_left_and_changes_nothing_of_that() {
    let mut app = Built::open("");
    assert!(!app.file(1, ".vite/more").exists());
    // What the running version puts there goes with it.
    std::fs::write(app.file(1, ".vite/more"), "m").unwrap();
    app.goes_live().says("builds before: 1");
    assert_eq!((app.count(1), app.count(2)), ("1".into(), "2".into()));
    assert!(app.file(2, ".vite/more").exists());
    assert!(app.file(2, "node_modules/.cache/tool/entry").exists());
    let told = app.push(&["verbose"]);
    told.went_live()
        .says("node_modules/.cache, .vite of release 2: 2.0 kB in ")
        .says("builds before: 2");
    app.server.assert_right();
}

#[test]
fn nothing_is_carried_from_a_deploy_that_has_failed_nor_where_nobody_wants_it() {
    let mut app = Built::open("");
    let good = app.project.read("server.js");
    app.project.write("server.js", "process.exit(1);");
    app.push(&[]).rejected().says("builds before: 1");
    app.project.write("server.js", &good);
    app.goes_live().says("builds before: 1");
    app.push(&["no-cache"]).went_live().says("builds before: 0");
    app.goes_live().says("builds before: 1");
    app.project.write("handover.toml", "[build]\ncache = []\n");
    app.goes_live().says("builds before: 0");
    app.project
        .write("handover.toml", "[build]\ncache = [\".vite\"]\n");
    app.goes_live().says("builds before: 1");
    let last = app.server.status("shop")["live"]["release"]
        .as_u64()
        .unwrap();
    assert!(
        app.file(u32::try_from(last).unwrap(), ".vite/count")
            .exists()
    );
    app.server.assert_right();
}

#[test]
fn after_a_rollback_the_live_release_is_what_is_carried_from() {
    let mut app = Built::open("");
    for before in 1..=2 {
        app.goes_live().says(&format!("builds before: {before}"));
    }
    app.server.ok(&["rollback", "shop", "1"]);
    app.goes_live().says("builds before: 1");
}

#[test]
fn what_the_commit_itself_holds_is_left_alone() {
    let mut app = Built::open("");
    app.project.write(".vite/of-the-author", "a");
    app.goes_live().says("builds before: 0");
    app.goes_live().says("builds before: 0");
    std::fs::remove_dir_all(app.project.path().join(".vite")).unwrap();
    app.goes_live().says("builds before: 1");
}

#[test]
fn what_is_too_large_is_told_and_the_build_begins_without() {
    let mut app = Built::open("[build_cache]\nmax_bytes = 1000\n");
    app.goes_live()
        .says(
            "warning: node_modules/.cache has 2.0 kB, more than is carried from release to release",
        )
        .says("builds before: 1");
}

#[test]
fn a_path_that_leads_out_of_the_app_is_refused_with_its_line() {
    let mut app = Built::open("");
    app.project
        .write("handover.toml", "[build]\ncache = [\"../../1\"]\n");
    app.push(&[])
        .rejected()
        .says("handover.toml:2")
        .says("`../../1` leads out of the app");
}

/// An install that ends only when the copies are there, and then as the argument says.
const INSTALL: &str = r"
const fs = require('node:fs');
const there = () => fs.readdirSync('..').some((name) => name.startsWith('.staging-') && fs.readdirSync(`../${name}`).length > 0);
const until = Date.now() + 20_000;
const look = () => {
  if (there()) process.exit(Number(process.argv[2]));
  if (Date.now() > until) throw new Error('nothing is copied while this runs');
  setTimeout(look, 10);
};
look();
";

#[test]
fn caches_are_copied_while_the_install_runs_and_go_with_it_where_it_fails() {
    let mut app = Built::open("[build_cache]\nmax_bytes = 1000000\n");
    let installing = |code: u32| {
        let script = format!("\"scripts\": {{\"preinstall\": \"node install.js {code}\",");
        PACKAGE.replace("\"scripts\": {", &script)
    };
    app.project.write("install.js", INSTALL);
    app.project.write("package.json", &installing(3));
    app.push(&[]).rejected().says("exit code 3");
    app.server.assert_right();
    let left = std::fs::read_dir(app.file(1, "..")).unwrap();
    let left = left.map(|entry| entry.unwrap().file_name());
    assert!(
        !left
            .into_iter()
            .any(|name| name.to_string_lossy().starts_with(".staging-")),
        "the copies went with the deploy"
    );
    app.project.write("package.json", &installing(0));
    app.goes_live().says("builds before: 1");
    app.server.assert_right();
}
