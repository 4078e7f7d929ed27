//! What a pusher says with `git push -o …`.

use serde::{Deserialize, Serialize};

use crate::report::clean_line;

/// How many options one push may have.
const COUNT_MAX: usize = 16;
/// The longest option, in bytes.
const LEN_MAX: usize = 1000;
/// The longest message, in characters.
const MESSAGE_MAX: usize = 200;

/// The list that whoever mistypes an option is shown.
const KNOWN: &str = "force, no-cache, verbose, quiet, message=…";

/// The options of one push.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PushOptions {
    /// Deploy a commit that does not contain what the branch names, where the app allows it.
    pub force: bool,
    /// Nothing that an earlier deploy has left is used.
    pub no_cache: bool,
    /// How much of it all the pusher wants to read.
    pub verbosity: Verbosity,
    /// What the pusher says about this deploy, cleaned.
    pub message: Option<String>,
}

/// How much a pusher wants to read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verbosity {
    /// Warnings, what fails, and the verdict.
    Quiet,
    /// What the design of the output says.
    #[default]
    Usual,
    /// Also what install scripts and the starting app print.
    Verbose,
}

/// Why the options are not accepted. What was given is escaped and cut where it is shown.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OptionError {
    /// Nobody knows it.
    #[error("there is no push option `{0}`; there are: {KNOWN}")]
    Unknown(String),
    /// It says something, and should not.
    #[error("the push option `{0}` takes no value; write -o {0}")]
    Value(&'static str),
    /// Bytes that steer a terminal, or end a line.
    #[error("the push option `{0}` holds control characters")]
    Control(String),
    /// Said twice, and only one can be meant.
    #[error("the push option `message` is given twice; give one")]
    TwoMessages,
    /// A message without words.
    #[error("the push option `message` has no words; write -o message=\"Add the basket\"")]
    NoMessage,
    /// Less and more at once.
    #[error("the push options `quiet` and `verbose` exclude each other")]
    Contradiction,
    /// Too many.
    #[error("the push has {0} options; {COUNT_MAX} are allowed")]
    TooMany(usize),
    /// Too long.
    #[error("a push option has {0} bytes; {LEN_MAX} are allowed")]
    TooLong(usize),
}

impl PushOptions {
    /// Understands options as git hands them over.
    pub fn parse(raw: &[Vec<u8>]) -> Result<Self, OptionError> {
        if raw.len() > COUNT_MAX {
            return Err(OptionError::TooMany(raw.len()));
        }
        let mut options = Self::default();
        for option in raw {
            options.take(option)?;
        }
        Ok(options)
    }

    fn take(&mut self, raw: &[u8]) -> Result<(), OptionError> {
        if raw.len() > LEN_MAX {
            return Err(OptionError::TooLong(raw.len()));
        }
        let unknown = || OptionError::Unknown(shown(raw));
        let text = std::str::from_utf8(raw).map_err(|_| unknown())?;
        if text.contains(char::is_control) {
            return Err(OptionError::Control(shown(raw)));
        }
        let (name, value) = match text.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (text, None),
        };
        let flag = |name| value.map_or(Ok(true), |_| Err(OptionError::Value(name)));
        match name {
            "force" => self.force = flag("force")?,
            "no-cache" => self.no_cache = flag("no-cache")?,
            "verbose" => self.speak(flag("verbose")?, Verbosity::Verbose)?,
            "quiet" => self.speak(flag("quiet")?, Verbosity::Quiet)?,
            "message" if self.message.is_some() => return Err(OptionError::TwoMessages),
            "message" => self.message = Some(message(value)?),
            _ => return Err(unknown()),
        }
        Ok(())
    }

    fn speak(&mut self, wanted: bool, verbosity: Verbosity) -> Result<(), OptionError> {
        if self.verbosity != Verbosity::Usual && self.verbosity != verbosity {
            return Err(OptionError::Contradiction);
        }
        if wanted {
            self.verbosity = verbosity;
        }
        Ok(())
    }
}

fn message(value: Option<&str>) -> Result<String, OptionError> {
    let clean = clean_line(value.unwrap_or_default().as_bytes());
    let words: String = clean.trim().chars().take(MESSAGE_MAX).collect();
    if words.is_empty() {
        Err(OptionError::NoMessage)
    } else {
        Ok(words)
    }
}

fn shown(raw: &[u8]) -> String {
    let text = String::from_utf8_lossy(raw);
    text.chars().take(40).flat_map(char::escape_debug).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(options: &[&str]) -> Result<PushOptions, OptionError> {
        let raw: Vec<_> = options.iter().map(|one| one.as_bytes().to_vec()).collect();
        PushOptions::parse(&raw)
    }

    #[test]
    fn each_option_is_understood() {
        let options = parse(&["force", "no-cache", "verbose", "message= Add the basket "]).unwrap();
        assert!(options.force && options.no_cache);
        assert_eq!(options.verbosity, Verbosity::Verbose);
        assert_eq!(options.message.as_deref(), Some("Add the basket"));
        assert_eq!(parse(&["quiet"]).unwrap().verbosity, Verbosity::Quiet);
        assert_eq!(parse(&[]).unwrap(), PushOptions::default());
    }

    #[test]
    fn an_unknown_option_is_refused_with_the_list() {
        for option in ["froce", "", "x=1;admin=true", "FORCE", " force"] {
            let error = parse(&[option]).unwrap_err().to_string();
            assert!(
                error.ends_with("there are: force, no-cache, verbose, quiet, message=…"),
                "{error}"
            );
            assert!(!error.contains(char::is_control), "{error}");
        }
    }

    #[test]
    fn control_characters_are_refused_and_not_shown() {
        for option in [
            "a\nb",
            "message=a\nok refs/heads/main",
            "message=\u{1b}[31m",
        ] {
            let error = parse(&[option]).unwrap_err();
            assert!(matches!(error, OptionError::Control(_)), "{error}");
            assert!(!error.to_string().contains(char::is_control), "{error}");
        }
    }

    #[test]
    fn values_and_contradictions_are_refused() {
        assert_eq!(
            parse(&["message=a", "message=b"]),
            Err(OptionError::TwoMessages)
        );
        assert_eq!(parse(&["force=yes"]), Err(OptionError::Value("force")));
        assert_eq!(parse(&["message"]), Err(OptionError::NoMessage));
        assert_eq!(
            parse(&["quiet", "verbose"]),
            Err(OptionError::Contradiction)
        );
    }

    #[test]
    fn too_many_and_too_long_ones_are_refused() {
        assert_eq!(parse(&["force"; 17]), Err(OptionError::TooMany(17)));
        let long = "m".repeat(1001);
        assert_eq!(parse(&[&long]), Err(OptionError::TooLong(1001)));
    }
}
