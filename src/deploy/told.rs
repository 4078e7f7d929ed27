//! The end of a deploy goes into the database, and with it what the webhook is to be told.

use crate::ids::{AppName, ReleaseNumber};
use crate::report::Origin;
use crate::state::{Database, Deploy, DeployState, NewDelivery, StateError};
use crate::webhook::{Happened, Notice};

/// Records how a deploy has ended, and what the webhook is told of that, in one transaction. `previous` is the release
/// that was live before it.
pub(super) fn end_deploy(
    database: &Database,
    app: &AppName,
    deploy: Deploy,
    state: &DeployState,
    previous: Option<ReleaseNumber>,
    urls: Vec<String>,
) -> Result<(), StateError> {
    let number = deploy.number;
    let delivery = delivery(app, deploy, state, previous, urls);
    database.end_deploy(app, number, state, delivery.as_ref())
}

/// The delivery that tells the webhook how a deploy has come to `state`; nothing where it is none of its business.
fn delivery(
    app: &AppName,
    deploy: Deploy,
    state: &DeployState,
    previous: Option<ReleaseNumber>,
    urls: Vec<String>,
) -> Option<NewDelivery> {
    let notice = Notice {
        happened: happened(deploy.origin, state)?,
        app: app.clone(),
        deploy: deploy.number,
        commit: deploy.commit,
        subject: deploy.subject,
        branch: deploy.branch,
        pushed_by: deploy.pushed_by,
        previous_release: previous,
        urls,
    };
    let made = notice.delivery();
    made.inspect_err(|error| {
        tracing::error!(%app, %error, "webhook can't be told: the system has no random bytes");
    })
    .ok()
}

/// What the webhook learns: how what somebody wanted has ended. A fresh start of what is live already is no news. Of
/// a way back it is told as the end of the deploy that led there (`swapped_back`), or where the way back fails. Pure.
fn happened(origin: Origin, state: &DeployState) -> Option<Happened> {
    match (state, origin) {
        (
            DeployState::Live { release },
            Origin::Push | Origin::Command | Origin::Ref | Origin::Rollback,
        ) => Some(Happened::Live { release: *release }),
        (
            DeployState::Failed { phase, cause },
            Origin::Push | Origin::Command | Origin::Ref | Origin::SwapBack | Origin::Rollback,
        ) => Some(Happened::Failed {
            phase: *phase,
            cause: cause.clone(),
        }),
        (DeployState::SwappedBack { release, cause }, _) => Some(Happened::SwappedBack {
            release: *release,
            cause: cause.clone(),
        }),
        (DeployState::Live { .. }, Origin::Restart | Origin::SwapBack)
        | (DeployState::Failed { .. }, Origin::Restart)
        | (
            DeployState::Waiting
            | DeployState::Running
            | DeployState::Superseded
            | DeployState::Interrupted,
            _,
        ) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Phase;

    const ORIGINS: [Origin; 6] = [
        Origin::Push,
        Origin::Command,
        Origin::Ref,
        Origin::Restart,
        Origin::SwapBack,
        Origin::Rollback,
    ];

    fn told_for(state: &DeployState) -> [bool; 6] {
        ORIGINS.map(|origin| happened(origin, state).is_some())
    }

    #[test]
    fn who_wanted_a_deploy_decides_whether_its_end_is_told() {
        let live = DeployState::Live {
            release: ReleaseNumber(2),
        };
        assert_eq!(told_for(&live), [true, true, true, false, false, true]);
        let failed = DeployState::Failed {
            phase: Phase::Build,
            cause: "no".into(),
        };
        assert_eq!(told_for(&failed), [true, true, true, false, true, true]);
        let back = DeployState::SwappedBack {
            release: ReleaseNumber(2),
            cause: "it crashed".into(),
        };
        assert_eq!(told_for(&back), [true; 6]);
    }

    #[test]
    fn what_did_not_end_by_itself_is_not_told() {
        for state in [
            DeployState::Waiting,
            DeployState::Running,
            DeployState::Superseded,
            DeployState::Interrupted,
        ] {
            assert_eq!(told_for(&state), [false; 6], "{state:?}");
        }
    }
}
