//! Random histories: real servers are pushed to, killed, filled up and asked for things in any order, and are compared
//! with a model after each step.
//!
//! `scripts/histories` runs as many as are wanted. Each has a number: `SEED:INDEX` makes the same steps again.

#![allow(clippy::unwrap_used, unreachable_pub)] // its modules are its own

#[path = "../support/mod.rs"]
mod support;

mod deaths;
mod disk;
mod history;
mod lane;
mod meanwhile;
mod model;
mod runner;
mod step;
mod version;
mod wishes;

use runner::{Histories, Number};

/// How many there are where nobody says.
const IN_CI: u32 = 200;
/// How many servers are used side by side. A history waits more than it computes.
const LANES: usize = 4;
/// How many shorter histories are tried after one that has failed.
const SHRINKS: u32 = 24;

#[test]
fn servers_agree_with_the_model_in_random_histories() {
    let repeated = std::env::var("HANDOVER_HISTORY").ok();
    match repeated.filter(|number| !number.is_empty()) {
        Some(number) => Number::parse(&number).play(),
        None => Histories {
            seed: set("HANDOVER_HISTORIES_SEED").unwrap_or_else(runner::seed_of_now),
            count: set("HANDOVER_HISTORIES").unwrap_or(IN_CI),
            lanes: set("HANDOVER_HISTORIES_LANES").unwrap_or(LANES),
            shrinks: set("HANDOVER_HISTORIES_SHRINKS").unwrap_or(SHRINKS),
        }
        .play(),
    }
}

/// A number in the environment.
fn set<T: std::str::FromStr>(name: &str) -> Option<T> {
    let text = std::env::var(name).ok().filter(|text| !text.is_empty())?;
    let number = text.parse().ok();
    Some(number.unwrap_or_else(|| panic!("{name}: {text:?} is no number")))
}
