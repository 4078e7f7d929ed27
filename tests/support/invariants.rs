//! What a deploy that came to nothing must leave as it was.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::Server;
use super::project::git_in;
use super::wait::until_or;

/// Everything that a deploy could leave behind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Traces {
    /// Whatever runs and has to do with the server's directory: by its working directory, its program, its
    /// arguments or its environment.
    pub processes: BTreeSet<String>,
    /// Sockets, and the directories of generations.
    pub run: BTreeSet<String>,
    /// Releases, and what is being made into one.
    pub releases: BTreeSet<String>,
    /// What `handover releases` tells.
    pub remembered: Value,
    /// The generation that is live, its release, and the processes of its instances.
    pub live: Value,
    /// What the deploy branch names.
    pub branch: String,
}

impl Traces {
    /// Takes them now.
    pub fn of(server: &Server, app: &str) -> Self {
        let status = server.status(app);
        let live = &status["live"];
        Self {
            processes: processes_of(server.home()),
            run: names_in(&server.run_dir(app)),
            releases: names_in(&server.app_dir(app).join("releases")),
            remembered: server.json(&["releases", app]),
            live: serde_json::json!({
                "release": live["release"],
                "generation": live["generation"],
                "commit": live["commit"],
                "pids": server.instance_pids(app),
                "draining": status["draining"],
            }),
            branch: branch(&PathBuf::from(status["repo"].as_str().unwrap())),
        }
    }

    /// What is other than it was before, in words.
    pub fn differences_from(&self, before: &Self) -> String {
        let set = |name: &str, before: &BTreeSet<String>, now: &BTreeSet<String>| {
            let more: Vec<_> = now.difference(before).collect();
            let less: Vec<_> = before.difference(now).collect();
            format!("\n{name}: more {more:#?}, less {less:#?}")
        };
        [
            set("processes", &before.processes, &self.processes),
            set("run", &before.run, &self.run),
            set("releases", &before.releases, &self.releases),
            format!("\nremembered: {} → {}", before.remembered, self.remembered),
            format!("\nlive: {} → {}", before.live, self.live),
            format!("\nbranch: {} → {}", before.branch, self.branch),
        ]
        .concat()
    }
}

/// Waits until everything is as it was before; panics with what is not. (Processes of git's that have just ended the
/// push may need a moment, and nothing else should.)
#[track_caller]
pub fn unchanged(before: &Traces, server: &Server, app: &str) {
    until_or(
        || (Traces::of(server, app) == *before).then_some(()),
        || {
            format!(
                "the deploy left something behind: {}",
                differences(before, server, app)
            )
        },
    );
    let live = before.live["commit"].as_str().unwrap_or_default();
    assert_eq!(before.branch, live, "the branch names what is live");
}

fn differences(before: &Traces, server: &Server, app: &str) -> String {
    Traces::of(server, app).differences_from(before)
}

/// The processes that have to do with a directory, each as `pid command line`. Those that are dead don't count.
pub fn processes_of(home: &Path) -> BTreeSet<String> {
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    entries
        .filter_map(|entry| {
            let pid: u32 = entry.file_name().to_str()?.parse().ok()?;
            describe(pid, home)
        })
        .collect()
}

fn describe(pid: u32, home: &Path) -> Option<String> {
    let proc = PathBuf::from(format!("/proc/{pid}"));
    let read = |name: &str| {
        let bytes = std::fs::read(proc.join(name)).unwrap_or_default();
        String::from_utf8_lossy(&bytes).replace('\0', " ")
    };
    let leads_home =
        |name: &str| std::fs::read_link(proc.join(name)).is_ok_and(|path| path.starts_with(home));
    let home_text = home.to_str().unwrap();
    let mentions = |name: &str| read(name).contains(home_text);
    let meant =
        leads_home("cwd") || leads_home("exe") || mentions("cmdline") || mentions("environ");
    let stat = read("stat");
    let state = stat.rsplit(')').next()?.trim().chars().next()?;
    // The test itself asks with short-lived processes of its own.
    let ours = read("stat").rsplit(')').next()?.split_whitespace().nth(1)?
        == std::process::id().to_string();
    let asks = ours && !mentions_serve(&read("cmdline"));
    (meant && !asks && !matches!(state, 'Z' | 'X')).then(|| format!("{pid} {}", read("cmdline")))
}

fn mentions_serve(cmdline: &str) -> bool {
    cmdline.split(' ').any(|word| word == "serve")
}

fn names_in(dir: &Path) -> BTreeSet<String> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    entries
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect()
}

/// What `main` names in a bare repository; nothing, if it is not there.
pub fn branch(repo: &Path) -> String {
    let output = git_in(repo)
        .args(["rev-parse", "--verify", "-q", "main"])
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}
