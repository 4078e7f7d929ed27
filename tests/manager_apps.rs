//! Apps of each package manager, and of several versions of node, on a server that has only node and npm: what they are
//! installed with comes from the registry.

#![allow(clippy::unwrap_used)]

mod support;

use std::path::Path;
use std::process::Command;

use nix::sys::signal::Signal;
use support::{Project, Pushed, Pusher, Server, http};

/// A server whose programs all ask the registry that npm asks here. yarn 2 and bun have settings of their own.
fn server() -> Server {
    let asked = Command::new("npm")
        .args(["config", "get", "registry"])
        .output()
        .unwrap();
    let registry = String::from_utf8(asked.stdout).unwrap().trim().to_owned();
    let among = [
        ("YARN_NPM_REGISTRY_SERVER", registry.as_str()),
        ("BUN_CONFIG_REGISTRY", &registry),
    ];
    Server::start_among(&among, "", &["--listen", "127.0.0.1:0"])
}

#[track_caller]
fn answers(server: &Server, app: &str, text: &str) {
    let host = format!("{app}.localhost");
    let answer = http::get_from(server.address(), &host, "/").unwrap();
    assert!(
        answer.status == 200 && answer.body.contains(text),
        "{text:?} in {answer:?}"
    );
}

/// Files below a directory that have another name somewhere.
fn hard_linked(dir: &Path) -> String {
    let found = Command::new("find")
        .arg(dir)
        .args(["-type", "f", "-links", "+1"])
        .output()
        .unwrap();
    String::from_utf8(found.stdout).unwrap()
}

/// From its lockfile alone: it goes live with its own package manager, builds with devDependencies, and the next push
/// gets the same tree without an install.
fn goes_live(fixture: &str, command: &str, project: &Project) -> (Server, Pushed) {
    let server = server();
    let repo = server.create_with("shop", &["--domain", "shop.localhost"]);
    let first = project.push(&repo);
    let name = command.split(' ').next().unwrap();
    first
        .went_live()
        .says(&format!("install    {command}  (node "))
        .says(&format!("  build      {name} run build"));
    first.says(&format!("true: built by {name}/"));
    answers(&server, "shop", &format!("{fixture} v0"));
    let release = server.app_dir("shop").join("releases/1");
    assert_eq!(hard_linked(&release), "");

    project.version("v1");
    let second = project.push(&repo);
    second.went_live().says(", as release 1 installed them");
    for word in [command, "from the npm registry"] {
        assert!(!second.text.contains(word), "{}", second.text);
    }
    assert_eq!(hard_linked(&server.app_dir("shop").join("releases/2")), "");
    answers(&server, "shop", &format!("{fixture} v1"));
    // A fresh start and a way back find the same tools.
    server.ok(&["restart", "shop"]);
    server.ok(&["rollback", "shop"]);
    answers(&server, "shop", &format!("{fixture} v0"));
    (server, first)
}

fn out_of_sync(server: &Server, project: &Project, lockfile: &str, install: &str) {
    let package = project.read("package.json").replace("7.0.0", "6.0.0");
    project
        .write("package.json", &package)
        .commit("another version");
    let pushed = project.push(&server.app_dir("shop").join("repo.git"));
    pushed
        .rejected()
        .says(&format!("{lockfile} does not match package.json"))
        .says(&format!(
            "hint: run `{install}`, commit {lockfile} and push again"
        ));
}

#[test]
fn pnpm() {
    let project = Project::of_fixture("pnpm");
    let (server, first) = goes_live("pnpm", "pnpm install --frozen-lockfile", &project);
    first.says("kept for all apps").says("packages");
    out_of_sync(&server, &project, "pnpm-lock.yaml", "pnpm install");
}

#[test]
fn yarn_1() {
    let project = Project::of_fixture("yarn1");
    let (server, _) = goes_live("yarn1", "yarn install --frozen-lockfile", &project);
    // What is kept is fetched anew where somebody has spoilt it.
    let kept = server.home().join("tools/yarn").read_dir().unwrap();
    let kept = kept.map(|entry| entry.unwrap().path().join("bin/yarn"));
    let program = kept.last().unwrap().canonicalize().unwrap();
    std::fs::write(&program, "spoilt").unwrap();
    project.version("v2");
    let repo = server.app_dir("shop").join("repo.git");
    project
        .push(&repo)
        .went_live()
        .says("from the npm registry");
    answers(&server, "shop", "yarn1 v2");
    out_of_sync(&server, &project, "yarn.lock", "yarn install");
}

#[test]
fn yarn_without_node_modules() {
    let project = Project::of_fixture("yarn");
    let (server, _) = goes_live("yarn", "yarn install --immutable", &project);
    let release = server.app_dir("shop").join("releases/1");
    assert!(release.join(".pnp.cjs").exists() && !release.join("node_modules").exists());
    out_of_sync(&server, &project, "yarn.lock", "yarn install");
}

#[test]
fn yarn_with_node_modules() {
    let project = Project::of_fixture("yarn");
    project
        .write(".yarnrc.yml", "nodeLinker: node-modules\n")
        .commit("node_modules");
    goes_live("yarn", "yarn install --immutable", &project);
}

#[test]
fn bun() {
    let project = Project::of_fixture("bun");
    let (server, _) = goes_live("bun", "bun install --frozen-lockfile", &project);
    project
        .write("Procfile", "web: bun server.js\n")
        .version("v2");
    let repo = server.app_dir("shop").join("repo.git");
    project.push(&repo).went_live();
    answers(&server, "shop", "bun v2");
    out_of_sync(&server, &project, "bun.lock", "bun install");
}

/// An app that answers with the version of node that it runs on.
fn telling(node: &str) -> Project {
    let project = Project::tiny();
    project.write("server.js", "require('node:http').createServer((_, res) => res.end(process.version)).listen(process.env.PORT);");
    project
        .write(".nvmrc", &format!("{node}\n"))
        .commit("tell the node");
    project
}

#[test]
fn three_versions_of_node_on_one_server() {
    let server = server();
    let deployed = ["18.20.8", "22.11", "lts/krypton"].map(|wish| {
        let app = format!("app{}", wish.replace(['.', '/'], ""));
        let repo = server.create_with(&app, &["--domain", &format!("{app}.localhost")]);
        let project = telling(wish);
        let pushed = project.push(&repo);
        pushed.went_live().says("kept for all apps");
        (app, repo, project)
    });
    for ((app, _, _), version) in deployed.iter().zip(["v18.20.8", "v22.11.", "v24."]) {
        answers(&server, app, version);
    }
    // What is kept is used.
    let (_, repo, project) = &deployed[0];
    project.commit("again");
    let again = project.push(repo);
    again.went_live();
    assert!(
        !again.text.contains("from the npm registry"),
        "{}",
        again.text
    );
}

#[test]
fn a_release_keeps_to_the_abi_of_its_node_when_the_systems_is_another() {
    let bin = tempfile::tempdir().unwrap();
    let (link, old) = (bin.path().join("node"), std::env::var("PATH").unwrap());
    let path = format!("{}:{old}", bin.path().display());
    let server = Server::start_among(&[("PATH", &path)], "", &["--listen", "127.0.0.1:0"]);
    let fetching = server.create("fetching");
    telling("18.20.8").push(&fetching).went_live();

    let kept = server.home().join("node/18.20.8/bin/node");
    std::os::unix::fs::symlink(kept, &link).unwrap();
    let repo = server.create_with("shop", &["--domain", "shop.localhost"]);
    let project = telling("node");
    project.push(&repo).went_live();
    let record = server
        .app_dir("shop")
        .join("releases/1/.handover-tools.json");
    let record = std::fs::read_to_string(record).unwrap();
    assert!(
        record.contains(r#""abi":"108","from":"system""#),
        "{record}"
    );
    answers(&server, "shop", "v18.20.8");
    // As an update does.
    std::fs::remove_file(&link).unwrap();
    server.ok(&["restart", "shop"]);
    answers(&server, "shop", "v18.20.8");
    project.version("v2");
    project.push(&repo).went_live();
    let answer = http::get_from(server.address(), "shop.localhost", "/").unwrap();
    assert_ne!(answer.body, "v18.20.8", "what is built now is built for it");
    server.ok(&["rollback", "shop"]);
    answers(&server, "shop", "v18.20.8");
}

#[test]
fn settings_of_package_managers_are_seen_by_builds_and_not_by_the_app() {
    let among = [("YARN_NPM_AUTH_TOKEN", "secret")];
    let server = Server::start_among(&among, "", &["--listen", "127.0.0.1:0"]);
    let repo = server.create_with("shop", &["--domain", "shop.localhost"]);
    let project = Project::tiny();
    project.write("package.json", r#"{"scripts": {"build": "echo built with $YARN_NPM_AUTH_TOKEN", "start": "node server.js"}}"#);
    project.write("server.js", "require('node:http').createServer((_, res) => res.end(`runs with ${process.env.YARN_NPM_AUTH_TOKEN}`)).listen(process.env.PORT);");
    project.commit("tell the settings");
    project.push(&repo).went_live().says("built with secret");
    answers(&server, "shop", "runs with undefined");
}

#[test]
fn an_old_node_gets_an_npm_that_can_read_a_new_lockfile() {
    let server = server();
    let repo = server.create_with("shop", &["--domain", "shop.localhost"]);
    let project = telling("14.21.3");
    project.write("package.json", r#"{"name": "shop", "version": "1.0.0", "dependencies": {"inner": "file:inner"}, "scripts": {"start": "node server.js"}}"#);
    project.write(
        "inner/package.json",
        r#"{"name": "inner", "version": "1.0.0"}"#,
    );
    project.write("package-lock.json", r#"{"name": "shop", "version": "1.0.0", "lockfileVersion": 3, "requires": true, "packages": {"": {"name": "shop", "version": "1.0.0", "dependencies": {"inner": "file:inner"}}, "inner": {"version": "1.0.0"}, "node_modules/inner": {"resolved": "inner", "link": true}}}"#);
    project.commit("a lockfile of version 3");
    project.push(&repo).went_live().says("node 14.21.3, npm 9.");
    answers(&server, "shop", "v14.21.3");
    server.ok(&["restart", "shop"]);
}

#[test]
fn a_wish_that_nothing_satisfies_is_refused_with_what_there_is() {
    let server = server();
    let repo = server.create("shop");
    let project = telling("20.99.1");
    project
        .push(&repo)
        .rejected()
        .says("there is no node that satisfies .nvmrc `20.99.1`")
        .says("20.20.")
        .says("21.0.0");
    project.remove(".nvmrc");
    project.write(
        "package.json",
        r#"{"packageManager": "npm@11.999.0", "scripts": {"start": "node server.js"}}"#,
    );
    project.write(
        "package-lock.json",
        r#"{"lockfileVersion": 3, "packages": {"": {}}}"#,
    );
    project.commit("another npm");
    project
        .push(&repo)
        .rejected()
        .says("there is no npm 11.999.0")
        .says("correct packageManager");
}

#[test]
fn without_a_registry_it_is_told_what_to_install() {
    let among = [
        ("npm_config_registry", "http://127.0.0.1:1"),
        ("npm_config_fetch_retries", "0"),
    ];
    let server = Server::start_among(&among, "", &["--listen", "127.0.0.1:0"]);
    let repo = server.create("shop");
    let project = Project::of_fixture("pnpm");
    project
        .push(&repo)
        .rejected()
        .says(
            "pnpm >=9.0.0 <11.0.0 can't be fetched: the registry can't be reached from the server",
        )
        .says("or install pnpm");
    let repo = server.create("node");
    telling("18")
        .push(&repo)
        .rejected()
        .says("a node for .nvmrc `18` can't be fetched")
        .says("or install a node for .nvmrc `18` on the server");
}

/// An app without dependencies that yarn 1 installs: the smallest of what is fetched.
fn for_yarn() -> Project {
    let project = Project::tiny();
    project.remove("package-lock.json");
    project.write("yarn.lock", "# yarn lockfile v1\n");
    project.commit("yarn");
    project
}

#[test]
fn what_two_deploys_need_at_once_is_fetched_once() {
    let server = server();
    let pushes: Vec<_> = ["one", "two"]
        .into_iter()
        .map(|app| {
            let (repo, project) = (server.create(app), for_yarn());
            let push = Pusher::start(&mut project.push_command(&repo, &["main"]));
            (project, push)
        })
        .collect();
    let told = pushes.into_iter().map(|(_project, push)| push.finish());
    let told: Vec<_> = told.collect();
    let fetched = told.iter().filter(|pushed| {
        pushed.went_live();
        pushed.text.contains("from the npm registry")
    });
    assert_eq!(fetched.count(), 1, "{told:#?}");
}

#[test]
fn a_fetch_that_is_cut_off_leaves_nothing_that_counts_or_runs() {
    let mut server = server();
    let (repo, project) = (server.create("shop"), for_yarn());
    let push = Pusher::start(&mut project.push_command(&repo, &["main"]));
    push.until_reads("from the npm registry");
    server.end(Signal::SIGKILL);
    assert!(
        !server
            .home()
            .join("tools/yarn")
            .read_dir()
            .is_ok_and(|mut all| all.any(|entry| entry
                .unwrap()
                .path()
                .join("manifest.json")
                .exists()))
    );
    server.launch_again();
    // The push goes on where it was.
    push.finish().went_live();
    let left = server.home().join("tools/yarn").read_dir().unwrap();
    let names: Vec<_> = left.map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names.len(), 1, "{names:?}");
    assert!(names[0].to_string_lossy().starts_with("1.22."), "{names:?}");
}

#[test]
fn a_yarn_in_the_repository_is_the_one_that_is_used() {
    let project = Project::of_fixture("yarn");
    let place = tempfile::tempdir().unwrap();
    let packed = Command::new("npm")
        .args(["pack", "--silent", "@yarnpkg/cli-dist@4.12.0"])
        .current_dir(place.path())
        .status();
    assert!(packed.unwrap().success());
    let unpacked = Command::new("sh")
        .args(["-c", "tar xzf *.tgz"])
        .current_dir(place.path())
        .status();
    assert!(unpacked.unwrap().success());
    let yarn = std::fs::read_to_string(place.path().join("package/bin/yarn.js")).unwrap();
    project.write(".yarn/releases/yarn-4.12.0.cjs", &yarn);
    project.write(
        ".yarnrc.yml",
        "nodeLinker: node-modules\nyarnPath: .yarn/releases/yarn-4.12.0.cjs\n",
    );
    project.write("Procfile", "web: yarn node server.js\n");
    project.commit("our own yarn");
    let (server, first) = goes_live("yarn", "yarn install --immutable", &project);
    first.says("yarn 4.12.0)");
    assert!(
        !first.text.contains("from the npm registry"),
        "{}",
        first.text
    );

    project.remove(".yarn/releases/yarn-4.12.0.cjs");
    project.commit("forgotten");
    project
        .push(&server.app_dir("shop").join("repo.git"))
        .rejected()
        .says("yarnPath of .yarnrc.yml names .yarn/releases/yarn-4.12.0.cjs, which is not in the repository");
}

#[test]
fn a_manager_that_needs_another_node_is_refused_with_what_it_needs() {
    let server = server();
    let repo = server.create("shop");
    let project = Project::of_fixture("pnpm");
    let package = project.read("package.json");
    let named = package.replace(
        "\"private\"",
        "\"packageManager\": \"pnpm@11.0.0\",\n  \"private\"",
    );
    project
        .write("package.json", &named)
        .write(".nvmrc", "20\n");
    project.commit("a pnpm that is too new");
    project
        .push(&repo)
        .rejected()
        .says("pnpm 11.0.0 needs node ")
        .says("the app has node 20.")
        .says("let the app ask for a newer node");
}

#[test]
fn native_code_is_compiled_for_the_node_that_the_app_has() {
    const SOURCE: &str = r#"
#include <node.h>
static void init(v8::Local<v8::Object> exports) {
  v8::Isolate* isolate = v8::Isolate::GetCurrent();
  exports->Set(isolate->GetCurrentContext(), v8::String::NewFromUtf8Literal(isolate, "abi"),
               v8::Number::New(isolate, NODE_MODULE_VERSION)).Check();
}
NODE_MODULE(native, init)
"#;
    let server = server();
    let repo = server.create_with("shop", &["--domain", "shop.localhost"]);
    let project = telling("22.11.0");
    project.write(
        "binding.gyp",
        r#"{"targets": [{"target_name": "native", "sources": ["native.cc"]}]}"#,
    );
    project.write("native.cc", SOURCE);
    project.write(
        "server.js",
        "const { abi } = require('./build/Release/native.node');
require('node:http').createServer((_, res) => res.end(`abi ${abi}`)).listen(process.env.PORT);",
    );
    project.commit("native");
    project.push(&repo).went_live();
    answers(&server, "shop", "abi 127");
}
