//! From a commit to a directory that can be started, with the real git and the real npm.

#![allow(clippy::unwrap_used)] // a panic is how a test fails

#[path = "build/checkout.rs"]
mod checkout;
#[path = "build/install.rs"]
mod install;
#[path = "build/recipes.rs"]
mod recipes;
#[path = "build/required.rs"]
mod required;
#[path = "build/script.rs"]
mod script;
#[path = "build/trees.rs"]
mod trees;
