//! What an app must have is looked for before anything runs.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use handover::build::{StepFailure, read_app_files};
use handover::report::{Failure, Phase};
use tempfile::TempDir;

const LOCK: &str = r#"{"lockfileVersion": 3, "packages": {}}"#;

fn app(files: &[(&str, &str)]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, content) in files {
        fs::write(dir.path().join(name), content).unwrap();
    }
    dir
}

fn failure(dir: &Path) -> Failure {
    StepFailure::from(read_app_files(dir).unwrap_err()).into()
}

#[test]
fn a_complete_app_is_read() {
    for lock in ["package-lock.json", "npm-shrinkwrap.json"] {
        let app = app(&[
            ("package.json", r#"{"scripts": {"build": "tsc"}}"#),
            (lock, LOCK),
            ("Procfile", "web: node x.js"),
            ("handover.toml", "[web]\ninstances = 3"),
            ("server.js", ""),
        ]);
        let files = read_app_files(app.path()).unwrap();
        assert_eq!(files.config.web.instances, 3);
        assert_eq!(files.procfile.command("web"), Some("node x.js"));
        assert_eq!(files.package.script("build"), Some("tsc"));
        assert!(files.server_js);
    }
}

#[test]
fn what_is_missing_is_told_with_how_to_make_it() {
    for (files, cause, hint) in [
        (
            &[][..],
            "there is no package.json at the top of the repository",
            "npm init",
        ),
        (
            &[("package.json", "{}")],
            "there is no package-lock.json",
            "run `npm install`, commit package-lock.json",
        ),
        (
            &[("package.json", r#"{"packageManager": "pnpm@9.1.0"}"#)],
            "there is no pnpm-lock.yaml",
            "run `pnpm install`, commit pnpm-lock.yaml",
        ),
        (
            &[("package.json", "{}"), ("yarn.lock", "")],
            "yarn.lock: this is not a lockfile: it is empty; make it anew with `yarn install`",
            "correct it",
        ),
        (
            &[
                ("package.json", "{}"),
                ("pnpm-lock.yaml", "lockfileVersion: '9.0'\n<<<<<<< HEAD\n"),
            ],
            "pnpm-lock.yaml:2: a merge conflict was left in the file; resolve it with `pnpm install`",
            "correct it",
        ),
        (
            &[
                ("package.json", "{}"),
                ("package-lock.json", LOCK),
                ("yarn.lock", ""),
            ],
            "there are two lockfiles, package-lock.json and yarn.lock",
            "keep the one of the package manager that you use, and delete the other: `git rm package-lock.json` or `git rm yarn.lock`",
        ),
        (
            &[
                ("package.json", r#"{"packageManager": "pnpm@9.1.0"}"#),
                ("package-lock.json", LOCK),
                ("pnpm-lock.yaml", "lockfileVersion: '9.0'"),
            ],
            "there are two lockfiles, package-lock.json and pnpm-lock.yaml",
            "packageManager of package.json does not mean package-lock.json: `git rm package-lock.json`",
        ),
        (
            &[
                (
                    "package.json",
                    r#"{"packageManager": "yarn@4.1.0+sha224.x"}"#,
                ),
                ("yarn.lock", "# yarn lockfile v1\n"),
            ],
            "yarn.lock is of yarn 1, but packageManager of package.json says `yarn@4.1.0+sha224.x`",
            "if the app is installed with yarn 1, correct packageManager",
        ),
    ] {
        let app = app(files);
        let failure = failure(app.path());
        assert_eq!(failure.phase, Phase::Checkout);
        assert_eq!(failure.cause, cause);
        assert!(failure.hints[0].contains(hint), "{:?}", failure.hints);
    }
}

#[test]
fn what_is_broken_is_told_with_its_place() {
    let broken = app(&[("package.json", "{\n  \"a\": 1,\n}")]);
    assert_eq!(
        failure(broken.path()).cause,
        "package.json:3:1: not valid JSON: trailing comma; JSON allows no comma after the last entry"
    );
    let lock = app(&[
        ("package.json", "{}"),
        ("package-lock.json", "<<<<<<< HEAD\n{"),
    ]);
    assert_eq!(
        failure(lock.path()).cause,
        "package-lock.json:1:1: not valid JSON: expected value; a merge conflict was left in the file"
    );
    let two = app(&[
        ("package.json", "{}"),
        ("package-lock.json", LOCK),
        ("handover.toml", "x = 1\ny = 2\n"),
    ]);
    let failure = failure(two.path());
    assert!(
        failure.cause.starts_with("handover.toml:1: `x`"),
        "{}",
        failure.cause
    );
    assert!(
        failure.tail[0].starts_with("handover.toml:2: `y`"),
        "{:?}",
        failure.tail
    );
}

#[test]
fn a_symlink_or_a_directory_is_not_taken_for_a_file() {
    let linked = app(&[("real.json", "{}")]);
    symlink("real.json", linked.path().join("package.json")).unwrap();
    assert_eq!(
        failure(linked.path()).cause,
        "package.json is not a regular file"
    );
    let settings = app(&[("package.json", "{}"), ("package-lock.json", LOCK)]);
    symlink("package.json", settings.path().join(".npmrc")).unwrap();
    assert_eq!(
        failure(settings.path()).cause,
        ".npmrc is not a regular file"
    );
    let directory = app(&[("package.json", "{}")]);
    fs::create_dir(directory.path().join("package-lock.json")).unwrap();
    assert_eq!(
        failure(directory.path()).cause,
        "package-lock.json is not a regular file"
    );
}
