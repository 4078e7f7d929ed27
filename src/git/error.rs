//! What can go wrong with a repository.

use std::path::PathBuf;

use crate::ids::CommitId;

/// Why something asked of a repository was not done.
#[derive(Debug, thiserror::Error)]
pub enum GitError {
    /// The path is no repository, or it can't be read.
    #[error("open the git repository `{path}`", path = path.display())]
    Open {
        /// The repository.
        path: PathBuf,
        /// What libgit2 said.
        #[source]
        source: git2::Error,
    },
    /// The repository has a working tree, so a push to it would need rules that handover does not have.
    #[error("use `{path}`: it is not a bare repository; make one with `git clone --bare`", path = path.display())]
    NotBare {
        /// The repository.
        path: PathBuf,
    },
    /// A new repository can't be made.
    #[error("make the git repository `{path}`", path = path.display())]
    Init {
        /// Where.
        path: PathBuf,
        /// What libgit2 said.
        #[source]
        source: git2::Error,
    },
    /// The repository's configuration can't be read or written.
    #[error("{doing} `{key}` in the configuration of `{path}`", path = path.display())]
    Config {
        /// `read`, `set` or `remove`.
        doing: &'static str,
        /// Which value.
        key: String,
        /// The repository.
        path: PathBuf,
        /// What libgit2 said.
        #[source]
        source: git2::Error,
    },
    /// The name can't be that of a branch.
    #[error("use `{0}` as a branch: git does not allow that name")]
    BranchName(String),
    /// A branch can't be read.
    #[error("read the branch `{branch}`")]
    ReadBranch {
        /// The branch.
        branch: String,
        /// What libgit2 said.
        #[source]
        source: git2::Error,
    },
    /// A branch can't be moved.
    #[error("move the branch `{branch}`")]
    MoveBranch {
        /// The branch.
        branch: String,
        /// What libgit2 said.
        #[source]
        source: git2::Error,
    },
    /// Another program held the branch's lock for too long.
    #[error("lock the branch `{branch}`: another git process holds it; if none is running, remove `{lock}`", lock = lock.display())]
    Locked {
        /// The branch.
        branch: String,
        /// The lock file.
        lock: PathBuf,
    },
    /// A lock that nobody holds can't be removed.
    #[error("remove the lock `{lock}`", lock = lock.display())]
    Unlock {
        /// The lock file.
        lock: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The branch was moved, but the disk did not confirm it.
    #[error("write the branch `{branch}` through to the disk")]
    SyncBranch {
        /// The branch.
        branch: String,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// No such commit here.
    #[error("find the commit {commit}")]
    NoCommit {
        /// Its id.
        commit: CommitId,
        /// What libgit2 said.
        #[source]
        source: git2::Error,
    },
    /// What was typed can't name a commit.
    #[error("read `{rev}` as a commit: {why}")]
    BadRevision {
        /// What was typed, escaped.
        rev: String,
        /// Why not, and what would be right.
        why: String,
    },
    /// What was typed names nothing here.
    #[error("find `{rev}`: no branch, tag or commit of that name has been pushed")]
    UnknownRevision {
        /// What was typed, escaped.
        rev: String,
    },
    /// A tree, file or history can't be read.
    #[error("read {what}")]
    Read {
        /// What was to be read.
        what: String,
        /// What libgit2 said.
        #[source]
        source: git2::Error,
    },
    /// A tree that no git has written.
    #[error("read the tree {tree}: it was not written by git: {why}")]
    BrokenTree {
        /// Its id.
        tree: String,
        /// What is wrong with it.
        why: String,
    },
    /// The path names no regular file.
    #[error("read `{path}` in {commit}: it is not a regular file", commit = commit.short())]
    NotAFile {
        /// The path in the tree.
        path: String,
        /// The commit.
        commit: CommitId,
    },
    /// The file is larger than what was asked for.
    #[error("read `{path}` in {commit}: it has {bytes} bytes, at most {limit} are allowed", commit = commit.short())]
    TooLarge {
        /// The path in the tree.
        path: String,
        /// The commit.
        commit: CommitId,
        /// Its size.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
}
