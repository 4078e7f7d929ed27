//! No shell: whatever pushers say, `serve`, `keep` and the hooks start known programs with known words. Seen with strace,
//! from outside. Only what is an app's own goes through a shell: its start and build commands, as with npm.
//!
//! `scripts/strace-suite` has the other end-to-end tests judged by the same rules.

#![allow(clippy::unwrap_used)] // tests end where something unexpected is

mod support;

#[path = "no_shell/rules.rs"]
mod rules;

use std::collections::BTreeSet;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use rules::{Allowed, judge};
use support::execs::Log;
use support::project::{git_in, pushed};
use support::{Project, Server, skip, trace, until};

/// What a shell would make a file of, or an option parser a crime.
const HOSTILE: &str = "--upload-pack=$(touch pwned)`touch pwned`;touch pwned|touch pwned";
const BUILD: &str = "echo \"building $((6 * 7))\"";

#[test]
fn whatever_is_pushed_no_shell_is_started_and_no_argument_is_the_pushers() {
    if let Some(why) = trace::impossible() {
        return skip(&why);
    }
    let dir = tempfile::tempdir().unwrap();
    trace::into(dir.path());
    let server = Server::start();
    push_well(&server);
    push_badly(&server);
    use_all_verbs(&server);
    let home = server.home().to_owned();
    assert_eq!(named_pwned(&home), Vec::<PathBuf>::new());
    drop(server);

    let logs = trace::logs(dir.path());
    let seen = judged(&logs);
    let wanted = [
        "itself",
        "keep",
        "front",
        "npm",
        "--version",
        "hook",
        "chained hook",
    ];
    for wanted in wanted {
        assert!(seen.contains(wanted), "{wanted:?} is not among {seen:?}");
    }
    let shells: Vec<_> = seen.iter().filter(|one| one.starts_with("sh ")).collect();
    let build = format!("sh -c {BUILD}");
    assert_eq!(
        shells,
        [&build, "sh -c node server.js", "sh -c sleep 600"],
        "only the app's own"
    );
}

/// Pushes that deploy, with and without the gate.
fn push_well(server: &Server) {
    let gated = server.create("shop");
    let open = server.ok(&["app", "create", "open", "--no-gate"]);
    let open = PathBuf::from(open.lines().last().unwrap());
    let project = Project::tiny();
    project.write("handover.toml", &format!("[build]\ncommand = '{BUILD}'\n"));
    project.commit(HOSTILE);
    let message = format!("message={HOSTILE}");
    for repo in [&gated, &open] {
        project
            .push_with(repo, &["-o", &message, "main"])
            .went_live();
    }
    project.version("v1");
    project.push(&open).went_live();
}

/// Pushes that are refused, for each reason that has to do with what the pusher says.
fn push_badly(server: &Server) {
    let repo = server.app_dir("shop").join("repo.git");
    let project = Project::tiny();
    let names = [
        "refs/heads/-x",
        "refs/heads/--upload-pack=id",
        "refs/heads/$(touch${IFS}pwned)",
        "refs/heads/`touch\u{a0}pwned`",
        "refs/heads/a;touch\u{a0}pwned",
    ];
    for name in names {
        let push = project.push_with(&repo, &[&format!("main:{name}")]);
        assert_ne!(push.code, 0, "{name}: {}", push.text);
    }
    for option in [HOSTILE, "-x", "message="] {
        let push = project.push_with(&repo, &["-o", option, "main"]);
        assert_ne!(push.code, 0, "{option}: {}", push.text);
    }
    project.write("package.json", "{ broken $(touch pwned)");
    project.commit("--exec=$(touch pwned)");
    assert_ne!(project.push_with(&repo, &["-f", "main"]).code, 0);
}

/// Whatever else `serve` can be asked for.
fn use_all_verbs(server: &Server) {
    server.ok(&["restart", "shop"]);
    server.ok(&["scale", "shop", "web=2"]);
    server.ok(&["domains", "shop", "add", "shop.example"]);
    server.ok(&["deploy", "shop", "main"]);
    for revision in [HOSTILE, "-x", "main;id", "$(id)"] {
        assert!(
            !server
                .run(&["deploy", "shop", "--", revision])
                .status
                .success()
        );
    }
    cancel_a_build(server);
    server.ok(&["app", "destroy", "open", "--yes"]);
    server.run(&["doctor"]);
    use_a_repository_that_was_there(server);
}

fn cancel_a_build(server: &Server) {
    let project = Project::tiny();
    project.write("handover.toml", "[build]\ncommand = \"sleep 600\"\n");
    let repo = server.create("slow");
    project.commit("a slow build");
    let mut push = project.push_command(&repo, &["main"]);
    let push = push.stderr(Stdio::piped()).spawn().unwrap();
    let log = server.app_dir("slow").join("logs/deploy-1.jsonl");
    until("the build runs", || {
        let told = std::fs::read_to_string(&log).unwrap_or_default();
        told.contains("\"phase\":\"build\"").then_some(())
    });
    server.ok(&["cancel", "slow"]);
    let push = pushed(&push.wait_with_output().unwrap());
    assert_ne!(push.code, 0, "{}", push.text);
}

/// A repository with a hook of its own, which goes on being run.
fn use_a_repository_that_was_there(server: &Server) {
    let bare = tempfile::tempdir().unwrap();
    let init = ["init", "-q", "--bare", "-b", "main"];
    let made = git_in(bare.path()).args(init).status();
    assert!(made.unwrap().success());
    let hook = bare.path().join("hooks/post-receive");
    std::fs::write(&hook, "#!/bin/sh\necho their own hook\n").unwrap();
    std::fs::set_permissions(&hook, Permissions::from_mode(0o755)).unwrap();
    let path = bare.path().to_str().unwrap();
    server.ok(&["hooks", "install", path, "theirs"]);
    let project = Project::tiny();
    project.push(bare.path()).went_live().says("their own hook");
    server.ok(&["hooks", "remove", path]);
}

/// Judges all that handover's own processes have started; gives what it was, in words. Panics with what is wrong.
fn judged(logs: &[Log]) -> BTreeSet<String> {
    let mut seen = BTreeSet::new();
    let mut wrong = BTreeSet::new();
    for exec in logs.iter().flat_map(|log| &log.execs) {
        match judge(exec) {
            Ok(Allowed::NotOurs) => {
                // Hooks are started by git.
                seen.extend(rules::role(&exec.image).map(str::to_owned));
            }
            Ok(Allowed::Role(role)) => _ = seen.insert(role.to_owned()),
            Ok(Allowed::Itself) => _ = seen.insert("itself".to_owned()),
            Ok(Allowed::Repack) => _ = seen.insert("git repack".to_owned()),
            Ok(Allowed::Npm) => _ = seen.insert("npm".to_owned()),
            Ok(Allowed::Question) => _ = seen.insert("node".to_owned()),
            Ok(Allowed::Version) => _ = seen.insert("--version".to_owned()),
            Ok(Allowed::AppsOwn(text)) => _ = seen.insert(format!("sh -c {text}")),
            Ok(Allowed::ChainedHook) => _ = seen.insert("chained hook".to_owned()),
            Err(objection) => _ = wrong.insert(objection),
        }
    }
    assert!(wrong.is_empty(), "started by handover:\n{wrong:#?}");
    seen
}

/// Files that a shell would have made.
fn named_pwned(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    entries
        .map(|entry| entry.path())
        .flat_map(|path| match path.file_name() {
            Some(name) if name == "pwned" => vec![path],
            _ if path.is_dir() && !path.is_symlink() => named_pwned(&path),
            _ => Vec::new(),
        })
        .collect()
}

/// For `scripts/strace-suite`: judges the logs of a run of other tests.
#[test]
#[ignore = "needs the logs of a run, in the directory HANDOVER_STRACE_LOGS"]
fn judge_the_logs_of_a_run() {
    let dir = std::env::var_os("HANDOVER_STRACE_LOGS").expect("it names a directory");
    let logs = trace::logs(Path::new(&dir));
    let count = |wanted: fn(&Allowed<'_>) -> bool| {
        let execs = logs.iter().flat_map(|log| &log.execs);
        execs
            .filter(|exec| judge(exec).is_ok_and(|allowed| wanted(&allowed)))
            .count()
    };
    let seen = judged(&logs);
    assert!(seen.contains("keep"), "nothing was traced: {seen:?}");
    let ours = count(|allowed| *allowed != Allowed::NotOurs);
    let shells = count(|allowed| matches!(allowed, Allowed::AppsOwn(_)));
    eprintln!(
        "{} logs: handover started {ours} programs, {shells} of them an app's own command through a shell",
        logs.len()
    );
    eprintln!(
        "by others, and not judged: {}",
        count(|allowed| *allowed == Allowed::NotOurs)
    );
    for one in seen {
        eprintln!("  {one}");
    }
}
