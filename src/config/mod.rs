//! What people write down: the app's `handover.toml`, `Procfile` and `package.json`, and the server's `handover.toml`.
//!
//! Pure: texts come in, values or [`ConfigError`]s with file and line come out. What to run is decided here too
//! ([`AppFiles::web_command`]).

mod app;
mod files;
mod near;
mod package;
mod plan;
mod problem;
mod procfile;
mod server;
mod table;

pub use app::{
    Accept, AppConfig, BuildConfig, DrainConfig, HealthConfig, InstallConfig, Omit, WebConfig,
};
pub use files::{AppFiles, AppSources, check_lockfile};
pub use package::PackageJson;
pub use plan::{BuildCommand, NoWebCommand, Place, WebCommand, WebFrom};
pub use problem::{ConfigError, Problem};
pub use procfile::{ProcessType, Procfile};
pub use server::{LogLimits, ServerSettings};
