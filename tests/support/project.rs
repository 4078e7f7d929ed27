//! A project of somebody who pushes.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

use super::trace;

/// What a push came to.
#[derive(Debug, Clone)]
pub struct Pushed {
    /// git's exit code.
    pub code: i32,
    /// What the pusher read, without `remote: ` and trailing blanks.
    pub text: String,
}

impl Pushed {
    /// Panics with what the pusher read unless the text has this in it.
    #[track_caller]
    pub fn says(&self, wanted: &str) -> &Self {
        assert!(
            self.text.contains(wanted),
            "the pusher should read {wanted:?}, but reads:\n{}",
            self.text
        );
        self
    }

    /// Panics with what the pusher read unless the push was rejected, with the reason that he reads above it.
    #[track_caller]
    pub fn rejected(&self) -> &Self {
        assert_eq!(self.code, 1, "{}", self.text);
        let error = self
            .text
            .lines()
            .find_map(|line| line.strip_prefix("error: "));
        let reason = error.unwrap_or_else(|| panic!("no error is told:\n{}", self.text));
        // What pre-receive refuses git words by itself.
        let by_hook = self.text.contains("(pre-receive hook declined)");
        let told = |line: &str| {
            line.contains("! [remote rejected]") && line.ends_with(&format!("({reason})"))
        };
        assert!(
            by_hook || self.text.lines().any(told),
            "nothing is rejected for the reason {reason:?}:\n{}",
            self.text
        );
        self
    }

    /// Panics with what the pusher read unless the push went through and its commit is live.
    #[track_caller]
    pub fn went_live(&self) -> &Self {
        assert_eq!(self.code, 0, "{}", self.text);
        self.says("success: ")
    }
}

/// A working copy under git.
#[derive(Debug)]
pub struct Project {
    dir: TempDir,
}

impl Project {
    /// A copy of a fixture app (`tests/apps/NAME`), committed.
    pub fn of_fixture(name: &str) -> Self {
        let fixture = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/apps")
            .join(name);
        Self::of(&fixture)
    }

    /// A copy of a directory, committed.
    pub fn of(dir: &Path) -> Self {
        let project = Self::empty();
        copy(dir, project.path());
        project.commit("the first version");
        project
    }

    /// A tiny app without dependencies: plain `http`, answering with `VERSION` and to `/slow?ms=N`.
    pub fn tiny() -> Self {
        Self::of_fixture("http-port")
    }

    /// Nothing, under git.
    pub fn empty() -> Self {
        let project = Self {
            dir: tempfile::tempdir().unwrap(),
        };
        project.git(&["init", "-q", "-b", "main"]);
        project
    }

    /// A clone that has the newest commit and nothing of its history.
    pub fn shallow_clone(&self) -> Self {
        let clone = Self {
            dir: tempfile::tempdir().unwrap(),
        };
        let from = format!("file://{}", self.path().display());
        let to = clone.path().to_str().unwrap();
        self.git(&["clone", "-q", "--depth", "1", &from, to]);
        clone
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Writes a file.
    pub fn write(&self, name: &str, content: &str) -> &Self {
        let path = self.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
        self
    }

    /// Removes a file.
    pub fn remove(&self, name: &str) -> &Self {
        std::fs::remove_file(self.path().join(name)).unwrap();
        self
    }

    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path().join(name)).unwrap()
    }

    /// Commits everything; gives the commit's id.
    pub fn commit(&self, subject: &str) -> String {
        self.git(&["add", "-A"]);
        self.git(&["commit", "-q", "--allow-empty", "-m", subject]);
        self.git(&["rev-parse", "HEAD"]).trim().to_owned()
    }

    /// A new version of a fixture app: `VERSION` is what it answers.
    pub fn version(&self, version: &str) -> String {
        self.write("VERSION", &format!("{version}\n"));
        self.commit(&format!("version {version}"))
    }

    /// Pushes `main`.
    pub fn push(&self, repo: &Path) -> Pushed {
        self.push_with(repo, &["main"])
    }

    /// Pushes refs, with options.
    pub fn push_with(&self, repo: &Path, args: &[&str]) -> Pushed {
        let output = self.push_command(repo, args).output().unwrap();
        pushed(&output)
    }

    /// The command that pushes, for tests that watch it.
    pub fn push_command(&self, repo: &Path, args: &[&str]) -> Command {
        let mut command = in_place(trace::command("git"), self.path());
        command
            .arg("push")
            .arg(repo)
            .args(args)
            .stdin(Stdio::null());
        command
    }

    /// Runs git; panics where it fails.
    #[track_caller]
    pub fn git(&self, args: &[&str]) -> String {
        let output = self.command().args(args).output().unwrap();
        assert!(
            output.status.success(),
            "git {args:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap()
    }

    fn command(&self) -> Command {
        git_in(self.path())
    }
}

/// git in a directory, without the settings of whoever runs the tests.
pub fn git_in(dir: &Path) -> Command {
    in_place(Command::new("git"), dir)
}

fn in_place(mut command: Command, dir: &Path) -> Command {
    command.current_dir(dir);
    for name in ["AUTHOR", "COMMITTER"] {
        command
            .env(format!("GIT_{name}_NAME"), "Ada")
            .env(format!("GIT_{name}_EMAIL"), "ada@example.com");
    }
    command
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_SYSTEM", "/dev/null");
    command
}

/// What a push came to, from git's output.
pub fn pushed(output: &Output) -> Pushed {
    let raw = String::from_utf8_lossy(&output.stderr);
    let lines = raw
        .lines()
        .map(|line| line.strip_prefix("remote: ").unwrap_or(line).trim_end());
    Pushed {
        code: output.status.code().unwrap_or(-1),
        text: lines.collect::<Vec<_>>().join("\n"),
    }
}

fn copy(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let name = entry.file_name();
        if ["node_modules", "dist", ".next"]
            .iter()
            .any(|built| name == *built)
        {
            continue;
        }
        let target: PathBuf = to.join(&name);
        if entry.file_type().unwrap().is_dir() {
            std::fs::create_dir_all(&target).unwrap();
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}
