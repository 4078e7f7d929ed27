//! Trees and blobs as they are, without any rule about what is acceptable: names and modes come out raw.

use std::fmt;

use git2::{ObjectType, Oid};

use super::error::GitError;
use super::repo::Repo;
use crate::ids::CommitId;
use crate::report::clean_line;

/// The id of a tree or blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectId(pub(super) Oid);

impl ObjectId {
    /// The id that a file with this content has.
    pub fn of_blob(content: &[u8]) -> Result<Self, GitError> {
        let id = Oid::hash_object(ObjectType::Blob, content);
        id.map(Self).map_err(|source| GitError::Read {
            what: "the content of a file".to_owned(),
            source,
        })
    }
}

impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One entry of a tree object, exactly as the pusher wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawEntry {
    /// The name: any bytes but NUL.
    pub name: Vec<u8>,
    /// The mode: any number, `0o100644` for a plain file.
    pub mode: u32,
    /// What it names.
    pub id: ObjectId,
}

impl Repo {
    /// The tree of a commit.
    pub fn commit_tree(&self, commit: &CommitId) -> Result<ObjectId, GitError> {
        Ok(ObjectId(self.commit(commit)?.tree_id()))
    }

    /// The entries of one tree object, in its own order; subtrees are not entered.
    pub fn read_tree(&self, id: ObjectId) -> Result<Vec<RawEntry>, GitError> {
        let tree = self.git.find_tree(id.0).map_err(|source| {
            if source.code() == git2::ErrorCode::GenericError
                && source.class() == git2::ErrorClass::Tree
            {
                let why = source.message().rsplit(": ").next().unwrap_or_default();
                return GitError::BrokenTree {
                    tree: id.to_string(),
                    why: clean_line(why.as_bytes()),
                };
            }
            GitError::Read {
                what: format!("the tree {id}"),
                source,
            }
        })?;
        let entries = tree.iter().map(|entry| RawEntry {
            name: entry.name_bytes().to_vec(),
            mode: entry.filemode_raw().cast_unsigned(),
            id: ObjectId(entry.id()),
        });
        Ok(entries.collect())
    }

    /// The size of a blob in bytes, without reading it. Fails if it is missing or no blob.
    pub fn blob_size(&self, id: ObjectId) -> Result<u64, GitError> {
        let failed = |source| GitError::Read {
            what: format!("the file content {id}"),
            source,
        };
        let odb = self.git.odb().map_err(failed)?;
        let (size, kind) = odb.read_header(id.0).map_err(failed)?;
        if kind != ObjectType::Blob {
            return Err(failed(git2::Error::from_str("it is not a file's content")));
        }
        Ok(size as u64)
    }

    /// Hands the content of a blob to `use_it`.
    pub fn with_blob<T>(
        &self,
        id: ObjectId,
        use_it: impl FnOnce(&[u8]) -> T,
    ) -> Result<T, GitError> {
        let blob = self.git.find_blob(id.0).map_err(|source| GitError::Read {
            what: format!("the file content {id}"),
            source,
        })?;
        Ok(use_it(blob.content()))
    }
}
