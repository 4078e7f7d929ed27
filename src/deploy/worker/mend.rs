//! Levels, not edges: now and then everything is looked at, whether or not somebody has said that it has changed.

use super::{Message, Worker};
use crate::deploy::launch::Replaced;
use crate::deploy::recovery::{self, Held};
use crate::deploy::retire::Ended;

impl Worker {
    /// Makes database, sockets and directories agree with what is held. Only while nothing is being made: what a deploy
    /// has made and not yet written down looks like what a crash has left.
    pub(super) async fn mend(&mut self) {
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
            if !self.begin_swap_back().await {
                self.queue.next(); // nothing runs
                self.revive().await;
                self.look().await;
            }
        }
        self.mend_later();
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
            Message::Mend
        });
    }
}
