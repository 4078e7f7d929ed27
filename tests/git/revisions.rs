//! What people type is a commit, or is refused in words.

use crate::place::{Place, git};

#[test]
fn people_may_type_ids_branches_and_tags() {
    let place = Place::new();
    let first = place.pushed("1");
    git(&place.work(), &["tag", "-a", "v1", "-m", "one"]);
    git(&place.work(), &["push", "-q", "origin", "v1"]);
    let second = place.pushed("2");
    let repo = place.repo();
    for (typed, meant) in [
        (first.as_str(), &first),
        (&first.as_str()[..4], &first),
        (&first.as_str()[..12].to_uppercase(), &first),
        ("v1", &first),
        ("refs/tags/v1", &first),
        ("main", &second),
    ] {
        assert_eq!(&repo.resolve(typed).unwrap(), meant, "{typed}");
    }
}

#[test]
fn what_names_no_commit_is_refused_in_words() {
    let place = Place::new();
    let first = place.pushed("1");
    git(&place.work(), &["tag", "main"]);
    place.pushed("2");
    git(&place.work(), &["push", "-q", "origin", "refs/tags/main"]);
    let tree = git(&place.work(), &["rev-parse", "HEAD^{tree}"]);
    let repo = place.repo();
    for (typed, words) in [
        ("", "it is empty"),
        ("--upload-pack=x", "begins with `-`"),
        (&first.as_str()[..3], "at least 4 digits"),
        ("nothing", "has been pushed"),
        (&"ab".repeat(20), "has been pushed"),
        ("main", "write `refs/heads/main` or `refs/tags/main`"),
        ("main~1", "git rev-parse"),
        ("a\u{1b}[31m", "no commit, branch or tag"),
        (&tree, "a file or a tree"),
    ] {
        let error = repo.resolve(typed).unwrap_err().to_string();
        assert!(error.contains(words), "{typed}: {error}");
        assert!(!error.contains('\u{1b}'));
    }
}
