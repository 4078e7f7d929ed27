//! Somebody pushes.

use super::{Fleet, FleetError, subject};
use crate::deploy::branch::{BranchMove, Force, Refused};
use crate::deploy::worker::{Answer, Wish};
use crate::ids::{AppName, CommitId};
use crate::process::rig::kill_point;
use crate::push::{PushOptions, PushStage, RefUpdate, sort};
use crate::report::Origin;
use crate::state::App;

/// What somebody pushes.
#[derive(Debug, Clone)]
pub struct Pushed {
    /// The refs.
    pub updates: Vec<RefUpdate>,
    /// How he wants it done.
    pub options: PushOptions,
    /// Whether git asks before the branch moves, or tells afterwards.
    pub stage: PushStage,
    /// Who he is, where that is known: the name of a key, or of a user of this machine.
    pub by: Option<String>,
}

/// What becomes of a push.
#[derive(Debug)]
pub struct PushAnswer {
    /// What the pusher is to be told of the refs that don't deploy, a line each.
    pub notes: Vec<String>,
    /// What becomes of the deploy branch, if the push moved it.
    pub answer: Option<Answer>,
}

impl Fleet {
    /// Somebody pushes.
    pub async fn push(&self, name: &AppName, push: Pushed) -> Result<PushAnswer, FleetError> {
        kill_point("push.received");
        let app = self.app(name).await?;
        let sorted = sort(&push.updates, &app.branch);
        let Some((from, commit)) = sorted.deploy else {
            return Ok(PushAnswer {
                notes: sorted.notes,
                answer: None,
            });
        };
        let branch = match push.stage {
            PushStage::Moved if app.gate => {
                // The pusher has read the verdict already. If the gate has missed it, levels are what counts.
                self.look(name);
                return Ok(PushAnswer {
                    notes: sorted.notes,
                    answer: None,
                });
            }
            PushStage::Moved => BranchMove::Settled,
            PushStage::Gate => match allowed_force(&app, &push.options, from.clone()) {
                Ok(force) => BranchMove::Gated(force),
                Err(refused) => {
                    return Ok(PushAnswer {
                        notes: sorted.notes,
                        answer: Some(Answer::Refused(refused)),
                    });
                }
            },
        };
        let wish = Wish::Commit {
            subject: subject(&app, &commit).await?,
            commit,
            from,
            origin: Origin::Push,
            branch,
            options: push.options,
            by: push.by,
        };
        let answer = self.ask(name, wish).await?;
        Ok(PushAnswer {
            notes: sorted.notes,
            answer: Some(answer),
        })
    }
}

/// What a pusher may leave behind: nothing, unless he says so and the app allows it.
fn allowed_force(
    app: &App,
    options: &PushOptions,
    seen: Option<CommitId>,
) -> Result<Force, Refused> {
    match (options.force, app.allow_force) {
        (false, _) => Ok(Force::No { seen }),
        (true, true) => Ok(Force::Over(vec![seen])),
        (true, false) => Err(Refused {
            reason: "-o force is not allowed for this app".to_owned(),
            hints: vec![format!(
                "allow it on the server: handover app set {} force on",
                app.name
            )],
        }),
    }
}
