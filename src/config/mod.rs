//! What people write down: the app's `handover.toml`, `Procfile`, `package.json`, lockfile and the like, and the server's
//! `handover.toml`.
//!
//! Pure: texts come in, values or [`ConfigError`]s with file and line come out. What to run is decided here too
//! ([`AppFiles::web_command`]).

mod app;
mod cache;
mod files;
mod lockfile;
mod manager;
mod near;
mod node;
mod package;
mod plan;
mod problem;
mod procfile;
mod server;
mod table;
mod version;

pub use app::{
    Accept, AppConfig, BuildConfig, DrainConfig, HealthConfig, InstallConfig, Omit, WebConfig,
};
pub use cache::CachePath;
pub use files::{AppFiles, AppSources, ToolSources};
pub use lockfile::{LOCKFILES, check_lockfile};
pub use manager::{Manager, ManagerError, ManagerKind, NamedManager, Wanted};
pub use node::{NodeSource, NodeWish, NodeWishes};
pub use package::PackageJson;
pub use plan::{BuildCommand, NoWebCommand, Place, WebCommand, WebFrom};
pub use problem::{ConfigError, Problem};
pub use procfile::{ProcessType, Procfile};
pub use server::{BuildCacheLimits, LogLimits, ServerSettings, StoreSettings};
pub use version::{Version, VersionError, VersionRange};
