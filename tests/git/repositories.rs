//! Repositories are made, opened and read.

use std::os::unix::fs::symlink;

use handover::git::{GitError, Repo};
use handover::ids::CommitId;

use crate::place::{Place, git};

#[test]
fn a_new_repository_suits_a_server_and_names_the_deploy_branch() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("apps/shop/repo.git");
    Repo::init_bare(&path, "production").unwrap();
    assert_eq!(
        git(&path, &["symbolic-ref", "HEAD"]),
        "refs/heads/production"
    );
    for (key, value) in [
        ("receive.fsckObjects", "true"),
        ("receive.denyDeletes", "true"),
        ("receive.advertisePushOptions", "true"),
        ("receive.autogc", "false"),
        ("core.fsync", "all"),
        ("gc.auto", "0"),
        ("core.bare", "true"),
    ] {
        assert_eq!(git(&path, &["config", "--get", key]), value, "{key}");
    }
    assert!(matches!(
        Repo::init_bare(&path, "production"),
        Err(GitError::Init { .. })
    ));
}

#[test]
fn a_repository_with_a_working_tree_is_refused_with_the_way_out() {
    let place = Place::new();
    for path in [place.work(), place.work().join(".git")] {
        let error = Repo::open(&path).unwrap_err().to_string();
        assert!(error.contains("git clone --bare"), "{error}");
    }
    // A directory inside a repository is not that repository.
    assert!(matches!(
        Repo::open(&place.bare().join("refs")),
        Err(GitError::Open { .. })
    ));
}

#[test]
fn a_commit_tells_its_cleaned_subject() {
    let place = Place::new();
    let commit = place.commit("1", "Add the \u{1b}[31mbasket\u{7}\n\nbody");
    git(&place.work(), &["push", "-q", "origin", "HEAD:main"]);
    let info = place.repo().commit_info(&commit).unwrap();
    assert_eq!(info.subject, "Add the basket");
    assert_eq!(info.author, "Ada");
    assert_eq!(info.id, commit);
    assert_eq!(
        info.tree.to_string(),
        git(&place.work(), &["rev-parse", "HEAD^{tree}"])
    );
}

#[test]
fn only_commits_are_commits() {
    let place = Place::new();
    let commit = place.pushed("1");
    let tree: CommitId = git(&place.work(), &["rev-parse", "HEAD^{tree}"])
        .parse()
        .unwrap();
    let repo = place.repo();
    assert!(repo.is_commit(&commit));
    assert!(!repo.is_commit(&tree));
    assert!(!repo.is_commit(&"ab".repeat(20).parse().unwrap()));
}

#[test]
fn files_are_read_out_of_a_commit_within_a_limit() {
    let place = Place::new();
    symlink("file.txt", place.work().join("link")).unwrap();
    let commit = place.pushed("twelve bytes");
    let repo = place.repo();
    let read = |path, limit| repo.read_blob_at(&commit, path, limit);
    assert_eq!(read("file.txt", 12).unwrap().unwrap(), b"twelve bytes");
    assert_eq!(read("missing.txt", 12).unwrap(), None);
    assert!(matches!(
        read("file.txt", 11),
        Err(GitError::TooLarge { bytes: 12, .. })
    ));
    assert!(matches!(read("link", 100), Err(GitError::NotAFile { .. })));
}

#[test]
fn ancestry_tells_a_fast_forward_from_a_forced_push() {
    let place = Place::new();
    let first = place.pushed("1");
    let second = place.pushed("2");
    git(
        &place.work(),
        &["checkout", "-q", "-b", "aside", first.as_str()],
    );
    let aside = place.commit("3", "aside");
    git(&place.work(), &["push", "-q", "origin", "HEAD:aside"]);
    let repo = place.repo();
    assert!(repo.is_ancestor(&first, &second).unwrap());
    assert!(repo.is_ancestor(&first, &first).unwrap());
    assert!(!repo.is_ancestor(&second, &first).unwrap());
    assert!(!repo.is_ancestor(&second, &aside).unwrap());
}

#[test]
fn a_repository_of_another_user_is_opened() {
    let place = Place::new();
    let first = place.pushed("1");
    // Only root can give a repository away; for others this is the test above once more.
    let _ = std::os::unix::fs::chown(place.bare(), Some(65534), Some(65534));
    assert_eq!(place.repo().branch_commit("main").unwrap(), Some(first));
}
