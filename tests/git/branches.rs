//! Branches move by compare-and-set, whoever else moves them.

use std::fs;

use handover::git::{GitError, SetBranch};
use handover::ids::CommitId;

use crate::place::{Place, git, git_output};

#[test]
fn a_branch_moves_only_from_the_expected_commit() {
    let place = Place::new();
    let first = place.pushed("1");
    let second = place.pushed("2");
    let repo = place.repo();
    assert_eq!(repo.branch_commit("main").unwrap(), Some(second.clone()));
    let stale = repo.compare_and_set_branch("main", Some(&first), Some(&first), "x");
    assert_eq!(
        stale.unwrap(),
        SetBranch::Differs {
            found: Some(second.clone())
        }
    );
    let moved = repo.compare_and_set_branch("main", Some(&second), Some(&first), "roll back");
    assert_eq!(moved.unwrap(), SetBranch::Done);
    assert_eq!(
        git(&place.bare(), &["rev-parse", "main"]),
        first.to_string()
    );
    let reflog = git(&place.bare(), &["reflog", "show", "main"]);
    assert!(reflog.contains("roll back"), "{reflog}");
}

#[test]
fn a_branch_is_made_and_removed_by_compare_and_set_too() {
    let place = Place::new();
    let first = place.pushed("1");
    let repo = place.repo();
    let made = repo.compare_and_set_branch("feature/x", None, Some(&first), "made");
    assert_eq!(made.unwrap(), SetBranch::Done);
    let again = repo.compare_and_set_branch("feature/x", None, Some(&first), "made");
    assert_eq!(
        again.unwrap(),
        SetBranch::Differs {
            found: Some(first.clone())
        }
    );
    // A packed ref counts and goes as well.
    git(&place.bare(), &["pack-refs", "--all"]);
    assert!(!place.bare().join("refs/heads/feature/x").exists());
    let gone = repo.compare_and_set_branch("feature/x", Some(&first), None, "removed");
    assert_eq!(gone.unwrap(), SetBranch::Done);
    assert_eq!(git(&place.bare(), &["branch", "--list", "feature/x"]), "");
    assert_eq!(repo.branch_commit("feature/x").unwrap(), None);
}

#[test]
fn a_packed_branch_is_compared_by_its_packed_value() {
    let place = Place::new();
    let first = place.pushed("1");
    let repo = place.repo();
    assert_eq!(repo.branch_commit("main").unwrap(), Some(first.clone()));
    let second = place.pushed("2");
    git(&place.bare(), &["pack-refs", "--all"]);
    let stale = repo.compare_and_set_branch("main", Some(&first), Some(&first), "x");
    assert_eq!(
        stale.unwrap(),
        SetBranch::Differs {
            found: Some(second.clone())
        }
    );
    let moved = repo.compare_and_set_branch("main", Some(&second), Some(&first), "x");
    assert_eq!(moved.unwrap(), SetBranch::Done);
    assert_eq!(
        git(&place.bare(), &["rev-parse", "main"]),
        first.to_string()
    );
}

#[test]
fn of_many_that_move_a_branch_at_once_no_two_begin_at_the_same_commit() {
    let place = Place::new();
    let mut commits = vec![place.pushed("0")];
    for n in 1..=20 {
        commits.push(place.pushed(&n.to_string()));
    }
    let start = commits[0].clone();
    place
        .repo()
        .compare_and_set_branch("main", Some(&commits[20]), Some(&start), "start")
        .unwrap();
    // Ten of us and ten git processes race to move `main` from the start; a packer races with all of them.
    let done = std::thread::scope(|scope| {
        let packer = scope.spawn(|| {
            for _ in 0..10 {
                git_output(&place.bare(), &["pack-refs", "--all"]);
            }
        });
        let ours: Vec<_> = commits[1..=10]
            .iter()
            .map(|to| {
                scope.spawn(|| {
                    let set =
                        place
                            .repo()
                            .compare_and_set_branch("main", Some(&start), Some(to), "race");
                    usize::from(set.unwrap() == SetBranch::Done)
                })
            })
            .collect();
        let gits: Vec<_> = commits[11..=20]
            .iter()
            .map(|to| {
                scope.spawn(|| {
                    let args = ["update-ref", "refs/heads/main", to.as_str(), start.as_str()];
                    usize::from(git_output(&place.bare(), &args).status.success())
                })
            })
            .collect();
        packer.join().unwrap();
        ours.into_iter()
            .chain(gits)
            .map(|thread| thread.join().unwrap())
            .sum::<usize>()
    });
    assert_eq!(done, 1);
}

#[test]
fn a_lock_that_stays_is_named() {
    let place = Place::new();
    let first = place.pushed("1");
    let lock = place.bare().join("refs/heads/main.lock");
    fs::write(&lock, "").unwrap();
    let error = place
        .repo()
        .compare_and_set_branch("main", Some(&first), None, "x")
        .unwrap_err()
        .to_string();
    assert!(error.contains("main.lock"), "{error}");
}

#[test]
fn what_git_would_not_accept_as_a_branch_is_refused() {
    let place = Place::new();
    let repo = place.repo();
    for bad in [
        "",
        "-x",
        "a..b",
        "../../evil",
        "a b",
        "x.lock",
        "a\n",
        "a\0b",
        "HEAD",
    ] {
        assert!(
            matches!(repo.branch_commit(bad), Err(GitError::BranchName(_))),
            "{bad:?}"
        );
    }
    let tree: CommitId = {
        place.pushed("1");
        git(&place.work(), &["rev-parse", "HEAD^{tree}"])
            .parse()
            .unwrap()
    };
    assert!(matches!(
        repo.compare_and_set_branch("new", None, Some(&tree), "x"),
        Err(GitError::NoCommit { .. })
    ));
}
