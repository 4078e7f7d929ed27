//! What is not as it should be in the installation: for `handover doctor`, which has no key.

use axum::Json;
use axum::extract::State;

use super::Shared;
use super::answer::Refused;
use crate::control::types::Faults;
use crate::deploy::fleet::{Fleet, FleetError};
use crate::deploy::repair::{self, Place, Seen};
use crate::process::blocking;
use crate::state::StateError;

pub(super) async fn look(State(fleet): Shared) -> Result<Json<Faults>, Refused> {
    ask(&fleet, repair::look).await
}

pub(super) async fn mend(State(fleet): Shared) -> Result<Json<Faults>, Refused> {
    ask(&fleet, repair::look_and_mend).await
}

async fn ask(
    fleet: &Fleet,
    what: fn(&Place) -> Result<Vec<Seen>, StateError>,
) -> Result<Json<Faults>, Refused> {
    let site = fleet.site();
    let place = Place {
        layout: site.layout.clone(),
        database: site.database.clone(),
        executable: site.executable.clone(),
    };
    let faults = blocking(move || what(&place)).await;
    let faults = faults.map_err(FleetError::from)?;
    Ok(Json(Faults { faults }))
}
