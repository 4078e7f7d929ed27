//! Branches: read, and moved by compare-and-set.
//!
//! The comparison happens while the ref's own lock file (`refs/heads/x.lock`) is held, which git takes too. So a
//! push, a `git pack-refs` and this can't cross: whoever has the lock sees the value that the others will compare with.

use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::thread::sleep;
use std::time::{Duration, Instant};

use git2::{ErrorCode, Reference, Signature, Transaction};

use super::error::GitError;
use super::repo::{Repo, commit_id};
use crate::ids::CommitId;
use crate::process::rig::kill_point;
use crate::report::clean_line;

/// How long another process may hold the lock of a ref. git itself holds it for milliseconds.
const LOCK_WAIT: Duration = Duration::from_secs(2);
/// How often the lock is tried.
pub(super) const LOCK_RETRY: Duration = Duration::from_millis(5);

/// What came of a compare-and-set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SetBranch {
    /// The branch has the new value, and the disk has it too.
    Done,
    /// The branch had another value than the expected one, and has it still.
    Differs {
        /// The value found.
        found: Option<CommitId>,
    },
}

impl Repo {
    /// The commit that the branch names, or nothing if there is no such branch.
    pub fn branch_commit(&self, branch: &str) -> Result<Option<CommitId>, GitError> {
        let name = branch_ref(branch)?;
        match self.git.find_reference(&name) {
            Ok(found) => Ok(found.target().map(commit_id)),
            Err(error) if error.code() == ErrorCode::NotFound => Ok(None),
            Err(source) => Err(GitError::ReadBranch {
                branch: branch.to_owned(),
                source,
            }),
        }
    }

    /// Moves the branch from `expected` (nothing: it must not exist) to `new` (nothing: it is removed), in one step
    /// that no other git process can get between. `why` goes to the reflog. Fails if `new` is not a commit here.
    pub fn compare_and_set_branch(
        &self,
        branch: &str,
        expected: Option<&CommitId>,
        new: Option<&CommitId>,
        why: &str,
    ) -> Result<SetBranch, GitError> {
        let name = branch_ref(branch)?;
        if let Some(new) = new {
            self.commit(new)?;
        }
        let mut locked = self.lock_branch(branch, &name)?;
        let found = self.branch_commit(branch)?;
        if found.as_ref() != expected {
            return Ok(SetBranch::Differs { found });
        }
        if found.as_ref() == new {
            return Ok(SetBranch::Done);
        }
        self.write(&mut locked, &name, new, why)
            .and_then(|()| {
                kill_point("branch.locked");
                locked.commit()
            })
            .map_err(|source| GitError::MoveBranch {
                branch: branch.to_owned(),
                source,
            })?;
        kill_point("branch.renamed");
        if new.is_none() {
            // A reflog of a branch that is gone would be taken for that of the next one of this name; git removes it
            // too. That there is none is usual.
            let _ = self.git.reflog_delete(&name);
        }
        self.sync_branch(&name)
            .map_err(|source| GitError::SyncBranch {
                branch: branch.to_owned(),
                source,
            })?;
        Ok(SetBranch::Done)
    }

    fn lock_branch(&self, branch: &str, name: &str) -> Result<Transaction<'_>, GitError> {
        let failed = |source| GitError::MoveBranch {
            branch: branch.to_owned(),
            source,
        };
        let deadline = Instant::now() + LOCK_WAIT;
        loop {
            let mut transaction = self.git.transaction().map_err(failed)?;
            match transaction.lock_ref(name) {
                Ok(()) => return Ok(transaction),
                Err(error) if error.code() != ErrorCode::Locked => return Err(failed(error)),
                Err(_) if Instant::now() < deadline => sleep(LOCK_RETRY),
                Err(_) => {
                    return Err(GitError::Locked {
                        branch: branch.to_owned(),
                        lock: self.path().join(format!("{name}.lock")),
                    });
                }
            }
        }
    }

    fn write(
        &self,
        locked: &mut Transaction<'_>,
        name: &str,
        new: Option<&CommitId>,
        why: &str,
    ) -> Result<(), git2::Error> {
        let Some(new) = new else {
            return locked.remove(name);
        };
        let who = Signature::now("handover", "handover@localhost")?;
        let oid = git2::Oid::from_str_ext(new.as_str(), self.git.object_format())?;
        locked.set_target(name, oid, Some(&who), &clean_line(why.as_bytes()))
    }

    /// libgit2 renames the ref into place without syncing it.
    fn sync_branch(&self, name: &str) -> io::Result<()> {
        let file: PathBuf = self.path().join(name);
        match File::open(&file) {
            Ok(open) => open.sync_all()?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        match file.parent().map(File::open) {
            Some(Ok(dir)) => dir.sync_all(),
            _ => Ok(()),
        }
    }
}

/// Whether git would accept the full name of a ref.
pub fn is_ref_name(name: &str) -> bool {
    Reference::is_valid_name(name)
}

/// The full name of a branch's ref, if git would accept it.
pub(super) fn branch_ref(branch: &str) -> Result<String, GitError> {
    let name = format!("refs/heads/{branch}");
    if branch.starts_with('-') || branch == "HEAD" || !Reference::is_valid_name(&name) {
        return Err(GitError::BranchName(branch.escape_debug().to_string()));
    }
    Ok(name)
}
