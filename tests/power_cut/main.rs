//! The power fails: what a deploy writes is recorded, and after each moment of it a server is started on what a disk may
//! hold then. It must find the old state or the new one, and go on.
//!
//! What is on the disk for certain is what was synced by then, the file for its content and the directory for its names.
//! All else may be there, or not, or in part.

#![allow(clippy::unwrap_used, unreachable_pub)] // its modules are its own

#[path = "../support/mod.rs"]
mod support;

mod calls;
mod cuts;
mod image;
mod recorder;
mod recording;
mod scene;

use scene::{Deploy, Scene};

/// How many moments of each deploy are tried where nobody says. `scripts/power-cut` tries all.
const IN_CI: usize = 8;

fn power_fails_during(deploy: Deploy) {
    if let Some(why) = support::trace::impossible() {
        return support::skip(&why);
    }
    let wanted = std::env::var("HANDOVER_CUTS").ok();
    let at_most = match wanted.filter(|text| !text.is_empty()).as_deref() {
        Some("all") => usize::MAX,
        Some(number) => number.parse().unwrap(),
        None => IN_CI,
    };
    let (mut scene, recording) = Scene::record(deploy);
    let cuts = recording.cuts(at_most);
    eprintln!("{deploy:?}: {recording}; {} cuts", cuts.len());
    let mut failed = Vec::new();
    for cut in &cuts {
        if let Err(reason) = scene.survives(&recording, cut) {
            eprintln!("{deploy:?}: {cut}: {reason}");
            failed.push(format!("{cut}: {reason}"));
        }
    }
    assert!(
        failed.is_empty(),
        "{} of {}: {failed:#?}",
        failed.len(),
        cuts.len()
    );
}

#[test]
fn after_a_power_cut_in_a_push_the_old_state_is_there_or_the_new_one() {
    power_fails_during(Deploy::Push);
}

#[test]
fn after_a_power_cut_in_a_first_push_nothing_is_there_or_all_of_it() {
    power_fails_during(Deploy::First);
}

#[test]
fn after_a_power_cut_in_a_push_without_the_gate_the_old_state_is_there_or_the_new_one() {
    power_fails_during(Deploy::PushWithoutGate);
}

#[test]
fn after_a_power_cut_on_the_way_back_the_old_state_is_there_or_the_new_one() {
    power_fails_during(Deploy::Rollback);
}
