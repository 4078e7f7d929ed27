//! What installs have made, as it is stored.

use axum::Json;
use axum::extract::{Path, State};

use super::Shared;
use super::answer::Refused;
use crate::control::types::{PruneStore, PrunedStore, StoreList, StoredTree, VerifiedTree};
use crate::ids::AppName;
use crate::report::with_causes;
use crate::store::Verified;
use crate::time;

pub(super) async fn list(
    State(fleet): Shared,
    Path(app): Path<AppName>,
) -> Result<Json<StoreList>, Refused> {
    let stored = fleet.stored_trees(&app).await?;
    let trees = stored.trees.into_iter().map(|kept| StoredTree {
        ready: stored.ready.as_ref() == Some(&kept.id),
        tree: kept.id.to_string(),
        release: kept.about.as_ref().map(|about| about.release),
        packages: kept.about.as_ref().map(|about| about.packages),
        made_at: kept.about.as_ref().map(|about| about.made),
        used_at: time::of_file(kept.used),
        items: kept.items,
        bytes: kept.bytes,
    });
    Ok(Json(StoreList {
        trees: trees.collect(),
    }))
}

pub(super) async fn verify(
    State(fleet): Shared,
    Path(app): Path<AppName>,
) -> Result<Json<Vec<VerifiedTree>>, Refused> {
    let verified = fleet.verify_store(&app).await?.into_iter();
    let verified = verified.map(|(id, verified)| VerifiedTree {
        tree: id.to_string(),
        removed: match verified {
            Verified::Right => None,
            Verified::Removed(why) => Some(with_causes(&why)),
        },
    });
    Ok(Json(verified.collect()))
}

pub(super) async fn prune(
    State(fleet): Shared,
    Path(app): Path<AppName>,
    Json(wanted): Json<PruneStore>,
) -> Result<Json<PrunedStore>, Refused> {
    let pruned = fleet.prune_store(&app, wanted.all).await?;
    Ok(Json(PrunedStore {
        trees: pruned.trees,
        bytes: pruned.bytes,
    }))
}
