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
        let server = Server::start();
        let repo = server.create("shop");
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
