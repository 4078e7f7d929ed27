//! What the journal of a deploy says of it, and what all of them say of an app. Pure but for the reading.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use crate::ids::{DeployNumber, GenerationNumber, ReleaseNumber};
use crate::report::{Event, EventKind};
use crate::state::{Deploy, DeployState, History, Release};
use crate::time::Timestamp;

/// A deploy as its journal tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Record {
    deploy: Deploy,
    /// What it made live, whether or not that stayed: the generation, and since when.
    went_live: Option<(GenerationNumber, ReleaseNumber, Timestamp)>,
}

impl Record {
    /// Nothing where the journal does not even say what was to be deployed.
    pub(super) fn read(path: &Path, number: DeployNumber, gate: bool) -> Option<Self> {
        let lines = BufReader::new(File::open(path).ok()?)
            .lines()
            .map_while(Result::ok);
        let told = lines.filter(|line| !line.contains(r#""event":"output""#));
        // What can't be read was cut off, or told by a newer version.
        Self::of(
            told.filter_map(|line| serde_json::from_str(&line).ok()),
            number,
            gate,
        )
    }

    fn of(
        events: impl IntoIterator<Item = Event>,
        number: DeployNumber,
        gate: bool,
    ) -> Option<Self> {
        let mut record: Option<Self> = None;
        for event in events {
            match record.as_mut() {
                None => record = Self::begun(event, number, gate),
                Some(record) => record.goes_on(event),
            }
        }
        record
    }

    fn begun(event: Event, number: DeployNumber, gate: bool) -> Option<Self> {
        let EventKind::Accepted {
            origin,
            branch,
            from,
            to,
            subject,
            message,
            by,
        } = event.kind
        else {
            return None;
        };
        let deploy = Deploy {
            number,
            origin,
            branch,
            commit: to,
            subject,
            from,
            moves_branch: gate,
            message,
            pushed_by: by,
            state: DeployState::Running,
            began_at: event.at,
            ended_at: None,
        };
        Some(Self {
            deploy,
            went_live: None,
        })
    }

    fn goes_on(&mut self, event: Event) {
        let state = match event.kind {
            EventKind::Live {
                release,
                generation,
                ..
            } => {
                self.went_live = Some((generation, release, event.at));
                DeployState::Live { release }
            }
            EventKind::Failed(failure) => DeployState::Failed {
                phase: failure.phase,
                cause: failure.cause,
            },
            EventKind::Superseded { .. } => DeployState::Superseded,
            EventKind::SwappedBack { from, cause, .. } => DeployState::SwappedBack {
                release: from,
                cause,
            },
            EventKind::Accepted { .. }
            | EventKind::Waiting { .. }
            | EventKind::Began { .. }
            | EventKind::Output { .. }
            | EventKind::Done { .. }
            | EventKind::Warned { .. }
            | EventKind::Draining { .. }
            | EventKind::Retired { .. } => return,
        };
        self.deploy.state = state;
        self.deploy.ended_at = Some(event.at);
    }

    /// The release that it built, if it was the first to make it live.
    fn release(&self) -> Option<Release> {
        let (_, number, built_at) = self.went_live?;
        let deploy = &self.deploy;
        Some(Release {
            number,
            commit: deploy.commit.clone(),
            subject: deploy.subject.clone(),
            deploy: deploy.number,
            pushed_by: deploy.pushed_by.clone(),
            built_at,
            message: deploy.message.clone(),
        })
    }
}

/// What an app's deploys, oldest first, and the directories of its releases say of it.
pub(super) fn history(records: Vec<Record>, there: Vec<ReleaseNumber>) -> History {
    let mut history = History::default();
    for record in &records {
        let Some(release) = record.release() else {
            continue;
        };
        history.used.release = history.used.release.max(release.number.0);
        let known = |known: &Release| known.number == release.number;
        if there.contains(&release.number) && !history.releases.iter().any(known) {
            history.releases.push(release);
        }
    }
    let went_live = |record: &Record| {
        let (generation, release, _) = record.went_live?;
        let stayed = matches!(record.deploy.state, DeployState::Live { .. });
        Some((generation, release, record.deploy.number, stayed))
    };
    let all: Vec<_> = records.iter().filter_map(went_live).collect();
    let generations = all.iter().map(|(generation, ..)| generation.0);
    history.used.generation = generations.max().unwrap_or(0);
    history.live = all
        .iter()
        .rev()
        .find(|(.., stayed)| *stayed)
        .map(|&(generation, release, deploy, _)| (generation, release, deploy));
    let directories = there.iter().map(|number| number.0);
    history.used.release = directories.chain([history.used.release]).max().unwrap_or(0);
    history.there = there;
    history.deploys = records.into_iter().map(|record| record.deploy).collect();
    history
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{Failure, Origin, Phase};
    use crate::time::Took;

    fn record(number: u32, origin: Origin, ends: Vec<EventKind>) -> Record {
        let accepted = EventKind::Accepted {
            origin,
            branch: "main".into(),
            from: None,
            to: format!("{number:x}").repeat(40).parse().unwrap(),
            subject: format!("subject {number}"),
            message: None,
            by: Some("ada".into()),
        };
        let event = |kind| Event {
            at: "2026-11-23T05:40:00Z".parse().unwrap(),
            app: "shop".parse().unwrap(),
            deploy: DeployNumber(number),
            kind,
        };
        let events = std::iter::once(accepted).chain(ends).map(event);
        Record::of(events, DeployNumber(number), true).unwrap()
    }

    fn live(release: u32, generation: u32) -> EventKind {
        EventKind::Live {
            release: ReleaseNumber(release),
            generation: GenerationNumber(generation),
            urls: Vec::new(),
            took_ms: Took(std::time::Duration::ZERO),
        }
    }

    #[test]
    fn journals_say_what_was_built_what_was_live_last_and_which_numbers_are_used() {
        let crash = EventKind::SwappedBack {
            from: ReleaseNumber(3),
            to: ReleaseNumber(2),
            cause: "it crashed".into(),
        };
        let failed = EventKind::Failed(Failure::new(Phase::Build, "no"));
        let history = history(
            vec![
                record(1, Origin::Push, vec![live(1, 1)]),
                record(2, Origin::Push, vec![live(2, 2)]),
                record(3, Origin::Restart, vec![live(2, 3)]),
                record(4, Origin::Push, vec![live(3, 4), crash]),
                record(5, Origin::SwapBack, vec![live(2, 3)]),
                record(6, Origin::Push, vec![failed]),
                record(7, Origin::Push, vec![]),
            ],
            [2, 3, 9].map(ReleaseNumber).to_vec(),
        );
        let built = history.releases.iter();
        let built: Vec<_> = built.map(|one| (one.number.0, one.deploy.0)).collect();
        assert_eq!(built, [(2, 2), (3, 4)], "the directory of 1 is gone");
        let live = (GenerationNumber(3), ReleaseNumber(2), DeployNumber(5));
        assert_eq!(history.live, Some(live));
        assert_eq!((history.used.release, history.used.generation), (9, 4));
        let states = history.deploys.iter().map(|deploy| deploy.state.name());
        assert_eq!(
            states.collect::<Vec<_>>(),
            [
                "live",
                "live",
                "live",
                "swapped_back",
                "live",
                "failed",
                "running"
            ]
        );
    }
}
