//! Faults as they are told, and what became of them.

use serde::{Deserialize, Serialize};

use super::{Fault, Place, find, mend};
use crate::report::with_causes;
use crate::state::StateError;

/// A fault, and what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// What it is about, in a word.
    pub check: String,
    /// What was found, in a line.
    pub found: String,
    /// How it is mended.
    pub remedy: String,
    /// What became of it.
    pub outcome: Outcome,
}

/// What became of a fault.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    /// Nothing: it was only looked at, or somebody has to decide.
    Stays,
    /// It is mended.
    Mended {
        /// What was done.
        done: String,
    },
    /// It can't be mended.
    Fails {
        /// Why.
        error: String,
    },
}

/// All faults; none is mended.
pub fn look(place: &Place) -> Result<Vec<Seen>, StateError> {
    let faults = find(place)?;
    Ok(faults
        .iter()
        .map(|fault| seen(fault, Outcome::Stays))
        .collect())
}

/// All faults, each mended if that can be done without asking somebody.
pub fn look_and_mend(place: &Place) -> Result<Vec<Seen>, StateError> {
    let mut all = Vec::new();
    for fault in find(place)? {
        let outcome = match mend(place, &fault) {
            Ok(Some(done)) => {
                tracing::warn!("mended, as somebody wished: {done}");
                Outcome::Mended { done }
            }
            Ok(None) => Outcome::Stays,
            Err(error) => Outcome::Fails {
                error: format!("failed to {}", with_causes(&error)),
            },
        };
        all.push(seen(&fault, outcome));
    }
    Ok(all)
}

fn seen(fault: &Fault, outcome: Outcome) -> Seen {
    let remedy = match fault.remedy() {
        Some(does) => format!("`handover doctor --repair` {does}"),
        None => fault.by_hand().to_owned(),
    };
    Seen {
        check: fault.check().to_owned(),
        found: fault.found(),
        remedy,
        outcome,
    }
}
