//! A server with one app, `shop`, whose first version is live.

use std::path::PathBuf;

use super::steady::TICKING_SERVER;
use super::{Project, Server};

/// A server with an app whose first version is live.
#[derive(Debug)]
pub struct Shop {
    pub server: Server,
    pub repo: PathBuf,
    pub project: Project,
}

impl Shop {
    /// A server whose app answers with this version.
    pub fn open(version: &str) -> Self {
        Self::open_on(Server::start(), version, &[])
    }

    /// The same, with a branch that moves before the verdict.
    pub fn open_without_gate(version: &str) -> Self {
        Self::open_on(Server::start(), version, &["--no-gate"])
    }

    /// The same on this server, and an app that is created with these arguments.
    pub fn open_on(server: Server, version: &str, args: &[&str]) -> Self {
        let repo = server.create_with("shop", args);
        let project = Project::tiny();
        project.write("server.js", TICKING_SERVER);
        project.version(version);
        project.push(&repo).went_live();
        Self {
            server,
            repo,
            project,
        }
    }
}
