//! What the words of package managers mean, and what to do. Pure: lines in, advice out. npm's are in `npm_advice`.

use std::path::Path;

use super::npm_advice;
use crate::build::failure::StepFailure;
use crate::build::step::Unfinished;
use crate::config::ManagerKind;

/// What a failed command came from, in words.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Advice {
    /// The cause, where it can be told better than by the exit code.
    pub(super) cause: Option<String>,
    /// What to do, a line each.
    pub(super) hints: Vec<String>,
}

impl Advice {
    pub(super) fn of(cause: impl Into<String>, hint: impl Into<String>) -> Self {
        Self {
            cause: Some(cause.into()),
            hints: vec![hint.into()],
        }
    }

    pub(super) fn hint(hint: impl Into<String>) -> Self {
        Self {
            cause: None,
            hints: vec![hint.into()],
        }
    }
}

/// The words for what the author of an app does.
#[derive(Debug, Clone, Copy)]
pub(super) struct Words {
    /// Makes the lockfile true again, and adds what is missing.
    pub(super) install: &'static str,
    /// The lockfile.
    pub(super) lockfile: &'static str,
}

impl Words {
    pub(super) fn of(kind: ManagerKind) -> Self {
        let (install, lockfile) = match kind {
            ManagerKind::Npm => ("npm install", "package-lock.json"),
            ManagerKind::Pnpm => ("pnpm install", "pnpm-lock.yaml"),
            ManagerKind::Yarn1 | ManagerKind::Yarn => ("yarn install", "yarn.lock"),
            ManagerKind::Bun => ("bun install", "bun.lock"),
        };
        Self { install, lockfile }
    }
}

/// The failure with the cause in words and what to do, where the output of the package manager tells.
pub(in crate::build) fn explained(
    failed: Unfinished,
    release: &Path,
    kind: ManagerKind,
) -> StepFailure {
    let mut failure = failed.failure;
    if let Some(Advice { cause, hints }) = advise(kind, &failed.printed, release) {
        if let Some(cause) = cause {
            failure.cause = format!("{cause} ({})", failure.cause);
        }
        failure.hints.extend(hints);
    }
    failure
}

fn advise(kind: ManagerKind, printed: &[String], release: &Path) -> Option<Advice> {
    let npms = || npm_advice::advise(printed, release, Words::of(kind));
    match kind {
        ManagerKind::Npm => npms(),
        _ => by_table(kind, printed).or_else(npms),
    }
}

/// What is looked for in a line, what it means, and what to do.
type Row = (&'static str, &'static str, &'static str);

const PNPM: &[Row] = &[
    ("ERR_PNPM_OUTDATED_LOCKFILE", OUTDATED, SYNC),
    (
        "ERR_PNPM_LOCKFILE_CONFIG_MISMATCH",
        "pnpm-lock.yaml was made with other settings than the app has now",
        SYNC,
    ),
    (
        "ERR_PNPM_LOCKFILE_BREAKING_CHANGE",
        "this pnpm can't read pnpm-lock.yaml",
        "name the pnpm that has made it in packageManager of package.json, commit and push again",
    ),
    (
        "ERR_PNPM_IGNORED_BUILDS",
        "pnpm does not run install scripts that nobody has approved",
        "run `pnpm approve-builds`, commit what it writes and push again",
    ),
    (
        "ERR_PNPM_UNSUPPORTED_ENGINE",
        "`engines` asks for another node or pnpm",
        "correct engines in package.json, or name the pnpm in packageManager",
    ),
    ("ERR_PNPM_TARBALL_INTEGRITY", DIFFERENT, ANEW),
    ("ERR_PNPM_FETCH_404", GONE, NAME),
    ("ERR_PNPM_FETCH_401", WHO, TOKEN),
    ("ERR_PNPM_FETCH_403", WHO, TOKEN),
    ("ERR_PNPM_META_FETCH_FAIL", UNREACHABLE, NETWORK),
    ("ECONNREFUSED", UNREACHABLE, NETWORK),
    ("ENOTFOUND", UNREACHABLE, NETWORK),
];

const YARN1: &[Row] = &[
    ("Your lockfile needs to be updated", OUTDATED, SYNC),
    ("Integrity check failed", DIFFERENT, ANEW),
    (
        "is incompatible with this module",
        "a package asks for another version of node",
        "engines.node in package.json chooses the node: correct it, commit and push again",
    ),
    ("Request failed \"404", GONE, NAME),
    ("Request failed \"401", WHO, TOKEN),
    ("Request failed \"403", WHO, TOKEN),
    (
        "There appears to be trouble with your network connection",
        UNREACHABLE,
        NETWORK,
    ),
    ("ECONNREFUSED", UNREACHABLE, NETWORK),
    ("ENOTFOUND", UNREACHABLE, NETWORK),
];

const YARN: &[Row] = &[
    ("YN0018", DIFFERENT, ANEW),
    ("Response Code: 404", GONE, NAME),
    ("Response code 404", GONE, NAME),
    ("Response Code: 401", WHO, TOKEN),
    ("Response Code: 403", WHO, TOKEN),
    ("ECONNREFUSED", UNREACHABLE, NETWORK),
    ("ENOTFOUND", UNREACHABLE, NETWORK),
    ("YN0028", OUTDATED, SYNC),
];

const BUN: &[Row] = &[
    (
        "lockfile had changes, but lockfile is frozen",
        OUTDATED,
        SYNC,
    ),
    ("Integrity check failed", DIFFERENT, ANEW),
    (" - 404", GONE, NAME),
    (" - 401", WHO, TOKEN),
    (" - 403", WHO, TOKEN),
    ("ConnectionRefused", UNREACHABLE, NETWORK),
    ("FailedToOpenSocket", UNREACHABLE, NETWORK),
    ("DNSResolve", UNREACHABLE, NETWORK),
];

const OUTDATED: &str = "LOCKFILE does not match package.json";
const SYNC: &str = "run `INSTALL`, commit LOCKFILE and push again";
const DIFFERENT: &str = "a downloaded package is not the one that LOCKFILE names";
const ANEW: &str = "was it published again? `INSTALL` on your machine tells; commit its LOCKFILE. If it is well there, push with `-o no-cache`";
const GONE: &str = "the registry has no such package";
const NAME: &str = "correct its name or version in package.json, run `INSTALL`, commit LOCKFILE and push again; a private package needs a token in the home directory of the server's user";
const WHO: &str = "the registry wants to know who asks";
const TOKEN: &str = "a private package needs a token: put it into the settings in the home directory of the server's user, not into the repository";
const UNREACHABLE: &str = "the registry can't be reached from the server";
const NETWORK: &str = "`npm ping` on the server tells more; HTTPS_PROXY in the environment of `handover serve` is passed on. Then push again";

fn by_table(kind: ManagerKind, printed: &[String]) -> Option<Advice> {
    let table = match kind {
        ManagerKind::Npm => return None,
        ManagerKind::Pnpm => PNPM,
        ManagerKind::Yarn1 => YARN1,
        ManagerKind::Yarn => YARN,
        ManagerKind::Bun => BUN,
    };
    let found = table
        .iter()
        .find(|(text, _, _)| printed.iter().any(|line| line.contains(text)));
    let words = Words::of(kind);
    let filled = |text: &str| {
        text.replace("INSTALL", words.install)
            .replace("LOCKFILE", words.lockfile)
    };
    found.map(|(_, cause, hint)| Advice::of(filled(cause), filled(hint)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_usual_failure_has_its_cause_and_its_remedy() {
        for (kind, printed, cause, hint) in [
            (
                ManagerKind::Pnpm,
                " ERR_PNPM_OUTDATED_LOCKFILE  Cannot install with \"frozen-lockfile\"",
                "pnpm-lock.yaml does not match",
                "run `pnpm install`, commit pnpm-lock.yaml",
            ),
            (
                ManagerKind::Pnpm,
                "ERR_PNPM_IGNORED_BUILDS  Ignored build scripts: esbuild",
                "approved",
                "approve-builds",
            ),
            (
                ManagerKind::Yarn1,
                "error Your lockfile needs to be updated, but yarn was run with `--frozen-lockfile`.",
                "yarn.lock does not match",
                "run `yarn install`",
            ),
            (
                ManagerKind::Yarn,
                "➤ YN0028: │ The lockfile would have been modified by this install, which is explicitly forbidden.",
                "yarn.lock does not match",
                "commit yarn.lock",
            ),
            (
                ManagerKind::Yarn,
                "➤ YN0001: │ RequestError: connect ECONNREFUSED",
                "can't be reached",
                "npm ping",
            ),
            (
                ManagerKind::Bun,
                "error: lockfile had changes, but lockfile is frozen",
                "bun.lock does not match",
                "run `bun install`",
            ),
            (
                ManagerKind::Bun,
                "error: ConnectionRefused downloading package manifest ms",
                "can't be reached",
                "HTTPS_PROXY",
            ),
            (
                ManagerKind::Pnpm,
                "Error: Cannot find module 'lodash'",
                "`lodash` is not installed",
                "add it with `pnpm install`, commit package.json and pnpm-lock.yaml",
            ),
        ] {
            let lines = [printed.to_owned()];
            let advice = advise(kind, &lines, Path::new("/r/7")).unwrap();
            let told = advice.cause.unwrap();
            assert!(told.contains(cause), "{printed}\n→ {told}");
            assert!(
                advice.hints[0].contains(hint),
                "{printed}\n→ {:?}",
                advice.hints
            );
        }
    }
}
