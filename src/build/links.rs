//! Whether symlinks stay in their tree. Pure: the tree is followed in memory, as the kernel would follow it on disk.
//!
//! Counting `..` in the text is not enough: with `deep/x -> ../top`, the target `deep/x/../..` leaves the tree though
//! its text does not.

use std::collections::HashMap;

use super::tree_rules::{Refusal, shown};

/// The longest target that Linux can follow, in bytes.
pub(super) const TARGET_MAX: usize = 4095;
/// After so many symlinks in one path the kernel gives up (ELOOP), so nothing beyond can be reached.
const FOLLOWED_MAX: usize = 40;
/// What looking at the symlinks of one tree may cost: a second or two of hostile ones at most. The unit is about that of
/// looking at one byte of a path.
const BUDGET: usize = 1 << 28;
/// What a step costs, beside the length of the path that is looked up.
const STEP_COST: usize = 64;
/// What each byte of a target costs that is cut into steps, whether these are walked or not.
const CUT_COST: usize = 8;

/// The symlinks of a tree, by path from its top.
pub(super) type Links = HashMap<Vec<u8>, Vec<u8>>;

/// Refuses symlinks that are absolute, that lead out of the tree, or that can't be followed at all. Targets that don't
/// exist are fine: a build may make them.
pub(super) fn check(links: &Links) -> Result<(), Refusal> {
    let mut budget = BUDGET;
    // In a settled order, so that the same tree is refused with the same words.
    let mut paths: Vec<_> = links.keys().collect();
    paths.sort();
    for path in paths {
        check_one(path, &links[path], links, &mut budget)?;
    }
    Ok(())
}

fn check_one(path: &[u8], target: &[u8], links: &Links, budget: &mut usize) -> Result<(), Refusal> {
    let wrong = |why| {
        Err(Refusal::LinkTarget {
            path: shown(path),
            why,
        })
    };
    if target.is_empty() {
        return wrong("empty");
    }
    if target.contains(&0) {
        return wrong("not a path");
    }
    if target.len() > TARGET_MAX {
        return wrong("longer than 4095 bytes");
    }
    let directory = path.iter().rposition(|&b| b == b'/').unwrap_or(0);
    match follow(&path[..directory], target, links, budget) {
        Followed::Stays => Ok(()),
        Followed::Leaves => Err(Refusal::LinkLeaves {
            path: shown(path),
            target: shown(target),
        }),
        Followed::BudgetSpent => Err(Refusal::LinkMaze),
    }
}

enum Followed {
    Stays,
    Leaves,
    BudgetSpent,
}

/// Follows `target` from `directory`, through every symlink on the way.
fn follow(directory: &[u8], target: &[u8], links: &Links, budget: &mut usize) -> Followed {
    let mut here = directory.to_vec();
    let mut ahead: Vec<&[u8]> = Vec::new();
    let mut followed = 0;
    if !spend(budget, target.len() * CUT_COST) {
        return Followed::BudgetSpent;
    }
    if !push(&mut ahead, target) {
        return Followed::Leaves;
    }
    while let Some(step) = ahead.pop() {
        if !spend(budget, STEP_COST + here.len()) {
            return Followed::BudgetSpent;
        }
        match step {
            b"" | b"." => continue,
            b".." if here.is_empty() => return Followed::Leaves,
            b".." => {
                let parent = here.iter().rposition(|&b| b == b'/').unwrap_or(0);
                here.truncate(parent);
                continue;
            }
            name => {
                if !here.is_empty() {
                    here.push(b'/');
                }
                here.extend_from_slice(name);
            }
        }
        if let Some(next) = links.get(&here) {
            followed += 1;
            if followed > FOLLOWED_MAX {
                return Followed::Stays;
            }
            let parent = here.iter().rposition(|&b| b == b'/').unwrap_or(0);
            here.truncate(parent);
            if !spend(budget, next.len() * CUT_COST) {
                return Followed::BudgetSpent;
            }
            if !push(&mut ahead, next) {
                return Followed::Leaves;
            }
        }
    }
    Followed::Stays
}

/// Whether there was enough left.
fn spend(budget: &mut usize, cost: usize) -> bool {
    let left = budget.checked_sub(cost);
    *budget = left.unwrap_or_default();
    left.is_some()
}

/// Puts the steps of a target on the way ahead; `false` where it is absolute.
fn push<'t>(ahead: &mut Vec<&'t [u8]>, target: &'t [u8]) -> bool {
    ahead.extend(target.split(|&b| b == b'/').rev());
    !target.starts_with(b"/")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn links(pairs: &[(&str, &str)]) -> Links {
        pairs
            .iter()
            .map(|(path, target)| (path.as_bytes().to_vec(), target.as_bytes().to_vec()))
            .collect()
    }

    #[test]
    fn symlinks_within_the_tree_are_fine() {
        let good = links(&[
            ("current", "releases/v1"),
            ("a/b/up", "../../README"),
            ("a/self", "."),
            ("a/top", ".."),
            ("via", "a/top/a/b"),
            ("loop", "loop"),
            ("missing", "dist/not/built/yet"),
            ("odd", "a//./b/"),
        ]);
        assert_eq!(check(&good), Ok(()));
    }

    #[test]
    fn symlinks_that_leave_the_tree_are_refused_whichever_way_they_go() {
        for bad in [
            &[("x", "/etc/passwd")][..],
            &[("x", "..")],
            &[("a/x", "../..")],
            &[("a/x", "b/../../../c")],
            // Each is harmless by its text alone.
            &[("deep/x", "../top"), ("y", "deep/x/../..")],
            &[("a/up", ".."), ("x", "a/up/..")],
            &[("one", "two/.."), ("two", "three"), ("three", ".")],
        ] {
            let refused = check(&links(bad)).unwrap_err();
            assert!(matches!(refused, Refusal::LinkLeaves { .. }), "{bad:?}");
        }
    }

    #[test]
    fn targets_that_are_no_paths_are_refused() {
        for bad in ["", "a\0b", &"x".repeat(5000)] {
            let refused = check(&links(&[("x", bad)])).unwrap_err();
            assert!(matches!(refused, Refusal::LinkTarget { .. }));
        }
    }

    #[test]
    fn a_maze_of_symlinks_is_given_up_not_walked() {
        let long = "d/../".repeat(800);
        let mut maze = Links::new();
        for n in 0..200 {
            let target = format!("{long}l{}", n + 1);
            maze.insert(format!("l{n}").into_bytes(), target.into_bytes());
        }
        assert_eq!(check(&maze), Err(Refusal::LinkMaze));
    }

    #[test]
    fn long_targets_that_are_cut_but_never_walked_count_too() {
        let long = "x/..".to_owned() + &"/x/..".repeat(800);
        let mut maze = Links::new();
        for n in 0..3_000 {
            // What follows the loop is never reached.
            maze.insert(
                format!("l{n}").into_bytes(),
                format!("l{n}/{long}").into_bytes(),
            );
        }
        assert_eq!(check(&maze), Err(Refusal::LinkMaze));
    }

    #[test]
    fn as_many_symlinks_as_a_tree_may_have_are_looked_at() {
        let many = (0..200_000).map(|n| {
            (
                format!("packages/p{n}").into_bytes(),
                b"../vendor/a/package".to_vec(),
            )
        });
        assert_eq!(check(&many.collect()), Ok(()));
    }

    proptest! {
        /// The judge is the kernel: what is accepted, made on disk and followed, ends inside or nowhere.
        #[test]
        fn no_accepted_symlink_leaves_on_a_real_disk(
            pairs in proptest::collection::hash_map(
                "[ab](/[cd]){0,2}", "(\\.\\.|\\.|a|b|c|d)(/(\\.\\.|\\.|a|b|c|d)){0,4}", 1..6)
        ) {
            // A path below another link can't be in a git tree.
            let below = |path: &str| pairs.keys().any(|k| path.starts_with(&format!("{k}/")));
            let tree: Links = pairs.iter().filter(|(path, _)| !below(path))
                .map(|(path, target)| (path.clone().into_bytes(), target.clone().into_bytes())).collect();
            if check(&tree).is_ok() {
                let dir = tempfile::tempdir().unwrap();
                let top = dir.path().canonicalize().unwrap().join("outer/tree");
                std::fs::create_dir_all(&top).unwrap();
                for dir in ["a", "b", "a/c", "a/d", "b/c", "b/d"] {
                    if !tree.contains_key(dir.as_bytes()) && !tree.keys().any(|k| dir.as_bytes().starts_with(&[k.as_slice(), b"/"].concat())) {
                        std::fs::create_dir_all(top.join(dir)).unwrap();
                    }
                }
                for (path, target) in &tree {
                    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
                    std::os::unix::fs::symlink(text(target), top.join(text(path))).unwrap();
                }
                for path in tree.keys() {
                    let path = top.join(String::from_utf8(path.clone()).unwrap());
                    if let Ok(real) = path.canonicalize() {
                        prop_assert!(real.starts_with(&top), "{path:?} leads to {real:?}");
                    }
                }
            }
        }
    }
}
