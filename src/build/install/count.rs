//! How much was installed, as far as it is known.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::config::ManagerKind;

/// As the package manager says it (`added 312 packages in 8s`), else as its record in the release does.
pub(super) fn packages(kind: ManagerKind, printed: &[String], release: &Path) -> usize {
    let said = || printed.iter().rev().find_map(|line| said(kind, line));
    let counted = match kind {
        // It says what it has fetched, which may be less.
        ManagerKind::Yarn => recorded(kind, release).or_else(said),
        _ => said().or_else(|| recorded(kind, release)),
    };
    counted.unwrap_or(0)
}

fn said(kind: ManagerKind, line: &str) -> Option<usize> {
    let count = |text: &str| text.split([' ', ',']).next()?.parse().ok();
    match kind {
        ManagerKind::Npm => {
            let (count, rest) = line.strip_prefix("added ")?.split_once(' ')?;
            rest.starts_with("package").then(|| count.parse().ok())?
        }
        ManagerKind::Pnpm => count(line.strip_prefix("Packages: +")?),
        ManagerKind::Yarn1 => None,
        ManagerKind::Yarn => {
            let (before, _) = line.split_once(" were added to the project")?;
            before.split_whitespace().rev().nth(1)?.parse().ok()
        }
        ManagerKind::Bun => {
            let (count, rest) = line.trim().split_once(' ')?;
            let said =
                rest.starts_with("package installed") || rest.starts_with("packages installed");
            said.then(|| count.parse().ok())?
        }
    }
}

fn recorded(kind: ManagerKind, release: &Path) -> Option<usize> {
    let read = |file: &str| fs::read_to_string(release.join(file)).ok();
    let json = |file: &str| serde_json::from_str::<Value>(&read(file)?).ok();
    match kind {
        ManagerKind::Npm => {
            let record = json("node_modules/.package-lock.json")?;
            Some(record.get("packages")?.as_object()?.len())
        }
        ManagerKind::Pnpm => {
            let entries = fs::read_dir(release.join("node_modules/.pnpm")).ok()?;
            let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
            Some(names.filter(|name| name.contains('@')).count())
        }
        // Each entry is a wish; several may be for one package.
        ManagerKind::Yarn1 => {
            let record = json("node_modules/.yarn-integrity")?;
            let entries = record.get("lockfileEntries")?.as_object()?;
            let distinct: BTreeSet<_> = entries
                .iter()
                .map(|(wish, from)| match from.as_str() {
                    Some(from) if !from.is_empty() => from,
                    _ => wish.as_str(),
                })
                .collect();
            Some(distinct.len())
        }
        ManagerKind::Yarn => {
            let lock = read("yarn.lock")?;
            let linked = lock.lines().filter(|line| *line == "  linkType: hard");
            Some(linked.count())
        }
        ManagerKind::Bun => None,
    }
}

/// npm only warns where a package wants another node; it is the usual reason why an app then fails to start.
pub(super) fn engine_warning(printed: &[String]) -> Option<String> {
    let unsupported = printed
        .iter()
        .filter(|line| line.contains("EBADENGINE") && line.contains("package:"))
        .count();
    let whose = match unsupported {
        0 => return None,
        1 => "a package asks".to_owned(),
        n => format!("{n} packages ask"),
    };
    Some(format!(
        "{whose} for another version of node than the app has (EBADENGINE above); engines.node in package.json chooses it"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_manager_says_in_its_own_words_how_much_it_has_installed() {
        for (kind, line, wanted) in [
            (ManagerKind::Npm, "added 312 packages in 8s", Some(312)),
            (ManagerKind::Npm, "added 1 package in 8s", Some(1)),
            (ManagerKind::Npm, "added value", None),
            (ManagerKind::Pnpm, "Packages: +57", Some(57)),
            (ManagerKind::Pnpm, "Packages: +57 -3", Some(57)),
            (
                ManagerKind::Yarn,
                "➤ YN0013: │ 2 packages were added to the project (+ 17.46 KiB).",
                Some(2),
            ),
            (ManagerKind::Bun, "2 packages installed [15.00ms]", Some(2)),
            (ManagerKind::Bun, "1 package installed [1.00ms]", Some(1)),
            (ManagerKind::Bun, "+ ms@2.1.3", None),
        ] {
            assert_eq!(said(kind, line), wanted, "{line}");
        }
    }
}
