//! `Procfile`: one process type a line, as Heroku introduced it.

use super::problem::{ConfigError, Source, quoted};

/// One line: a type and its command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProcessType {
    /// `web`, `release`, `worker` ….
    pub name: String,
    /// The command line.
    pub command: String,
    /// The line it stands on, from 1.
    pub line: usize,
}

/// The process types of an app, in the order of the file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Procfile {
    types: Vec<ProcessType>,
}

impl Procfile {
    /// The file's name in the repository.
    pub const FILE: &'static str = "Procfile";

    /// Reads the file: lines `type: command`, empty lines, and comments that begin with `#`. The error names each line
    /// that is something else.
    pub fn parse(bytes: &[u8]) -> Result<Self, ConfigError> {
        let source = Source::new(Self::FILE, bytes)?;
        let mut types: Vec<ProcessType> = Vec::new();
        let mut problems = Vec::new();
        for (line, text) in (1..).zip(source.text.lines()) {
            let text = text.trim();
            if text.is_empty() || text.starts_with('#') {
                continue;
            }
            match read_line(text, line) {
                Ok(new) => match types.iter().find(|old| old.name == new.name) {
                    Some(old) => {
                        let what =
                            format!("`{}` is there twice; first on line {}", new.name, old.line);
                        problems.push(source.on_line(line, what));
                    }
                    None => types.push(new),
                },
                Err(what) => problems.push(source.on_line(line, what)),
            }
        }
        ConfigError::of(problems).map_or(Ok(Self { types }), Err)
    }

    /// The command of a type, if the file has it.
    pub fn command(&self, name: &str) -> Option<&str> {
        self.types
            .iter()
            .find(|process| process.name == name)
            .map(|process| process.command.as_str())
    }

    /// All types.
    pub fn types(&self) -> &[ProcessType] {
        &self.types
    }
}

fn read_line(text: &str, line: usize) -> Result<ProcessType, String> {
    let wrong = || {
        let written = quoted(text);
        format!("{written} is not a process type; write one as \"web: node server.js\"")
    };
    let (name, command) = text.split_once(':').ok_or_else(wrong)?;
    let name_ok = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if name.is_empty() || !name.chars().all(name_ok) {
        return Err(wrong());
    }
    let command = command.trim();
    if command.is_empty() {
        return Err(format!(
            "`{name}` has no command; write one after the colon"
        ));
    }
    if command.contains('\0') {
        return Err("a command can't contain a NUL byte".to_owned());
    }
    Ok(ProcessType {
        name: name.to_owned(),
        command: command.to_owned(),
        line,
    })
}
