//! Deploys: who runs when, the phases, and what is live.
//!
//! ```text
//!   fleet (all apps) ─► worker (one per app) ─► queue (pure)
//!                                           ─► pipeline ─► launch     a deploy, phase by phase
//!                                           ─► carried                build caches of the release before
//!                                           ─► branch                 whether and when the branch is moved
//!                                           ─► room                   whether the disk bears it
//!                                           ─► trial                  whether a new version stays up
//!                                           ─► journal                what is told of it
//!                                           ─► told (pure)            what the webhook is told
//!   recovery                                                          what is found at a start
//!   repair                                                            what neither can decide alone
//!   rebuild                                                           what is on disk, after the database was lost
//! ```

pub mod branch;
mod cancel;
mod carried;
pub mod environment;
pub mod fleet;
mod health;
pub mod journal;
mod launch;
mod pipeline;
mod queue;
pub mod rebuild;
mod recovery;
pub mod repair;
mod retire;
mod room;
pub mod settings;
pub mod site;
mod stage;
pub mod status;
mod told;
mod tools;
mod trial;
pub mod turns;
mod upkeep;
pub mod worker;
