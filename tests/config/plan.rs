//! What is run is what somebody wrote, as they would expect it.

use std::path::Path;

use handover::config::{
    AppFiles, AppSources, BuildCommand, NoWebCommand, Place, WebCommand, WebFrom,
};

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
        assert_eq!(app.source(), ("npm start".into(), WebFrom::ManagerStart));
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

/// With another package manager than npm.
fn managed(
    file: &'static str,
    lockfile: &str,
    yarnrc: &str,
    package: &str,
    procfile: &str,
) -> (String, WebFrom) {
    let app = App {
        procfile,
        package,
        ..NOTHING
    };
    let mut files = app.files();
    let manager = handover::config::check_lockfile(file, lockfile.as_bytes()).unwrap();
    files.manager = manager.with_yarnrc(Some(yarnrc.as_bytes()));
    let web = files.web_command(&Place {
        release: Path::new("/r/7"),
        path: "/usr/bin:/bin",
        node: None,
    });
    let web = web.unwrap();
    (web.shell, web.from)
}

#[test]
fn each_package_manager_starts_what_it_must() {
    const AROUND: &str = r#"{"scripts": {"start": "node app.js", "prestart": "node before.js"}}"#;
    const PNPM: &str = "lockfileVersion: '9.0'";
    const YARN: &str = "__metadata:\n  version: 8\n";
    let script = ("node app.js".to_owned(), WebFrom::StartScript);
    let by = |words: &str| (words.to_owned(), WebFrom::ManagerStart);
    assert_eq!(managed("pnpm-lock.yaml", PNPM, "", START, ""), script);
    assert_eq!(
        managed("pnpm-lock.yaml", PNPM, "", START, "web: pnpm start"),
        script
    );
    assert_eq!(
        managed("pnpm-lock.yaml", PNPM, "", AROUND, ""),
        by("pnpm run start")
    );
    assert_eq!(
        managed("pnpm-lock.yaml", PNPM, "", START, "web: yarn start").0,
        "yarn start"
    );
    let modules = "nodeLinker: node-modules";
    assert_eq!(
        managed("yarn.lock", YARN, modules, START, "web: yarn start"),
        script
    );
    // Without node_modules node finds nothing if yarn does not start it.
    assert_eq!(
        managed("yarn.lock", YARN, "", START, ""),
        by("yarn run start")
    );
    assert_eq!(
        managed("yarn.lock", YARN, "", START, "web: npm start"),
        by("yarn run start")
    );
}
