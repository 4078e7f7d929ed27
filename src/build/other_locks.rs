//! What the lockfiles of pnpm, yarn and bun leave open: packages that come from outside of the repository, and for whose
//! content no checksum stands there.

use crate::config::ManagerKind;

/// What of this lockfile's packages may be another at the next install, each as it is named there.
pub(super) fn floating(kind: ManagerKind, lock: &str) -> Vec<String> {
    let unfixed = match kind {
        ManagerKind::Npm => Vec::new(),
        ManagerKind::Pnpm => of_pnpm(lock),
        ManagerKind::Yarn1 => of_entries(lock, "resolved \"", &["integrity "]),
        ManagerKind::Yarn => of_entries(lock, "resolution: \"", &["checksum: "]),
        ManagerKind::Bun => of_bun(lock),
    };
    let mut all: Vec<String> = lock.lines().filter_map(from_outside).collect();
    all.extend(unfixed);
    all.sort();
    all.dedup();
    all
}

/// A directory or archive that is copied from outside of the repository.
fn from_outside(line: &str) -> Option<String> {
    let paths = ["file:", "directory: "].iter().flat_map(|mark| {
        let found = line.match_indices(mark);
        found.map(|(at, mark)| name_at(&line[at + mark.len()..]))
    });
    paths
        .filter(|path| path.starts_with(['/', '~']) || path.starts_with(".."))
        .map(|path| format!("file:{path}"))
        .next()
}

/// One line has all of a package: `resolution: {integrity: sha512-…, tarball: https://…}`.
fn of_pnpm(lock: &str) -> Vec<String> {
    let open = lock.lines().filter(|line| !line.contains("integrity: "));
    let names = open.filter_map(|line| {
        let (_, rest) = line
            .split_once("tarball: ")
            .or_else(|| line.split_once("repo: "))?;
        Some(name_at(rest).to_owned())
    });
    names.collect()
}

/// One line has all of a package: `"a": ["a@https://…", {}, "sha512-…"]`. Of a binary one only the addresses can be read:
/// what is not as registries have it may have no checksum.
fn of_bun(lock: &str) -> Vec<String> {
    if lock.starts_with(BUN_BINARY) {
        let words = lock.split(|c: char| c.is_control() || c.is_whitespace() || c == '\u{fffd}');
        let addresses = words.filter_map(|word| Some(&word[remote_at(word)?..]));
        return addresses
            .filter(|address| !address.contains("/-/") && !address.ends_with('/'))
            .map(|address| name_at(address).to_owned())
            .collect();
    }
    let open = lock.lines().filter(|line| !line.contains("\"sha512-"));
    let names = open.filter_map(|line| {
        let (_, package) = line.split_once(": [\"")?;
        let name = package.split('"').next()?;
        is_remote(name).then(|| name.to_owned())
    });
    names.collect()
}

/// Packages are set apart by empty lines, and have a line that says where they come from.
fn of_entries(lock: &str, from: &str, fixed_by: &[&str]) -> Vec<String> {
    let names = lock.split("\n\n").filter_map(|entry| {
        let is_fixed = entry.lines().any(|line| {
            fixed_by
                .iter()
                .any(|mark| line.trim_start().starts_with(mark))
        });
        let (_, rest) = entry.split_once(from)?;
        let name = rest.split('"').next()?;
        let is_open = !is_fixed && is_remote(name) && !has_sum(name);
        is_open.then(|| name.to_owned())
    });
    names.collect()
}

/// How the address of something begins that does not come from a registry by its name.
const SCHEMES: [&str; 7] = [
    "http://", "https://", "git@", "git:", "git+", "github:", "ssh:",
];
/// How a `bun.lockb` begins.
const BUN_BINARY: &str = "#!/usr/bin/env bun";

fn is_remote(name: &str) -> bool {
    SCHEMES
        .iter()
        .any(|scheme| name.starts_with(scheme) || name.contains(&format!("@{scheme}")))
}

/// Where in a text an address begins.
fn remote_at(text: &str) -> Option<usize> {
    let found = SCHEMES.iter().filter_map(|scheme| text.find(scheme));
    found.min()
}

/// yarn 1 writes the checksum of an archive behind its address.
fn has_sum(name: &str) -> bool {
    let is_archive = name.starts_with("http");
    let sum = name.rsplit_once('#').map(|(_, sum)| sum);
    is_archive
        && sum.is_some_and(|sum| sum.len() == 40 && sum.bytes().all(|b| b.is_ascii_hexdigit()))
}

/// Up to where a path or an address ends.
fn name_at(text: &str) -> &str {
    let ends = |c: char| c.is_whitespace() || matches!(c, '"' | '\'' | ',' | '}' | ')' | '#');
    text.split(ends)
        .next()
        .unwrap_or(text)
        .trim_end_matches(':')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_a_checksum_or_lies_in_the_repository_is_fixed() {
        let pnpm = "packages:\n\n  ms@2.1.3:\n    resolution: {integrity: sha512-x}\n\n  a@https://h/a.tgz:\n    resolution: {integrity: sha512-x, tarball: https://h/a.tgz}\n\n  own@file:own:\n    resolution: {directory: own, type: directory}\n";
        assert!(floating(ManagerKind::Pnpm, pnpm).is_empty());
        let yarn1 = "ms@^2:\n  version \"2.1.3\"\n  resolved \"https://r/ms.tgz#574c8138ce1d2b5861f0b44579dbadd60c6615b2\"\n  integrity sha512-x\n\nold@1:\n  version \"1.0.0\"\n  resolved \"https://r/old.tgz#574c8138ce1d2b5861f0b44579dbadd60c6615b2\"\n\n\"own@file:own\":\n  version \"1.0.0\"\n";
        assert!(floating(ManagerKind::Yarn1, yarn1).is_empty());
        let yarn = "\"ms@npm:^2\":\n  version: 2.1.3\n  resolution: \"ms@npm:2.1.3\"\n  checksum: 10c0/x\n  languageName: node\n\n\"a@https://h/a.tgz\":\n  version: 1.0.0\n  resolution: \"a@https://h/a.tgz\"\n  checksum: 10c0/x\n\n\"app@workspace:.\":\n  resolution: \"app@workspace:.\"\n";
        assert!(floating(ManagerKind::Yarn, yarn).is_empty());
        let bun = "    \"ms\": [\"ms@2.1.3\", \"\", {}, \"sha512-x==\"],\n    \"own\": [\"own@file:own\", {}],\n    \"b\": [\"b@workspace:packages/b\"],\n";
        assert!(floating(ManagerKind::Bun, bun).is_empty());
    }

    #[test]
    fn of_a_binary_lockfile_every_address_floats_that_is_not_a_registrys() {
        let lock = |address: &str| {
            format!("#!/usr/bin/env bun\nbun-lockfile-format-v0\n\u{fffd}\0{address}\0ms\0")
        };
        assert!(floating(ManagerKind::Bun, &lock("sha512")).is_empty());
        assert!(floating(ManagerKind::Bun, &lock("https://r/ms/-/ms-2.1.3.tgz")).is_empty());
        for address in ["https://h/a.tgz", "github:a/b", "git+ssh://git@h/c.git"] {
            assert_eq!(floating(ManagerKind::Bun, &lock(address)), [address]);
        }
    }

    #[test]
    fn what_comes_from_outside_or_without_a_checksum_floats() {
        let cases = [
            (
                ManagerKind::Pnpm,
                "  lib@file:../lib:\n    resolution: {directory: ../lib, type: directory}\n",
                "file:../lib",
            ),
            (
                ManagerKind::Pnpm,
                "    resolution: {tarball: https://codeload.github.com/a/b/tar.gz/0123}\n",
                "https://codeload.github.com/a/b/tar.gz/0123",
            ),
            (
                ManagerKind::Pnpm,
                "    resolution: {commit: 0123, repo: https://h/b.git, type: git}\n",
                "https://h/b.git",
            ),
            (
                ManagerKind::Yarn1,
                "\"lib@file:/opt/lib\":\n  version \"1.0.0\"\n",
                "file:/opt/lib",
            ),
            (
                ManagerKind::Yarn1,
                "\"a@https://h/a.tgz\":\n  version \"1.0.0\"\n  resolved \"https://h/a.tgz\"\n",
                "https://h/a.tgz",
            ),
            (
                ManagerKind::Yarn1,
                "a@b/c:\n  resolved \"git+ssh://git@h/c.git#574c8138ce1d2b5861f0b44579dbadd60c6615b2\"\n",
                "git+ssh://git@h/c.git#574c8138ce1d2b5861f0b44579dbadd60c6615b2",
            ),
            (
                ManagerKind::Yarn,
                "\"a@https://h/a.git\":\n  resolution: \"a@https://h/a.git#commit=0123\"\n  languageName: node\n",
                "a@https://h/a.git#commit=0123",
            ),
            (
                ManagerKind::Yarn,
                "\"lib@file:../lib::locator=app%40workspace%3A.\":\n  version: 1.0.0\n",
                "file:../lib::locator=app%40workspace%3A.",
            ),
            (
                ManagerKind::Bun,
                "    \"a\": [\"a@github:b/c#0123\", {}, \"b-c-0123\"],\n",
                "a@github:b/c#0123",
            ),
            (
                ManagerKind::Bun,
                "    \"lib\": [\"lib@file:../lib\", {}],\n",
                "file:../lib",
            ),
        ];
        for (kind, lock, name) in cases {
            assert_eq!(floating(kind, lock), [name], "{lock}");
        }
    }
}
