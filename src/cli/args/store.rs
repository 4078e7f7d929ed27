//! What can be typed about stored trees.

use clap::{Args, Subcommand};

use super::OneApp;

/// What can be done about what an app's installs have made.
#[derive(Debug, Subcommand)]
pub enum StoreVerb {
    /// List the trees: one for each lockfile, and whatever else an install reads, that was deployed lately
    List(OneApp),
    /// Remove what the server's settings do not keep (`[store]`)
    Prune(PruneTrees),
    /// Compare each byte with what was stored; a tree that is damaged is removed, and the next deploy installs
    Verify(OneApp),
}

/// Which trees.
#[derive(Debug, Args)]
pub struct PruneTrees {
    /// Which app
    #[command(flatten)]
    pub which: OneApp,
    /// Remove all of them
    #[arg(long)]
    pub all: bool,
}
