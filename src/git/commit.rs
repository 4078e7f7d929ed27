//! Commits: what they say, how they descend from each other, and single files in them.

use std::path::Path;

use git2::{ErrorCode, ObjectType};

use super::error::GitError;
use super::repo::{Repo, commit_id};
use super::tree::ObjectId;
use crate::ids::CommitId;
use crate::report::clean_line;
use crate::time::Timestamp;

/// The longest subject and author that are kept, in characters.
const TEXT_MAX: usize = 200;

/// What a commit says about itself. The texts are the author's: cleaned, but not to be trusted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitInfo {
    /// Its id.
    pub id: CommitId,
    /// The first line of its message.
    pub subject: String,
    /// The author's name.
    pub author: String,
    /// When it was committed, on the committer's clock.
    pub time: Timestamp,
    /// The id of its tree.
    pub tree: ObjectId,
}

impl Repo {
    /// What the commit says about itself. Fails if there is no such commit here.
    pub fn commit_info(&self, id: &CommitId) -> Result<CommitInfo, GitError> {
        let commit = self.commit(id)?;
        let message = commit.message_bytes();
        let first = message
            .split(|&b| b == b'\n')
            .find(|line| !line.trim_ascii().is_empty())
            .unwrap_or_default();
        Ok(CommitInfo {
            id: commit_id(commit.id()),
            subject: one_line(first),
            author: one_line(commit.author().name_bytes()),
            time: Timestamp::from_second(commit.time().seconds()).unwrap_or_default(),
            tree: ObjectId(commit.tree_id()),
        })
    }

    /// Whether the id is that of a commit here. A tag, a tree, or nothing at all: no.
    pub fn is_commit(&self, id: &CommitId) -> bool {
        self.commit(id).is_ok()
    }

    /// Whether `ancestor` is `descendant` or one of its ancestors: whether a move between them is a fast-forward.
    pub fn is_ancestor(
        &self,
        ancestor: &CommitId,
        descendant: &CommitId,
    ) -> Result<bool, GitError> {
        let (above, below) = (self.commit(ancestor)?.id(), self.commit(descendant)?.id());
        if above == below {
            return Ok(true);
        }
        self.git
            .graph_descendant_of(below, above)
            .map_err(|source| GitError::Read {
                what: format!("the history of {}", descendant.short()),
                source,
            })
    }

    /// The content of a regular file in the commit's tree, or nothing if there is no such path. Fails for anything
    /// that is not a regular file, and for more than `max_bytes`.
    pub fn read_blob_at(
        &self,
        commit: &CommitId,
        path: &str,
        max_bytes: usize,
    ) -> Result<Option<Vec<u8>>, GitError> {
        let failed = |source| GitError::Read {
            what: format!("`{path}` in {}", commit.short()),
            source,
        };
        let tree = self.commit(commit)?.tree().map_err(failed)?;
        let entry = match tree.get_path(Path::new(path)) {
            Ok(entry) => entry,
            Err(error) if error.code() == ErrorCode::NotFound => return Ok(None),
            Err(source) => return Err(failed(source)),
        };
        let regular = entry.filemode_raw() & 0o170_000 == 0o100_000;
        if !regular || entry.kind() != Some(ObjectType::Blob) {
            return Err(GitError::NotAFile {
                path: path.to_owned(),
                commit: commit.clone(),
            });
        }
        let odb = self.git.odb().map_err(failed)?;
        let (bytes, _) = odb.read_header(entry.id()).map_err(failed)?;
        if bytes > max_bytes {
            return Err(GitError::TooLarge {
                path: path.to_owned(),
                commit: commit.clone(),
                bytes,
                limit: max_bytes,
            });
        }
        let blob = odb.read(entry.id()).map_err(failed)?;
        Ok(Some(blob.data().to_vec()))
    }
}

fn one_line(raw: &[u8]) -> String {
    clean_line(raw).trim().chars().take(TEXT_MAX).collect()
}
