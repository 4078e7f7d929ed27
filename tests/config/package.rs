//! `Procfile`, `package.json` and lockfiles.

use handover::config::{AppFiles, AppSources, PackageJson, Procfile, check_lockfile};

use crate::refusal;

#[test]
fn a_procfile_names_its_process_types() {
    let procfile = Procfile::parse(
        b"# comment\r\n\r\nweb: node server.js --port $PORT\r\nrelease:npm run migrate\nworker_2: a: b\n",
    )
    .unwrap();
    assert_eq!(procfile.command("web"), Some("node server.js --port $PORT"));
    assert_eq!(procfile.command("release"), Some("npm run migrate"));
    assert_eq!(procfile.command("worker_2"), Some("a: b"));
    assert_eq!(procfile.command("clock"), None);
    assert_eq!(procfile.types()[2].line, 5);
}

#[test]
fn lines_that_are_no_process_types_are_named() {
    let error = refusal(Procfile::parse(
        b"web: a\nnode server.js\nweb: b\nx y: z\nrelease:\n",
    ));
    assert_eq!(
        error.lines().collect::<Vec<_>>(),
        [
            "Procfile:2: `node server.js` is not a process type; write one as \"web: node server.js\"",
            "Procfile:3: `web` is there twice; first on line 1",
            "Procfile:4: `x y: z` is not a process type; write one as \"web: node server.js\"",
            "Procfile:5: `release` has no command; write one after the colon",
        ]
    );
}

#[test]
fn package_json_gives_what_deploying_needs() {
    let package = PackageJson::parse(
        br#"{"name": "shop", "version": "1.2.3", "engines": {"node": ">=20"},
            "packageManager": "npm@11.1.0", "config": {"port": 80, "deep": {"on": true, "off": false}},
            "scripts": {"start": "node .", "build": "vite build"}}"#,
    )
    .unwrap();
    assert_eq!(package.name.as_deref(), Some("shop"));
    assert_eq!(package.script("build"), Some("vite build"));
    assert_eq!(package.node_range.as_deref(), Some(">=20"));
    assert_eq!(package.package_manager.as_deref(), Some("npm@11.1.0"));
    let npm = package.npm_variables();
    for (name, value) in [
        ("npm_package_name", "shop"),
        ("npm_package_version", "1.2.3"),
        ("npm_package_config_port", "80"),
        ("npm_package_config_deep_on", "true"),
        ("npm_package_config_deep_off", ""),
        ("npm_package_engines_node", ">=20"),
    ] {
        assert_eq!(npm.get(name).map(String::as_str), Some(value), "{name}");
    }
}

#[test]
fn a_broken_package_json_is_told_with_place_and_cause() {
    for (json, expected) in [
        (
            "{\n  \"name\": \"x\",\n}",
            "package.json:3:1: not valid JSON: trailing comma; JSON allows no comma after the last entry",
        ),
        (
            "{\n// hello\n}",
            "package.json:2:1: not valid JSON: key must be a string; JSON has no comments",
        ),
        (
            "{\n<<<<<<< HEAD\n\"a\": 1}",
            "package.json:2:1: not valid JSON: key must be a string; a merge conflict was left in the file",
        ),
        (
            "",
            "package.json:1: not valid JSON: EOF while parsing a value; the file is empty",
        ),
        (
            "[1]",
            "package.json:1: this is JSON, but not an object; it must begin with `{` and end with `}`",
        ),
        (
            r#"{"scripts": {"start": 3}}"#,
            "package.json: the script `start` is a number; it must be text",
        ),
        (
            r#"{"scripts": []}"#,
            "package.json: `scripts` is a list; it must be an object, as \"scripts\": {\"start\": \"node server.js\"}",
        ),
        (
            r#"{"name": null}"#,
            "package.json: `name` is null; it must be text",
        ),
    ] {
        assert_eq!(refusal(PackageJson::parse(json.as_bytes())), expected);
    }
    let cut = refusal(PackageJson::parse(b"{\"name\": \"x\""));
    assert!(cut.contains("ends too early"), "{cut}");
}

#[test]
fn a_lockfile_must_look_like_one() {
    check_lockfile(
        "package-lock.json",
        br#"{"lockfileVersion": 3, "packages": {}}"#,
    )
    .unwrap();
    let error = refusal(check_lockfile("package-lock.json", b"{}"));
    assert!(error.contains("npm install --package-lock-only"), "{error}");
    let error = refusal(check_lockfile("npm-shrinkwrap.json", b"{\n\n<"));
    assert!(error.starts_with("npm-shrinkwrap.json:3:"), "{error}");
}

#[test]
fn the_files_of_an_app_are_judged_together() {
    let error = AppFiles::parse(&AppSources {
        handover_toml: Some(b"x = 1"),
        procfile: Some(b"nonsense"),
        package_json: b"{",
        server_js: false,
    })
    .unwrap_err();
    let named: Vec<_> = error.problems().iter().map(|p| p.file.as_str()).collect();
    assert_eq!(named, ["handover.toml", "Procfile", "package.json"]);
}
