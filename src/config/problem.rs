//! What is wrong with a file that a person wrote.

use std::fmt;
use std::ops::Range;

/// One thing that is wrong, and what would be right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The file, as its author knows it: `handover.toml`.
    pub file: String,
    /// The line, from 1, where it is known.
    pub line: Option<usize>,
    /// The column in characters, from 1, where it helps.
    pub column: Option<usize>,
    /// What is wrong, in one line without control characters.
    pub what: String,
}

impl fmt::Display for Problem {
    /// `handover.toml:7: …`, as editors and terminals understand it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        for number in [self.line, self.column].into_iter().flatten() {
            write!(f, ":{number}")?;
        }
        write!(f, ": {}", self.what)
    }
}

/// All that is wrong with a file, in the order of its lines; at least one [`Problem`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    problems: Vec<Problem>,
}

impl ConfigError {
    pub(super) fn one(problem: Problem) -> Self {
        Self {
            problems: vec![problem],
        }
    }

    /// Nothing if there are no problems.
    pub(super) fn of(mut problems: Vec<Problem>) -> Option<Self> {
        problems.sort_by_key(|problem| problem.line);
        (!problems.is_empty()).then_some(Self { problems })
    }

    /// The problems of several files, in this order.
    pub(super) fn joined(errors: impl Iterator<Item = Self>) -> Self {
        Self {
            problems: errors.flat_map(|error| error.problems).collect(),
        }
    }

    /// Each of them.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }
}

impl fmt::Display for ConfigError {
    /// One problem a line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, problem) in self.problems.iter().enumerate() {
            let newline = if n == 0 { "" } else { "\n" };
            write!(f, "{newline}{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigError {}

/// A file's text, for saying where in it something is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Source<'t> {
    pub(super) file: &'t str,
    pub(super) text: &'t str,
}

impl<'t> Source<'t> {
    /// A byte order mark, which some editors write, is not part of the text.
    pub(super) fn new(file: &'t str, bytes: &'t [u8]) -> Result<Self, ConfigError> {
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        match std::str::from_utf8(bytes) {
            Ok(text) => Ok(Self { file, text }),
            Err(error) => {
                let line = bytes[..error.valid_up_to()].split(|&b| b == b'\n').count();
                Err(ConfigError::one(Problem {
                    file: file.to_owned(),
                    line: Some(line),
                    column: None,
                    what: "this line is not UTF-8 text; save the file as UTF-8".to_owned(),
                }))
            }
        }
    }

    /// A problem at a place in the text.
    pub(super) fn at(self, span: &Range<usize>, what: impl Into<String>) -> Problem {
        let before = self.text.get(..span.start).unwrap_or(self.text);
        self.on_line(before.matches('\n').count() + 1, what)
    }

    /// A problem on a line, from 1.
    pub(super) fn on_line(self, line: usize, what: impl Into<String>) -> Problem {
        Problem {
            file: self.file.to_owned(),
            line: Some(line),
            column: None,
            what: what.into(),
        }
    }

    /// A problem of the file as a whole.
    pub(super) fn somewhere(self, what: impl Into<String>) -> Problem {
        Problem {
            file: self.file.to_owned(),
            line: None,
            column: None,
            what: what.into(),
        }
    }
}

/// What somebody wrote, shortened and with nothing in it that steers a terminal.
pub(super) fn quoted(text: &str) -> String {
    const LONGEST: usize = 60;
    let mut shown: String = text.chars().take(LONGEST).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    format!(
        "`{}`",
        shown
            .escape_debug()
            .to_string()
            .replace("\\\"", "\"")
            .replace("\\'", "'")
    )
}
