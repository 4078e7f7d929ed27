//! The app's files together.

use super::app::AppConfig;
use super::manager::{Manager, NamedManager};
use super::node::NodeWishes;
use super::package::PackageJson;
use super::problem::ConfigError;
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

/// What they say of the tools that the app is installed and built with, beside `package.json`.
#[derive(Debug, Clone, Copy, Default)]
pub struct ToolSources<'t> {
    /// `.nvmrc`.
    pub nvmrc: Option<&'t [u8]>,
    /// `.node-version`.
    pub node_version: Option<&'t [u8]>,
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
    /// Which node it wants; none until it was asked for ([`AppFiles::with_tools`]).
    pub node: NodeWishes,
    /// What `packageManager` names; the same holds.
    pub named_manager: Option<NamedManager>,
    /// Its package manager; npm until a lockfile has been looked at.
    pub manager: Manager,
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
                node: NodeWishes::default(),
                named_manager: None,
                manager: Manager::default(),
            }),
            (config, procfile, package) => Err(ConfigError::joined(
                [config.err(), procfile.err(), package.err()]
                    .into_iter()
                    .flatten(),
            )),
        }
    }

    /// Reads what they say of node and of the package manager. To start what was built before nobody needs to know it.
    pub fn with_tools(self, sources: &ToolSources<'_>) -> Result<Self, ConfigError> {
        let engines = self.package.node_range.as_deref();
        let node = NodeWishes::parse(engines, sources.nvmrc, sources.node_version);
        match (NamedManager::of(&self.package), node) {
            (Ok(named_manager), Ok(node)) => Ok(Self {
                node,
                named_manager,
                ..self
            }),
            (named, node) => Err(ConfigError::joined(
                [named.err(), node.err()].into_iter().flatten(),
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
