//! A server whose disk is recorded during a deploy, and is then started on what a power cut has left.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::calls::{Call, TRACED, parse};
use crate::cuts::Cut;
use crate::image::Image;
use crate::recorder::Recorder;
use crate::recording::Recording;
use crate::support::invariants::branch;
use crate::support::project::git_in;
use crate::support::{Project, Server, until};

/// What is no part of the disk: `/run` is gone after a power cut, the database makes its `-shm` anew, and the rest is the
/// test's.
pub const NOT_ON_DISK: &[&str] = &[
    "run",
    "handover.db-shm",
    "serve.log",
    "handover.toml",
    "kill-at",
];

/// What is recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deploy {
    /// A second version is pushed.
    Push,
    /// The same where the branch moves first.
    PushWithoutGate,
    /// A first version is pushed.
    First,
    /// The version before is gone back to.
    Rollback,
}

/// A server, and what was pushed to it.
#[derive(Debug)]
pub struct Scene {
    server: Server,
    repo: PathBuf,
    project: Project,
    /// The commits that may be live after a cut: before the deploy, if there was one, and after it.
    old: Option<String>,
    new: String,
}

impl Scene {
    /// Plays the deploy, and gives what the disk has seen of it. The server has ended then.
    pub fn record(deploy: Deploy) -> (Self, Recording) {
        let mut server = Server::start_with("", &["--no-front"]);
        let args: &[&str] = match deploy {
            Deploy::PushWithoutGate => &["--no-gate"],
            Deploy::Push | Deploy::First | Deploy::Rollback => &[],
        };
        let repo = server.create_with("shop", args);
        let project = Project::tiny();
        project.write("handover.toml", "[web]\ncommand = \"node server.js\"\n");
        let first = project.version("v1");
        let second = match deploy {
            Deploy::First => first.clone(),
            Deploy::Push | Deploy::PushWithoutGate => {
                project.push(&repo).went_live();
                project.version("v2")
            }
            Deploy::Rollback => {
                project.push(&repo).went_live();
                let second = project.version("v2");
                project.push(&repo).went_live();
                server.until_drained("shop");
                second
            }
        };
        let (old, new) = match deploy {
            Deploy::First => (None, first),
            Deploy::Push | Deploy::PushWithoutGate => (Some(first), second),
            Deploy::Rollback => (Some(second), first),
        };
        server.assert_right();
        let before = Image::read(server.home(), NOT_ON_DISK);
        let calls = traced(&server, || match deploy {
            Deploy::Rollback => {
                let mut command = server.command();
                command.args(["rollback", "shop"]);
                command
            }
            Deploy::Push | Deploy::PushWithoutGate | Deploy::First => {
                project.push_command(&repo, &["main"])
            }
        });
        server.assert_right();
        assert_eq!(server.status("shop")["live"]["commit"], new);
        server.end(Signal::SIGINT);
        let recording = recording(server.home(), before, &calls);
        let scene = Self {
            server,
            repo,
            project,
            old,
            new,
        };
        (scene, recording)
    }

    /// Starts a server after a power cut, which must find the old state or the new one.
    pub fn survives(&mut self, recording: &Recording, cut: &Cut) -> Result<(), String> {
        self.empty_disk();
        recording.after(cut).write_to(self.server.home());
        self.server.launch(&["--no-front"]);
        let result = self.is_right(cut.at >= recording.told);
        self.server.end(Signal::SIGINT);
        result.map_err(|reason| format!("{reason}\n{}", self.server.log()))
    }

    fn empty_disk(&self) {
        for entry in std::fs::read_dir(self.server.home()).unwrap().flatten() {
            let path = entry.path();
            if entry.file_name() == "handover.toml" {
                continue;
            }
            if entry.file_type().unwrap().is_dir() {
                std::fs::remove_dir_all(path).unwrap();
            } else {
                std::fs::remove_file(path).unwrap();
            }
        }
    }

    fn is_right(&self, told: bool) -> Result<(), String> {
        let wrong = self.server.lastingly_wrong();
        if !wrong.is_empty() {
            return Err(format!("{wrong:#?}"));
        }
        let live = self.live();
        let is_new = live.as_ref() == Some(&self.new);
        if !is_new && (told || live != self.old) {
            return Err(format!("{live:?} is live, told: {told}"));
        }
        let names = Some(branch(&self.repo)).filter(|name| !name.is_empty());
        if names != live {
            return Err(format!("{live:?} is live, and the branch names {names:?}"));
        }
        self.releases_are_whole()?;
        self.same_push_goes_live()
    }

    fn live(&self) -> Option<String> {
        let live = &self.server.status("shop")["live"]["commit"];
        live.as_str().map(str::to_owned)
    }

    /// Each release has what its commit has.
    fn releases_are_whole(&self) -> Result<(), String> {
        let releases = self.server.json(&["releases", "shop"]);
        for release in releases["releases"].as_array().unwrap() {
            let (number, commit) = (&release["release"], release["commit"].as_str().unwrap());
            let dir = self
                .server
                .app_dir("shop")
                .join(format!("releases/{number}"));
            for (path, content) in files_of(&self.project, commit) {
                let there = std::fs::read(dir.join(&path));
                if there.as_ref().ok() != Some(&content) {
                    return Err(format!("release {number}: {path}: {there:?}"));
                }
            }
        }
        Ok(())
    }

    /// Whatever a cut has left of objects and refs is in nobody's way.
    fn same_push_goes_live(&self) -> Result<(), String> {
        let wanted = format!("{}:refs/heads/main", self.new);
        let args: &[&str] = &["-f", &wanted];
        if branch(&self.repo) == self.new || self.old.is_some() && !self.is_ahead() {
            return Ok(());
        }
        let told = self.project.push_with(&self.repo, args);
        let wrong = self.server.lastingly_wrong();
        if !wrong.is_empty() {
            return Err(format!("after another push: {wrong:#?}"));
        }
        match self.live() {
            Some(live) if live == self.new => Ok(()),
            live => Err(format!("{live:?} is live after: {}", told.text)),
        }
    }

    /// Whether the new commit contains the old one.
    fn is_ahead(&self) -> bool {
        let old = self.old.as_deref().unwrap_or_default();
        let args = ["merge-base", "--is-ancestor", old, &self.new];
        let status = git_in(self.project.path()).args(args).status();
        status.unwrap().success()
    }
}

/// The files of a commit.
fn files_of(project: &Project, commit: &str) -> Vec<(String, Vec<u8>)> {
    let names = project.git(&["ls-tree", "-r", "--name-only", commit]);
    let content = |name: &str| {
        let one = format!("{commit}:{name}");
        let shown = git_in(project.path()).args(["show", &one]).output();
        (name.to_owned(), shown.unwrap().stdout)
    };
    names.lines().map(content).collect()
}

/// Runs a command to its good end, and gives the calls of it and of the server meanwhile.
fn traced(server: &Server, command: impl FnOnce() -> Command) -> Vec<Call> {
    let dir = tempfile::tempdir().unwrap();
    let logs = [dir.path().join("serve"), dir.path().join("command")];
    let pid = server.pid().to_string();
    let mut tracer = strace(&logs[0], &["-p", &pid]).spawn().unwrap();
    until("the server is traced", || {
        all_are_traced(server.pid()).then_some(())
    });
    let command = command();
    let mut args = vec![command.get_program()];
    args.extend(command.get_args());
    let mut traced = strace(&logs[1], &[]);
    traced.args(args);
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => traced.env(name, value),
            None => traced.env_remove(name),
        };
    }
    if let Some(dir) = command.get_current_dir() {
        traced.current_dir(dir);
    }
    let output = traced.stdin(Stdio::null()).output().unwrap();
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{words}");
    server.until_drained("shop");
    server.assert_right();
    let_go(&mut tracer);
    let mut calls: Vec<Call> = logs
        .iter()
        .flat_map(|log| parse(&std::fs::read_to_string(log).unwrap()))
        .collect();
    calls.sort_by_key(|call| call.ended);
    calls
}

fn strace(log: &Path, more: &[&str]) -> Command {
    let mut command = Command::new("strace");
    command
        .args(["-f", "-y", "-ttt", "-T", "-xx", "-q", "-s", "16777216"])
        .args(["-e", &format!("trace={TRACED}"), "-e", "signal=none", "-o"])
        .arg(log)
        .args(more)
        .stdin(Stdio::null());
    if !more.is_empty() {
        command.stderr(Stdio::null());
    }
    command
}

fn all_are_traced(pid: u32) -> bool {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    tasks.flatten().all(|task| {
        let status = std::fs::read_to_string(task.path().join("status")).unwrap_or_default();
        let tracer = status
            .lines()
            .find_map(|line| line.strip_prefix("TracerPid:"));
        tracer.is_none_or(|tracer| tracer.trim() != "0")
    })
}

/// strace lets the traced run on when it is interrupted.
fn let_go(tracer: &mut Child) {
    kill(Pid::from_raw(tracer.id().cast_signed()), Signal::SIGINT).unwrap();
    tracer.wait().unwrap();
}

fn recording(home: &Path, before: Image, calls: &[Call]) -> Recording {
    let mut recorder = Recorder::new(home, before.clone());
    let mut told = None;
    for call in calls {
        recorder.take(call);
        let writes = matches!(
            call.name.as_str(),
            "write" | "writev" | "sendto" | "sendmsg"
        );
        if writes && told.is_none() && contains(&call.strings().concat(), b"success: release ") {
            told = Some(call.began);
        }
    }
    Recording::new(before, recorder, told.expect("the pusher is told"))
}

fn contains(text: &[u8], words: &[u8]) -> bool {
    text.windows(words.len()).any(|part| part == words)
}
