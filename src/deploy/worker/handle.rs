//! How everybody else speaks with a worker.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use super::ask::{Answer, Wish};
use super::{Message, Worker};
use crate::deploy::journal::Journal;
use crate::deploy::launch::Live;
use crate::deploy::recovery::Found;
use crate::deploy::site::Site;
use crate::deploy::status::AppStatus;
use crate::ids::DeployNumber;
use crate::state::{App, StateError};
use crate::store::Store;

/// A way to an app's worker.
#[derive(Debug, Clone)]
pub struct Handle {
    pub(super) inbox: mpsc::UnboundedSender<Message>,
    pub(super) store: Arc<Store>,
}

impl Handle {
    /// Starts the worker of an app, with what has been found running.
    pub(in crate::deploy) fn start(site: Arc<Site>, app: App, found: Found) -> Self {
        Worker::start(site, app, found)
    }

    /// What the app's installs have made.
    pub(in crate::deploy) fn store(&self) -> &Arc<Store> {
        &self.store
    }

    /// Wants something deployed.
    pub async fn ask(&self, wish: Wish) -> Option<Result<Answer, StateError>> {
        self.question(|reply| Message::Ask(wish, reply)).await
    }

    /// Says that the branch may have moved.
    pub fn look(&self) {
        self.tell(Message::Look);
    }

    /// How the app is. `None`: it has just been destroyed.
    pub async fn status(&self) -> Option<AppStatus> {
        self.question(Message::Status).await
    }

    /// What is live.
    pub(in crate::deploy) async fn live(&self) -> Option<Arc<Live>> {
        self.question(Message::Live).await.flatten()
    }

    /// The journal of a deploy that has not ended; of the one that runs, where no number is given.
    pub async fn journal(&self, number: Option<DeployNumber>) -> Option<Arc<Journal>> {
        self.question(|reply| Message::Journal(number, reply))
            .await
            .flatten()
    }

    /// Wishes that the deploy that runs be given up. Gives its journal; nothing where none runs.
    pub async fn cancel(&self, by: Option<String>) -> Option<Arc<Journal>> {
        self.question(|reply| Message::Cancel(by, reply))
            .await
            .flatten()
    }

    /// Says that the app's row has changed.
    pub fn changed(&self, app: App) {
        self.tell(Message::Changed(app));
    }

    /// Gives up what runs, stops all keepers, and ends the worker.
    pub async fn stop(&self) {
        self.question(Message::Stop).await;
    }

    fn tell(&self, message: Message) {
        // A worker that has ended has nothing to be told.
        let _ = self.inbox.send(message);
    }

    async fn question<T>(&self, message: impl FnOnce(oneshot::Sender<T>) -> Message) -> Option<T> {
        let (reply, answer) = oneshot::channel();
        self.tell(message(reply));
        answer.await.ok()
    }
}
