//! Levels, not edges: now and then everything is looked at, whether or not somebody has said that it has changed.

use std::time::Duration;

use tokio::time::timeout;

use super::{Message, Worker};
use crate::deploy::launch::Replaced;
use crate::deploy::recovery::{self, Held};
use crate::deploy::retire::Ended;
use crate::deploy::room;
use crate::ids::GenerationNumber;
use crate::keep::{KeepError, Keeper, ModeName};
use crate::process::blocking;
use crate::process::own::release_free_memory;

/// How soon everything is looked at again after something that may have left traces; doubled each time, up to the
/// pause between two looks without a cause.
pub(super) const MEND_AFTER: Duration = Duration::from_secs(1);

/// How long a keeper may take to answer, which others wait for.
const KEEPER_PATIENCE: Duration = Duration::from_secs(5);

/// Why everything is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::deploy) enum Look {
    /// It is time to.
    NowAndThen,
    /// Something has ended, or could not be written down.
    Once,
}

impl Worker {
    /// Looks, and sees to it that the next look comes.
    pub(super) async fn mend_for(&mut self, look: Look) {
        self.mend().await;
        match look {
            Look::NowAndThen => self.mend_later(),
            Look::Once => {}
        }
    }

    /// Makes database, sockets and directories agree with what is held. Only while nothing is being made: what a deploy
    /// has made and not yet written down looks like what a crash has left.
    async fn mend(&mut self) {
        room::for_pushes(self.name(), &self.store).await;
        room::keep_back(&self.site).await;
        self.record_late().await;
        let idle = self.running.is_none() && self.waiting.is_none() && self.stopping.is_none();
        if idle {
            let held = self.held();
            match recovery::mend(&self.site, &self.app, &held).await {
                Ok(found) => self.take_over(found.draining, found.ended),
                Err(error) => {
                    let error = &error as &dyn std::error::Error;
                    tracing::error!(app = %self.name(), error, "app can't be looked at");
                }
            }
            self.remind_keepers().await;
            if !self.begin_swap_back().await {
                self.queue.next(); // nothing runs
                self.revive().await;
                self.look().await;
            }
            blocking(release_free_memory).await;
        }
    }

    /// Keepers that could not be told what has become of them are told again.
    async fn remind_keepers(&self) {
        if let Some(live) = &self.live
            && mode_of(&live.keeper).await == Some(ModeName::Starting)
        {
            self.told(live.generation, live.keeper.commit()).await;
        }
        for old in self.draining.values() {
            if mode_of(&old.keeper).await == Some(ModeName::Serving) {
                self.told(old.generation, old.keeper.drain(None)).await;
            }
        }
    }

    async fn told<T>(
        &self,
        generation: GenerationNumber,
        telling: impl Future<Output = Result<T, KeepError>>,
    ) {
        match timeout(KEEPER_PATIENCE, telling).await {
            Ok(Ok(_)) => {
                tracing::warn!(app = %self.name(), %generation, "mended: the keeper knows what has become of it");
            }
            Ok(Err(error)) => {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(app = %self.name(), %generation, error, "keeper can't be reminded");
            }
            Err(_) => {
                tracing::warn!(app = %self.name(), %generation, "keeper does not answer");
            }
        }
    }

    fn held(&self) -> Held {
        let live = self.live.as_ref().map(|live| live.generation);
        let lost = self.lost.iter().map(|(generation, _)| generation);
        let others = self.draining.keys().chain(&self.burying).chain(lost);
        Held {
            live,
            all: others.copied().chain(live).collect(),
        }
    }

    /// Looks after what was found from now on.
    pub(super) fn take_over(&mut self, draining: Vec<Replaced>, ended: Vec<Ended>) {
        for replaced in draining {
            self.await_retirement(replaced);
        }
        for ended in ended {
            self.bury_ended(ended);
        }
    }

    pub(super) fn mend_later(&self) {
        let pause = self.site.settings.borrow().look_every;
        self.when(async move {
            tokio::time::sleep(pause).await;
            Message::Mend(Look::NowAndThen)
        });
    }

    /// What has just ended may have left what could not be removed or written down.
    pub(super) fn mend_soon(&mut self) {
        let pause = self.mend_after;
        self.mend_after = (pause * 2).min(self.site.settings.borrow().look_every);
        self.when(async move {
            tokio::time::sleep(pause).await;
            Message::Mend(Look::Once)
        });
    }
}

/// Nothing, if it does not say.
async fn mode_of(keeper: &Keeper) -> Option<ModeName> {
    let status = timeout(KEEPER_PATIENCE, keeper.status()).await;
    Some(status.ok()?.ok()?.mode)
}
