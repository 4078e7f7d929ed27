//! A server whose app stops at a chosen moment of its deploy, and people who push it.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;
use tempfile::TempDir;

use crate::line::Line;
use crate::support::project::{Pushed, git_in, pushed};
use crate::support::sshd::Key;
use crate::support::{Project, Pusher, Server, Sshd, until};

/// How a push comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// `git push /path`: git starts `receive-pack` itself.
    Local,
    /// `git push ssh://…`, through a line that can be cut.
    Ssh,
}

/// Where a deploy stops until the doors are opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// It does not.
    Nowhere,
    /// In an install script.
    Install,
    /// In the build script.
    Build,
    /// Before the app listens.
    Start,
    /// The app says that it is not well yet.
    Health,
    /// The app has passed its first check, and takes its time over the second.
    Swap,
}

impl Stop {
    fn name(self) -> &'static str {
        match self {
            Self::Nowhere => "nowhere",
            Self::Install => "install",
            Self::Build => "build",
            Self::Start => "start",
            Self::Health => "health",
            Self::Swap => "swap",
        }
    }
}

/// What is to happen in a deploy.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Where it stops.
    pub stop: Stop,
    /// How many lines of 100 bytes the step prints when it goes on.
    pub lines: u32,
    /// Whether the step fails in the end.
    pub fails: bool,
    /// Whether the step leaves processes about that don't want to end.
    pub family: bool,
}

impl Plan {
    /// A deploy that stops here, and then goes live.
    pub fn stop(stop: Stop) -> Self {
        Self {
            stop,
            lines: 0,
            fails: false,
            family: false,
        }
    }
}

/// A server with the app `shop`, whose first version is live.
pub struct Scene {
    // Dropped first: who is connected goes before the server does.
    ssh: Option<Ssh>,
    pub server: Server,
    pub repo: PathBuf,
    pub project: Project,
    doors: TempDir,
}

struct Ssh {
    line: Line,
    sshd: Sshd,
    key: Key,
}

impl Scene {
    /// A server that is pushed to in this way.
    pub fn open(transport: Transport) -> Self {
        Self::open_with("", transport)
    }

    /// The same with settings for the server.
    pub fn open_with(settings: &str, transport: Transport) -> Self {
        let server = Server::start_with(settings, &["--listen", "127.0.0.1:0"]);
        let repo = server.create("shop");
        let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/disconnect/app");
        let ssh = (transport == Transport::Ssh).then(|| {
            let sshd = Sshd::start(&server);
            Ssh {
                line: Line::to(sshd.address()),
                key: sshd.key("ada", &["--app", "shop"]),
                sshd,
            }
        });
        let scene = Self {
            ssh,
            server,
            repo,
            project: Project::of(&fixture),
            doors: tempfile::tempdir().unwrap(),
        };
        scene.project.push(&scene.repo).went_live();
        scene
    }

    /// Commits a version whose deploy goes like this; gives the commit.
    pub fn version(&self, version: &str, plan: Plan) -> String {
        let told = json!({
            "doors": self.doors.path(),
            "stop": plan.stop.name(),
            "lines": plan.lines,
            "fails": plan.fails,
            "family": plan.family,
        });
        self.project.write("plan.json", &told.to_string());
        self.project.version(version)
    }

    /// Waits until the deploy stops where it is to.
    #[track_caller]
    pub fn until_stopped(&self) {
        let at = self.doors.path().join("at");
        until("the deploy stops", || at.exists().then_some(()));
    }

    /// Lets it go on.
    pub fn open_doors(&self) {
        std::fs::write(self.doors.path().join("go"), "").unwrap();
    }

    /// The processes that a build has left about.
    pub fn family(&self) -> Vec<u32> {
        let pids = std::fs::read_to_string(self.doors.path().join("pids")).unwrap_or_default();
        pids.lines().map(|pid| pid.parse().unwrap()).collect()
    }

    /// The command that pushes `main`.
    pub fn push_command(&self) -> Command {
        let Some(ssh) = &self.ssh else {
            return self.project.push_command(&self.repo, &["main"]);
        };
        let mut git = git_in(self.project.path());
        let known = ssh.sshd.address();
        // sshd's key is known by the address at the other end of the line.
        let command = format!(
            "{} -o HostKeyAlias=[{}]:{}",
            ssh.sshd.git_ssh_command(&ssh.key),
            known.ip(),
            known.port()
        );
        let user = crate::support::sshd::user();
        let url = format!("ssh://{user}@{}/shop", ssh.line.address());
        git.env("GIT_SSH_COMMAND", command)
            .args(["push", &url, "main"]);
        git
    }

    /// A clone of the project as it is now.
    pub fn another_clone(&self) -> Project {
        let clone = Project::empty();
        clone.git(&["pull", "-q", self.project.path().to_str().unwrap(), "main"]);
        clone
    }

    /// Starts a push.
    pub fn pusher(&self) -> Pusher {
        Pusher::start(&mut self.push_command())
    }

    /// Pushes, and waits for its end.
    pub fn push(&self) -> Pushed {
        pushed(&self.push_command().output().unwrap())
    }

    /// Cuts the line of everybody who is connected.
    pub fn cut_line(&self) {
        let ssh = self.ssh.as_ref().expect("pushes come through a line");
        ssh.line.cut();
    }
}
