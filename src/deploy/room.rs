//! Whether the disk has room for what a push wants.

use std::io;
use std::sync::Arc;

use super::site::Site;
use super::stage::{Stage, broken};
use crate::build::DISK_HINT;
use crate::ids::AppName;
use crate::process::blocking;
use crate::process::disk::Free;
use crate::process::reserve::Restored;
use crate::report::{Failure, Phase};
use crate::store::{Store, StoreError};

/// Fails unless the reserve is whole: from here on the deploy may fill the disk, and the way back must still work.
pub(super) async fn for_the_way_back(stage: &Stage, phase: Phase) -> Result<(), Failure> {
    match restored(&stage.site).await {
        Ok(Restored::Whole) => Ok(()),
        Ok(Restored::NoRoom(left)) => Err(no_room(phase, left)),
        Err(error) => Err(broken(phase, &error)),
    }
}

/// On a disk that is nearly full, what waits to be deleted goes before anything new comes.
pub(super) async fn of_what_goes_anyway(stage: &Stage) {
    let remover = Arc::clone(&stage.site.remover);
    blocking(move || remover.make_room()).await;
}

/// Before an install on a disk that is nearly full: what is stored of others, which this install has no use for, goes.
pub(super) async fn of_stored_trees(stage: &Stage) {
    let (remover, store) = (
        Arc::clone(&stage.site.remover),
        Arc::clone(&stage.order.store),
    );
    let given = blocking(move || store.give_way(|path| remover.is_nearly_full(path))).await;
    told(stage.app(), given);
}

/// Whenever it is looked: on a disk so full that pushes are refused, no push comes that would ask for the room.
pub(super) async fn for_pushes(app: &AppName, store: &Arc<Store>) {
    let store = Arc::clone(store);
    let given = blocking(move || store.make_way_for_pushes()).await;
    told(app, given);
}

fn told(app: &AppName, given: Result<(), StoreError>) {
    if let Err(error) = given {
        let error = &error as &dyn std::error::Error;
        tracing::warn!(%app, error, "stored trees can't be removed");
    }
}

/// Makes what is missing of the reserve, where there is room again. Trouble is told in the log.
pub(super) async fn keep_back(site: &Arc<Site>) {
    match restored(site).await {
        Ok(Restored::Whole) => {}
        Ok(Restored::NoRoom(left)) => {
            tracing::warn!(
                free_bytes = left.bytes,
                free_inodes = left.inodes,
                "the disk is full: there is no room to keep back for rollbacks"
            );
        }
        Err(error) => tracing::warn!(%error, "no room can be kept back for rollbacks"),
    }
}

async fn restored(site: &Arc<Site>) -> io::Result<Restored> {
    let reserve = Arc::clone(&site.reserve);
    blocking(move || reserve.restore()).await
}

fn no_room(phase: Phase, left: Free) -> Failure {
    const MIB: u64 = 1 << 20;
    let inodes = match left.inodes {
        Some(count) => format!(" and {count} inodes"),
        None => String::new(),
    };
    let cause = format!(
        "the server's disk is full: {} MiB{inodes} are free, too little for a way back",
        left.bytes / MIB
    );
    Failure::new(phase, cause).hint(DISK_HINT)
}
