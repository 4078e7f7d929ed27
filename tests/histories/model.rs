//! What a server must remember, and what may follow from a step. Pure.

use std::collections::BTreeMap;

/// How many releases the server is told to keep.
pub const KEPT: usize = 3;

/// What is seen of an app when it is at rest.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seen {
    /// The release and the commit that are live.
    pub live: Option<(u32, String)>,
    /// The commits of the releases that there are.
    pub releases: BTreeMap<u32, String>,
}

/// What a step may have brought about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// What was live is live, on the same release.
    Nothing,
    /// These commits have become releases, each of them live until the next was.
    Built(Vec<String>),
    /// This release, which was built before, is live.
    Again(u32),
    /// This commit became a release and went live; what was live before it is live again.
    TriedAndBack(String),
}

/// An app as it must be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Model {
    seen: Seen,
    /// The releases that went live and stayed, in their order.
    lives: Vec<u32>,
}

impl Model {
    /// The commit that must be live.
    pub fn live_commit(&self) -> Option<&str> {
        self.seen.live.as_ref().map(|(_, commit)| commit.as_str())
    }

    fn live_release(&self) -> Option<u32> {
        self.seen.live.as_ref().map(|(release, _)| *release)
    }

    /// What a way back may lead to: the last that was live before, or, where that may have been pruned meanwhile, one
    /// before it. Nothing, where it may also find nothing.
    pub fn ways_back(&self) -> Vec<Option<u32>> {
        let mut ways = Vec::new();
        for &release in self.lives.iter().rev() {
            let there = self.seen.releases.contains_key(&release);
            if Some(release) == self.live_release() || !there || ways.contains(&Some(release)) {
                continue;
            }
            ways.push(Some(release));
            if !self.may_be_pruned(release) {
                return ways;
            }
        }
        ways.push(None);
        ways
    }

    fn may_be_pruned(&self, release: u32) -> bool {
        let newer = self.seen.releases.range(release + 1..).count();
        newer >= KEPT && Some(release) != self.live_release()
    }

    /// The first of these changes that explains what is seen has happened.
    pub fn follow(&mut self, allowed: &[Change], seen: &Seen) -> Result<(), String> {
        let mut reasons = Vec::new();
        for change in allowed {
            match self.after(change, seen) {
                Ok(next) => {
                    *self = next;
                    return Ok(());
                }
                Err(reason) => reasons.push(format!("{change:?}: {reason}")),
            }
        }
        Err(format!(
            "nothing that may have happened explains what is there:\nbefore {self:#?}\nnow {seen:#?}\n{}",
            reasons.join("\n")
        ))
    }

    fn after(&self, change: &Change, seen: &Seen) -> Result<Self, String> {
        let before = &self.seen;
        let newest = before.releases.keys().next_back().copied().unwrap_or(0);
        let fresh: Vec<(u32, &String)> = seen
            .releases
            .range(newest + 1..)
            .map(|(number, commit)| (*number, commit))
            .collect();
        let mut lives = self.lives.clone();
        let (wanted, live) = match change {
            Change::Nothing => (vec![], before.live.clone()),
            Change::Again(release) => {
                lives.push(*release);
                let commit = before.releases.get(release).ok_or("there is no such")?;
                (vec![], Some((*release, commit.clone())))
            }
            Change::Built(commits) => {
                lives.extend(fresh.iter().map(|(number, _)| *number));
                let last = fresh.last().ok_or("no release is new")?;
                (commits.iter().collect(), Some((last.0, last.1.clone())))
            }
            Change::TriedAndBack(commit) => {
                lives.extend(self.live_release());
                (vec![commit], before.live.clone())
            }
        };
        if fresh.iter().map(|(_, commit)| *commit).collect::<Vec<_>>() != wanted {
            return Err(format!("{fresh:?} are new"));
        }
        if seen.live != live {
            return Err(format!("{live:?} should be live"));
        }
        let next = Self {
            seen: seen.clone(),
            lives,
        };
        self.only_old_ones_are_gone(&next)?;
        Ok(next)
    }

    fn only_old_ones_are_gone(&self, next: &Self) -> Result<(), String> {
        for (number, commit) in &self.seen.releases {
            let newer = next.seen.releases.range(number + 1..).count();
            match next.seen.releases.get(number) {
                Some(same) if same == commit => {}
                Some(other) => return Err(format!("release {number} is {other} now")),
                None if newer >= KEPT && Some(*number) != next.live_release() => {}
                None => return Err(format!("release {number} is gone")),
            }
        }
        Ok(())
    }
}

#[test]
fn the_model_follows_what_may_be_and_nothing_else() {
    let seen = |live: Option<u32>, numbers: &[u32]| Seen {
        live: live.map(|number| (number, format!("c{number}"))),
        releases: numbers.iter().map(|n| (*n, format!("c{n}"))).collect(),
    };
    let built = |number: u32| Change::Built(vec![format!("c{number}")]);
    let mut model = Model::default();
    assert_eq!(model.ways_back(), [None]);
    model
        .follow(&[built(1)], &seen(Some(1), &[1]))
        .expect("a first release");
    assert!(
        model
            .clone()
            .follow(&[built(2)], &seen(Some(1), &[1]))
            .is_err()
    );
    assert!(
        model
            .clone()
            .follow(&[Change::Nothing], &seen(None, &[1]))
            .is_err()
    );
    // A number may be left out, and a deploy may be tried in vain.
    model
        .follow(&[Change::Nothing, built(3)], &seen(Some(3), &[1, 3]))
        .expect("a second");
    assert_eq!(model.ways_back(), [Some(1)]);
    model
        .follow(&[Change::Again(1)], &seen(Some(1), &[1, 3]))
        .expect("the way back");
    let mixed = seen(Some(1), &[1]);
    assert!(model.clone().follow(&[Change::Nothing], &mixed).is_err());
    let tried = Change::TriedAndBack("c4".to_owned());
    model
        .follow(&[tried], &seen(Some(1), &[1, 3, 4]))
        .expect("what did not stay up is a release");
    model
        .follow(&[built(5)], &seen(Some(5), &[3, 4, 5]))
        .expect("the oldest may be gone");
    assert_eq!(model.ways_back(), [Some(3)]);
}
