//! What is set about apps.

use axum::Json;
use axum::extract::{Path, State};

use super::Shared;
use super::answer::Refused;
use crate::control::types::{AppSettings, ChangeSettings, ChangedSettings};
use crate::ids::AppName;

pub(super) async fn show(
    State(fleet): Shared,
    Path(app): Path<AppName>,
) -> Result<Json<AppSettings>, Refused> {
    Ok(Json(fleet.settings(&app).await?))
}

pub(super) async fn change(
    State(fleet): Shared,
    Path(app): Path<AppName>,
    Json(change): Json<ChangeSettings>,
) -> Result<Json<ChangedSettings>, Refused> {
    Ok(Json(fleet.change_settings(&app, change).await?))
}
