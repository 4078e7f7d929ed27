//! What follows a deploy in the background: the tree that its install has made is stored, what is old goes, and the
//! tree that the next deploy will want is made ready.

use std::sync::Arc;
use std::time::SystemTime;

use super::fleet::limits;
use super::recovery;
use super::room;
use super::site::Site;
use super::tools;
use crate::config::StoreSettings;
use crate::ids::{AppName, ReleaseNumber};
use crate::paths::AppPaths;
use crate::process::blocking;
use crate::store::{Entry, EntryId, PackError, Pending, Store, StoreError};

/// What a deploy has to do with stored trees.
#[derive(Debug, Default)]
pub(super) enum Trees {
    /// It came to no install, or to one whose tree can't be stored.
    #[default]
    None,
    /// It has laid one out.
    Used(EntryId),
    /// Its install has made one.
    Made(Box<Pending>),
}

impl Trees {
    /// The tree that was laid out, if one was.
    pub(super) fn used(&self) -> Option<EntryId> {
        match self {
            Self::Used(id) => Some(id.clone()),
            Self::None | Self::Made(_) => None,
        }
    }

    /// Writes what an install has made, because its release goes. Blocks.
    pub(super) fn write(&mut self) {
        if let Self::Made(pending) = self
            && told(pending.write()).is_none()
        {
            *self = Self::None;
        }
    }
}

/// The app whose things are looked after.
pub(super) struct Upkeep {
    pub(super) site: Arc<Site>,
    pub(super) app: AppName,
    pub(super) paths: AppPaths,
    pub(super) store: Arc<Store>,
}

impl Upkeep {
    /// After a deploy that is live. `spared` is a release that is needed though it looks old.
    pub(super) async fn after_success(self, trees: Trees, spared: Option<ReleaseNumber>) {
        let entry = self.shelve(trees).await;
        let donee = entry
            .clone()
            .filter(|_| self.settings().spare)
            .map(|entry| (Arc::clone(&self.store), entry));
        recovery::prune(&self.site, &self.app, &self.paths, spared, move |release| {
            if let Some((store, entry)) = &donee {
                told(store.donate(entry, release));
            }
        })
        .await;
        tools::prune(&self.site).await;
        room::keep_back(&self.site).await;
        self.make_ready(entry).await;
    }

    /// After a deploy that has failed: the next one will want the same tree.
    pub(super) async fn after_failure(self, trees: Trees) {
        let entry = self.shelve(trees).await;
        self.make_ready(entry).await;
    }

    fn settings(&self) -> StoreSettings {
        self.site.settings.borrow().store.clone()
    }

    /// Stores what was made, and removes what is too old or too much. Gives the tree that the deploy has used, or made.
    async fn shelve(&self, trees: Trees) -> Option<Arc<Entry>> {
        let (store, limits) = (Arc::clone(&self.store), limits(&self.settings()));
        let app = self.app.clone();
        let shelved = move || {
            let id = match trees {
                Trees::None => None,
                Trees::Used(id) => Some(id),
                Trees::Made(pending) => told(pending.seal()).inspect(|tree| {
                    tracing::info!(%app, %tree, "tree of an install is stored");
                }),
            };
            store.prune(&limits, SystemTime::now())?;
            id.map_or(Ok(None), |id| store.open(id))
        };
        told(blocking(shelved).await).flatten().map(Arc::new)
    }

    async fn make_ready(&self, entry: Option<Arc<Entry>>) {
        let Ok(_turn) = self.site.making_ready.acquire().await else {
            return;
        };
        let (store, spare) = (Arc::clone(&self.store), self.settings().spare);
        let made = blocking(move || match entry {
            Some(entry) if spare => store.make_ready(&entry),
            Some(_) => store.remove_spare(),
            None => store.remove_orphan(spare),
        });
        told(made.await);
    }
}

/// Whatever goes wrong with stored trees, the next install can run.
fn told<T>(result: Result<T, impl Into<PackError>>) -> Option<T> {
    match result.map_err(Into::into) {
        Ok(value) => Some(value),
        // A deploy wanted another one.
        Err(PackError::Store(StoreError::Stopped)) => None,
        Err(error) => {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(error, "tree of an install can't be kept");
            None
        }
    }
}
