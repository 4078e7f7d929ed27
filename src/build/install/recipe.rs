//! How one package manager is told to install: as data, so that it can be asked for without running it.

use std::path::PathBuf;

/// What a package manager is started with, beside its program.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Recipe {
    /// The command as people would type it, for showing.
    pub(super) words: String,
    /// The arguments.
    pub(super) args: Vec<String>,
    /// Variables on top of what every program of a build has.
    pub(super) env: Vec<(&'static str, String)>,
    /// What the pusher should know, a line each.
    pub(super) warnings: Vec<String>,
    /// The settings that it reads, whether they are there or not; a directory stands for all that is in it.
    pub(super) config_files: Vec<PathBuf>,
}

impl Recipe {
    pub(super) fn of(words: &str, args: &[&str]) -> Self {
        Self {
            words: words.to_owned(),
            args: args.iter().map(|&arg| arg.to_owned()).collect(),
            ..Self::default()
        }
    }

    /// Adds arguments that are shown too.
    pub(super) fn said(mut self, args: &[&str]) -> Self {
        for arg in args {
            self.words.push(' ');
            self.words.push_str(arg);
        }
        self.quietly(args)
    }

    /// Adds arguments that are not shown.
    pub(super) fn quietly(mut self, args: &[&str]) -> Self {
        self.args.extend(args.iter().map(|&arg| arg.to_owned()));
        self
    }

    pub(super) fn set(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.env.push((name, value.into()));
        self
    }

    pub(super) fn warn(mut self, text: impl Into<String>) -> Self {
        self.warnings.push(text.into());
        self
    }

    pub(super) fn reads(mut self, files: impl IntoIterator<Item = PathBuf>) -> Self {
        self.config_files.extend(files);
        self
    }
}
