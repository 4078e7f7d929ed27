//! The same calls as strace sees them, from outside: who makes how many of each kind.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// How many calls of each kind each role makes.
pub type Counts = BTreeMap<(String, String), usize>;

/// System calls, and what they are to `shim.c`.
const KINDS: &[(&str, &str)] = &[
    ("open", "open"),
    ("openat", "open"),
    ("openat2", "open"),
    ("creat", "open"),
    ("write", "write"),
    ("writev", "write"),
    ("pwrite64", "write"),
    ("pwritev", "write"),
    ("pwritev2", "write"),
    ("sendfile", "write"),
    ("copy_file_range", "copy"),
    ("truncate", "truncate"),
    ("ftruncate", "truncate"),
    ("fallocate", "truncate"),
    ("fsync", "sync"),
    ("fdatasync", "sync"),
    ("syncfs", "sync"),
    ("sync_file_range", "sync"),
    ("msync", "sync"),
    ("rename", "rename"),
    ("renameat", "rename"),
    ("renameat2", "rename"),
    ("link", "link"),
    ("linkat", "link"),
    ("symlink", "symlink"),
    ("symlinkat", "symlink"),
    ("unlink", "unlink"),
    ("unlinkat", "unlink"),
    ("rmdir", "rmdir"),
    ("mkdir", "mkdir"),
    ("mkdirat", "mkdir"),
    ("mknod", "mknod"),
    ("mknodat", "mknod"),
    ("chmod", "chmod"),
    ("fchmod", "chmod"),
    ("fchmodat", "chmod"),
    ("fchmodat2", "chmod"),
    ("chown", "chown"),
    ("lchown", "chown"),
    ("fchown", "chown"),
    ("fchownat", "chown"),
    ("utimes", "utime"),
    ("utimensat", "utime"),
    ("setxattr", "xattr"),
    ("fsetxattr", "xattr"),
    ("clone", "fork"),
    ("clone3", "fork"),
    ("fork", "fork"),
    ("vfork", "fork"),
    ("execve", "exec"),
    ("execveat", "exec"),
    ("connect", "connect"),
    ("bind", "bind"),
];

/// strace, attached to running processes.
#[derive(Debug)]
pub struct Strace {
    child: Child,
    log: PathBuf,
    roles: BTreeMap<u32, &'static str>,
}

impl Strace {
    /// Returns as soon as every thread of these is watched. The log goes to the directory.
    pub fn attach(dir: &Path, processes: &[(u32, &'static str)]) -> Self {
        let log = dir.join("strace.log");
        // With the mark, a call that this strace does not know is none.
        let names: Vec<String> = KINDS.iter().map(|(name, _)| format!("?{name}")).collect();
        let mut command = Command::new("strace");
        command.args(["-f", "-y", "-s", "4096", "-e"]);
        command.arg(format!("trace={}", names.join(",")));
        for (pid, _) in processes {
            command.args(["-p", &pid.to_string()]);
        }
        let said = dir.join("strace.said");
        let stderr = File::create(&said).unwrap();
        let child = command
            .arg("-o")
            .arg(&log)
            .stderr(stderr)
            .stdin(Stdio::null())
            .spawn();
        let mut roles = BTreeMap::new();
        for (pid, role) in processes {
            roles.extend(threads(*pid).map(|thread| (thread, *role)));
        }
        crate::support::until("strace is attached", || {
            let said = std::fs::read_to_string(&said).unwrap();
            let attached = said
                .lines()
                .filter(|line| line.contains(" attached"))
                .count();
            // One line for each process, the number of its threads in it.
            (attached >= processes.len()).then_some(())
        });
        Self {
            child: child.unwrap(),
            log,
            roles,
        }
    }

    /// Lets go, and counts what handover's own processes have called. Paths with this in them don't count.
    pub fn finish(mut self, but: &str) -> Counts {
        let pid = Pid::from_raw(self.child.id().cast_signed());
        kill(pid, Signal::SIGINT).unwrap();
        self.child.wait().unwrap();
        let lines: Vec<String> = BufReader::new(File::open(&self.log).unwrap())
            .lines()
            .map(Result::unwrap)
            .filter(|line| !line.contains(but))
            .collect();
        count(&lines, &self.roles)
    }
}

fn threads(pid: u32) -> impl Iterator<Item = u32> {
    let entries = std::fs::read_dir(format!("/proc/{pid}/task"))
        .unwrap()
        .flatten();
    entries.map(|entry| entry.file_name().to_str().unwrap().parse().unwrap())
}

/// A process or thread that was made while strace watched.
struct Made {
    by: u32,
    thread: bool,
}

/// Who is who, as the log goes on.
struct Cast<'a> {
    first: &'a BTreeMap<u32, &'static str>,
    made: BTreeMap<u32, Made>,
    executed: BTreeMap<u32, Option<&'static str>>,
}

impl Cast<'_> {
    /// The role of a process of handover's.
    fn role(&self, pid: u32) -> Option<String> {
        if let Some(role) = self.executed.get(&pid) {
            return role.map(str::to_owned);
        }
        if let Some(role) = self.first.get(&pid) {
            return Some((*role).to_owned());
        }
        let made = self.made.get(&pid)?;
        let by = self.role(made.by)?;
        Some(if made.thread {
            by
        } else {
            format!("{by}'s-child")
        })
    }
}

fn count(lines: &[String], first: &BTreeMap<u32, &'static str>) -> Counts {
    let made = makings(lines);
    let mut cast = Cast {
        first,
        made,
        executed: BTreeMap::new(),
    };
    let mut counts = Counts::new();
    for line in lines {
        let Some((pid, name, rest)) = split(line) else {
            continue;
        };
        if let (Some(kind), Some(role)) = (kind(name, rest), cast.role(pid)) {
            *counts.entry((role, kind.to_owned())).or_default() += 1;
        }
        // From here on it is another program, if this succeeds; a search along a PATH is one call to the library.
        if name == "execve" {
            let keeps = rest.contains("/handover\"") && rest.contains("\"keep\"");
            cast.executed.insert(pid, keeps.then_some("keep"));
        }
    }
    counts
}

/// `PID name(rest`.
fn split(line: &str) -> Option<(u32, &str, &str)> {
    let (pid, call) = line.split_once(' ')?;
    let (name, rest) = call.trim_start().split_once('(')?;
    Some((pid.parse().ok()?, name, rest))
}

/// What a call is to us; nothing, if it changes nothing.
fn kind(name: &str, rest: &str) -> Option<&'static str> {
    let kind = KINDS.iter().find(|(syscall, _)| *syscall == name)?.1;
    let target = rest.split(',').next().unwrap();
    let changes = match (name, kind) {
        ("unlinkat", _) if rest.contains("AT_REMOVEDIR") => return Some("rmdir"),
        (_, "open") => ["O_WRONLY", "O_RDWR", "O_CREAT"]
            .iter()
            .any(|flag| rest.contains(flag)),
        (_, "write") => target.contains("</") && !target.contains("</dev/"),
        (_, "fork") => !rest.contains("CLONE_THREAD"),
        _ => true,
    };
    changes.then_some(kind)
}

/// Who was made by whom: `PID clone(…) = CHILD`, perhaps in two parts.
fn makings(lines: &[String]) -> BTreeMap<u32, Made> {
    let mut begun: BTreeMap<u32, bool> = BTreeMap::new();
    let mut made = BTreeMap::new();
    for line in lines {
        let call = line
            .split_once(' ')
            .map_or("", |(_, call)| call.trim_start());
        let Some(by) = line.split(' ').next().and_then(|pid| pid.parse().ok()) else {
            continue;
        };
        let starts = ["clone(", "clone3(", "fork(", "vfork("];
        let resumes = call.starts_with("<... clone")
            || call.starts_with("<... vfork")
            || call.starts_with("<... fork");
        if starts.iter().any(|start| call.starts_with(start)) {
            begun.insert(by, call.contains("CLONE_THREAD"));
        } else if !resumes {
            continue;
        }
        let child = call
            .rsplit_once(" = ")
            .and_then(|(_, child)| child.trim().parse().ok());
        if let (Some(child), Some(&thread)) = (child, begun.get(&by)) {
            made.insert(child, Made { by, thread });
        }
    }
    made
}
