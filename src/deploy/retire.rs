//! The end of a generation: what is told of it, and what is cleared away.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::journal::Journal;
use super::recovery;
use super::site::Site;
use crate::ids::{AppName, GenerationNumber, ReleaseNumber};
use crate::keep::{Retirement, Spec, orphans};
use crate::paths::AppPaths;
use crate::process::blocking;
use crate::process::rig::kill_point;
use crate::report::EventKind;
use crate::time::Took;

/// How long orphans may drain and stop whose spec can't be read.
const DEFAULT_LIMITS: (Duration, Duration) = (Duration::from_secs(300), Duration::from_secs(10));

/// A generation whose keeper has ended.
#[derive(Debug, Clone)]
pub(super) struct Ended {
    pub(super) app: AppName,
    pub(super) paths: AppPaths,
    pub(super) generation: GenerationNumber,
    pub(super) release: ReleaseNumber,
    /// Who is told.
    pub(super) journal: Option<Arc<Journal>>,
}

impl Ended {
    /// Reads how the drain went, or, where the keeper was killed, drains and ends the instances that it has left; then
    /// clears away and forgets the generation.
    pub(super) async fn bury(self, site: Arc<Site>) {
        let (forced, took_ms) = match self.word() {
            Some(word) => (word.forced, word.took_ms),
            None => self.retire_orphans(None).await,
        };
        kill_point("retire.ended");
        let (generation, release) = (self.generation, self.release);
        tracing::info!(app = %self.app, %generation, %release, forced, took = %took_ms, "generation retired");
        let (app, paths) = (self.app.clone(), self.paths.clone());
        let forgotten = site.database.run(move |database| {
            recovery::clear_away(&paths, generation);
            kill_point("retire.cleared");
            database.remove_generation(&app, generation)
        });
        if let Err(error) = forgotten.await {
            let error = &error as &dyn std::error::Error;
            tracing::error!(app = %self.app, %generation, error, "generation can't be forgotten");
        }
        if let Some(journal) = self.journal {
            journal.tell(EventKind::Retired {
                generation,
                release,
                forced,
                took_ms,
            });
        }
    }

    /// What the keeper has left word of.
    fn word(&self) -> Option<Retirement> {
        Retirement::take(&self.paths.generation(self.generation))
            .ok()
            .flatten()
    }

    /// Ends instances whose keeper was killed, for which `patience` stands in place of the author's drain limit.
    pub(super) async fn retire_orphans(&self, patience: Option<Duration>) -> (u64, Took) {
        let began = Instant::now();
        let forced = end_orphans(&self.app, &self.paths, self.generation, patience).await;
        (forced, Took(began.elapsed()))
    }
}

/// The same for any generation; gives how many connections were ended by force.
pub(super) async fn end_orphans(
    app: &AppName,
    paths: &AppPaths,
    generation: GenerationNumber,
    patience: Option<Duration>,
) -> u64 {
    let (socket, own) = (
        paths.generation_socket(generation),
        paths.generation(generation),
    );
    let spec = own.spec();
    let spec = blocking(move || Spec::read(&spec)).await;
    let (limit, stop) = spec.map_or(DEFAULT_LIMITS, |spec| (spec.drain_limit, spec.stop_timeout));
    match orphans::retire(&own, &socket, patience.unwrap_or(limit), stop).await {
        Ok(forced) => forced,
        Err(error) => {
            let error = &error as &dyn std::error::Error;
            tracing::error!(%app, %generation, error, "orphans can't be ended");
            0
        }
    }
}
