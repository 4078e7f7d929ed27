//! `handover doctor`: looks at everything that a deploy needs from this machine, and says how to mend what is wrong.

mod checks;

use serde::Serialize;

use super::exit::Exit;
use super::say::{data, json};
use crate::paths::Layout;

/// What came of one check.
#[derive(Debug, Serialize)]
pub(super) struct Finding {
    check: &'static str,
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

pub(super) fn run(layout: &Layout, as_json: bool) -> Exit {
    let findings = checks::all(layout);
    let exit = if findings.iter().any(Finding::is_bad) {
        Exit::Failed
    } else {
        Exit::Done
    };
    if as_json {
        json(&Report { findings });
    } else {
        for finding in &findings {
            data(&finding.text());
        }
    }
    exit
}

impl Finding {
    fn is_bad(&self) -> bool {
        matches!(self.result, Result::Bad { .. })
    }

    fn text(&self) -> String {
        let line = |word: &str, found: &str| format!("{word:<5} {:<12} {found}", self.check);
        match &self.result {
            Result::Good { found } => line("ok", found),
            Result::Warning { found, remedy } => {
                format!("{}\n{:19}→ {remedy}", line("warn", found), "")
            }
            Result::Bad { found, remedy } => format!("{}\n{:19}→ {remedy}", line("BAD", found), ""),
        }
    }
}
