//! Deploys: who runs when, the phases, and what is live.

pub mod journal;
pub mod queue;
