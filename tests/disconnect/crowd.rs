//! Twenty who push at once: each reads what has become of his push, and the branch names what is live.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::gone::left;
use crate::support::invariants::branch;
use crate::support::project::Pushed;
use crate::support::told::{events, verdict};
use crate::support::{Project, Pusher, Server, until};

/// How many push at once.
const CROWD: usize = 20;
/// How often each kind of crowd comes; together they come 21 times. `HANDOVER_TEST_ROUNDS` says otherwise.
const ROUNDS: usize = 7;

fn rounds() -> usize {
    let wanted = std::env::var("HANDOVER_TEST_ROUNDS").ok();
    wanted.map_or(ROUNDS, |wanted| wanted.parse().unwrap())
}

/// Whose commit contains whose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kinship {
    /// Each contains all before it.
    Chain,
    /// None contains another.
    Siblings,
}

struct Crowd {
    server: Server,
    repo: PathBuf,
    origin: Project,
    clones: Vec<Project>,
    /// The number of the last deploy.
    deploys: u32,
}

/// What has become of the pushes, in the order of their commits.
struct Round {
    commits: Vec<String>,
    pushed: Vec<Pushed>,
    /// The deploys that there were: commit and verdict.
    deploys: Vec<(String, String)>,
}

impl Crowd {
    fn new() -> Self {
        let server = Server::start();
        let repo = server.create("shop");
        let origin = Project::tiny();
        origin.push(&repo).went_live();
        Self {
            server,
            repo,
            origin,
            clones: (0..CROWD).map(|_| Project::empty()).collect(),
            deploys: 1,
        }
    }

    /// A commit for each, on top of what is live; each clone has its own checked out.
    fn prepare(&self, kinship: Kinship, round: usize) -> Vec<String> {
        let origin = &self.origin;
        let repo = self.repo.to_str().unwrap();
        origin.git(&["fetch", "-q", repo, "main"]);
        let base = origin.git(&["rev-parse", "FETCH_HEAD"]);
        origin.git(&["reset", "-q", "--hard", base.trim()]);
        let commits = (1..=CROWD).map(|who| {
            if kinship == Kinship::Siblings {
                origin.git(&["reset", "-q", "--hard", base.trim()]);
            }
            let commit = origin.version(&format!("round {round}, {who}"));
            origin.git(&["branch", "-f", &format!("of-{who}"), &commit]);
            commit
        });
        let commits: Vec<_> = commits.collect();
        let path = origin.path().to_str().unwrap();
        for (who, clone) in (1..).zip(&self.clones) {
            clone.git(&["fetch", "-q", path, &format!("of-{who}")]);
            clone.git(&["reset", "-q", "--hard", "FETCH_HEAD"]);
        }
        commits
    }

    /// All of them push at once, and each reads his verdict.
    fn push(&mut self, kinship: Kinship, round: usize, args: &[&str]) -> Round {
        let commits = self.prepare(kinship, round);
        let clones = self.clones.iter();
        let pushers: Vec<_> = clones
            .map(|clone| Pusher::start(&mut clone.push_command(&self.repo, args)))
            .collect();
        let pushed = pushers.into_iter().map(Pusher::finish).collect();
        let deploys = self.new_deploys();
        let home = self.server.home();
        until("nothing of the pushes is left", || {
            left(home).is_empty().then_some(())
        });
        Round {
            commits,
            pushed,
            deploys,
        }
    }

    fn new_deploys(&mut self) -> Vec<(String, String)> {
        let mut deploys = Vec::new();
        loop {
            let told = events(&self.server, "shop", self.deploys + 1);
            let Some(accepted) = told.first() else {
                return deploys;
            };
            let commit = accepted["to"].as_str().unwrap().to_owned();
            let verdict = verdict(&told).unwrap_or_else(|| panic!("no verdict: {told:#?}"));
            deploys.push((commit, verdict.event));
            self.deploys += 1;
        }
    }

    /// What each has read is what has happened; gives the commit that is live.
    fn judge(&self, round: &Round, losers: &[&str]) -> String {
        let verdicts: BTreeMap<_, _> = round.deploys.iter().cloned().collect();
        assert_eq!(verdicts.len(), round.deploys.len(), "a deploy for each");
        let ended = |how| verdicts.values().filter(|verdict| *verdict == how).count();
        eprintln!(
            "of {CROWD}: {} live, {} superseded while they waited, {} failed, {} not let in",
            ended("live"),
            ended("superseded"),
            ended("failed"),
            CROWD - verdicts.len()
        );
        for (commit, pushed) in round.commits.iter().zip(&round.pushed) {
            let verdict = verdicts.get(commit).map(String::as_str);
            match pushed.code {
                0 => {
                    pushed.says("success: release ");
                    assert_eq!(verdict, Some("live"), "{commit}: {}", pushed.text);
                }
                1 => {
                    assert_ne!(verdict, Some("live"), "{commit}: {}", pushed.text);
                    assert!(!pushed.text.contains("success:"), "{}", pushed.text);
                    let told = losers.iter().any(|reason| pushed.text.contains(reason));
                    assert!(told, "{commit}: no reason is told:\n{}", pushed.text);
                    if verdict == Some("superseded") {
                        pushed.says("superseded by ");
                    }
                }
                code => panic!("{commit} ends with {code}: {}", pushed.text),
            }
        }
        let live = self.server.status("shop")["live"]["commit"].clone();
        let live = live.as_str().unwrap();
        assert_eq!(branch(&self.repo), live);
        let releases = self.server.json(&["releases", "shop"])["releases"].clone();
        let newest = releases.as_array().unwrap().iter();
        let newest = newest.max_by_key(|release| release["release"].as_u64());
        assert_eq!(newest.unwrap()["commit"], live, "{releases:#}");
        live.to_owned()
    }
}

/// What git's own client says to whoever has read the refs after another's commit had gone live.
const TOO_LATE: &str = "! [rejected] ";
const NOT_CONTAINED: &str = "not a fast-forward: ";
const SUPERSEDED: &str = "superseded by ";

#[test]
fn of_twenty_that_contain_each_other_the_newest_ends_live() {
    let mut crowd = Crowd::new();
    for round in 1..=rounds() {
        let pushed = crowd.push(Kinship::Chain, round, &["main"]);
        let live = crowd.judge(&pushed, &[SUPERSEDED, NOT_CONTAINED, TOO_LATE]);
        assert_eq!(Some(&live), pushed.commits.last());
        assert_eq!(pushed.pushed.last().unwrap().code, 0);
    }
}

#[test]
fn of_twenty_that_are_forced_the_last_that_was_let_in_ends_live() {
    let mut crowd = Crowd::new();
    crowd.server.ok(&["app", "set", "shop", "force", "on"]);
    for round in 1..=rounds() {
        let args = ["--force", "-o", "force", "main"];
        let pushed = crowd.push(Kinship::Siblings, round, &args);
        let moved = "meanwhile, by a push that you had not seen";
        let live = crowd.judge(&pushed, &[SUPERSEDED, moved, "as the push says"]);
        let (last, verdict) = pushed.deploys.last().expect("somebody is let in");
        assert_eq!((last, verdict.as_str()), (&live, "live"));
    }
}

#[test]
fn of_twenty_that_exclude_each_other_exactly_one_goes_live() {
    let mut crowd = Crowd::new();
    for round in 1..=rounds() {
        let pushed = crowd.push(Kinship::Siblings, round, &["main"]);
        crowd.judge(&pushed, &[SUPERSEDED, NOT_CONTAINED, TOO_LATE]);
        let live = pushed.pushed.iter().filter(|pushed| pushed.code == 0);
        assert_eq!(live.count(), 1);
    }
}
