//! What becomes of deploys that were open when the server ended.

use crate::deploy::branch;
use crate::deploy::fleet::FleetError;
use crate::deploy::site::Site;
use crate::deploy::told;
use crate::ids::{DeployNumber, GenerationNumber, ReleaseNumber};
use crate::state::{App, Deploy, DeployState, Generation, GenerationState};

/// A deploy that has made `live.sock` lead to its generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Swapped {
    deploy: DeployNumber,
    release: ReleaseNumber,
    /// The release that was live before.
    previous: Option<ReleaseNumber>,
}

/// The deploy that `live.sock` tells of, whether it was recorded or not. Pure.
fn swapped(rows: &[Generation], leads_to: Option<GenerationNumber>) -> Option<Swapped> {
    let live = rows.iter().find(|row| Some(row.number) == leads_to)?;
    let before = rows
        .iter()
        .filter(|row| row.number != live.number && row.state != GenerationState::Starting)
        .max_by_key(|row| row.number);
    Some(Swapped {
        deploy: live.deploy,
        release: live.release,
        previous: before.map(|row| row.release),
    })
}

/// Deploys that were cut off are interrupted; only one that had swapped is live, and its webhook is told so.
pub(super) async fn end_open_deploys(
    site: &Site,
    app: &App,
    rows: &[Generation],
    leads_to: Option<GenerationNumber>,
) -> Result<(), FleetError> {
    let swapped = swapped(rows, leads_to);
    let (app, urls) = (app.clone(), site.urls(&app.hosts));
    let ended = site.database.run(move |database| {
        let name = app.name.clone();
        let open = database.open_deploys(&name)?;
        let count = open.len();
        for deploy in open {
            let number = deploy.number;
            let Some(swapped) = swapped.filter(|swapped| swapped.deploy == number) else {
                database.set_deploy(&name, number, &DeployState::Interrupted)?;
                continue;
            };
            lead_branch(&app, &deploy);
            let state = DeployState::Live {
                release: swapped.release,
            };
            let (previous, urls) = (swapped.previous, urls.clone());
            told::end_deploy(database, &name, deploy, &state, previous, urls)?;
        }
        Ok((name, count))
    });
    let (name, count) = ended.await?;
    if count > 0 {
        tracing::warn!(app = %name, count, "deploys were cut off when the server ended");
    }
    Ok(())
}

/// The branch may have yet to follow what is live. Trouble is told in the log; a branch that names something else is then
/// deployed as one that was moved by hand.
fn lead_branch(app: &App, deploy: &Deploy) {
    if !deploy.moves_branch {
        return;
    }
    match branch::catch_up(app, deploy.from.as_ref(), &deploy.commit) {
        Ok(moved) => tracing::info!(app = %app.name, ?moved, "branch follows what is live"),
        Err(error) => {
            let error = &error as &dyn std::error::Error;
            tracing::error!(app = %app.name, error, "branch can't be led to what is live");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::now;

    #[test]
    fn live_sock_tells_which_deploy_has_swapped_and_what_it_has_replaced() {
        let row = |number, state| Generation {
            number: GenerationNumber(number),
            release: ReleaseNumber(number + 10),
            deploy: DeployNumber(number + 20),
            state,
            since: now(),
        };
        let leads_to = Some(GenerationNumber(3));
        let tells = |previous| {
            Some(Swapped {
                deploy: DeployNumber(23),
                release: ReleaseNumber(13),
                previous,
            })
        };
        let (starting, live) = (GenerationState::Starting, GenerationState::Live);
        let draining = GenerationState::Draining;
        let unrecorded = [row(1, draining), row(2, live), row(3, starting)];
        assert_eq!(
            swapped(&unrecorded, leads_to),
            tells(Some(ReleaseNumber(12)))
        );
        let recorded = [row(2, draining), row(3, live), row(4, starting)];
        assert_eq!(swapped(&recorded, leads_to), tells(Some(ReleaseNumber(12))));
        assert_eq!(swapped(&[row(3, live)], leads_to), tells(None));
        assert_eq!(swapped(&[row(1, live)], leads_to), None);
        assert_eq!(swapped(&[row(1, live)], None), None);
    }
}
