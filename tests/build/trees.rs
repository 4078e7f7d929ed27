//! Commits of any tree, acceptable or not, written object by object as a hostile pusher would.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use handover::build::{Checkout, CheckoutError, Limits, checkout};
use handover::git::Repo;
use handover::ids::CommitId;
use tempfile::TempDir;

/// An entry of a tree object, with whatever mode and name.
pub(crate) struct Entry {
    pub(crate) mode: &'static str,
    pub(crate) name: Vec<u8>,
    pub(crate) id: String,
}

pub(crate) fn entry(mode: &'static str, name: impl AsRef<[u8]>, id: &str) -> Entry {
    Entry {
        mode,
        name: name.as_ref().to_vec(),
        id: id.to_owned(),
    }
}

/// A bare repository, and a directory for releases beside it.
pub(crate) struct Place {
    pub(crate) dir: TempDir,
}

impl Place {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        Repo::init_bare(&dir.path().join("repo.git"), "main").unwrap();
        Self { dir }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn release(&self) -> PathBuf {
        self.path("releases/1")
    }

    /// Writes an object without any check of git's and gives its id.
    pub(crate) fn object(&self, kind: &str, bytes: &[u8]) -> String {
        let args = ["hash-object", "-w", "-t", kind, "--literally", "--stdin"];
        self.git(&args, bytes)
    }

    pub(crate) fn blob(&self, bytes: impl AsRef<[u8]>) -> String {
        self.object("blob", bytes.as_ref())
    }

    /// A tree with exactly these entries, in this order.
    pub(crate) fn tree(&self, entries: &[Entry]) -> String {
        let mut bytes = Vec::new();
        for entry in entries {
            write!(bytes, "{} ", entry.mode).unwrap();
            bytes.extend_from_slice(&entry.name);
            bytes.push(0);
            let digits = entry.id.as_bytes().chunks(2);
            bytes.extend(
                digits.map(|d| u8::from_str_radix(std::str::from_utf8(d).unwrap(), 16).unwrap()),
            );
        }
        self.object("tree", &bytes)
    }

    pub(crate) fn commit(&self, tree: &str) -> CommitId {
        let commit = format!(
            "tree {tree}\nauthor Ada <ada@example.com> 1700000000 +0000\ncommitter Ada <ada@example.com> 1700000000 +0000\n\nx\n"
        );
        self.object("commit", commit.as_bytes()).parse().unwrap()
    }

    pub(crate) fn git(&self, args: &[&str], input: &[u8]) -> String {
        let mut git = Command::new("git")
            .args(args)
            .current_dir(self.path("repo.git"))
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        git.stdin.take().unwrap().write_all(input).unwrap();
        let output = git.wait_with_output().unwrap();
        assert!(output.status.success(), "git {args:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    pub(crate) fn check_out(&self, entries: &[Entry]) -> Result<Checkout, CheckoutError> {
        self.check_out_within(entries, &Limits::default())
    }

    pub(crate) fn check_out_within(
        &self,
        entries: &[Entry],
        limits: &Limits,
    ) -> Result<Checkout, CheckoutError> {
        self.check_out_commit(&self.commit(&self.tree(entries)), limits)
    }

    pub(crate) fn check_out_commit(
        &self,
        commit: &CommitId,
        limits: &Limits,
    ) -> Result<Checkout, CheckoutError> {
        let repo = Repo::open(&self.path("repo.git")).unwrap();
        let staging = self.path("releases/.staging-1");
        checkout(&repo, commit, &staging, &self.release(), limits)
    }

    /// Checks out, expecting a refusal that leaves nothing, and gives its words.
    pub(crate) fn refusal(&self, entries: &[Entry]) -> String {
        let error = self.check_out(entries).unwrap_err();
        assert!(matches!(error, CheckoutError::Refused(_)), "{error:?}");
        assert_eq!(names_in(&self.path("releases")), [] as [String; 0]);
        error.to_string()
    }
}

/// The names in a directory, sorted; none if there is no such directory.
pub(crate) fn names_in(dir: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(dir) else {
        return Vec::new();
    };
    let mut names: Vec<_> = entries
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}
