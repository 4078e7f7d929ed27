//! What a push says: refs and what is to be done about each. Pure.

mod refs;

pub use refs::{RefError, RefUpdate, Sorted, sort};
