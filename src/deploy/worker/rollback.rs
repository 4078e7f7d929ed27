//! Back to a release that was built before.

use super::Worker;
use super::ask::Answer;
use crate::deploy::branch::{BranchMove, Refused};
use crate::deploy::pipeline::Work;
use crate::deploy::queue::Goal;
use crate::ids::ReleaseNumber;
use crate::push::PushOptions;
use crate::report::Origin;
use crate::state::{Deploy, DeployState, NewDeploy, Release, StateError};

/// How many deploys are looked through for the release that was live before.
const LOOK_BACK: u32 = 200;

impl Worker {
    /// A release that was built before is to be live, and the branch follows.
    pub(super) async fn roll_back(
        &mut self,
        to: Option<ReleaseNumber>,
        by: Option<String>,
    ) -> Result<Answer, StateError> {
        let app = self.name().clone();
        let read = self.site.database.run(move |database| {
            Ok((database.releases(&app)?, database.deploys(&app, LOOK_BACK)?))
        });
        let (releases, deploys) = read.await?;
        let live = self.live.as_ref().map(|live| live.release);
        let release = match chosen(to, live, &releases, &deploys) {
            Ok(release) => release.clone(),
            Err(reason) => {
                let hints = vec![format!(
                    "handover releases {} shows what there is",
                    self.name()
                )];
                return Ok(Answer::Refused(Refused { reason, hints }));
            }
        };
        let wanted = NewDeploy {
            origin: Origin::Rollback,
            branch: self.app.branch.clone(),
            commit: release.commit.clone(),
            subject: release.subject.clone(),
            from: None,
            moves_branch: true,
            message: None,
            by,
        };
        let goal = Goal::Release(release.number);
        let options = PushOptions::default();
        self.enqueue_for(Some(release), goal, wanted, BranchMove::Follows, options)
            .await
    }

    /// Over the generation of it that still drains, if there is one.
    pub(super) fn back_to(&self, release: Release) -> Work {
        let mut warm = self.draining.values().rev();
        let warm = warm.find(|old| old.release == release.number).cloned();
        Work::Return(release, warm)
    }
}

/// The release that is meant: the one that is named, or the last that was live before the one that is. Pure.
fn chosen<'r>(
    to: Option<ReleaseNumber>,
    live: Option<ReleaseNumber>,
    releases: &'r [Release],
    deploys: &[Deploy],
) -> Result<&'r Release, String> {
    let find = |number| releases.iter().find(|release| release.number == number);
    if let Some(number) = to {
        return match find(number) {
            _ if Some(number) == live => Err(format!("release {number} is live already")),
            None => Err(format!(
                "there is no release {number} any more, or there never was"
            )),
            Some(release) => Ok(release),
        };
    }
    let was_live = |deploy: &Deploy| match deploy.state {
        DeployState::Live { release } if Some(release) != live => find(release),
        _ => None,
    };
    let before = deploys.iter().rev().find_map(was_live);
    before.ok_or_else(|| "there is no release to go back to".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::DeployNumber;
    use crate::time::now;

    fn release(number: u32) -> Release {
        Release {
            number: ReleaseNumber(number),
            commit: "a".repeat(40).parse().unwrap(),
            subject: String::new(),
            deploy: DeployNumber(number),
            pushed_by: None,
            built_at: now(),
            message: None,
        }
    }

    fn deploy(number: u32, state: DeployState) -> Deploy {
        Deploy {
            number: DeployNumber(number),
            origin: Origin::Push,
            branch: "main".into(),
            commit: "a".repeat(40).parse().unwrap(),
            subject: String::new(),
            from: None,
            moves_branch: true,
            message: None,
            pushed_by: None,
            state,
            began_at: now(),
            ended_at: None,
        }
    }

    #[test]
    fn the_last_that_was_live_is_meant_unless_one_is_named() {
        let releases = [release(1), release(2), release(3)];
        let live = |number| DeployState::Live {
            release: ReleaseNumber(number),
        };
        let crashed = DeployState::SwappedBack {
            release: ReleaseNumber(2),
            cause: String::new(),
        };
        let deploys = [deploy(1, live(1)), deploy(2, crashed), deploy(3, live(3))];
        let three = Some(ReleaseNumber(3));
        let meant = |to| chosen(to, three, &releases, &deploys).map(|release| release.number.0);
        assert_eq!(
            meant(None),
            Ok(1),
            "one that did not stay up is not gone back to"
        );
        assert_eq!(meant(Some(ReleaseNumber(2))), Ok(2));
        assert!(meant(three).unwrap_err().contains("is live already"));
        assert!(meant(Some(ReleaseNumber(9))).is_err());
        assert!(chosen(None, Some(ReleaseNumber(1)), &releases[..1], &deploys[..1]).is_err());
    }
}
