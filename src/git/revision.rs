//! What a person types to mean a commit.

use git2::{ErrorCode, Reference};

use super::error::GitError;
use super::repo::{Repo, commit_id};
use crate::ids::CommitId;

/// The fewest digits of an abbreviated id, as in git.
const SHORTEST: usize = 4;

impl Repo {
    /// The commit that a person means by a full id, a branch, a tag, or the first digits of an id (at least 4), tried
    /// in this order. The error says what would be right.
    pub fn resolve(&self, rev: &str) -> Result<CommitId, GitError> {
        check_form(rev)?;
        let lower = rev.to_ascii_lowercase();
        if let Ok(full) = lower.parse::<CommitId>() {
            return self.full_id(&full);
        }
        if let Some(found) = self.named(rev)? {
            return Ok(found);
        }
        let digits = rev.bytes().all(|b| b.is_ascii_hexdigit());
        match rev.len() {
            _ if !digits => Err(unknown(rev)),
            ..SHORTEST => Err(bad(
                rev,
                "an abbreviated commit id has at least 4 digits; type more of them",
            )),
            _ => self.abbreviated(&lower),
        }
    }

    fn full_id(&self, id: &CommitId) -> Result<CommitId, GitError> {
        let oid = self.oid(id)?;
        match self.git.find_object(oid, None) {
            Ok(object) => match object.peel_to_commit() {
                Ok(commit) => Ok(commit_id(commit.id())),
                Err(_) => Err(bad(id.as_str(), "it names no commit, but a file or a tree")),
            },
            Err(_) => Err(unknown(id.as_str())),
        }
    }

    /// A branch or a tag; `refs/…` in full is understood too.
    fn named(&self, rev: &str) -> Result<Option<CommitId>, GitError> {
        let full_names = if rev.starts_with("refs/") {
            vec![rev.to_owned()]
        } else {
            vec![format!("refs/heads/{rev}"), format!("refs/tags/{rev}")]
        };
        let mut found = Vec::new();
        for name in full_names {
            if let Some(id) = self.ref_commit(rev, &name)? {
                found.push((name, id));
            }
        }
        match &found[..] {
            [(a, x), (b, y)] if x != y => Err(bad(
                rev,
                &format!("there is a branch and a tag of that name; write `{a}` or `{b}`"),
            )),
            _ => Ok(found.into_iter().next().map(|(_, id)| id)),
        }
    }

    fn ref_commit(&self, rev: &str, name: &str) -> Result<Option<CommitId>, GitError> {
        if !Reference::is_valid_name(name) {
            return Ok(None);
        }
        match self.git.find_reference(name) {
            Ok(reference) => match reference.peel_to_commit() {
                Ok(commit) => Ok(Some(commit_id(commit.id()))),
                Err(_) => Err(bad(rev, "it names no commit, but a file or a tree")),
            },
            Err(error) if error.code() == ErrorCode::NotFound => Ok(None),
            Err(source) => Err(GitError::ReadBranch {
                branch: rev.to_owned(),
                source,
            }),
        }
    }

    fn abbreviated(&self, digits: &str) -> Result<CommitId, GitError> {
        match self.git.find_object_by_prefix(digits, None) {
            Ok(object) => match object.peel_to_commit() {
                Ok(commit) => Ok(commit_id(commit.id())),
                Err(_) => Err(bad(digits, "it names no commit, but a file or a tree")),
            },
            Err(error) if error.code() == ErrorCode::Ambiguous => Err(bad(
                digits,
                "several objects begin with these digits; type more of them",
            )),
            Err(_) => Err(unknown(digits)),
        }
    }
}

fn check_form(rev: &str) -> Result<(), GitError> {
    if rev.is_empty() {
        return Err(bad(rev, "it is empty; give a commit id, a branch or a tag"));
    }
    if rev.starts_with('-') {
        return Err(bad(
            rev,
            "no commit, branch or tag begins with `-`; options come before the app's name",
        ));
    }
    if rev.len() > 300 || rev.chars().any(|c| c.is_control() || c == ' ') {
        return Err(bad(
            rev,
            "no commit, branch or tag has such a name; give an id, a branch or a tag",
        ));
    }
    if rev == "@"
        || rev.contains(['~', '^', ':', '?', '*', '[', '\\'])
        || rev.contains("..")
        || rev.contains("@{")
    {
        return Err(bad(
            rev,
            "only an id, a branch or a tag is understood here; `git rev-parse` turns the rest into an id",
        ));
    }
    Ok(())
}

fn unknown(rev: &str) -> GitError {
    GitError::UnknownRevision {
        rev: rev.escape_debug().to_string(),
    }
}

fn bad(rev: &str, why: &str) -> GitError {
    let shown: String = rev.chars().take(80).collect();
    GitError::BadRevision {
        rev: shown.escape_debug().to_string(),
        why: why.to_owned(),
    }
}
