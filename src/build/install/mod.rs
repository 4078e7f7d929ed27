//! Installing the dependencies that a lockfile names, with the package manager that it belongs to.
//!
//! Always a frozen install: what the lockfile does not have is not found out here. Each manager has a cache of its own in
//! the app's directory, on the same file system as the releases, and copies out of it (or clones, where the file system
//! can): never hard links, so that an app that writes into its packages changes no other release.
//!
//! `NODE_ENV` and `CI` are not set: a build needs devDependencies, and with `CI` some frameworks turn warnings into
//! errors, which nobody sees at home.

mod advice;
mod bun;
mod count;
mod npm;
mod npm_advice;
mod pnpm;
mod recipe;
mod request;
mod yarn;
mod yarn1;

pub(super) use advice::explained;
pub use request::{InstallRequest, Installed, install};
pub(super) use request::{start_manager, work_env};
