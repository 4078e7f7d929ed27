//! The refs of a push, as git tells them to hooks: `<old> <new> <name>`.

use std::collections::HashSet;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::ids::{CommitId, IdError};

/// Why a line is not a ref update.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum RefError {
    /// Not three words.
    #[error("read the ref update `{0}`: it should be `<old> <new> <name>`")]
    Shape(String),
    /// A name that is not text.
    #[error("read the ref update `{0}`: the name is not UTF-8")]
    NotText(String),
    /// One of the ids is none.
    #[error("read the ref update")]
    Id(#[from] IdError),
}

/// One ref that a push has moved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefUpdate {
    /// What it named before; null if it is new.
    pub old: CommitId,
    /// What it names now; null if it was deleted. (For tags this may be a tag object's id.)
    pub new: CommitId,
    /// Its full name, such as `refs/heads/main`.
    pub name: String,
}

impl RefUpdate {
    /// Reads a line as git writes it. Names are raw bytes to git.
    pub fn from_bytes(line: &[u8]) -> Result<Self, RefError> {
        match std::str::from_utf8(line) {
            Ok(text) => text.parse(),
            Err(_) => Err(RefError::NotText(
                String::from_utf8_lossy(line).escape_debug().to_string(),
            )),
        }
    }
}

impl FromStr for RefUpdate {
    type Err = RefError;

    fn from_str(line: &str) -> Result<Self, RefError> {
        let mut words = line.splitn(3, ' ');
        match (words.next(), words.next(), words.next()) {
            (Some(old), Some(new), Some(name)) if !name.is_empty() => Ok(Self {
                old: old.parse()?,
                new: new.parse()?,
                name: name.to_owned(),
            }),
            _ => Err(RefError::Shape(line.escape_debug().to_string())),
        }
    }
}

/// What is to be done about a push.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Sorted {
    /// The deploy branch was moved to this commit, from that one.
    pub deploy: Option<(Option<CommitId>, CommitId)>,
    /// What the pusher is to be told of all other refs, a line each.
    pub notes: Vec<String>,
}

/// Decides about each ref of a push: only the deploy branch deploys, everything else is stored, and told so.
pub fn sort(updates: &[RefUpdate], branch: &str) -> Sorted {
    let mut sorted = Sorted::default();
    for update in updates {
        let shown = update.name.escape_debug();
        match (
            update.name.strip_prefix("refs/heads/"),
            update.new.is_null(),
        ) {
            (Some(name), false) if name == branch => {
                let old = (!update.old.is_null()).then(|| update.old.clone());
                sorted.deploy = Some((old, update.new.clone()));
            }
            (Some(name), true) if name == branch => {
                sorted.notes.push(format!(
                    "warning: {shown} is the deploy branch; its deletion changes nothing that runs"
                ));
            }
            (_, true) => sorted.notes.push(format!("{shown} is deleted")),
            (_, false) => sorted.notes.push(format!(
                "{shown} is stored; only {} deploys",
                branch.escape_debug()
            )),
        }
    }
    if sorted.deploy.is_none() && updates.iter().any(|update| !update.new.is_null()) {
        let source = updates
            .iter()
            .find(|update| !update.new.is_null())
            .map(|update| short_name(&update.name));
        let source = source.unwrap_or("HEAD").escape_debug().to_string();
        sorted.notes.push(format!(
            "hint: nothing was deployed; to deploy this: git push <remote> {source}:{branch}"
        ));
    }
    sorted
}

/// A name that the push has more than once, if there is one. No git sends that, and what is answered for one of the two
/// would be taken for both.
pub fn named_twice(updates: &[RefUpdate]) -> Option<&str> {
    let mut seen = HashSet::new();
    let mut names = updates.iter().map(|update| update.name.as_str());
    names.find(|name| !seen.insert(*name))
}

fn short_name(name: &str) -> &str {
    name.strip_prefix("refs/heads/")
        .or_else(|| name.strip_prefix("refs/tags/"))
        .unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(digit: char) -> String {
        digit.to_string().repeat(40)
    }

    fn update(old: char, new: char, name: &str) -> RefUpdate {
        format!("{} {} {name}", id(old), id(new)).parse().unwrap()
    }

    #[test]
    fn only_the_deploy_branch_deploys() {
        let sorted = sort(
            &[
                update('1', '2', "refs/heads/main"),
                update('0', '3', "refs/heads/dev"),
            ],
            "main",
        );
        assert_eq!(
            sorted.deploy,
            Some((Some(id('1').parse().unwrap()), id('2').parse().unwrap()))
        );
        assert_eq!(
            sorted.notes,
            ["refs/heads/dev is stored; only main deploys"]
        );
    }

    #[test]
    fn a_push_that_deploys_nothing_says_how_to_deploy() {
        for name in ["refs/heads/dev", "refs/tags/v1"] {
            let sorted = sort(&[update('0', '3', name)], "main");
            assert_eq!(sorted.deploy, None);
            assert!(
                sorted.notes[1].ends_with(&format!("git push <remote> {}:main", short_name(name))),
                "{sorted:?}"
            );
        }
    }

    #[test]
    fn a_name_that_is_there_twice_is_found() {
        let (one, other) = (
            update('0', '3', "refs/heads/a"),
            update('0', '3', "refs/heads/b"),
        );
        assert_eq!(named_twice(&[one.clone(), other.clone()]), None);
        assert_eq!(
            named_twice(&[one.clone(), other, one]),
            Some("refs/heads/a")
        );
    }

    #[test]
    fn a_deleted_deploy_branch_deploys_nothing() {
        let sorted = sort(&[update('1', '0', "refs/heads/main")], "main");
        assert_eq!(sorted.deploy, None);
        assert_eq!(sorted.notes.len(), 1);
    }

    #[test]
    fn a_name_with_control_bytes_is_escaped() {
        let sorted = sort(&[update('0', '3', "refs/heads/a\u{1b}[31m")], "main");
        assert!(sorted.notes.iter().all(|note| !note.contains('\u{1b}')));
    }

    #[test]
    fn a_line_that_is_no_update_is_refused() {
        assert!(matches!(
            "abc".parse::<RefUpdate>(),
            Err(RefError::Shape(_))
        ));
        assert!(matches!(
            format!("x {} refs/heads/a", id('1')).parse::<RefUpdate>(),
            Err(RefError::Id(_))
        ));
    }
}
