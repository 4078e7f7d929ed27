//! Which trees are accepted. Pure: it judges names, modes and numbers, and touches no disk.
//!
//! git accepts more than is good for a server: absolute symlinks, control characters, `a/b` as one name where its checks
//! are off. A tree is judged as a whole before the first byte of it is written.

use crate::report::clean_line;

/// How much a tree may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Files, directories and symlinks together.
    pub entries: usize,
    /// The sizes of all files, in bytes.
    pub bytes: u64,
    /// The lengths of all paths, in bytes: what the plan of a checkout may take of our memory.
    pub path_bytes: usize,
    /// Directories within directories.
    pub depth: usize,
    /// The length of one path from the top of the tree, in bytes. The kernel allows 4095 with the release directory.
    pub path: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            entries: 200_000,
            bytes: 2 << 30,
            path_bytes: 64 << 20,
            depth: 200,
            path: 3500,
        }
    }
}

/// The longest name in a directory, in bytes: what Linux allows.
const NAME_MAX: usize = 255;

/// Why a tree is not checked out. Each is for the app's author; paths in it are cleaned.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The name would mean another file, or break a line or a terminal.
    #[error("`{path}` has a name that is not allowed: {why}")]
    Name {
        /// The path.
        path: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// Two entries of one directory have the same name.
    #[error("`{path}` is in its directory twice; the tree was not written by git")]
    Twice {
        /// The path.
        path: String,
    },
    /// A submodule.
    #[error("`{path}` is a submodule, and its content does not come with a push")]
    Submodule {
        /// The path.
        path: String,
    },
    /// A mode that git does not write.
    #[error("`{path}` has the mode {mode:o}; only 100644, 100755, 120000 and 40000 are allowed")]
    Mode {
        /// The path.
        path: String,
        /// The mode.
        mode: u32,
    },
    /// A symlink that leads out of the tree.
    #[error("`{path}` is a symlink to `{target}`, which lies outside of the repository")]
    LinkLeaves {
        /// The symlink.
        path: String,
        /// What it says.
        target: String,
    },
    /// A symlink that no kernel could follow.
    #[error("`{path}` is a symlink with a target that is {why}")]
    LinkTarget {
        /// The symlink.
        path: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// Symlinks through symlinks, too many to be followed.
    #[error("the symlinks lead through each other in too many ways to be checked")]
    LinkMaze,
    /// A limit is exceeded.
    #[error("the tree has more than {limit} {what}")]
    TooMuch {
        /// The limit.
        limit: u64,
        /// Of what.
        what: &'static str,
    },
    /// A path is too long.
    #[error("`{path}…` is a path of {len} bytes; {limit} are allowed")]
    PathTooLong {
        /// Its beginning.
        path: String,
        /// Its length.
        len: usize,
        /// The limit.
        limit: usize,
    },
}

impl Refusal {
    /// What to do about it.
    pub fn hint(&self) -> String {
        match self {
            Self::Name { .. } | Self::Twice { .. } | Self::PathTooLong { .. } => {
                "rename it, commit and push again".to_owned()
            }
            Self::Submodule { path } => format!(
                "commit the files themselves (`git rm --cached {path}`, remove {path}/.git, `git add {path}`) or depend on it in package.json"
            ),
            Self::Mode { path, .. } => format!(
                "write the entry anew: `git rm --cached {path}`, `git add {path}`, commit and push again"
            ),
            Self::LinkLeaves { .. } | Self::LinkTarget { .. } | Self::LinkMaze => {
                "put the file itself into the repository, or make the symlink relative and let it stay inside".to_owned()
            }
            Self::TooMuch { .. } => {
                "take what can be built or downloaded out of the repository (node_modules, build results, data)".to_owned()
            }
        }
    }
}

/// What an entry of a tree is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    File { executable: bool },
    Symlink,
    Directory,
}

/// What the mode says, if it is one of the four that git writes.
pub(super) fn kind(mode: u32, path: &[u8]) -> Result<Kind, Refusal> {
    match mode {
        0o100_644 => Ok(Kind::File { executable: false }),
        0o100_755 => Ok(Kind::File { executable: true }),
        0o120_000 => Ok(Kind::Symlink),
        0o040_000 => Ok(Kind::Directory),
        0o160_000 => Err(Refusal::Submodule { path: shown(path) }),
        mode => Err(Refusal::Mode {
            path: shown(path),
            mode,
        }),
    }
}

/// Judges one name; `path` is the whole path, for the message.
pub(super) fn check_name(name: &[u8], path: &[u8]) -> Result<(), Refusal> {
    let why = if name.is_empty() {
        "it is empty"
    } else if name == b"." || name == b".." {
        "it means a directory that exists already"
    } else if name.contains(&b'/') {
        "it contains a slash"
    } else if name.eq_ignore_ascii_case(b".git") || name.eq_ignore_ascii_case(b"git~1") {
        "it is that of git's own directory"
    } else if name.iter().any(u8::is_ascii_control) {
        "it contains a control character"
    } else if name.len() > NAME_MAX {
        "it is longer than 255 bytes"
    } else {
        return Ok(());
    };
    Err(Refusal::Name {
        path: shown(path),
        why,
    })
}

/// A path for a message: one line, cleaned, not endless.
pub(super) fn shown(path: &[u8]) -> String {
    const LONGEST: usize = 120;
    let text = clean_line(path);
    if text.chars().count() <= LONGEST {
        return text;
    }
    let mut cut: String = text.chars().take(LONGEST).collect();
    cut.push('…');
    cut
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_mean_something_else_are_refused() {
        for bad in [
            &b""[..],
            b".",
            b"..",
            b"a/b",
            b".git",
            b".GiT",
            b"GIT~1",
            b"a\nb",
            b"\x1b[31m",
            b"\x7f",
            &[b'x'; 256],
        ] {
            assert!(check_name(bad, bad).is_err(), "{bad:?}");
        }
        for good in [
            &b"a"[..],
            b"...",
            b".gitignore",
            b"git",
            b"a b",
            "é".as_bytes(),
            b"\xff",
            &[b'x'; 255],
        ] {
            assert_eq!(check_name(good, good), Ok(()), "{good:?}");
        }
    }

    #[test]
    fn only_the_modes_that_git_writes_are_known() {
        assert_eq!(kind(0o100_755, b"x"), Ok(Kind::File { executable: true }));
        assert_eq!(kind(0o040_000, b"x"), Ok(Kind::Directory));
        for bad in [
            0,
            0o100_664,
            0o100_777,
            0o104_755,
            0o020_000,
            0o040_755,
            u32::MAX,
        ] {
            assert!(
                matches!(kind(bad, b"x"), Err(Refusal::Mode { .. })),
                "{bad:o}"
            );
        }
        let submodule = kind(0o160_000, b"lib").unwrap_err();
        assert!(submodule.hint().contains("git rm --cached lib"));
    }
}
