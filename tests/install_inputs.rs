//! What an install reads decides whether a stored tree may stand for it: each of the inputs, changed by itself, makes a
//! miss, and the pusher reads which it was; what no install reads may change.

#![allow(clippy::unwrap_used)] // a panic is how a test fails

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use handover::build::{
    Ask, Inputs, InstallRequest, Limits, Surroundings, Toolbox, Toolchain, checkout,
};
use handover::config::{Manager, ManagerKind, NodeWishes, Omit};
use handover::git::Repo;
use handover::ids::ReleaseNumber;
use handover::store::{About, Found, Snapshot, Store};
use support::Project;
use tempfile::TempDir;

/// The same for all: a workspace with a program, a package from elsewhere, and files that have to do with nothing.
const LOCK: &str = r#"{"name": "app", "lockfileVersion": 3, "packages": {
  "": {"name": "app", "workspaces": ["packages/*"]},
  "packages/a": {"name": "a", "bin": {"a": "cli.js"}},
  "node_modules/a": {"resolved": "packages/a", "link": true},
  "node_modules/ms": {"version": "2.1.3", "integrity": "sha512-x"}
}}"#;
const QUIET: &str = r#"{"name": "app", "workspaces": ["packages/*"]}"#;
const LOUD: &str =
    r#"{"name": "app", "workspaces": ["packages/*"], "scripts": {"postinstall": "node build.js"}}"#;

/// A project, what is around its installs, and a store with the tree of the first of them.
struct Bench {
    project: Project,
    around: Surroundings,
    settings: [PathBuf; 3],
    store: Arc<Store>,
    dir: TempDir,
    installs: u32,
}

/// What an install has opened.
type Opened<'o> = Option<&'o [&'o str]>;

impl Bench {
    /// The first install is stored.
    fn with(package: &str, opened: Opened<'_>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let settings = ["user", "builtin", "global"].map(|name| dir.path().join(name));
        let text = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
            let pairs = pairs.iter();
            pairs
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect()
        };
        let around = Surroundings {
            manager: ManagerKind::Npm,
            machine: text(&[
                ("npm", "11.1.0"),
                ("node", "22.1.0"),
                ("abi", "127"),
                ("arch", "x64"),
                ("libc", "2.36"),
            ]),
            arguments: ["ci", "--include=dev"].map(str::to_owned).to_vec(),
            environment: text(&[
                ("PATH", "/bin"),
                ("npm_config_registry", "r"),
                ("TZ", "UTC"),
            ]),
            settings: settings.to_vec(),
        };
        fs::write(&settings[0], "fund=false\n").unwrap();
        let mut bench = Self {
            project: project(package),
            around,
            settings,
            store: Arc::new(Store::at(dir.path().join("store"))),
            dir,
            installs: 0,
        };
        bench.store_the_first(opened);
        bench
    }

    fn gather(&mut self) -> (PathBuf, Inputs) {
        self.installs += 1;
        let commit = self.project.commit("as it is now").parse().unwrap();
        let bare = self.dir.path().join("repo.git");
        if !bare.exists() {
            Repo::init_bare(&bare, "main").unwrap();
        }
        self.project.push_with(&bare, &["--force", "main"]);
        let repo = Repo::open(&bare).unwrap();
        let (staging, release) = (
            self.dir.path().join("staging"),
            self.dir.path().join(format!("release-{}", self.installs)),
        );
        let limits = Limits::default();
        let checkout = checkout(&repo, &commit, &staging, &release, &limits).unwrap();
        let inputs = Inputs::gather(&release, checkout.listing, &self.around);
        (release, inputs)
    }

    fn store_the_first(&mut self, opened: Opened<'_>) {
        let (release, inputs) = self.gather();
        assert_eq!(inputs.unstorable(), None);
        let before = Snapshot::take(&release).unwrap();
        fs::create_dir(release.join("node_modules")).unwrap();
        let after = Snapshot::take(&release).unwrap();
        let made = after.made_since(&before, |_| false).unwrap();
        let opened: Option<BTreeSet<_>> =
            opened.map(|names| names.iter().map(PathBuf::from).collect());
        let about = About {
            made: handover::time::now(),
            release: ReleaseNumber(1),
            directory: release,
            parts: inputs.parts().clone(),
            reads: inputs.reads(opened.as_ref()),
            modes: BTreeMap::new(),
            packages: 2,
            warnings: Vec::new(),
            took_ms: 1,
        };
        let pending = self.store.expect(inputs.key(), made, about).unwrap();
        pending.seal().unwrap();
    }

    /// Why the next install runs; nothing where it does not.
    fn miss(&mut self) -> Option<String> {
        let (_, inputs) = self.gather();
        let holds = |about: &About| inputs.holds(about);
        match self.store.find(&inputs.key(), holds).unwrap() {
            Found::Tree(_) => None,
            Found::Nothing(nearest) => {
                Some(inputs.difference(nearest.as_deref(), ReleaseNumber(2)))
            }
        }
    }
}

fn project(package: &str) -> Project {
    let project = Project::empty();
    project
        .write("package.json", package)
        .write("package-lock.json", LOCK)
        .write(
            "packages/a/package.json",
            r#"{"name": "a", "bin": "cli.js"}"#,
        )
        .write("packages/a/cli.js", "#!/usr/bin/env node\n")
        .write("src/read.js", "read")
        .write("src/unread.js", "unread")
        .write("node", "has the name of another part")
        .write("README.md", "words");
    project
}

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

const READS: Opened<'_> = Some(&[
    "node",
    "src/read.js",
    "packages/a/cli.js",
    "package.json",
    "src",
]);

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

/// The environment of an install, with a home of its own.
fn environment(home: &Path) -> BTreeMap<String, String> {
    let path = std::env::var("PATH").unwrap();
    [("PATH", path.as_str()), ("HOME", home.to_str().unwrap())]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into()
}

/// The system's own node and npm.
fn tools(env: &BTreeMap<String, String>, home: &Path) -> Toolchain {
    let (node, manager) = (NodeWishes::default(), Manager::default());
    let ask = Ask {
        node: &node,
        manager: &manager,
        release: home,
        env,
        mark: home,
        afresh: false,
        limit: InstallRequest::LIMIT,
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let toolbox = Toolbox::open(home);
    runtime.block_on(toolbox.choose(&ask, &mut |_| ())).unwrap()
}

fn around(env: &BTreeMap<String, String>, toolchain: &Toolchain, omit: &[Omit]) -> Surroundings {
    let request = InstallRequest {
        release: Path::new("/release"),
        caches: Path::new("/caches"),
        mark: Path::new("/mark"),
        env,
        toolchain,
        manager: &Manager::default(),
        omit,
        verbose: false,
        limit: InstallRequest::LIMIT,
    };
    let loud = InstallRequest {
        verbose: true,
        ..request
    };
    assert_eq!(loud.surroundings(), request.surroundings());
    request.surroundings()
}

#[test]
fn the_surroundings_of_an_install_are_those_of_its_node_and_its_npm() {
    let home = tempfile::tempdir().unwrap();
    let env = environment(home.path());
    let tools = tools(&env, home.path());
    let (program, npm) = (&tools.node.path, tools.manager.command.last().unwrap());
    let found = around(&env, &tools, &[]);
    let ask = |program: &Path, args: &[&str]| {
        let output = std::process::Command::new(program)
            .args(args)
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    let node = |what: &str| ask(program, &["-p", what]);
    assert_eq!(found.machine["node"], node("process.versions.node"));
    let abi = node("process.versions.modules");
    assert_eq!(found.machine["the ABI of node"], abi);
    assert_eq!(found.machine["the architecture"], node("process.arch"));
    assert!(found.machine.contains_key("the C library"));
    assert_eq!(found.machine["npm"], ask(npm, &["--version"]));
    assert_eq!(found.machine.len(), 5, "{:?}", found.machine);
    assert_eq!(found.environment["HOME"], env["HOME"]);
    let omitting = around(&env, &tools, &[Omit::Dev]);
    assert_ne!(omitting.arguments, found.arguments);
}

/// As `npm config` tells them.
#[test]
fn the_settings_files_are_those_that_npm_reads() {
    let home = tempfile::tempdir().unwrap();
    let at = |name: &str| home.path().join(name).to_str().unwrap().to_owned();
    let more: [&[(&str, String)]; 5] = [
        &[],
        &[("npm_config_userconfig", at("user"))],
        &[("NPM_CONFIG_GLOBALCONFIG", at("global"))],
        &[("npm_config_prefix", at("prefix"))],
        &[("npm_config_userconfig", String::new())],
    ];
    for more in more {
        let mut env = environment(home.path());
        env.extend(
            more.iter()
                .map(|(name, value)| ((*name).to_owned(), value.clone())),
        );
        let tools = tools(&env, home.path());
        let npm = tools.manager.command.last().unwrap();
        let settings = around(&env, &tools, &[]).settings;
        for name in ["userconfig", "globalconfig"] {
            let output = std::process::Command::new(npm)
                .args(["config", "get", name])
                .env_clear()
                .envs(&env)
                .current_dir(home.path())
                .output()
                .unwrap();
            let told = PathBuf::from(String::from_utf8(output.stdout).unwrap().trim());
            assert!(
                settings.contains(&told),
                "{name} of {more:?}: {told:?} not in {settings:?}"
            );
        }
        let npm = npm.canonicalize().unwrap();
        let builtin = npm.ancestors().nth(2).unwrap().join("npmrc");
        assert!(settings.contains(&builtin));
    }
}

#[test]
fn without_a_home_the_settings_are_those_of_the_user() {
    let nowhere = tempfile::tempdir().unwrap();
    let mut env = environment(nowhere.path());
    env.remove("HOME");
    let tools = tools(&env, nowhere.path());
    let user = nix::unistd::User::from_uid(nix::unistd::getuid())
        .unwrap()
        .unwrap();
    let settings = around(&env, &tools, &[]).settings;
    assert!(settings.contains(&user.dir.join(".npmrc")), "{settings:?}");
}
