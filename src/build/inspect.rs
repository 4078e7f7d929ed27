//! A commit judged before anything of it is written: while a push still lies in git's quarantine.

use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use super::checkout::CheckoutError;
use super::required::{Files, RequiredError, read_files};
use super::tree_rules::Limits;
use super::walk::{Plan, PlannedFile, walk};
use crate::git::Repo;
use crate::ids::CommitId;
use crate::process::disk::free;

/// What must be left on the disk beside the tree itself, in bytes: the database, logs and the way back need room too.
const RESERVE_BYTES: u64 = 64 << 20;
/// The same in inodes.
const RESERVE_INODES: u64 = 1000;

/// What a commit holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Inspected {
    /// Regular files and symlinks.
    pub files: usize,
    /// Their sizes together, in bytes.
    pub bytes: u64,
}

/// Why a commit can't be deployed, as far as that is seen without running anything.
#[derive(Debug, thiserror::Error)]
pub enum InspectError {
    /// Its tree is not acceptable, or can't be read.
    #[error(transparent)]
    Tree(#[from] CheckoutError),
    /// A file that is needed is missing or wrong.
    #[error(transparent)]
    Required(#[from] RequiredError),
    /// The disk has too little room for it.
    #[error(
        "there are {free_mib} MiB and {} inodes free where releases are kept, and {wanted_mib} MiB and {wanted_inodes} inodes are needed for the files of the commit alone",
        free_inodes.map_or_else(|| "enough".to_owned(), |count| count.to_string())
    )]
    Room {
        /// What is there, in MiB.
        free_mib: u64,
        /// What is needed, in MiB.
        wanted_mib: u64,
        /// Files that can still be made, where there is a limit.
        free_inodes: Option<u64>,
        /// Files that are needed.
        wanted_inodes: u64,
    },
    /// The room can't be learned.
    #[error("learn how much room there is at `{path}`", path = path.display())]
    Disk {
        /// Where.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// Judges the tree of a commit, the files that every app must have, and the room in `releases`, where they would be
/// written. Writes nothing and runs nothing. Blocks: about 5 ms for 150 files.
pub fn inspect(
    repo: &Repo,
    commit: &CommitId,
    releases: &Path,
    limits: &Limits,
) -> Result<Inspected, InspectError> {
    let tree = repo.commit_tree(commit).map_err(CheckoutError::from)?;
    let plan = walk(repo, tree, limits)?;
    read_files(&Committed { repo, plan: &plan })?;
    check_room(&plan, releases)?;
    Ok(Inspected {
        files: plan.files.len() + plan.links.len(),
        bytes: plan.bytes,
    })
}

fn check_room(plan: &Plan, releases: &Path) -> Result<(), InspectError> {
    let found = free(releases).map_err(|source| InspectError::Disk {
        path: releases.to_owned(),
        source,
    })?;
    let files = plan.files.len() + plan.links.len() + plan.directories.len();
    let wanted_inodes = files as u64 + RESERVE_INODES;
    let wanted = plan.bytes + RESERVE_BYTES;
    if found.bytes >= wanted && !found.lacks_inodes(wanted_inodes) {
        return Ok(());
    }
    Err(InspectError::Room {
        free_mib: found.bytes >> 20,
        wanted_mib: wanted >> 20,
        free_inodes: found.inodes,
        wanted_inodes,
    })
}

/// The files of a commit that has been walked.
struct Committed<'c> {
    repo: &'c Repo,
    plan: &'c Plan,
}

impl Committed<'_> {
    fn planned(&self, file: &str) -> Option<&PlannedFile> {
        let path = Path::new(file);
        self.plan.files.iter().find(|planned| planned.path == path)
    }

    fn is_link(&self, file: &str) -> bool {
        self.plan.links.contains_key(file.as_bytes())
    }

    fn is_directory(&self, file: &str) -> bool {
        let name = Path::new(file).as_os_str().as_bytes();
        let mut directories = self.plan.directories.iter();
        directories.any(|dir| dir.as_os_str().as_bytes() == name)
    }
}

impl Files for Committed<'_> {
    fn read(&self, file: &'static str, limit: u64) -> Result<Option<Vec<u8>>, RequiredError> {
        let Some(planned) = self.planned(file) else {
            return if self.is_link(file) || self.is_directory(file) {
                Err(RequiredError::NotAFile { file })
            } else {
                Ok(None)
            };
        };
        let bytes = self.repo.blob_size(planned.blob)?;
        if bytes > limit {
            return Err(RequiredError::TooLarge { file, bytes, limit });
        }
        Ok(Some(self.repo.with_blob(planned.blob, <[u8]>::to_vec)?))
    }

    /// A symlink may lead to a file: what it leads to is seen once it is checked out.
    fn is_file(&self, file: &str) -> bool {
        self.planned(file).is_some() || self.is_link(file)
    }

    fn exists(&self, file: &str) -> bool {
        self.is_file(file) || self.is_directory(file)
    }
}
