//! What is asked of an app's stored trees from outside.

use std::sync::Arc;
use std::time::SystemTime;

use super::{Fleet, FleetError};
use crate::config::StoreSettings;
use crate::ids::AppName;
use crate::process::blocking;
use crate::store::{EntryId, Kept, Limits, Store, StoreError, Verified};

/// The stored trees of an app.
#[derive(Debug)]
pub struct StoredTrees {
    /// The one that was used last first.
    pub trees: Vec<Kept>,
    /// Of which one is laid out already.
    pub ready: Option<EntryId>,
}

/// What pruning has come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pruned {
    /// How many trees are gone.
    pub trees: usize,
    /// Their sizes together, in bytes.
    pub bytes: u64,
}

impl Fleet {
    /// What is stored of an app.
    pub async fn stored_trees(&self, app: &AppName) -> Result<StoredTrees, FleetError> {
        self.in_store(app, |store| {
            Ok(StoredTrees {
                trees: store.list()?,
                ready: store.spare(),
            })
        })
        .await
    }

    /// Compares each byte that is stored with what was; what is not that is removed. Takes about as long as reading it.
    pub async fn verify_store(
        &self,
        app: &AppName,
    ) -> Result<Vec<(EntryId, Verified)>, FleetError> {
        self.in_store(app, |store| {
            let trees = store.list()?.into_iter();
            trees
                .map(|kept| Ok((kept.id.clone(), store.verify(&kept.id)?)))
                .collect()
        })
        .await
    }

    /// Removes what the settings do not keep; everything, if `all`.
    pub async fn prune_store(&self, app: &AppName, all: bool) -> Result<Pruned, FleetError> {
        let limits = limits(&self.site.settings.borrow().store);
        self.in_store(app, move |store| {
            let (trees, bytes) = if all {
                store.clear()?
            } else {
                store.prune(&limits, SystemTime::now())?
            };
            Ok(Pruned { trees, bytes })
        })
        .await
    }

    async fn in_store<T: Send + 'static>(
        &self,
        app: &AppName,
        work: impl FnOnce(&Store) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, FleetError> {
        let store = Arc::clone(self.handle(app)?.store());
        Ok(blocking(move || work(&store)).await?)
    }
}

/// How much the settings let an app keep.
pub(in crate::deploy) fn limits(settings: &StoreSettings) -> Limits {
    Limits {
        bytes: settings.max_bytes,
        age: settings.max_age,
    }
}
