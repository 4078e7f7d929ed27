//! The build script, as it goes well and as it fails.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use handover::build::{BuildRequest, Built, Line, StepFailure, build};
use handover::config::BuildCommand;
use handover::report::{Phase, Stream};

use crate::install::{App, block_on, runs};

fn run(
    app: &App,
    command: &BuildCommand,
    on_line: &mut (dyn FnMut(Line) + Send),
) -> Result<Built, StepFailure> {
    let (release, cache) = (app.release(), app.caches());
    let request = BuildRequest {
        release: &release,
        caches: &cache,
        mark: app.dir.path(),
        env: &app.env,
        toolchain: &app.toolchain,
        command,
        limit: Duration::from_secs(60),
    };
    block_on(build(&request, on_line))
}

fn shell(command: &str) -> (Result<Built, StepFailure>, Vec<Line>) {
    let app = App::new("{}");
    let mut lines = Vec::new();
    let result = run(
        &app,
        &BuildCommand::Shell(command.to_owned()),
        &mut |line| {
            lines.push(line);
        },
    );
    (result, lines)
}

fn texts(lines: &[Line]) -> Vec<&str> {
    lines.iter().map(|line| line.text.as_str()).collect()
}

#[test]
fn an_app_without_a_build_script_is_not_built() {
    let app = App::new("{}");
    let built = run(&app, &BuildCommand::Nothing, &mut |_| {
        panic!("nothing runs")
    });
    assert_eq!(built, Ok(Built::Nothing));
}

#[test]
fn the_build_script_runs_with_the_packages_programs_and_without_node_env() {
    let mut app = App::new(
        r#"{"name": "app", "version": "1.0.0", "scripts": {"prebuild": "echo before", "build": "compiler"}}"#,
    );
    app.env.insert("NODE_ENV".into(), "production".into());
    let bin = app.release().join("node_modules/.bin");
    fs::create_dir_all(&bin).unwrap();
    let compiler = bin.join("compiler");
    fs::write(
        &compiler,
        "#!/bin/sh\necho \"compiled in $PWD, NODE_ENV=$NODE_ENV\"\n",
    )
    .unwrap();
    fs::set_permissions(&compiler, fs::Permissions::from_mode(0o755)).unwrap();
    let expected = format!(
        "compiled in {}, NODE_ENV=",
        app.release().canonicalize().unwrap().display()
    );
    for command in [BuildCommand::Script, BuildCommand::Shell("compiler".into())] {
        let mut lines = Vec::new();
        let built = run(&app, &command, &mut |line| lines.push(line)).unwrap();
        assert!(matches!(built, Built::Ran { .. }));
        assert!(texts(&lines).contains(&expected.as_str()), "{lines:?}");
        let before = texts(&lines).contains(&"before");
        assert_eq!(before, command == BuildCommand::Script);
    }
}

#[test]
fn a_line_is_given_out_while_the_build_runs_on() {
    let app = App::new("{}");
    let go = app.release().join("go");
    let script = "echo first; until [ -e go ]; do sleep 0.01; done; echo second >&2; printf last";
    let mut lines = Vec::new();
    let built = run(&app, &BuildCommand::Shell(script.into()), &mut |line| {
        // The build waits for this file: it comes only if the line came before the end.
        if line.text == "first" {
            fs::write(&go, "").unwrap();
        }
        lines.push(line);
    });
    assert!(built.is_ok());
    let streams: Vec<_> = lines.iter().map(|l| (l.text.as_str(), l.stream)).collect();
    assert_eq!(
        streams,
        [
            ("first", Stream::Out),
            ("second", Stream::Err),
            ("last", Stream::Out)
        ]
    );
}

#[test]
fn a_failed_build_is_told_with_its_last_lines_cleaned() {
    let (result, lines) = shell(
        "i=0; while [ $i -lt 50 ]; do i=$((i+1)); printf '\\033[31mline %s\\033[0m\\n' $i; done; exit 2",
    );
    let failure = result.unwrap_err();
    assert_eq!(failure.phase, Phase::Build);
    assert!(
        failure.cause.ends_with("ended with exit code 2"),
        "{}",
        failure.cause
    );
    assert_eq!(lines.len(), 50);
    assert_eq!(failure.last_lines.len(), 30);
    assert_eq!(failure.last_lines[29], "line 50");
    assert!(failure.already_shown().last_lines.is_empty());
}

#[test]
fn the_usual_causes_are_told() {
    for (script, cause, hint) in [
        (
            "vite-of-nowhere build",
            "there is no program `vite-of-nowhere`",
            "omit",
        ),
        ("kill -9 $$", "` was killed by SIGKILL", "memory"),
        (
            "sh -c 'kill -9 $$'; exit $?",
            "ended with exit code 137",
            "memory",
        ),
        (
            "node -e 'require(\"@rollup/rollup-linux-x64-gnu\")'",
            "`@rollup/rollup-linux-x64-gnu` is not installed",
            "remove node_modules and package-lock.json",
        ),
    ] {
        let failure = shell(script).0.unwrap_err();
        assert!(failure.cause.contains(cause), "{script}: {}", failure.cause);
        let hints = failure.hints.join("\n");
        assert!(hints.contains(hint), "{script}: {hints}");
    }
}

#[test]
fn a_process_that_a_build_leaves_behind_does_not_hold_it_up() {
    // One in the group, one that left it and holds the pipes open.
    let (result, lines) = shell(
        "sleep 600 & setsid sh -c 'echo $$ > away; exec sleep 600' & until [ -s away ]; do sleep 0.01; done; cat away; echo done",
    );
    result.unwrap();
    assert!(texts(&lines).contains(&"done"));
    let away: i32 = texts(&lines)[0].parse().unwrap();
    let killed = std::process::Command::new("kill")
        .arg(away.to_string())
        .status();
    assert!(killed.unwrap().success());
}

#[test]
fn a_build_that_takes_too_long_is_stopped_with_all_its_processes() {
    let app = App::new("{}");
    let (release, cache) = (app.release(), app.caches());
    // Neither of them hears SIGTERM.
    let script = "trap '' TERM; sleep 600 & echo $$ $!; wait; sleep 600";
    let command = BuildCommand::Shell(script.into());
    let request = BuildRequest {
        release: &release,
        caches: &cache,
        mark: app.dir.path(),
        env: &app.env,
        toolchain: &app.toolchain,
        command: &command,
        limit: Duration::from_secs(1),
    };
    let mut lines = Vec::new();
    let failure = block_on(build(&request, &mut |line| lines.push(line))).unwrap_err();
    assert_eq!(
        failure.cause,
        format!("`{script}` took longer than 1 s and was stopped")
    );
    let pids: Vec<_> = lines[0].text.split(' ').collect();
    assert_eq!(pids.len(), 2);
    for pid in pids {
        assert!(!runs(pid), "{pid} still runs");
    }
}

#[test]
fn a_build_that_prints_without_end_is_stopped_at_its_limit() {
    let app = App::new("{}");
    let (release, cache) = (app.release(), app.caches());
    let command = BuildCommand::Shell("yes a line".into());
    let request = BuildRequest {
        release: &release,
        caches: &cache,
        mark: app.dir.path(),
        env: &app.env,
        toolchain: &app.toolchain,
        command: &command,
        limit: Duration::from_millis(300),
    };
    let mut count = 0_u64;
    let failure = block_on(build(&request, &mut |_| count += 1)).unwrap_err();
    assert!(
        failure.cause.contains("took longer than 300 ms"),
        "{}",
        failure.cause
    );
    assert!(count > 0);
}
