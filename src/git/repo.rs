//! One bare repository that is pushed to.

use std::path::{Path, PathBuf};

use git2::{Oid, Repository, RepositoryInitOptions, RepositoryOpenFlags};

use super::branch::branch_ref;
use super::error::GitError;
use super::owner::trust_named_repositories;
use super::settings;
use crate::ids::CommitId;

/// An open bare repository. It may be sent to another thread, not shared; opening one costs well under a millisecond.
pub struct Repo {
    pub(super) git: Repository,
    path: PathBuf,
}

impl std::fmt::Debug for Repo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Repo")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

impl Repo {
    /// Makes a bare repository for pushes, with `HEAD` on `branch` and settings that suit a server. Fails if there
    /// is one at `path` already; parent directories are made.
    pub fn init_bare(path: &Path, branch: &str) -> Result<Self, GitError> {
        trust_named_repositories();
        let head = branch_ref(branch)?;
        let mut options = RepositoryInitOptions::new();
        options
            .bare(true)
            .no_reinit(true)
            .mkpath(true)
            .external_template(false)
            .initial_head(&head);
        let git = Repository::init_opts(path, &options).map_err(|source| GitError::Init {
            path: path.to_owned(),
            source,
        })?;
        let repo = Self::from_git(git);
        settings::set_server_defaults(&repo)?;
        Ok(repo)
    }

    /// Opens the bare repository at exactly this path; no parent directory is searched and no environment read.
    pub fn open(path: &Path) -> Result<Self, GitError> {
        trust_named_repositories();
        let exactly = RepositoryOpenFlags::NO_SEARCH | RepositoryOpenFlags::NO_DOTGIT;
        let no_ceiling: [&Path; 0] = [];
        let git = Repository::open_ext(path, exactly, no_ceiling)
            .or_else(|_| Repository::open_ext(path, RepositoryOpenFlags::NO_SEARCH, no_ceiling))
            .map_err(|source| GitError::Open {
                path: path.to_owned(),
                source,
            })?;
        if !git.is_bare() {
            return Err(GitError::NotBare {
                path: path.to_owned(),
            });
        }
        Ok(Self::from_git(git))
    }

    /// Also reads objects from a directory beside the repository's own: git's quarantine, where a push lies until
    /// `pre-receive` has let it in.
    pub fn also_read(&self, objects: &Path) -> Result<(), GitError> {
        let failed = |source| GitError::Open {
            path: objects.to_owned(),
            source,
        };
        let text = objects
            .to_str()
            .ok_or_else(|| failed(git2::Error::from_str("the path is not UTF-8")))?;
        let odb = self.git.odb().map_err(failed)?;
        odb.add_disk_alternate(text).map_err(failed)
    }

    /// The branch that `HEAD` names, whether it has commits or not.
    pub fn head_branch(&self) -> Result<String, GitError> {
        let failed = |source| GitError::Read {
            what: "HEAD".to_owned(),
            source,
        };
        let head = self.git.find_reference("HEAD").map_err(failed)?;
        let target = head.symbolic_target().ok().flatten().unwrap_or_default();
        match target.strip_prefix("refs/heads/") {
            Some(branch) => Ok(branch.to_owned()),
            None => Err(GitError::BranchName(target.escape_debug().to_string())),
        }
    }

    fn from_git(git: Repository) -> Self {
        let path = git.path().to_owned();
        Self { git, path }
    }

    /// The repository's directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn oid(&self, commit: &CommitId) -> Result<Oid, GitError> {
        Oid::from_str_ext(commit.as_str(), self.git.object_format()).map_err(|source| {
            GitError::NoCommit {
                commit: commit.clone(),
                source,
            }
        })
    }

    pub(super) fn commit(&self, id: &CommitId) -> Result<git2::Commit<'_>, GitError> {
        let oid = self.oid(id)?;
        self.git
            .find_commit(oid)
            .map_err(|source| GitError::NoCommit {
                commit: id.clone(),
                source,
            })
    }
}

/// The id as the rest of handover carries it.
pub(super) fn commit_id(oid: Oid) -> CommitId {
    oid.to_string()
        .parse()
        .expect("libgit2 writes ids in full and in lower case")
}
