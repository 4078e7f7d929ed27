//! Twenty people push at once: the newest ends live, everybody reads a true verdict, and nothing stands still.
//!
//! `HANDOVER_CROWD_ROUNDS` makes more rounds of each kind.

#![allow(clippy::unwrap_used)] // tests end where something unexpected is

mod support;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use support::invariants::{branch, processes_of};
use support::project::{Pushed, git_in, pushed};
use support::{Project, Server, until};

/// How many push at once.
const CROWD: usize = 20;

/// What those may read who do not go live: git's client says the first two by itself, before anything is sent.
const REASONS: [&str; 6] = [
    "(fetch first)",
    "(non-fast-forward)",
    "superseded by ",
    "not a fast-forward: main names ",
    "main was moved to ",
    "as the push says",
];

/// One of the crowd: a clone, and the commit that is pushed from it.
struct Member {
    clone: PathBuf,
    commit: String,
}

/// An app, and a project that people clone.
struct Square {
    server: Server,
    repo: PathBuf,
    project: Project,
    clones: tempfile::TempDir,
    round: usize,
}

impl Square {
    fn open() -> Self {
        let server = Server::start_with("keep_releases = 1000\n", &["--listen", "127.0.0.1:0"]);
        let repo = server.create("shop");
        let project = Project::tiny();
        project.push(&repo).went_live();
        Self {
            server,
            repo,
            project,
            clones: tempfile::tempdir().unwrap(),
            round: 0,
        }
    }

    /// What is live, with its history, is where everybody begins.
    fn begin_round(&mut self) {
        self.round += 1;
        let repo = self.repo.to_str().unwrap();
        self.project.git(&["fetch", "-q", repo, "main"]);
        self.project.git(&["reset", "-q", "--hard", "FETCH_HEAD"]);
    }

    /// Clones whose commits build on each other: the last contains all others.
    fn chain(&mut self) -> Vec<Member> {
        self.begin_round();
        let versions = (0..CROWD).map(|n| self.project.version(&format!("{}.{n}", self.round)));
        let commits: Vec<String> = versions.collect();
        let members = commits.into_iter().enumerate();
        members.map(|(n, commit)| self.member(n, commit)).collect()
    }

    /// Clones that each have a commit of their own.
    fn siblings(&mut self) -> Vec<Member> {
        self.begin_round();
        let base = branch(&self.repo);
        let commit = |n: usize| {
            let commit = self.project.version(&format!("{}.{n}", self.round));
            self.project.git(&["reset", "-q", "--hard", &base]);
            commit
        };
        let commits: Vec<String> = (0..CROWD).map(commit).collect();
        for (n, commit) in commits.iter().enumerate() {
            self.project
                .git(&["branch", "-f", &format!("sibling-{n}"), commit]);
        }
        let members = commits.into_iter().enumerate();
        members.map(|(n, commit)| self.member(n, commit)).collect()
    }

    fn member(&self, n: usize, commit: String) -> Member {
        let clone = self.clones.path().join(format!("{}-{n}", self.round));
        let from = self.project.path().to_str().unwrap();
        let to = clone.to_str().unwrap();
        let git = |dir: &Path, args: &[&str]| {
            let output = git_in(dir).args(args).output().unwrap();
            assert!(output.status.success(), "git {args:?}: {output:?}");
        };
        git(
            self.clones.path(),
            &["clone", "-q", "--no-checkout", from, to],
        );
        git(&clone, &["update-ref", "refs/heads/main", &commit]);
        Member { clone, commit }
    }

    /// All push at once; gives what each has read.
    fn push(&self, members: &[Member], args: &[&str]) -> Vec<Pushed> {
        let repo = self.repo.to_str().unwrap();
        let start = |member: &Member| {
            let mut git = git_in(&member.clone);
            git.arg("push").args(args).args([repo, "main"]);
            let git = git.stdin(Stdio::null()).stdout(Stdio::null());
            git.stderr(Stdio::piped()).spawn().unwrap()
        };
        let pushes: Vec<_> = members.iter().map(start).collect();
        std::thread::scope(|scope| {
            let waits = pushes.into_iter();
            let waits = waits.map(|push| scope.spawn(|| pushed(&push.wait_with_output().unwrap())));
            let waits: Vec<_> = waits.collect();
            waits.into_iter().map(|wait| wait.join().unwrap()).collect()
        })
    }

    /// The commits that have ever been live.
    fn ever_live(&self) -> BTreeSet<String> {
        let releases = self.server.json(&["releases", "shop"]);
        let releases = releases["releases"].as_array().unwrap().clone();
        let commit = |release: &serde_json::Value| release["commit"].as_str().unwrap().to_owned();
        releases.iter().map(commit).collect()
    }

    /// Whoever has read that all is well was live, whoever has read anything else never was, and reads why; the branch
    /// names what is live, and nothing is left that runs for a push.
    fn check(&self, members: &[Member], told: &[Pushed]) {
        let ever_live = self.ever_live();
        for (member, told) in members.iter().zip(told) {
            let was_live = ever_live.contains(&member.commit);
            assert_eq!(
                told.code == 0,
                was_live,
                "{}:\n{}",
                member.commit,
                told.text
            );
            let reason = REASONS.iter().any(|reason| told.text.contains(reason));
            assert!(was_live || (told.code == 1 && reason), "{}", told.text);
        }
        let live = self.server.status("shop")["live"]["commit"].clone();
        assert_eq!(branch(&self.repo), live.as_str().unwrap());
        assert_eq!(self.server.status("shop")["state"], "live", "nobody waits");
        until("no hook is left", || {
            let mut all = processes_of(self.server.home()).into_iter();
            (!all.any(|one| one.contains(" hook ") || one.contains("receive-pack"))).then_some(())
        });
    }

    fn live(&self) -> String {
        branch(&self.repo)
    }
}

fn rounds(usual: usize) -> usize {
    let wanted = std::env::var("HANDOVER_CROWD_ROUNDS").ok();
    wanted.map_or(usual, |rounds| rounds.parse().unwrap())
}

#[test]
fn of_commits_that_build_on_each_other_the_last_ends_live() {
    let mut square = Square::open();
    for _ in 0..rounds(8) {
        let members = square.chain();
        let told = square.push(&members, &[]);
        square.check(&members, &told);
        told.last().unwrap().went_live();
        assert_eq!(square.live(), members.last().unwrap().commit);
    }
}

#[test]
fn of_commits_that_know_nothing_of_each_other_one_goes_live_and_none_is_lost_in_silence() {
    let mut square = Square::open();
    for _ in 0..rounds(6) {
        let members = square.siblings();
        let told = square.push(&members, &[]);
        square.check(&members, &told);
        let live = told.iter().filter(|told| told.code == 0).count();
        assert_eq!(live, 1, "what it does not contain would be lost");
    }
}

#[test]
fn of_forced_pushes_the_last_that_was_taken_in_ends_live() {
    let mut square = Square::open();
    square.server.ok(&["app", "set", "shop", "force", "on"]);
    for _ in 0..rounds(6) {
        let members = square.siblings();
        let told = square.push(&members, &["--force", "-o", "force"]);
        square.check(&members, &told);
        let newest = newest_deploy(&square.server);
        assert_eq!(newest, square.live(), "the newest deploy is what is live");
    }
}

/// The commit of the deploy that has the highest number.
fn newest_deploy(server: &Server) -> String {
    let logs = std::fs::read_dir(server.app_dir("shop").join("logs")).unwrap();
    let number = |path: &Path| -> Option<u32> {
        let name = path.file_name()?.to_str()?.strip_prefix("deploy-")?;
        name.strip_suffix(".jsonl")?.parse().ok()
    };
    let paths = logs.map(|entry| entry.unwrap().path());
    let newest = paths.max_by_key(|path| number(path)).unwrap();
    let text = std::fs::read_to_string(newest).unwrap();
    let accepted: serde_json::Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
    accepted["to"].as_str().unwrap().to_owned()
}
