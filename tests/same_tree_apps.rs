//! The same as in `same_tree.rs`, for a tree as large apps have it: thousands of packages' files, some 300 MB.

#![allow(clippy::unwrap_used)] // a panic is how a test fails

mod support;

use std::fs;

use support::same_tree::lock;
use support::{Orchard, Project, until};

#[test]
fn a_large_tree_comes_out_the_same_taken_laid_out_and_in_a_hurry() {
    let mut app = Orchard::of(Project::of_fixture("heavy"));
    app.push_installs("nothing is stored yet");
    // The tree is being made ready, or is about to be.
    app.until_stored();
    app.push_lays_out();
    app.assert_same();

    app.until_ready();
    app.push_lays_out();
    app.assert_same();

    fs::remove_dir_all(app.until_ready()).unwrap();
    app.push_lays_out();
    app.assert_same();
}

/// What is in readiness is made of what was: most of it is right already.
#[test]
fn a_tree_in_readiness_becomes_that_of_another_lockfile() {
    let mut app = Orchard::of(Project::of_fixture("heavy"));
    app.push_installs("nothing is stored yet");
    app.until_ready();
    // Less by some packages, and the rest as it was.
    let manifest = app.project.read("package.json");
    let lines = manifest.lines();
    let fewer: Vec<_> = lines
        .filter(|line| !line.contains("\"prettier\":"))
        .collect();
    app.project.write("package.json", &fewer.join("\n"));
    lock(&app.project);
    let pushed = app.push();
    pushed.says("`package-lock.json`, `package.json` changed since release 1");
    app.assert_same();
    let entries = || app.entries().len() == 2;
    until("the other tree is stored", || entries().then_some(()));
    app.push_lays_out().says(", as release 2 installed them");
    app.assert_same();
}

#[track_caller]
fn comes_out_the_same(project: Project, apart: &[&str]) {
    let mut app = Orchard::of(project);
    app.push_installs("nothing is stored yet");
    app.until_ready();
    app.push_lays_out();
    app.assert_same_but(apart);
    fs::remove_dir_all(app.until_ready()).unwrap();
    app.push_lays_out();
    app.assert_same_but(apart);
}

#[test]
fn pnpm() {
    // They hold the time of the install.
    let timed = [".modules.yaml", ".pnpm-workspace-state-v1.json"];
    let timed = timed.map(|name| format!("node_modules/{name}"));
    comes_out_the_same(
        Project::of_fixture("pnpm"),
        &timed.each_ref().map(String::as_str),
    );
}

#[test]
fn yarn_1() {
    comes_out_the_same(Project::of_fixture("yarn1"), &[]);
}

#[test]
fn yarn_without_node_modules() {
    comes_out_the_same(Project::of_fixture("yarn"), &[]);
}

#[test]
fn yarn_with_node_modules() {
    let project = Project::of_fixture("yarn");
    project.write(".yarnrc.yml", "nodeLinker: node-modules\n");
    comes_out_the_same(project, &[]);
}

#[test]
fn bun() {
    comes_out_the_same(Project::of_fixture("bun"), &[]);
}
