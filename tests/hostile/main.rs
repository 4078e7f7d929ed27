//! Pushes by somebody who means harm, sent by a client that keeps to no rule: hundreds of them, against a real server
//! with a live app. After each one the server and the app serve on as before, nothing lies where it should not, nothing
//! runs that did not run, and the pusher has read one line that says why.

#![allow(clippy::unwrap_used, unreachable_pub)] // a panic is how a test fails; one binary has no outside

mod case;
mod entries;
mod files;
mod ground;
mod judge;
mod objects;
mod options;
mod packs;
mod protocol;
mod refs;
#[path = "../support/mod.rs"]
mod support;
mod trees;
mod view;

use case::all_end_well;
use ground::Ground;
use trees::Judge;

#[test]
fn hostile_refs_change_nothing() {
    all_end_well(&mut Ground::prepare(), &refs::cases());
}

#[test]
fn hostile_options_change_nothing() {
    all_end_well(&mut Ground::prepare(), &options::cases());
}

#[test]
fn hostile_words_on_the_line_change_nothing() {
    all_end_well(&mut Ground::prepare(), &protocol::cases());
}

#[test]
fn hostile_packs_change_nothing() {
    all_end_well(&mut Ground::prepare(), &packs::cases());
}

#[test]
fn hostile_objects_change_nothing() {
    all_end_well(&mut Ground::prepare(), &objects::cases());
}

#[test]
fn hostile_trees_change_nothing() {
    all_end_well(&mut Ground::prepare(), &trees::cases(Judge::Git));
}

/// In a repository that was there before handover, git's own checks may be off.
#[test]
fn hostile_trees_change_nothing_where_git_does_not_look_at_them() {
    let mut ground = Ground::prepare();
    ground.git_judges_objects(false);
    all_end_well(&mut ground, &trees::cases(Judge::Handover));
}

#[test]
fn hostile_files_change_nothing() {
    all_end_well(&mut Ground::prepare(), &files::cases());
}

#[test]
fn there_are_at_least_200_of_them() {
    let tables = [
        refs::cases(),
        options::cases(),
        protocol::cases(),
        packs::cases(),
        objects::cases(),
        trees::cases(Judge::Git),
        trees::cases(Judge::Handover),
        files::cases(),
    ];
    let sizes: Vec<_> = tables.iter().map(Vec::len).collect();
    let pushes: usize = sizes.iter().sum();
    assert!(pushes >= 200, "only {pushes}: {sizes:?}");
}
