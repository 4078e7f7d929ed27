//! How an app is reached over ssh.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use crate::ids::AppName;
use crate::process::users::user_name;

/// The port of ssh that needs no mention.
const SSH_PORT: u16 = 22;

/// What `git remote add` takes on another machine: `git@host:shop`. None, where this machine or that user has no name.
pub(super) fn ssh_address(app: &AppName, user: u32, port: Option<u16>) -> Option<String> {
    let (user, host) = (user_name(user)?, host_name()?);
    Some(match port.filter(|&port| port != SSH_PORT) {
        None => format!("{user}@{host}:{app}"),
        Some(port) => format!("ssh://{user}@{host}:{port}/{app}"),
    })
}

/// Whose a file is; root's, where there is none.
pub(super) fn owner_of(path: &Path) -> u32 {
    std::fs::metadata(path).map_or(0, |found| found.uid())
}

fn host_name() -> Option<String> {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").ok()?;
    Some(name.trim().to_owned()).filter(|name| !name.is_empty())
}
