//! How much an installation takes of the machine, at rest.

use std::fmt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::Server;

/// What it takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Weight {
    /// Resident memory of `serve`.
    pub serve_memory: Memory,
    /// Resident memory of the front.
    pub front_memory: Memory,
    /// Open descriptors of `serve`.
    pub serve_descriptors: u64,
    /// Open descriptors of the front.
    pub front_descriptors: u64,
    /// Everything in its home and run directories but the repositories, the room that is kept back and what apps print, in
    /// bytes.
    pub disk: u64,
    /// The files of that.
    pub files: u64,
    /// The database with its log, in bytes.
    pub database: u64,
    /// The repositories, which hold all that was ever pushed, in bytes.
    pub repositories: u64,
    /// The files of those.
    pub repository_files: u64,
}

/// Resident memory, in bytes (`proc_pid_status(5)`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    /// All of it: `VmRSS`.
    pub all: u64,
    /// What is no page of a file: `RssAnon`.
    pub own: u64,
}

impl Weight {
    /// Weighs it now.
    pub fn of(server: &Server) -> Self {
        let front = server.front_pids()[0];
        let home = server.home();
        // Neither what the test makes the server write, nor the room that is kept back, which would hide the rest, nor what
        // the app and its keepers print, which begins anew when its limit is reached.
        let all = tree(home);
        let mut own = tree(&home.join("serve.log"));
        own.add(tree(&home.join("reserve")));
        let mut repositories = Tree::default();
        for app in std::fs::read_dir(home.join("apps")).unwrap().flatten() {
            repositories.add(tree(&app.path().join("repo.git")));
            own.add(tree(&app.path().join("logs/app.log")));
        }
        Self {
            serve_memory: memory(server.pid()),
            front_memory: memory(front),
            serve_descriptors: descriptors(server.pid()),
            front_descriptors: descriptors(front),
            disk: all.bytes - own.bytes - repositories.bytes,
            files: all.files - own.files - repositories.files,
            database: ["handover.db", "handover.db-wal", "handover.db-shm"]
                .iter()
                .map(|name| tree(&home.join(name)).bytes)
                .sum(),
            repositories: repositories.bytes,
            repository_files: repositories.files,
        }
    }

    /// What has grown since `before` by more than one in `part`, in words.
    pub fn grown_since(&self, before: &Self, part: u64) -> Vec<String> {
        let pairs = [
            (
                "memory of serve",
                before.serve_memory.all,
                self.serve_memory.all,
            ),
            (
                "memory of the front",
                before.front_memory.all,
                self.front_memory.all,
            ),
            (
                "descriptors of serve",
                before.serve_descriptors,
                self.serve_descriptors,
            ),
            (
                "descriptors of the front",
                before.front_descriptors,
                self.front_descriptors,
            ),
            ("disk", before.disk, self.disk),
            ("files", before.files, self.files),
            ("database", before.database, self.database),
        ];
        let grown = pairs
            .iter()
            .filter(|(_, before, now)| *now > before + before / part);
        grown
            .map(|(what, before, now)| format!("{what}: {before} → {now}"))
            .collect()
    }
}

impl fmt::Display for Weight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kib = |bytes: u64| bytes / 1024;
        write!(
            f,
            "serve {} KiB ({} its own), {} fds; front {} KiB ({} its own), {} fds; disk {} KiB in {} files; database {} KiB; repository {} KiB in {} files",
            kib(self.serve_memory.all),
            kib(self.serve_memory.own),
            self.serve_descriptors,
            kib(self.front_memory.all),
            kib(self.front_memory.own),
            self.front_descriptors,
            kib(self.disk),
            self.files,
            kib(self.database),
            kib(self.repositories),
            self.repository_files
        )
    }
}

fn memory(pid: u32) -> Memory {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let bytes = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let kib: u64 = line
            .unwrap()
            .trim()
            .trim_end_matches(" kB")
            .parse()
            .unwrap();
        kib * 1024
    };
    Memory {
        all: bytes("VmRSS:"),
        own: bytes("RssAnon:"),
    }
}

fn descriptors(pid: u32) -> u64 {
    let entries = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
    entries.count() as u64
}

#[derive(Debug, Clone, Copy, Default)]
struct Tree {
    bytes: u64,
    files: u64,
}

impl Tree {
    fn add(&mut self, other: Self) {
        self.bytes += other.bytes;
        self.files += other.files;
    }
}

/// What a file, or everything below a directory, takes of the disk. What vanishes meanwhile is not counted.
fn tree(path: &Path) -> Tree {
    let Ok(meta) = std::fs::symlink_metadata(path) else {
        return Tree::default();
    };
    let mut found = Tree {
        bytes: meta.blocks() * 512,
        files: 1,
    };
    if meta.is_dir() {
        let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
        entries.for_each(|entry| found.add(tree(&entry.path())));
    }
    found
}
