//! How deploys begin and end goes into the database: at once, or as soon as it can be written again.

use super::Worker;
use crate::deploy::told;
use crate::ids::{DeployNumber, ReleaseNumber};
use crate::state::{DeployState, StateError};

impl Worker {
    /// Records where a deploy is.
    pub(super) async fn record(
        &self,
        number: DeployNumber,
        state: DeployState,
    ) -> Result<(), StateError> {
        let app = self.name().clone();
        self.site
            .database
            .run(move |database| database.set_deploy(&app, number, &state))
            .await
    }

    /// The same for a deploy that has ended: the webhook is told, if it is its business. `previous` is the release that
    /// was live before. What can't be recorded now is tried again at each look.
    pub(super) async fn record_end(
        &mut self,
        number: DeployNumber,
        state: DeployState,
        previous: Option<ReleaseNumber>,
    ) -> Result<(), StateError> {
        let recorded = self.try_record_end(number, state.clone(), previous).await;
        match &recorded {
            Ok(()) => _ = self.unrecorded.remove(&number),
            Err(_) => _ = self.unrecorded.insert(number, (state, previous)),
        }
        recorded
    }

    /// Ends that the database did not take when they came.
    pub(super) async fn record_late(&mut self) {
        for (number, (state, previous)) in self.unrecorded.clone() {
            let recorded = self.record_end(number, state, previous).await;
            self.log_trouble(recorded, "end of a deploy still can't be recorded");
        }
    }

    async fn try_record_end(
        &self,
        number: DeployNumber,
        state: DeployState,
        previous: Option<ReleaseNumber>,
    ) -> Result<(), StateError> {
        let (app, urls) = (self.name().clone(), self.urls());
        let recorded = self.site.database.run(move |database| {
            match database.deploy(&app, number)? {
                Some(deploy) => told::end_deploy(database, &app, deploy, &state, previous, urls),
                None => Ok(()), // the app was destroyed meanwhile
            }
        });
        recorded.await?;
        self.site.outbox.wake();
        Ok(())
    }
}
