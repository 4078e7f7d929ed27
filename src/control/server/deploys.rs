//! Deploys: begun, joined, watched afterwards.

use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::response::Response;
use axum::{Extension, Json};
use serde::Deserialize;

use super::Shared;
use super::answer::{Refused, journal_lines, lines};
use super::asker::Asker;
use super::pusher::see_off;
use crate::control::types::{
    Cancelled, DeployCommit, Line, Push, ReleaseStatus, Releases, RollBack,
};
use crate::deploy::branch::Refused as MayNot;
use crate::deploy::fleet::{Fleet, PushAnswer, Pushed};
use crate::deploy::journal;
use crate::deploy::worker::Answer;
use crate::ids::{AppName, DeployNumber};
use crate::process::blocking;
use crate::report::{Verdict, with_causes};

pub(super) async fn releases(
    State(fleet): Shared,
    Path(app): Path<AppName>,
) -> Result<Json<Releases>, Refused> {
    let live = fleet
        .status(Some(&app))
        .await?
        .pop()
        .and_then(|status| status.live)
        .map(|live| live.release);
    let shown = fleet
        .releases(&app)
        .await?
        .into_iter()
        .map(|release| ReleaseStatus {
            release: release.number,
            live: live == Some(release.number),
            commit: release.commit,
            subject: release.subject,
            deploy: release.deploy,
            pushed_by: release.pushed_by,
            built_at: release.built_at,
            message: release.message,
        });
    Ok(Json(Releases {
        releases: shown.collect(),
    }))
}

pub(super) async fn push(
    State(fleet): Shared,
    Path(app): Path<AppName>,
    Extension(asker): Extension<Asker>,
    Json(push): Json<Push>,
) -> Result<Response, Refused> {
    let Push {
        stage,
        updates,
        options,
        receive_pack,
    } = push;
    let wanted = Pushed {
        updates,
        options,
        stage,
        by: asker.name().await,
    };
    let pushed = fleet.push(&app, wanted).await;
    let journal = match &pushed {
        Ok(PushAnswer {
            answer: Some(Answer::Journal(journal)),
            ..
        }) => Some(Arc::clone(journal)),
        _ => None,
    };
    if let Some(receive_pack) = receive_pack {
        tokio::spawn(see_off(receive_pack, journal));
    }
    let pushed = match pushed {
        Ok(pushed) => pushed,
        // This is an answer to the pusher, in the form that he is shown.
        Err(error) => {
            return Ok(journal_lines(
                vec![Line::Refused {
                    refused: with_causes(&error),
                    hints: Vec::new(),
                }],
                None,
            ));
        }
    };
    let notes = pushed
        .notes
        .into_iter()
        .map(|note| Line::Note { note })
        .collect();
    Ok(match pushed.answer {
        None => journal_lines(notes, None),
        Some(answer) => answered(notes, answer),
    })
}

pub(super) async fn deploy(
    State(fleet): Shared,
    Path(app): Path<AppName>,
    Extension(asker): Extension<Asker>,
    Json(wanted): Json<DeployCommit>,
) -> Result<Response, Refused> {
    let answer = fleet
        .deploy(&app, wanted.revision, asker.name().await)
        .await?;
    Ok(answered(Vec::new(), answer))
}

pub(super) async fn roll_back(
    State(fleet): Shared,
    Path(app): Path<AppName>,
    Extension(asker): Extension<Asker>,
    Json(wanted): Json<RollBack>,
) -> Result<Response, Refused> {
    let by = asker.name().await;
    let answer = fleet.roll_back(&app, wanted.release, by).await?;
    Ok(answered(Vec::new(), answer))
}

pub(super) async fn restart(
    State(fleet): Shared,
    Path(app): Path<AppName>,
    Extension(asker): Extension<Asker>,
) -> Result<Response, Refused> {
    let answer = fleet.restart(&app, asker.name().await).await?;
    Ok(answered(Vec::new(), answer))
}

fn answered(mut first: Vec<Line>, answer: Answer) -> Response {
    let line = match answer {
        Answer::Journal(journal) => return journal_lines(first, Some(&journal)),
        Answer::AlreadyLive { release, urls } => Line::AlreadyLive {
            already_live: release,
            urls,
        },
        Answer::MovedOn { to } => {
            let by = to.map_or_else(
                || "a deletion".to_owned(),
                |commit| commit.short().to_owned(),
            );
            Line::Refused {
                refused: format!("superseded by {by}"),
                hints: Vec::new(),
            }
        }
        Answer::Refused(MayNot { reason, hints }) => Line::Refused {
            refused: reason,
            hints,
        },
        Answer::NothingToStart => Line::Refused {
            refused: "nothing was deployed yet, so there is nothing to start afresh".to_owned(),
            hints: Vec::new(),
        },
    };
    first.push(line);
    journal_lines(first, None)
}

/// Gives up the deploy that runs, and answers when it has ended.
pub(super) async fn cancel(
    State(fleet): Shared,
    Path(app): Path<AppName>,
    Extension(asker): Extension<Asker>,
) -> Result<Json<Cancelled>, Refused> {
    let Some(journal) = fleet.cancel(&app, asker.name().await).await? else {
        return Ok(Json(Cancelled::Nothing));
    };
    let deploy = journal.deploy();
    Ok(Json(match journal.ended().await {
        Verdict::Cancelled => Cancelled::Cancelled { deploy },
        Verdict::Live | Verdict::Failed | Verdict::Superseded => Cancelled::TooLate { deploy },
    }))
}

/// The deploy that runs, or else the last one.
pub(super) async fn follow(
    State(fleet): Shared,
    Path(app): Path<AppName>,
) -> Result<Response, Refused> {
    if let Some(journal) = fleet.journal(&app, None).await? {
        return Ok(journal_lines(Vec::new(), Some(&journal)));
    }
    let last = fleet.deploys(&app, 1).await?.pop();
    match last {
        Some(deploy) => recorded(&fleet, &app, deploy.number).await,
        None => Err(Refused::not_found(format!(
            "follow `{app}`: nothing was deployed yet"
        ))),
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct Wanted {
    #[serde(default)]
    follow: bool,
}

/// What has happened in a deploy so far; followed to its end where that is wanted.
pub(super) async fn events(
    State(fleet): Shared,
    Path((app, number)): Path<(AppName, DeployNumber)>,
    Query(wanted): Query<Wanted>,
) -> Result<Response, Refused> {
    match fleet.journal(&app, Some(number)).await? {
        Some(journal) if wanted.follow => Ok(journal_lines(Vec::new(), Some(&journal))),
        Some(_) | None => recorded(&fleet, &app, number).await,
    }
}

/// What is recorded of a deploy.
async fn recorded(fleet: &Fleet, app: &AppName, number: DeployNumber) -> Result<Response, Refused> {
    let path = fleet.site().layout.app(app).deploy_log(number);
    match blocking(move || journal::recorded(&path)).await {
        Ok(text) => Ok(lines(futures_util::stream::iter([text]))),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Err(Refused::not_found(
            format!("find deploy {number} of `{app}`: there was none, or its log was pruned"),
        )),
        Err(error) => Err(Refused::internal(&error)),
    }
}
