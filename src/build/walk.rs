//! The whole tree of a commit, judged, as a plan of what to write.

use std::collections::HashSet;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;
use std::path::PathBuf;

use super::checkout::CheckoutError;
use super::links::{self, Links, TARGET_MAX};
use super::tree_rules::{Kind, Limits, Refusal, check_name, kind, shown};
use crate::git::{ObjectId, RawEntry, Repo};

/// What to write, with paths relative to the top of the tree. Parents come before what is in them.
#[derive(Debug, Default)]
pub(super) struct Plan {
    pub(super) directories: Vec<PathBuf>,
    pub(super) files: Vec<PlannedFile>,
    pub(super) links: Links,
    /// The sizes of all files.
    pub(super) bytes: u64,
}

#[derive(Debug)]
pub(super) struct PlannedFile {
    pub(super) path: PathBuf,
    pub(super) blob: ObjectId,
    pub(super) executable: bool,
}

/// Walks the tree without writing anything. Fails at the first thing that is not acceptable.
pub(super) fn walk(repo: &Repo, top: ObjectId, limits: &Limits) -> Result<Plan, CheckoutError> {
    let mut walk = Walk {
        repo,
        limits,
        plan: Plan::default(),
        entries: 0,
        path_bytes: 0,
        ahead: vec![Subtree {
            path: Vec::new(),
            depth: 0,
            id: top,
        }],
    };
    while let Some(subtree) = walk.ahead.pop() {
        walk.enter(&subtree)?;
    }
    links::check(&walk.plan.links)?;
    Ok(walk.plan)
}

struct Walk<'w> {
    repo: &'w Repo,
    limits: &'w Limits,
    plan: Plan,
    entries: usize,
    path_bytes: usize,
    ahead: Vec<Subtree>,
}

struct Subtree {
    path: Vec<u8>,
    depth: usize,
    id: ObjectId,
}

impl Walk<'_> {
    fn enter(&mut self, subtree: &Subtree) -> Result<(), CheckoutError> {
        let entries = self.repo.read_tree(subtree.id)?;
        let mut names = HashSet::new();
        for entry in &entries {
            let path = joined(&subtree.path, &entry.name);
            check_name(&entry.name, &path)?;
            if !names.insert(&entry.name) {
                return Err(Refusal::Twice { path: shown(&path) }.into());
            }
            self.count(&path)?;
            self.plan_entry(path, subtree.depth + 1, entry)?;
        }
        Ok(())
    }

    fn plan_entry(
        &mut self,
        path: Vec<u8>,
        depth: usize,
        entry: &RawEntry,
    ) -> Result<(), CheckoutError> {
        match kind(entry.mode, &path)? {
            Kind::File { executable } => {
                let size = self.repo.blob_size(entry.id)?;
                self.plan.bytes = self.plan.bytes.saturating_add(size);
                if self.plan.bytes > self.limits.bytes {
                    return Err(too_much(self.limits.bytes >> 20, "MiB of files"));
                }
                self.plan.files.push(PlannedFile {
                    path: os_path(path),
                    blob: entry.id,
                    executable,
                });
            }
            Kind::Symlink => {
                let target = self.target(&path, entry.id)?;
                self.plan.links.insert(path, target);
            }
            Kind::Directory => {
                if depth > self.limits.depth {
                    let limit = self.limits.depth as u64;
                    return Err(too_much(limit, "directories within directories"));
                }
                self.plan.directories.push(os_path(path.clone()));
                self.ahead.push(Subtree {
                    path,
                    depth,
                    id: entry.id,
                });
            }
        }
        Ok(())
    }

    fn target(&self, path: &[u8], id: ObjectId) -> Result<Vec<u8>, CheckoutError> {
        if self.repo.blob_size(id)? > TARGET_MAX as u64 {
            let why = "longer than 4095 bytes";
            let path = shown(path);
            return Err(Refusal::LinkTarget { path, why }.into());
        }
        Ok(self.repo.with_blob(id, <[u8]>::to_vec)?)
    }

    /// One tree object can stand in many places, so that a small pack can name billions of paths: they are counted
    /// as they are met.
    fn count(&mut self, path: &[u8]) -> Result<(), CheckoutError> {
        self.entries += 1;
        self.path_bytes += path.len();
        if path.len() > self.limits.path {
            return Err(Refusal::PathTooLong {
                path: shown(path),
                len: path.len(),
                limit: self.limits.path,
            }
            .into());
        }
        if self.entries > self.limits.entries {
            return Err(too_much(
                self.limits.entries as u64,
                "files and directories",
            ));
        }
        if self.path_bytes > self.limits.path_bytes {
            return Err(too_much(
                (self.limits.path_bytes >> 20) as u64,
                "MiB of file names",
            ));
        }
        Ok(())
    }
}

fn too_much(limit: u64, what: &'static str) -> CheckoutError {
    Refusal::TooMuch { limit, what }.into()
}

fn joined(directory: &[u8], name: &[u8]) -> Vec<u8> {
    match directory {
        [] => name.to_vec(),
        _ => [directory, b"/", name].concat(),
    }
}

fn os_path(bytes: Vec<u8>) -> PathBuf {
    PathBuf::from(OsString::from_vec(bytes))
}
