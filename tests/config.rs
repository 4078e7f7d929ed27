//! What people write down is understood, or refused with its place and what would be right.

#![allow(clippy::unwrap_used)] // a panic is how a test fails

use std::path::Path;
use std::time::Duration;

use handover::config::{
    Accept, AppConfig, AppFiles, AppSources, BuildCommand, ConfigError, NoWebCommand, Omit,
    PackageJson, Place, Procfile, ServerSettings, WebCommand, WebFrom, check_lockfile,
};
use proptest::prelude::*;

fn app(toml: &str) -> Result<AppConfig, ConfigError> {
    AppConfig::parse(toml.as_bytes())
}

fn server(toml: &str) -> Result<ServerSettings, ConfigError> {
    ServerSettings::parse(Path::new("/etc/handover/handover.toml"), toml.as_bytes())
}

fn refusal<T: std::fmt::Debug>(result: Result<T, ConfigError>) -> String {
    result.unwrap_err().to_string()
}

// ---- handover.toml of an app

#[test]
fn an_empty_file_gives_the_defaults() {
    let config = app("").unwrap();
    assert_eq!(config, AppConfig::default());
    assert_eq!(config.web.command, None);
    assert_eq!(config.web.instances, 1);
    assert!(config.web.preload);
    assert_eq!(config.health.path, "/");
    assert_eq!(config.health.accept, Accept::Below500);
    assert_eq!(config.health.timeout, Duration::from_secs(60));
    assert_eq!(config.health.interval, Duration::from_millis(250));
    assert_eq!(config.drain.timeout, Duration::from_secs(300));
    assert_eq!(config.drain.stop_timeout, Duration::from_secs(10));
    assert_eq!(config.install.omit, []);
    assert_eq!(config.build.timeout, Duration::from_secs(900));
    assert_eq!(config.watch, Duration::from_secs(30));
}

#[test]
fn every_key_can_be_set() {
    let config = app(r#"
[web]
command = " node server.js "
instances = 0x04
preload = false
[health]
path = "/healthz?deep=1"
timeout = "30m"
interval = "1s"
[drain]
timeout = "0s"
stop_timeout = "10m"
[install]
omit = ["dev", "optional"]
[build]
command = "make"
timeout = "1h30m"
[watch]
for = "0s"
"#)
    .unwrap();
    assert_eq!(config.web.command.as_deref(), Some("node server.js"));
    assert_eq!(config.web.instances, 4);
    assert!(!config.web.preload);
    assert_eq!(config.health.path, "/healthz?deep=1");
    assert_eq!(config.health.accept, Accept::SuccessOrRedirect);
    assert_eq!(config.drain.timeout, Duration::ZERO);
    assert_eq!(config.install.omit, [Omit::Dev, Omit::Optional]);
    assert_eq!(config.build.timeout, Duration::from_secs(5400));
    assert_eq!(config.watch, Duration::ZERO);
}

#[test]
fn a_wrong_value_is_told_with_its_line_and_what_would_be_right() {
    for (toml, expected) in [
        (
            "\n[health]\ntimeout = \"5 fortnights\"",
            "handover.toml:3: `health.timeout`: `5 fortnights` is not a duration; write one as \"250ms\", \"30s\", \"5m\" or \"1h\"",
        ),
        (
            "[health]\ntimeout = \"31m\"",
            "handover.toml:2: `health.timeout`: `31m` is too long; 1 s to 30 min are allowed",
        ),
        (
            "[health]\ninterval = \"1ms\"",
            "handover.toml:2: `health.interval`: `1ms` is too short; 50 ms to 1 min are allowed",
        ),
        (
            "[drain]\ntimeout = 60",
            "handover.toml:2: `drain.timeout`: `60` has no unit; write a duration in quotes, as \"60s\"",
        ),
        (
            "[web]\ninstances = 65",
            "handover.toml:2: `web.instances`: `65` is out of range; 1 to 64 are allowed",
        ),
        (
            "[web]\ninstances = -1",
            "handover.toml:2: `web.instances`: `-1` is out of range; 1 to 64 are allowed",
        ),
        (
            "[web]\ninstances = \"2\"",
            "handover.toml:2: `web.instances`: this is text; write a whole number from 1 to 64, without quotes",
        ),
        (
            "[web]\npreload = \"no\"",
            "handover.toml:2: `web.preload`: this is text; write true or false, without quotes",
        ),
        (
            "[web]\ncommand = [\"node\"]",
            "handover.toml:2: `web.command`: this is a list; write text in quotes, as command = \"…\"",
        ),
        (
            "[web]\ncommand = \"  \"",
            "handover.toml:2: `web.command`: this is empty; write a command, or leave the key out for the default",
        ),
        (
            "[health]\npath = \"healthz\"",
            "handover.toml:2: `health.path`: `healthz` does not begin with `/`; write a path such as \"/healthz\"",
        ),
        (
            "[health]\npath = \"/a b\"",
            "handover.toml:2: `health.path`: `/a b` has characters that a request line can't carry; write a path such as \"/healthz\"",
        ),
        (
            "[install]\nomit = [\"dev\",\n\"test\"]",
            "handover.toml:3: `install.omit`: `test` can't be left out; only \"dev\", \"optional\" and \"peer\" can",
        ),
        (
            "[install]\nomit = [\"dev\", \"dev\"]",
            "handover.toml:2: `install.omit`: this is in the list twice",
        ),
        (
            "web = 3",
            "handover.toml:1: `web`: this is a number; write a section that begins with [web]",
        ),
        (
            "[watch]\nfor = \"2h\"",
            "handover.toml:2: `watch.for`: `2h` is too long; 0 s to 1 h are allowed",
        ),
    ] {
        assert_eq!(refusal(app(toml)), expected);
    }
}

#[test]
fn an_unknown_key_is_told_with_the_known_ones_and_a_guess() {
    assert_eq!(
        refusal(app("[health]\npath = \"/\"\ntimout = \"5s\"")),
        "handover.toml:3: `health.timout`: there is no such key; did you mean `timeout`? known in [health]: `path`, `timeout`, `interval`"
    );
    assert_eq!(
        refusal(app("\n\n[wbe]\ncommand = \"x\"")),
        "handover.toml:3: `wbe`: there is no such key; did you mean `web`? known here: `web`, `health`, `drain`, `install`, `build`, `watch`"
    );
    let far = refusal(app("[web]\nenvironment = \"x\""));
    assert!(!far.contains("did you mean"), "{far}");
}

#[test]
fn all_that_is_wrong_is_told_at_once_in_the_order_of_the_file() {
    let error = app("[drain]\nx = 1\ntimeout = 5\n[web]\ninstances = 0\n").unwrap_err();
    let lines: Vec<_> = error.problems().iter().map(|p| p.line.unwrap()).collect();
    assert_eq!(lines, [2, 3, 5]);
    assert_eq!(error.to_string().lines().count(), 3);
}

#[test]
fn what_is_not_toml_is_told_with_its_line() {
    let error = refusal(app("[web]\ncommand = \"unclosed\ninstances = 2\n"));
    assert!(error.starts_with("handover.toml:2: "), "{error}");
    assert_eq!(error.lines().count(), 1);
    let error = refusal(AppConfig::parse(b"[web]\n# caf\xe9\n"));
    assert!(
        error.starts_with("handover.toml:2: this line is not UTF-8"),
        "{error}"
    );
    // Editors of some systems begin files with a mark.
    AppConfig::parse(b"\xef\xbb\xbf[web]\r\ninstances = 2\r\n").unwrap();
}

#[test]
fn values_in_messages_cant_steer_a_terminal() {
    let error = refusal(app("[health]\ntimeout = \"\\u001b[31m\"\n\"\\u0007\" = 1"));
    assert!(
        !error.chars().any(|c| c.is_control() && c != '\n'),
        "{error:?}"
    );
}

// ---- handover.toml of the server

#[test]
fn the_servers_defaults_are_the_documented_ones() {
    let settings = server("").unwrap();
    assert_eq!(settings.listen, ["127.0.0.1:8080".parse().unwrap()]);
    assert!(settings.front);
    assert_eq!(settings.front_group, None);
    assert!(settings.parallel_builds() >= 1);
    assert_eq!(settings.logs.max_bytes, 10 * 1024 * 1024);
    assert_eq!(settings.logs.files, 5);
    assert_eq!(settings.keep_releases, 5);
    let host = "shop.example.com".parse().unwrap();
    assert_eq!(settings.url(&host), "http://shop.example.com:8080");
}

#[test]
fn the_server_can_be_set_up() {
    let settings = server(
        r#"
listen = ["0.0.0.0:80", "[::]:80"]
front = false
front_group = "www-data"
builds = 3
public_url = "https://{host}"
keep_releases = 2
[logs]
max_bytes = 65536
files = 1
"#,
    )
    .unwrap();
    assert_eq!(settings.listen.len(), 2);
    assert!(!settings.front);
    assert_eq!(settings.front_group.as_deref(), Some("www-data"));
    assert_eq!(settings.parallel_builds(), 3);
    assert_eq!(
        settings.url(&"a.example".parse().unwrap()),
        "https://a.example"
    );
}

#[test]
fn the_servers_mistakes_are_told_with_the_path_of_the_file() {
    for (toml, expected) in [
        (
            "listen = [\"localhost\"]",
            "`listen`: `localhost` is not an address with a port; write one as \"127.0.0.1:8080\", \"0.0.0.0:80\" or \"[::]:80\"",
        ),
        (
            "listen = \"0.0.0.0:80\"",
            "`listen`: this is text; write a list, as listen = [\"…\"]",
        ),
        (
            "builds = 0",
            "`builds`: `0` is out of range; 1 to 64 are allowed",
        ),
        (
            "front_group = \"www data\"",
            "`front_group`: `www data` is not the name of a group; write one such as \"www-data\"",
        ),
        (
            "public_url = \"https://example.com\"",
            "`public_url`: `https://example.com` is not a URL with {host} in it; write one as \"https://{host}\"",
        ),
        (
            "[logs]\nmax_bytes = 1",
            "`logs.max_bytes`: `1` is out of range; 65536 to 17179869184 are allowed",
        ),
    ] {
        let error = refusal(server(toml));
        let line = toml.lines().count();
        assert_eq!(
            error,
            format!("/etc/handover/handover.toml:{line}: {expected}")
        );
    }
}

// ---- Procfile

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

// ---- package.json and lockfiles

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

// ---- what to run

struct App<'t> {
    toml: &'t str,
    procfile: &'t str,
    package: &'t str,
    server_js: bool,
}

const NOTHING: App<'_> = App {
    toml: "",
    procfile: "",
    package: "{}",
    server_js: false,
};

impl App<'_> {
    fn files(&self) -> AppFiles {
        AppFiles::parse(&AppSources {
            handover_toml: Some(self.toml.as_bytes()),
            procfile: Some(self.procfile.as_bytes()),
            package_json: self.package.as_bytes(),
            server_js: self.server_js,
        })
        .unwrap()
    }

    fn web(&self) -> Result<WebCommand, NoWebCommand> {
        self.files().web_command(&Place {
            release: Path::new("/r/7"),
            path: "/usr/bin:/bin",
            node: Some(Path::new("/usr/bin/node")),
        })
    }

    fn source(&self) -> (String, WebFrom) {
        let web = self.web().unwrap();
        (web.shell, web.from)
    }
}

const START: &str = r#"{"name": "shop", "version": "1.0.0", "scripts": {"start": "node app.js"}}"#;

#[test]
fn the_web_command_is_the_first_that_somebody_wrote() {
    let all = App {
        toml: "[web]\ncommand = \"one\"",
        procfile: "web: two",
        package: START,
        server_js: true,
    };
    assert_eq!(all.source(), ("one".into(), WebFrom::Settings));
    let procfile = App { toml: "", ..all };
    assert_eq!(procfile.source(), ("two".into(), WebFrom::Procfile));
    let start = App {
        procfile: "worker: x",
        ..procfile
    };
    assert_eq!(start.source(), ("node app.js".into(), WebFrom::StartScript));
    assert_eq!(
        start
            .files()
            .idle_types()
            .map(|t| t.name.clone())
            .collect::<Vec<_>>(),
        ["worker"]
    );
    let server_js = App {
        server_js: true,
        ..NOTHING
    };
    assert_eq!(
        server_js.source(),
        ("node server.js".into(), WebFrom::ServerJs)
    );
    assert_eq!(NOTHING.web(), Err(NoWebCommand));
}

#[test]
fn a_start_script_runs_without_npm_but_with_its_variables() {
    let web = App {
        package: START,
        ..NOTHING
    }
    .web()
    .unwrap();
    for (name, value) in [
        ("PATH", "/r/7/node_modules/.bin:/usr/bin:/bin"),
        ("npm_package_name", "shop"),
        ("npm_package_version", "1.0.0"),
        ("npm_package_json", "/r/7/package.json"),
        ("npm_lifecycle_event", "start"),
        ("npm_lifecycle_script", "node app.js"),
        ("INIT_CWD", "/r/7"),
        ("NODE", "/usr/bin/node"),
        ("npm_node_execpath", "/usr/bin/node"),
    ] {
        assert_eq!(web.env.get(name).map(String::as_str), Some(value), "{name}");
    }
}

#[test]
fn npm_start_in_words_is_the_start_script() {
    for written in ["npm start", " npm  run start "] {
        let app = App {
            toml: "",
            procfile: &format!("web: {written}"),
            package: START,
            server_js: false,
        };
        assert_eq!(app.source(), ("node app.js".into(), WebFrom::StartScript));
    }
    let more = App {
        procfile: "web: npm start -- --verbose",
        package: START,
        ..NOTHING
    };
    assert_eq!(
        more.source(),
        ("npm start -- --verbose".into(), WebFrom::Procfile)
    );
}

#[test]
fn npm_itself_runs_a_start_script_that_has_company() {
    for hook in ["prestart", "poststart"] {
        let package = format!(r#"{{"scripts": {{"start": "node app.js", "{hook}": "echo"}}}}"#);
        let app = App {
            package: &package,
            ..NOTHING
        };
        assert_eq!(app.source(), ("npm start".into(), WebFrom::NpmStart));
        assert_eq!(app.web().unwrap().env.len(), 1, "npm sets its own");
    }
}

#[test]
fn the_build_is_what_is_set_or_the_script_or_nothing() {
    let script = App {
        package: r#"{"scripts": {"build": "tsc"}}"#,
        ..NOTHING
    };
    assert_eq!(script.files().build_command(), BuildCommand::Script);
    let set = App {
        toml: "[build]\ncommand = \"make\"",
        ..script
    };
    assert_eq!(
        set.files().build_command(),
        BuildCommand::Shell("make".into())
    );
    assert_eq!(NOTHING.files().build_command(), BuildCommand::Nothing);
}

proptest! {
    #[test]
    fn no_text_makes_a_parser_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = AppConfig::parse(&bytes);
        let _ = Procfile::parse(&bytes);
        let _ = PackageJson::parse(&bytes);
        let _ = check_lockfile("package-lock.json", &bytes);
    }

    #[test]
    fn nothing_toml_like_makes_a_message_of_more_than_a_line_a_problem(
        section in "(web|health|drain|x|\")", key in "(path|timeout|for|omit|\\PC{0,6})", value in "\\PC{0,20}"
    ) {
        if let Err(error) = app(&format!("[{section}]\n{key} = {value}\n")) {
            prop_assert!(!error.problems().is_empty());
            for problem in error.problems() {
                prop_assert!(!problem.to_string().chars().any(char::is_control), "{problem:?}");
            }
        }
    }

    #[test]
    fn a_procfile_that_is_accepted_says_the_same_when_written_again(text in "([a-z]{0,3}:? ?[a-z $:]{0,8}\n){0,5}") {
        if let Ok(procfile) = Procfile::parse(text.as_bytes()) {
            let lines: Vec<_> = procfile.types().iter().map(|t| format!("{}: {}", t.name, t.command)).collect();
            let again = lines.join("\n");
            let again = Procfile::parse(again.as_bytes()).unwrap();
            let plain = |p: &Procfile| p.types().iter().map(|t| (t.name.clone(), t.command.clone())).collect::<Vec<_>>();
            prop_assert_eq!(plain(&again), plain(&procfile));
        }
    }
}
