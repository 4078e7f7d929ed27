//! The app's files together.

use super::app::AppConfig;
use super::package::{PackageJson, parse_object};
use super::problem::{ConfigError, Source};
use super::procfile::{ProcessType, Procfile};

/// The texts that decide how an app is built and run, as they lie in its repository.
#[derive(Debug, Clone, Copy, Default)]
pub struct AppSources<'t> {
    /// `handover.toml`.
    pub handover_toml: Option<&'t [u8]>,
    /// `Procfile`.
    pub procfile: Option<&'t [u8]>,
    /// `package.json`.
    pub package_json: &'t [u8],
    /// Whether there is a `server.js`, which npm starts where there is no start script.
    pub server_js: bool,
}

/// The app's files, read.
#[derive(Debug, Clone, PartialEq)]
pub struct AppFiles {
    /// `handover.toml`, or the defaults.
    pub config: AppConfig,
    /// `Procfile`, or an empty one.
    pub procfile: Procfile,
    /// `package.json`.
    pub package: PackageJson,
    /// Whether there is a `server.js`.
    pub server_js: bool,
}

impl AppFiles {
    /// Reads them. The error holds what is wrong with any of them.
    pub fn parse(sources: &AppSources<'_>) -> Result<Self, ConfigError> {
        let config = sources
            .handover_toml
            .map_or_else(|| Ok(AppConfig::default()), AppConfig::parse);
        let procfile = sources
            .procfile
            .map_or_else(|| Ok(Procfile::default()), Procfile::parse);
        let package = PackageJson::parse(sources.package_json);
        match (config, procfile, package) {
            (Ok(config), Ok(procfile), Ok(package)) => Ok(Self {
                config,
                procfile,
                package,
                server_js: sources.server_js,
            }),
            (config, procfile, package) => Err(ConfigError::joined(
                [config.err(), procfile.err(), package.err()]
                    .into_iter()
                    .flatten(),
            )),
        }
    }

    /// The process types that are in the `Procfile` but not run.
    pub fn idle_types(&self) -> impl Iterator<Item = &ProcessType> {
        self.procfile
            .types()
            .iter()
            .filter(|process| process.name != "web")
    }
}

/// Whether a lockfile is an object of JSON that npm could have written; `file` is its name.
pub fn check_lockfile(file: &str, bytes: &[u8]) -> Result<(), ConfigError> {
    let source = Source::new(file, bytes)?;
    let object = parse_object(source)?;
    if object.contains_key("packages")
        || object.contains_key("dependencies")
        || object.contains_key("lockfileVersion")
    {
        return Ok(());
    }
    Err(ConfigError::one(source.somewhere(
        "this is not a lockfile: it has no `lockfileVersion`; make it anew with `npm install --package-lock-only`",
    )))
}
