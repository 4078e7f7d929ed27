//! `handover doctor`: looks at everything that a deploy needs from this machine, and at what handover itself has left on
//! it, and says how to mend what is wrong; `--repair` mends what can be mended without losing anything.

mod checks;
mod installation;

use serde::Serialize;

use super::args;
use super::exit::Exit;
use super::say::{Failed, data, json};
use crate::paths::Layout;

/// What came of one check.
#[derive(Debug, Serialize)]
pub(super) struct Finding {
    check: String,
    #[serde(flatten)]
    result: Result,
}

/// How it is.
#[derive(Debug, Serialize)]
#[serde(tag = "result", rename_all = "snake_case")]
pub(super) enum Result {
    /// As it should be.
    Good {
        /// What was found.
        found: String,
    },
    /// It was not, and is now.
    Mended {
        /// What was found.
        found: String,
        /// What was done.
        done: String,
    },
    /// Deploys work, but something is not as it should be.
    Warning {
        /// What was found.
        found: String,
        /// How to mend it.
        remedy: String,
    },
    /// Deploys can't work like this.
    Bad {
        /// What was found.
        found: String,
        /// How to mend it.
        remedy: String,
    },
}

#[derive(Debug, Serialize)]
struct Report {
    findings: Vec<Finding>,
}

pub(super) fn run(layout: &Layout, asked: &args::Doctor) -> std::result::Result<Exit, Failed> {
    let mut findings = checks::all(layout);
    findings.extend(installation::check(layout, asked.repair)?);
    let exit = if findings.iter().any(Finding::is_bad) {
        Exit::Failed
    } else {
        Exit::Done
    };
    if asked.json {
        json(&Report { findings });
    } else {
        for finding in &findings {
            data(&finding.text());
        }
    }
    Ok(exit)
}

impl Finding {
    fn is_bad(&self) -> bool {
        matches!(self.result, Result::Bad { .. })
    }

    fn text(&self) -> String {
        let line = |word: &str, found: &str| format!("{word:<5} {:<12} {found}", self.check);
        match &self.result {
            Result::Good { found } => line("ok", found),
            Result::Mended { found, done } => {
                format!("{}\n{:19}→ {done}", line("done", found), "")
            }
            Result::Warning { found, remedy } => {
                format!("{}\n{:19}→ {remedy}", line("warn", found), "")
            }
            Result::Bad { found, remedy } => format!("{}\n{:19}→ {remedy}", line("BAD", found), ""),
        }
    }
}
