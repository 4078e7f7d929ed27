//! Trees go into the store and come out the same, whatever is done to them.

mod lay;
mod pending;
mod place;
mod shelf;
mod spare;
