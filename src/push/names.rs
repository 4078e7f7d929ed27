//! Which ref names are let in.
//!
//! git lets hooks see names raw, and for refs that `proc-receive` decides about it checks nothing at all. What git itself
//! allows is still more than a name that is shown to people and stored as a path should hold.

use crate::git::is_ref_name;

/// How many refs one push may move.
pub const REFS_MAX: usize = 1000;

/// The longest full name of a ref, in bytes.
const NAME_MAX: usize = 200;

/// Where refs may lie. git keeps other places for itself, and hides some.
const PLACES: [&str; 3] = ["refs/heads/", "refs/tags/", "refs/notes/"];

/// What a name may hold beside letters and digits.
const SIGNS: &str = "-_./+#@=,%";

/// Why a ref of this name is not let in. The name is escaped and cut where it is shown.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// git tells hooks of refs in lines, and a name with a line break makes two of one.
    #[error("a ref name of the push holds a line break")]
    LineBreak,
    /// Not text.
    #[error("the ref name `{0}` is not UTF-8")]
    NotText(String),
    /// Longer than any name should be.
    #[error("the ref name `{name}` has {len} bytes; {NAME_MAX} are allowed")]
    TooLong {
        /// Its beginning.
        name: String,
        /// Its length.
        len: usize,
    },
    /// Neither a branch nor a tag nor notes.
    #[error("`{0}` is not a branch, a tag or notes; nothing else is stored here")]
    Place(String),
    /// git's own rules.
    #[error("git does not allow the ref name `{0}`")]
    Git(String),
    /// A character that means something to shells, terminals or tools.
    #[error("the ref name `{name}` holds {sign:?}; letters, digits and {SIGNS} are allowed")]
    Sign {
        /// The name.
        name: String,
        /// The character.
        sign: char,
    },
    /// A part of it looks like an option.
    #[error("a part of the ref name `{0}` begins with `-`")]
    Dash(String),
}

/// The name in a line that git tells a hook: `<old> <new> <name>`. git has read the ids itself, so that a line which does
/// not begin with two of them is the rest of a name.
pub fn name_in_line(line: &[u8]) -> Result<&[u8], NameError> {
    let is_id =
        |word: &[u8]| matches!(word.len(), 40 | 64) && word.iter().all(u8::is_ascii_hexdigit);
    let mut words = line.splitn(3, |&byte| byte == b' ');
    match (words.next(), words.next(), words.next()) {
        (Some(old), Some(new), Some(name)) if is_id(old) && is_id(new) => Ok(name),
        _ => Err(NameError::LineBreak),
    }
}

/// Gives the name as text if a ref may have it.
pub fn check_name(raw: &[u8]) -> Result<&str, NameError> {
    let shown = || shown(raw);
    let name = std::str::from_utf8(raw).map_err(|_| NameError::NotText(shown()))?;
    if name.len() > NAME_MAX {
        return Err(NameError::TooLong {
            name: shown(),
            len: name.len(),
        });
    }
    if let Some(sign) = name
        .chars()
        .find(|&c| !c.is_alphanumeric() && !SIGNS.contains(c))
    {
        return Err(NameError::Sign {
            name: shown(),
            sign,
        });
    }
    if !PLACES.iter().any(|place| name.starts_with(place)) {
        return Err(NameError::Place(shown()));
    }
    // As in git, no branch is called like what points to one.
    if !is_ref_name(name) || name == "refs/heads/HEAD" {
        return Err(NameError::Git(shown()));
    }
    if name.split('/').any(|part| part.starts_with('-')) {
        return Err(NameError::Dash(shown()));
    }
    Ok(name)
}

/// One line of at most 60 characters without control bytes.
fn shown(raw: &[u8]) -> String {
    let text = String::from_utf8_lossy(raw);
    let mut characters = text.chars();
    let start: String = characters
        .by_ref()
        .take(60)
        .flat_map(char::escape_debug)
        .collect();
    if characters.next().is_some() {
        format!("{start}…")
    } else {
        start
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usual_names_are_let_in() {
        for name in [
            "refs/heads/main",
            "refs/heads/feature/basket-2_b",
            "refs/heads/fix#12",
            "refs/heads/ada@work",
            "refs/heads/größe",
            "refs/tags/v1.2.3+build.7",
            "refs/notes/commits",
        ] {
            assert_eq!(check_name(name.as_bytes()), Ok(name));
        }
    }

    #[test]
    fn a_line_that_is_the_rest_of_a_name_is_known_by_its_ids() {
        let id = "0".repeat(40);
        let good = format!("{id} {id} refs/heads/a b");
        assert_eq!(name_in_line(good.as_bytes()), Ok(&b"refs/heads/a b"[..]));
        for rest in [
            "b",
            "",
            "ok refs/heads/main",
            "x y z",
            &format!("{id} {id}"),
        ] {
            assert_eq!(name_in_line(rest.as_bytes()), Err(NameError::LineBreak));
        }
    }

    #[test]
    fn others_are_refused_each_with_its_reason_in_one_line() {
        let long = format!("refs/heads/{}", "a".repeat(300));
        let names: [&[u8]; 21] = [
            b"refs/heads/../../../evil",
            b"refs/heads/-x",
            b"refs/heads/a/-x",
            b"refs/heads/$(id)",
            b"refs/heads/`id`",
            b"refs/heads/a;b",
            b"refs/heads/a\nb",
            b"refs/heads/a\x1b[31m",
            b"refs/heads/a b",
            b"refs/heads/a\\b",
            b"refs/heads/x.lock",
            b"refs/heads/.x",
            b"refs/heads/a..b",
            b"refs/heads/a//b",
            b"refs/heads/a/",
            b"refs/heads/HEAD",
            b"refs/heads/\xff",
            b"refs/remotes/origin/main",
            b"main",
            b"",
            long.as_bytes(),
        ];
        for name in names {
            let error = check_name(name).unwrap_err().to_string();
            assert!(
                !error.contains(char::is_control) && error.len() < 400,
                "{error}"
            );
        }
    }
}
