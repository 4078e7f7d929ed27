//! The lines of an `authorized_keys` file: one for each key, and a block of them in a file that may hold others.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use super::key::PublicKey;
use crate::ids::KeyName;

const BEGIN: &str =
    "# handover begin: written by handover; what stands between these marks is replaced";
const BEGIN_MARK: &str = "# handover begin";
const END: &str = "# handover end";

/// Why the lines can't be written.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum AuthorizedError {
    /// sshd hands the command to the user's shell, between double quotes.
    #[error("write the path `{path}` into authorized_keys: only letters, digits and `/._+,:@=-` are safe there; move it to a plainer place", path = path.display())]
    Unsafe {
        /// The path.
        path: PathBuf,
    },
    /// The beginning of the block is there, its end is not (or the other way round).
    #[error(
        "find handover's lines: the marks `{BEGIN_MARK}` and `{END}` are not there as a pair; put them right by hand"
    )]
    Marks,
}

/// What sshd runs for a key: the program, and the socket of the server that it asks.
#[derive(Debug, Clone)]
pub struct ForcedCommand {
    binary: String,
    control: String,
}

impl ForcedCommand {
    /// Refuses paths that a shell could read as anything but themselves.
    pub fn new(binary: &Path, control: &Path) -> Result<Self, AuthorizedError> {
        Ok(Self {
            binary: safe(binary)?,
            control: safe(control)?,
        })
    }

    /// The line that lets a key in, for this command only: no terminal, no forwarding, no file of the user's own.
    pub fn line(&self, name: &KeyName, key: &PublicKey) -> String {
        let Self { binary, control } = self;
        format!("restrict,command=\"{binary} ssh --control {control} {name}\" {key}")
    }
}

fn safe(path: &Path) -> Result<String, AuthorizedError> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._+,:@=-".contains(c);
    match path.to_str() {
        Some(text) if text.starts_with('/') && text.chars().all(plain) => Ok(text.to_owned()),
        _ => Err(AuthorizedError::Unsafe {
            path: path.to_owned(),
        }),
    }
}

/// The text of a file whose block of ours is replaced by these lines. All other lines stay as they are, in their places.
pub fn replace_block(text: &str, lines: &[String]) -> Result<String, AuthorizedError> {
    let (before, block, after) = split(text)?;
    if block.is_none() && lines.is_empty() {
        return Ok(text.to_owned());
    }
    let mut whole = before.to_owned();
    if !whole.is_empty() && !whole.ends_with('\n') {
        whole.push('\n');
    }
    // Writing to a string can't fail.
    let _ = writeln!(whole, "{BEGIN}");
    for line in lines {
        let _ = writeln!(whole, "{line}");
    }
    let _ = writeln!(whole, "{END}");
    whole.push_str(after);
    Ok(whole)
}

/// The lines of our block in a file.
pub fn own_lines(text: &str) -> Result<Vec<&str>, AuthorizedError> {
    let (_, block, _) = split(text)?;
    Ok(block.unwrap_or_default().lines().collect())
}

/// The lines of a file that are not ours.
pub fn foreign_lines(text: &str) -> Result<Vec<&str>, AuthorizedError> {
    let (before, _, after) = split(text)?;
    Ok(before.lines().chain(after.lines()).collect())
}

/// What is before the block, within its marks, and after it.
fn split(text: &str) -> Result<(&str, Option<&str>, &str), AuthorizedError> {
    let (mut begin, mut end, mut at) = (None, None, 0);
    for line in text.split_inclusive('\n') {
        let next = at + line.len();
        let word = line.trim_end();
        if word.starts_with(BEGIN_MARK) {
            if begin.is_some() {
                return Err(AuthorizedError::Marks);
            }
            begin = Some((at, next));
        } else if word == END {
            if begin.is_none() || end.is_some() {
                return Err(AuthorizedError::Marks);
            }
            end = Some((at, next));
        }
        at = next;
    }
    match (begin, end) {
        (None, None) => Ok((text, None, "")),
        (Some((from, inner)), Some((inner_end, to))) => {
            Ok((&text[..from], Some(&text[inner..inner_end]), &text[to..]))
        }
        _ => Err(AuthorizedError::Marks),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const KEY: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti";

    #[test]
    fn a_line_is_restricted_to_the_one_command() {
        let command =
            ForcedCommand::new(Path::new("/opt/handover"), Path::new("/run/c.sock")).unwrap();
        let line = command.line(
            &"ada".parse().unwrap(),
            &format!("{KEY} ada@laptop").parse().unwrap(),
        );
        assert_eq!(
            line,
            format!("restrict,command=\"/opt/handover ssh --control /run/c.sock ada\" {KEY}")
        );
    }

    #[test]
    fn paths_that_a_shell_would_read_are_refused() {
        for path in [
            "/a b",
            "/a\"",
            "/a\n",
            "/$HOME",
            "/a;id",
            "/ä",
            "relative",
            "/a'",
            "/(deleted)",
        ] {
            let refused = ForcedCommand::new(Path::new(path), Path::new("/c"));
            assert!(
                matches!(refused, Err(AuthorizedError::Unsafe { .. })),
                "{path:?}"
            );
        }
    }

    #[test]
    fn lines_of_others_stay_where_they_are() {
        let theirs = "ssh-rsa AAAA one\n# handover begin\nold\n# handover end\nssh-rsa BBBB two";
        let whole = replace_block(theirs, &["new".to_owned()]).unwrap();
        assert_eq!(
            whole,
            format!("ssh-rsa AAAA one\n{BEGIN}\nnew\n{END}\nssh-rsa BBBB two")
        );
        assert_eq!(own_lines(&whole).unwrap(), ["new"]);
        assert_eq!(
            foreign_lines(&whole).unwrap(),
            ["ssh-rsa AAAA one", "ssh-rsa BBBB two"]
        );
    }

    #[test]
    fn where_there_is_nothing_to_write_nothing_is_written() {
        assert_eq!(replace_block("theirs\n", &[]).unwrap(), "theirs\n");
        assert_eq!(replace_block("", &[]).unwrap(), "");
    }

    #[test]
    fn marks_that_are_no_pair_are_refused_and_nothing_is_lost() {
        for text in [
            "# handover begin\nx\n",
            "x\n# handover end\n",
            "# handover end\n# handover begin\n",
            "# handover begin\n# handover begin\n# handover end\n",
        ] {
            assert_eq!(
                replace_block(text, &[]),
                Err(AuthorizedError::Marks),
                "{text:?}"
            );
        }
    }

    proptest! {
        #[test]
        fn writing_twice_is_writing_once(before in "([a-z ]{0,9}\n){0,3}", lines in proptest::collection::vec("[a-z]{1,9}", 0..4)) {
            let once = replace_block(&before, &lines).unwrap();
            prop_assert_eq!(&replace_block(&once, &lines).unwrap(), &once);
            prop_assert_eq!(own_lines(&once).unwrap(), lines);
            prop_assert!(once.starts_with(&before));
        }
    }
}
