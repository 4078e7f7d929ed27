//! A repository that is pushed to, with the real git.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use handover::git::Repo;
use handover::git::hooks::{self, HookError};
use handover::ids::CommitId;
use tempfile::TempDir;

/// A bare repository and a clone that pushes to it.
pub(crate) struct Place {
    pub(crate) dir: TempDir,
}

impl Place {
    pub(crate) fn new() -> Self {
        let place = Self {
            dir: tempfile::tempdir().unwrap(),
        };
        Repo::init_bare(&place.bare(), "main").unwrap();
        git(place.dir.path(), &["init", "-q", "-b", "main", "work"]);
        git(
            &place.work(),
            &["remote", "add", "origin", place.bare().to_str().unwrap()],
        );
        place
    }

    pub(crate) fn bare(&self) -> PathBuf {
        self.dir.path().join("repo.git")
    }

    pub(crate) fn work(&self) -> PathBuf {
        self.dir.path().join("work")
    }

    pub(crate) fn repo(&self) -> Repo {
        Repo::open(&self.bare()).unwrap()
    }

    /// Commits a file in the clone.
    pub(crate) fn commit(&self, content: &str, message: &str) -> CommitId {
        fs::write(self.work().join("file.txt"), content).unwrap();
        git(&self.work(), &["add", "-A"]);
        git(
            &self.work(),
            &["commit", "-q", "--allow-empty", "-m", message],
        );
        git(&self.work(), &["rev-parse", "HEAD"]).parse().unwrap()
    }

    /// Commits and pushes to `main`.
    pub(crate) fn pushed(&self, content: &str) -> CommitId {
        let commit = self.commit(content, content);
        git(&self.work(), &["push", "-q", "origin", "HEAD:main"]);
        commit
    }

    pub(crate) fn hook(&self) -> PathBuf {
        self.bare().join("hooks/post-receive")
    }

    /// A shell script in the place of handover's binary, that writes down its arguments and input.
    pub(crate) fn fake_binary(&self) -> PathBuf {
        let path = self.dir.path().join("handover binary");
        let told = self.dir.path().join("told");
        let script = format!(
            "#!/bin/sh\n{{ echo \"args: $*\"; cat; }} >>'{}'\necho from the fake\n",
            told.display()
        );
        write_script(&path, &script);
        path
    }

    pub(crate) fn told(&self) -> String {
        fs::read_to_string(self.dir.path().join("told")).unwrap_or_default()
    }

    pub(crate) fn install(&self) -> Result<hooks::Installed, HookError> {
        let link = link("shop", "/srv/home", &self.fake_binary());
        hooks::install(&self.bare(), &link)
    }
}

/// What a repository is told about its app.
pub(crate) fn link(app: &str, home: &str, binary: &Path) -> hooks::Link {
    let home = PathBuf::from(home);
    hooks::Link {
        app: app.parse().unwrap(),
        control: home.join("run/control.sock"),
        home,
        binary: binary.to_owned(),
        branch: "main".to_owned(),
        gate: hooks::Gate::Off,
    }
}

pub(crate) fn write_script(path: &Path, script: &str) {
    fs::write(path, script).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

pub(crate) fn git_output(dir: &Path, args: &[&str]) -> Output {
    Command::new("git")
        .args(args)
        .current_dir(dir)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .envs([
            ("GIT_AUTHOR_NAME", "Ada"),
            ("GIT_AUTHOR_EMAIL", "ada@example.com"),
            ("GIT_COMMITTER_NAME", "Ada"),
            ("GIT_COMMITTER_EMAIL", "ada@example.com"),
        ])
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

pub(crate) fn git(dir: &Path, args: &[&str]) -> String {
    let output = git_output(dir, args);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "git {args:?}: {stderr}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}
