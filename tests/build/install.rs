//! `npm ci`, as it goes well and as it fails. Packages are tarballs in the app itself; nothing is downloaded.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use handover::build::{
    Ask, InstallRequest, Installed, Line, StepFailure, Toolbox, Toolchain, install,
};
use handover::config::{Manager, NodeWishes, Omit};
use handover::report::{Phase, Stream};
use tempfile::TempDir;

/// An app directory with its environment.
pub(crate) struct App {
    pub(crate) dir: TempDir,
    pub(crate) env: BTreeMap<String, String>,
    pub(crate) toolchain: Toolchain,
    pub(crate) manager: Manager,
}

impl App {
    pub(crate) fn new(package: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = std::env::var("PATH").unwrap();
        let home = dir.path().join("home");
        fs::create_dir(&home).unwrap();
        let env = [
            ("PATH", path.as_str()),
            ("HOME", home.to_str().unwrap()),
            // Nothing may be asked of a registry.
            ("npm_config_registry", "http://127.0.0.1:1"),
            ("npm_config_fetch_retries", "0"),
        ];
        let env = env.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let env = BTreeMap::from(env);
        let manager = Manager::default();
        let app = Self {
            toolchain: systems_tools(dir.path(), &env).unwrap(),
            manager,
            env,
            dir,
        };
        fs::create_dir(app.release()).unwrap();
        app.write("package.json", package);
        app
    }

    pub(crate) fn release(&self) -> PathBuf {
        self.dir.path().join("release")
    }

    pub(crate) fn caches(&self) -> PathBuf {
        self.dir.path().join("cache")
    }

    pub(crate) fn write(&self, name: &str, content: &str) {
        fs::write(self.release().join(name), content).unwrap();
    }

    /// A lockfile with these entries of `packages`; the first is the app's own.
    fn lock(&self, packages: &str) {
        self.write(
            "package-lock.json",
            &format!(r#"{{"name": "app", "version": "1.0.0", "lockfileVersion": 3, "packages": {{{packages}}}}}"#),
        );
    }

    /// A tarball of a package, as `npm pack` makes it.
    fn pack(&self, name: &str, package: &str) {
        let source = self.dir.path().join(name).join("package");
        fs::create_dir_all(&source).unwrap();
        fs::write(source.join("package.json"), package).unwrap();
        let tarball = self.release().join(format!("{name}.tgz"));
        let tar = Command::new("tar")
            .arg("czf")
            .arg(tarball)
            .arg("package")
            .current_dir(source.parent().unwrap())
            .status();
        assert!(tar.unwrap().success());
    }

    fn request(&self) -> InstallRequest<'_> {
        InstallRequest {
            release: Box::leak(Box::new(self.release())),
            caches: Box::leak(Box::new(self.caches())),
            mark: self.dir.path(),
            env: &self.env,
            toolchain: &self.toolchain,
            manager: &self.manager,
            omit: &[],
            verbose: false,
            limit: InstallRequest::LIMIT,
        }
    }

    fn install(&self) -> (Result<Installed, StepFailure>, Vec<Line>) {
        run_install(&self.request())
    }

    fn install_fails(&self) -> StepFailure {
        let (result, lines) = self.install();
        let failure = result.unwrap_err();
        assert_eq!(failure.phase, Phase::Install);
        assert!(!failure.hints.is_empty(), "{failure:?}\n{lines:?}");
        assert!(failure.last_lines.len() <= 30);
        failure
    }
}

/// npm and the node of this machine.
fn systems_tools(home: &Path, env: &BTreeMap<String, String>) -> Result<Toolchain, StepFailure> {
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
    block_on(Toolbox::open(home).choose(&ask, &mut |event| {
        panic!("nothing is to be told: {event:?}")
    }))
}

fn run_install(request: &InstallRequest<'_>) -> (Result<Installed, StepFailure>, Vec<Line>) {
    let mut lines = Vec::new();
    let result = block_on(install(request, &mut |line| lines.push(line)));
    (result, lines)
}

pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(future)
}

const ALONE: &str = r#"{"name": "app", "version": "1.0.0"}"#;
const ALONE_LOCKED: &str = r#""": {"name": "app", "version": "1.0.0"}"#;

/// An app with a dependency and a devDependency.
fn app_with_two() -> App {
    let app = App::new(
        r#"{"name": "app", "version": "1.0.0", "dependencies": {"one": "file:one.tgz"}, "devDependencies": {"two": "file:two.tgz"}}"#,
    );
    app.pack("one", r#"{"name": "one", "version": "1.0.0"}"#);
    app.pack("two", r#"{"name": "two", "version": "1.0.0"}"#);
    app.lock(
        r#""": {"name": "app", "version": "1.0.0", "dependencies": {"one": "file:one.tgz"}, "devDependencies": {"two": "file:two.tgz"}},
        "node_modules/one": {"version": "1.0.0", "resolved": "file:one.tgz"},
        "node_modules/two": {"version": "1.0.0", "resolved": "file:two.tgz", "dev": true}"#,
    );
    app
}

fn has(app: &App, package: &str) -> bool {
    app.release()
        .join("node_modules")
        .join(package)
        .join("package.json")
        .exists()
}

#[test]
fn dependencies_are_installed_and_counted_and_npms_words_given_out() {
    let mut app = app_with_two();
    // Would leave devDependencies out, which a build needs.
    app.env.insert("NODE_ENV".into(), "production".into());
    let (result, lines) = app.install();
    let installed = result.unwrap();
    assert_eq!(installed.packages, 2);
    assert!(installed.took > Duration::ZERO);
    assert!(has(&app, "one") && has(&app, "two"));
    assert!(
        lines
            .iter()
            .any(|line| line.text.starts_with("added 2 packages") && line.stream == Stream::Out),
        "{lines:?}"
    );
    assert!(app.caches().join("npm").exists());
}

#[test]
fn what_is_to_be_left_out_is_left_out() {
    let app = app_with_two();
    let request = InstallRequest {
        omit: &[Omit::Dev],
        ..app.request()
    };
    assert_eq!(request.words(), "npm ci --omit=dev");
    let (result, _) = run_install(&request);
    assert_eq!(result.unwrap().packages, 1);
    assert!(has(&app, "one") && !has(&app, "two"));
}

#[test]
fn an_app_without_dependencies_has_no_packages() {
    let app = App::new(ALONE);
    app.lock(ALONE_LOCKED);
    assert_eq!(app.install().0.unwrap().packages, 0);
}

#[test]
fn a_lockfile_that_does_not_match_is_told_without_npms_manual_page() {
    let app =
        App::new(r#"{"name": "app", "version": "1.0.0", "dependencies": {"one": "file:one.tgz"}}"#);
    app.pack("one", r#"{"name": "one", "version": "1.0.0"}"#);
    app.lock(ALONE_LOCKED);
    let failure = app.install_fails();
    assert_eq!(
        failure.cause,
        "package-lock.json does not match package.json (`npm ci` ended with exit code 1)"
    );
    assert!(failure.hints[0].contains("run `npm install`, commit package-lock.json"));
    let lines = failure.last_lines.join("\n");
    assert!(lines.contains("Missing: one@"), "{lines}");
    assert!(!lines.contains("Usage:"), "{lines}");
}

#[test]
fn a_registry_that_cant_be_reached_is_told() {
    let app = App::new(r#"{"name": "app", "version": "1.0.0", "dependencies": {"one": "1.0.0"}}"#);
    app.lock(
        r#""": {"name": "app", "version": "1.0.0", "dependencies": {"one": "1.0.0"}}, "node_modules/one": {"version": "1.0.0"}"#,
    );
    let failure = app.install_fails();
    assert!(
        failure.cause.starts_with("the registry can't be reached"),
        "{}",
        failure.cause
    );
}

#[test]
fn a_failing_install_script_is_named_with_its_package_and_its_output_shown() {
    let app =
        App::new(r#"{"name": "app", "version": "1.0.0", "dependencies": {"one": "file:one.tgz"}}"#);
    app.pack(
        "one",
        r#"{"name": "one", "version": "1.0.0", "scripts": {"postinstall": "echo compiling; echo it broke >&2; exit 3"}}"#,
    );
    app.lock(
        r#""": {"name": "app", "version": "1.0.0", "dependencies": {"one": "file:one.tgz"}},
        "node_modules/one": {"version": "1.0.0", "resolved": "file:one.tgz", "hasInstallScript": true}"#,
    );
    let failure = app.install_fails();
    assert!(
        failure
            .cause
            .starts_with("an install script of the package `one` failed: `echo compiling;"),
        "{}",
        failure.cause
    );
    let lines = failure.last_lines.join("\n");
    assert!(
        lines.contains("compiling") && lines.contains("it broke"),
        "{lines}"
    );
}

#[test]
fn a_package_for_another_platform_or_node_is_told() {
    let package = r#"{"name": "app", "version": "1.0.0", "dependencies": {"one": "file:one.tgz"}}"#;
    let locked = |more: &str| {
        format!(
            r#""": {{"name": "app", "version": "1.0.0", "dependencies": {{"one": "file:one.tgz"}}}},
            "node_modules/one": {{"version": "1.0.0", "resolved": "file:one.tgz", {more}}}"#
        )
    };
    let mac = App::new(package);
    mac.pack(
        "one",
        r#"{"name": "one", "version": "1.0.0", "os": ["darwin"]}"#,
    );
    mac.lock(&locked(r#""os": ["darwin"]"#));
    let failure = mac.install_fails();
    assert!(
        failure.cause.contains("Unsupported platform for one@1.0.0"),
        "{}",
        failure.cause
    );

    let future = App::new(package);
    future.pack(
        "one",
        r#"{"name": "one", "version": "1.0.0", "engines": {"node": ">=999"}}"#,
    );
    future.lock(&locked(r#""engines": {"node": ">=999"}"#));
    let installed = future.install().0.unwrap();
    assert!(
        installed.warnings[0].contains("another version of node"),
        "{installed:?}"
    );
    future.write(".npmrc", "engine-strict=true\n");
    let failure = future.install_fails();
    assert!(
        failure
            .cause
            .contains(r#"`engines` asks for {"node":">=999"}"#),
        "{}",
        failure.cause
    );
}

#[test]
fn an_altered_package_is_not_installed() {
    let app =
        App::new(r#"{"name": "app", "version": "1.0.0", "dependencies": {"one": "file:one.tgz"}}"#);
    app.pack("one", r#"{"name": "one", "version": "1.0.0"}"#);
    let other = format!("sha512-{}==", "A".repeat(86));
    app.lock(&format!(
        r#""": {{"name": "app", "version": "1.0.0", "dependencies": {{"one": "file:one.tgz"}}}},
        "node_modules/one": {{"version": "1.0.0", "resolved": "file:one.tgz", "integrity": "{other}"}}"#
    ));
    let failure = app.install_fails();
    assert!(
        failure
            .cause
            .contains("is not the one that package-lock.json names"),
        "{}",
        failure.cause
    );
}

#[test]
fn missing_programs_are_told_with_where_they_were_looked_for() {
    let empty = tempfile::tempdir().unwrap();
    let path = format!("relative:{}", empty.path().display());
    let env = BTreeMap::from([("PATH".to_owned(), path.clone())]);
    let failure = systems_tools(empty.path(), &env).unwrap_err();
    assert_eq!(
        failure.cause,
        format!("there is no `node` on the server (PATH is `{path}`)")
    );
    assert!(failure.hints[0].contains("install Node.js"));
}

/// Whether a process is there; the pid is one that a script of ours wrote.
pub(crate) fn runs(pid: &str) -> bool {
    let stat = fs::read_to_string(Path::new("/proc").join(pid.trim()).join("stat"));
    stat.is_ok_and(|stat| !stat.contains(") Z "))
}

/// An app whose install never ends and writes the pids of its processes into `pids`.
fn endless() -> App {
    let app = App::new(
        r#"{"name": "app", "version": "1.0.0", "scripts": {"postinstall": "(echo $$; sleep 600 & echo $!; wait) > pids.tmp & sleep 0.1; until [ $(wc -l < pids.tmp) = 2 ]; do sleep 0.01; done; mv pids.tmp pids; echo ready; wait"}}"#,
    );
    app.lock(ALONE_LOCKED);
    app
}

#[test]
fn an_install_that_is_given_up_is_killed_with_all_its_processes() {
    let app = endless();
    let (said, mut hears) = tokio::sync::mpsc::unbounded_channel();
    block_on(async {
        let request = app.request();
        let mut tell = move |line: Line| _ = said.send(line.text);
        let installing = install(&request, &mut tell);
        let ready = async {
            while let Some(line) = hears.recv().await {
                if line == "ready" {
                    break;
                }
            }
        };
        tokio::select! {
            _ = installing => panic!("it never ends by itself"),
            () = ready => {}
        }
    });
    let pids = fs::read_to_string(app.release().join("pids")).unwrap();
    for pid in pids.lines() {
        while runs(pid) {
            std::thread::yield_now();
        }
    }
}
