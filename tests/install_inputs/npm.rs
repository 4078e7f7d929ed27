//! What npm itself says of what it reads and runs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use handover::build::{Ask, InstallRequest, Surroundings, Toolbox, Toolchain};
use handover::config::{Manager, NodeWishes, Omit};

use super::bench::{Bench, READS};
use crate::support::Project;

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
    let more: [&[(&str, String)]; 7] = [
        &[],
        // These stand in the user's own settings.
        &[("~", "prefix = ~/.npm-global\n".to_owned())],
        &[("~", "globalconfig=${HOME}/elsewhere\n".to_owned())],
        &[("npm_config_userconfig", at("user"))],
        &[("NPM_CONFIG_GLOBALCONFIG", at("global"))],
        &[("npm_config_prefix", at("prefix"))],
        &[("npm_config_userconfig", String::new())],
    ];
    for more in more {
        let mut env = environment(home.path());
        let (written, set): (Vec<_>, Vec<_>) = more.iter().partition(|(name, _)| *name == "~");
        let written: String = written.into_iter().map(|(_, text)| text.as_str()).collect();
        std::fs::write(home.path().join(".npmrc"), written).unwrap();
        env.extend(
            set.into_iter()
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

/// All that npm has a name for: <https://docs.npmjs.com/cli/using-npm/scripts>.
const LIFE_CYCLE: [&str; 39] = [
    "preinstall",
    "install",
    "postinstall",
    "predependencies",
    "dependencies",
    "postdependencies",
    "prepublish",
    "publish",
    "postpublish",
    "prepublishOnly",
    "preprepare",
    "prepare",
    "postprepare",
    "prepack",
    "pack",
    "postpack",
    "preuninstall",
    "uninstall",
    "postuninstall",
    "preversion",
    "version",
    "postversion",
    "preshrinkwrap",
    "shrinkwrap",
    "postshrinkwrap",
    "preci",
    "ci",
    "postci",
    "prebuild",
    "build",
    "postbuild",
    "pretest",
    "test",
    "posttest",
    "prestart",
    "start",
    "poststart",
    "prerebuild",
    "rebuild",
];

#[test]
fn every_script_of_the_app_that_an_install_runs_is_known() {
    let project = Project::empty();
    let scripts = LIFE_CYCLE.map(|name| format!(r#""{name}": "echo {name} >> ran""#));
    let package = |scripts: &str| {
        format!(
            r#"{{"name": "app", "version": "1.0.0", "scripts": {{{scripts}}}, "dependencies": {{"kept": "file:kept"}}}}"#
        )
    };
    project
        .write("package.json", &package(&scripts.join(", ")))
        .write("kept/package.json", r#"{"name": "kept", "version": "1.0.0"}"#)
        .write(
            "package-lock.json",
            r#"{"name": "app", "version": "1.0.0", "lockfileVersion": 3, "requires": true, "packages": {
  "": {"name": "app", "version": "1.0.0", "hasInstallScript": true, "dependencies": {"kept": "file:kept"}},
  "kept": {"version": "1.0.0"},
  "node_modules/kept": {"resolved": "kept", "link": true}
}}"#,
        );
    let mut npm = Command::new("npm");
    npm.args(["ci", "--offline", "--no-audit"]);
    let installed = npm
        .current_dir(project.path())
        .stdout(Stdio::null())
        .status();
    assert!(installed.unwrap().success());
    let ran = project.read("ran");
    assert!(ran.lines().any(|name| name == "postinstall"), "{ran}");
    for name in ran.lines() {
        let mut bench = Bench::with(&package(&format!(r#""{name}": "node build.js""#)), READS);
        bench.project.write("build.js", "");
        let miss = bench.miss().unwrap_or_default();
        assert!(
            miss.contains(&format!("`package.json ({name})`")),
            "{name}: {miss}"
        );
    }
}
