//! What to run.
//!
//! A start script is run by a shell directly, with the variables that npm would set: npm as its parent would cost each
//! instance about 60 MB and 0.2 s. Only where `prestart` or `poststart` exist, or where node finds no package without it
//! (yarn's Plug'n'Play), is the package manager run itself.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use super::files::AppFiles;
use super::manager::ManagerKind;

/// Where a command will run.
#[derive(Debug, Clone, Copy)]
pub struct Place<'p> {
    /// The release directory.
    pub release: &'p Path,
    /// The `PATH` of the environment it begins with.
    pub path: &'p str,
    /// The node program, where it was found.
    pub node: Option<&'p Path>,
}

impl Place<'_> {
    /// The search path with the programs of the app's dependencies first, as npm and Heroku have it.
    pub fn path_with_bin(&self) -> String {
        let bin = self.release.join("node_modules/.bin");
        match self.path {
            "" => bin.to_string_lossy().into_owned(),
            path => format!("{}:{path}", bin.display()),
        }
    }
}

/// How the app is started: `/bin/sh -c` with this command line, in the release directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebCommand {
    /// The command line for the shell.
    pub shell: String,
    /// Variables to set on top of the environment it begins with; `PATH` is among them.
    pub env: BTreeMap<String, String>,
    /// Where it comes from.
    pub from: WebFrom,
}

/// Where the web command comes from; shows itself as in "start script of package.json".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WebFrom {
    /// `[web] command` of `handover.toml`.
    Settings,
    /// `web:` of the `Procfile`.
    Procfile,
    /// `scripts.start`, run without a package manager.
    StartScript,
    /// `scripts.start`, run by the package manager.
    ManagerStart,
    /// `server.js`, which npm starts where there is no start script.
    ServerJs,
}

impl fmt::Display for WebFrom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Settings => "[web] command of handover.toml",
            Self::Procfile => "web of Procfile",
            Self::StartScript => "start script of package.json",
            Self::ManagerStart => "start script of package.json, by the package manager",
            Self::ServerJs => "server.js, as there is no start script",
        })
    }
}

/// Nothing in the app says how to start it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "no start script in package.json, no web line in Procfile, no [web] command in handover.toml and no server.js"
)]
pub struct NoWebCommand;

impl NoWebCommand {
    /// What to do about it.
    pub const HINT: &'static str = "add one to package.json, as \"scripts\": {\"start\": \"node server.js\"}, then commit and push";
}

/// How the app is built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BuildCommand {
    /// The `build` script, run by the package manager (npm runs `prebuild` and `postbuild` too).
    Script,
    /// `[build] command`, by a shell.
    Shell(String),
    /// Not at all: there is no build script.
    Nothing,
}

impl AppFiles {
    /// How the app is started: `[web] command`, else the Procfile's `web`, else the start script, else `server.js`.
    pub fn web_command(&self, place: &Place<'_>) -> Result<WebCommand, NoWebCommand> {
        let (shell, from) = self.web_source()?;
        let mut env = BTreeMap::from([("PATH".to_owned(), place.path_with_bin())]);
        match from {
            WebFrom::StartScript | WebFrom::ServerJs => {
                env.extend(self.npm_env(place, "start", &shell));
            }
            WebFrom::Settings | WebFrom::Procfile | WebFrom::ManagerStart => {}
        }
        Ok(WebCommand { shell, env, from })
    }

    fn web_source(&self) -> Result<(String, WebFrom), NoWebCommand> {
        let settings = self.config.web.command.as_deref();
        let written = settings
            .map(|command| (command, WebFrom::Settings))
            .or_else(|| Some((self.procfile.command("web")?, WebFrom::Procfile)));
        match written {
            // Said in so many words, it is what happens without it; and cheaper without npm.
            Some((command, _)) if self.is_start(command) && self.start_script().is_some() => {}
            Some((command, from)) => return Ok((command.to_owned(), from)),
            None => {}
        }
        self.start_script().ok_or(NoWebCommand)
    }

    fn start_script(&self) -> Option<(String, WebFrom)> {
        let pnp = self.manager.plug_and_play;
        let by_manager = pnp
            || ["prestart", "poststart"]
                .iter()
                .any(|name| self.package.scripts.contains_key(*name));
        let script = self
            .package
            .script("start")
            .map(str::trim)
            .filter(|script| !script.is_empty());
        let start = || match self.manager.kind {
            ManagerKind::Npm => "npm start".to_owned(),
            other => format!("{} run start", other.name()),
        };
        match script {
            Some(_) if by_manager => Some((start(), WebFrom::ManagerStart)),
            Some(script) => Some((script.to_owned(), WebFrom::StartScript)),
            None if !self.server_js => None,
            None if pnp => Some(("yarn node server.js".to_owned(), WebFrom::ServerJs)),
            // Of all managers npm alone knows what to do without a start script.
            None if by_manager => Some(("npm start".to_owned(), WebFrom::ManagerStart)),
            None => Some(("node server.js".to_owned(), WebFrom::ServerJs)),
        }
    }

    /// Whether a command says what happens without it. bun is left alone: it runs scripts in its own way.
    fn is_start(&self, command: &str) -> bool {
        let words: Vec<_> = command.split_whitespace().collect();
        let (["start"] | ["run", "start"], Some(&manager)) =
            (words.get(1..).unwrap_or_default(), words.first())
        else {
            return false;
        };
        manager == "npm" || (manager == self.manager.kind.name() && manager != "bun")
    }

    /// How the app is built: `[build] command`, else the build script, if any.
    pub fn build_command(&self) -> BuildCommand {
        match (&self.config.build.command, self.package.script("build")) {
            (Some(command), _) => BuildCommand::Shell(command.clone()),
            (None, Some(_)) => BuildCommand::Script,
            (None, None) => BuildCommand::Nothing,
        }
    }

    /// The variables that npm gives to a script; some programs read them to learn what they are part of.
    fn npm_env(&self, place: &Place<'_>, event: &str, script: &str) -> BTreeMap<String, String> {
        let mut env = self.package.npm_variables().clone();
        let release = place.release.to_string_lossy().into_owned();
        let package = place.release.join("package.json");
        let mut set = |name: &str, value: String| _ = env.insert(name.to_owned(), value);
        set("npm_lifecycle_event", event.to_owned());
        set("npm_lifecycle_script", script.to_owned());
        set("npm_command", event.to_owned());
        set("npm_package_json", package.to_string_lossy().into_owned());
        set("npm_config_local_prefix", release.clone());
        set("INIT_CWD", release);
        if let Some(node) = place.node {
            let node = node.to_string_lossy().into_owned();
            set("NODE", node.clone());
            set("npm_node_execpath", node);
        }
        env
    }
}
