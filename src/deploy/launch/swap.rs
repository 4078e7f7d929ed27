//! The swap, and what was live before.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Live, NewlyLive, Ready, Replaced, Swapped};
use crate::deploy::stage::{Stage, broken};
use crate::ids::{GenerationNumber, ReleaseNumber};
use crate::keep::Spec;
use crate::process::blocking;
use crate::process::rig::kill_point;
use crate::report::{EventKind, Failure, Phase};
use crate::slot;
use crate::time::{Took, now};

/// How long a generation may drain whose spec can't be read.
const DEFAULT_DRAIN_LIMIT: Duration = Duration::from_secs(300);

impl Ready {
    /// The release that is about to be published.
    pub(in crate::deploy) fn release(&self) -> ReleaseNumber {
        self.from.release
    }

    /// Makes `live.sock` lead to the generation: one rename. From here on the deploy can't fail any more.
    pub(in crate::deploy) async fn publish(self, stage: &mut Stage) -> Result<Swapped, Failure> {
        let began = Instant::now();
        let (paths, generation) = (stage.paths.clone(), self.generation);
        let published = blocking(move || slot::publish(&paths, generation)).await;
        let took_ms = Took(began.elapsed());
        let published = published.map_err(|error| broken(Phase::Swap, &error))?;
        tracing::debug!(replaced = ?published.replaced, "published");
        kill_point("swap.published");
        if let Err(error) = self.keeper.commit().await {
            tracing::error!(%generation, error = &error as &dyn std::error::Error, "keeper can't be told that it is live");
        }
        kill_point("swap.committed");
        stage.record_live(generation).await;
        kill_point("swap.recorded");
        let before = stage
            .live()
            .map(|live| format!("{} → ", live.release))
            .unwrap_or_default();
        let detail = format!("release {before}{}", self.from.release);
        stage.tell(EventKind::Done {
            phase: Phase::Swap,
            detail,
            took_ms,
        });
        let live = Live {
            generation,
            release: self.from.release,
            commit: self.from.commit,
            keeper: self.keeper,
            since: now(),
        };
        Ok(Swapped {
            live,
            watch: self.watch,
            watch_for: self.from.files.config.watch,
        })
    }
}

impl Swapped {
    /// Tells what was live to end when its connections have ended.
    pub(in crate::deploy) async fn drain(self, stage: &mut Stage) -> NewlyLive {
        let Some(old) = stage.live().cloned() else {
            return self.newly_live(None);
        };
        let limit = drain_limit_of(stage, old.generation).await;
        match old.keeper.drain(Some(limit)).await {
            Ok(open) => {
                stage.tell(EventKind::Draining {
                    generation: old.generation,
                    release: old.release,
                    connections: open.total(),
                    upgraded: open.upgraded,
                    limit_ms: Took(limit),
                });
            }
            Err(error) => {
                let (generation, error) = (old.generation, &error as &dyn std::error::Error);
                tracing::warn!(%generation, error, "keeper can't be told to drain");
            }
        }
        let replaced = Replaced {
            generation: old.generation,
            release: old.release,
            keeper: Arc::clone(&old.keeper),
            deadline: now() + limit,
            journal: Some(Arc::clone(stage.journal())),
        };
        self.newly_live(Some(replaced))
    }

    fn newly_live(self, replaced: Option<Replaced>) -> NewlyLive {
        NewlyLive {
            live: self.live,
            replaced,
            events: self.watch,
            watch_for: self.watch_for,
        }
    }
}

/// How long a generation may drain: what its author had set when it was started.
async fn drain_limit_of(stage: &Stage, generation: GenerationNumber) -> Duration {
    let spec = stage.paths.generation(generation).spec();
    blocking(move || Spec::read(&spec))
        .await
        .map_or(DEFAULT_DRAIN_LIMIT, |spec| spec.drain_limit)
}
