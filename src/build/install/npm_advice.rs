//! What npm's words mean, and what to do. Pure: lines in, advice out.
//!
//! npm says `npm error code EUSAGE`, older ones `npm ERR! code EUSAGE`; what follows depends on the code. Where the
//! code is a number, a script of a package has ended with it.

use std::path::Path;

use super::advice::{Advice, Words};
use crate::build::failure::DISK_HINT;
use crate::config::ManagerKind;

/// The advice for what a failed `npm ci` or build has printed, if any is known. `release` is the app's directory.
pub(super) fn advise(printed: &[String], release: &Path, words: Words) -> Option<Advice> {
    let said = Said::of(printed);
    by_code(&said, release).or_else(|| by_words(&said, words))
}

/// The lines, with those of npm's errors apart.
struct Said<'p> {
    all: &'p [String],
    errors: Vec<&'p str>,
}

impl<'p> Said<'p> {
    fn of(all: &'p [String]) -> Self {
        let errors = all
            .iter()
            .filter_map(|line| {
                line.strip_prefix("npm error")
                    .or_else(|| line.strip_prefix("npm ERR!"))
            })
            .map(str::trim)
            .collect();
        Self { all, errors }
    }

    /// What follows this beginning in a line of npm's errors.
    fn after(&self, beginning: &str) -> Option<&'p str> {
        self.errors
            .iter()
            .find_map(|line| line.strip_prefix(beginning).map(str::trim))
    }

    /// What follows this text in any line.
    fn behind(&self, text: &str) -> Option<&'p str> {
        self.all
            .iter()
            .find_map(|line| line.split_once(text).map(|(_, rest)| rest.trim()))
    }

    fn contains(&self, text: &str) -> bool {
        self.all.iter().any(|line| line.contains(text))
    }
}

fn by_code(said: &Said<'_>, release: &Path) -> Option<Advice> {
    let code = said.after("code ")?;
    Some(match code {
        "EUSAGE" => out_of_sync(said)?,
        "E404" => not_there(said),
        "ETARGET" => Advice::of(
            said.after("notarget ")
                .map_or("no such version", |line| line.trim_end_matches('.')),
            "correct the version in package.json, run `npm install`, commit package-lock.json and push again",
        ),
        "E401" | "E403" | "ENEEDAUTH" => Advice::of(
            "the registry wants to know who asks",
            "a private package needs a token: put a .npmrc with it in the home directory of the server's user, not into the repository",
        ),
        "EINTEGRITY" => Advice::of(
            "a downloaded package is not the one that package-lock.json names",
            "was it published again? `npm install` on your machine tells; commit its package-lock.json. If it is well there, remove the app's cache/npm on the server",
        ),
        "ENOTFOUND" | "ECONNREFUSED" | "ECONNRESET" | "ETIMEDOUT" | "EAI_AGAIN" | "ENETUNREACH"
        | "EHOSTUNREACH" | "ERR_SOCKET_TIMEOUT" | "FETCH_ERROR" => Advice::of(
            "the registry can't be reached from the server",
            "`npm ping` on the server tells more; HTTPS_PROXY in the environment of `handover serve` is passed on to npm. Then push again",
        ),
        "ENOSPC" => Advice::of("the disk is full", DISK_HINT),
        "EBADENGINE" => wrong_engine(said),
        "EBADPLATFORM" => Advice::of(
            said.after("notsup ")
                .unwrap_or("a package is made for another platform"),
            "move it to optionalDependencies, run `npm install`, commit package.json and package-lock.json and push again",
        ),
        "ERESOLVE" => Advice::of(
            "the versions that the packages ask of each other contradict",
            "if it installs on your machine, put `legacy-peer-deps=true` into .npmrc, commit and push again",
        ),
        _ if said.contains("unknown git error") || said.contains("spawn git") => Advice::of(
            "a dependency comes from a git repository that the server can't fetch",
            "give the server's user access to it (an SSH key), or publish it as a package",
        ),
        _ if said.errors.contains(&"command failed") => failed_script(said, release),
        _ => return None,
    })
}

fn out_of_sync(said: &Said<'_>) -> Option<Advice> {
    if !said.contains("are in sync") {
        return None;
    }
    let missing: Vec<_> = said
        .errors
        .iter()
        .filter_map(|line| line.strip_prefix("Missing: ")?.split(' ').next())
        .collect();
    let cause = "package-lock.json does not match package.json";
    if !missing.is_empty() && missing.iter().all(|name| is_for_a_platform(name)) {
        return Some(Advice {
            cause: Some(format!("{cause}: it lacks {}", missing[0])),
            hints: vec![platform_hint(Words::of(ManagerKind::Npm))],
        });
    }
    Some(Advice::of(
        cause,
        "run `npm install`, commit package-lock.json and push again",
    ))
}

fn platform_hint(words: Words) -> String {
    let Words { install, lockfile } = words;
    format!(
        "the lockfile was made on another kind of machine and lacks optional packages for this one: remove node_modules and {lockfile}, run `{install}`, commit {lockfile} and push again"
    )
}

/// Whether a package's name says that it is one of several, each for a platform: `@esbuild/linux-x64@0.25.0`.
fn is_for_a_platform(name: &str) -> bool {
    const PARTS: [&str; 10] = [
        "linux", "darwin", "win32", "android", "freebsd", "musl", "gnu", "wasm32", "arm64", "x64",
    ];
    name.split(['-', '/', '@', '.', '_'])
        .any(|part| PARTS.contains(&part))
}

fn not_there(said: &Said<'_>) -> Advice {
    let name = said
        .errors
        .iter()
        .filter(|line| line.starts_with("404"))
        .find_map(|line| line.split('\'').nth(1));
    let cause = match name {
        Some(name) => format!("the registry has no `{name}`"),
        None => "the registry has no such package".to_owned(),
    };
    Advice::of(
        cause,
        "correct the name in package.json; if the package is private, put a .npmrc with a token in the home directory of the server's user",
    )
}

fn wrong_engine(said: &Said<'_>) -> Advice {
    let named = |beginning| said.after(beginning).unwrap_or("another version");
    Advice::of(
        format!(
            "`engines` asks for {}, the server has {}",
            named("notsup Required:"),
            named("notsup Actual:")
        ),
        "`engines.node` of the app's package.json chooses the node: let it allow that version, or widen `engines`",
    )
}

/// An install script ended with a number.
fn failed_script(said: &Said<'_>, release: &Path) -> Advice {
    let path = said.after("path ").unwrap_or_default();
    let command = said
        .after("command sh -c ")
        .or_else(|| said.after("command "))
        .unwrap_or_default();
    let whose = match path.rsplit_once("node_modules/") {
        Some((_, package)) => format!("an install script of the package `{package}`"),
        None if Path::new(path) == release => "an install script of the app itself".to_owned(),
        None => "an install script".to_owned(),
    };
    let npms = Words::of(ManagerKind::Npm);
    let mut advice = by_words(said, npms).unwrap_or_default();
    advice.cause = Some(format!("{whose} failed: `{command}`"));
    if advice.hints.is_empty() {
        advice.hints.push("its own words are above".to_owned());
    }
    advice
}

/// What is recognised by its words whoever printed them.
fn by_words(said: &Said<'_>, words: Words) -> Option<Advice> {
    if said.contains("ENOSPC") || said.contains("No space left on device") {
        return Some(Advice::of("the disk is full", DISK_HINT));
    }
    if said.contains("JavaScript heap out of memory") {
        return Some(Advice::of(
            "node ran out of memory",
            "allow it more, as \"build\": \"NODE_OPTIONS=--max-old-space-size=4096 …\" in package.json, if the server has it",
        ));
    }
    if said.contains("gyp ERR!") || said.contains("node-gyp") {
        return Some(Advice::hint(
            "it compiles native code: the server needs python3, make and a C++ compiler (`apt install python3 make g++`)",
        ));
    }
    if let Some(rest) = said.behind("Cannot find module ") {
        let module = rest.split(['\'', '"']).nth(1)?;
        return Some(if is_for_a_platform(module) {
            let cause = format!("`{module}` is not installed");
            let mut advice = Advice::of(cause, platform_hint(words));
            // Package managers go on without it where it can't be fetched, and what they made may be stored.
            advice.hints.push(
                "if the lockfile has it: `git push -o no-cache` installs all of them anew"
                    .to_owned(),
            );
            advice
        } else if module.starts_with(['.', '/', '~', '#']) || module.starts_with("@/") {
            Advice::hint(format!(
                "is `{module}` committed under exactly this name? On Linux upper and lower case differ, and .gitignore may leave it out"
            ))
        } else {
            Advice::of(
                format!("`{module}` is not installed"),
                format!(
                    "add it with `{}`, commit package.json and {} and push again",
                    words.install, words.lockfile
                ),
            )
        });
    }
    let program = said.all.iter().find_map(|line| missing_program(line))?;
    Some(Advice::of(
        format!("there is no program `{program}`"),
        "is the package that has it among the dependencies, and not left out by [install] omit?",
    ))
}

/// The program in `sh: 1: vite: not found` (dash) or `sh: vite: command not found` (bash).
fn missing_program(line: &str) -> Option<&str> {
    let line = line.strip_prefix("npm error").unwrap_or(line).trim();
    let rest = line
        .strip_suffix(": not found")
        .or_else(|| line.strip_suffix(": command not found"))?;
    let (shell, program) = rest.rsplit_once(": ")?;
    let shell = shell.split(':').next()?;
    (shell.ends_with("sh") && !program.contains(' ')).then_some(program)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn advice(printed: &str) -> Advice {
        let lines: Vec<_> = printed.lines().map(str::to_owned).collect();
        advise(&lines, Path::new("/r/7"), Words::of(ManagerKind::Npm))
            .unwrap_or_else(|| panic!("no advice for {printed}"))
    }

    #[test]
    fn each_usual_failure_has_its_cause_and_its_remedy() {
        for (printed, cause, hint) in [
            (
                "npm error code EUSAGE\nnpm error\nnpm error `npm ci` can only install packages when your package.json and package-lock.json or npm-shrinkwrap.json are in sync.\nnpm error Missing: is-number@7.0.0 from lock file",
                "package-lock.json does not match package.json",
                "run `npm install`, commit package-lock.json",
            ),
            (
                "npm ERR! code EUSAGE\nnpm ERR! `npm ci` can only install packages when your package.json and package-lock.json are in sync.\nnpm ERR! Missing: @esbuild/linux-x64@0.25.0 from lock file\nnpm ERR! Missing: @rollup/rollup-linux-x64-gnu@4.0.0 from lock file",
                "it lacks @esbuild/linux-x64@0.25.0",
                "remove node_modules and package-lock.json",
            ),
            (
                "npm error code E404\nnpm error 404 Not Found - GET https://registry.example/lod-ash\nnpm error 404\nnpm error 404  The requested resource 'lod-ash@7.0.0' could not be found",
                "the registry has no `lod-ash@7.0.0`",
                "correct the name",
            ),
            (
                "npm error code ETARGET\nnpm error notarget No matching version found for is-number@99.0.0.",
                "No matching version found for is-number@99.0.0",
                "correct the version",
            ),
            (
                "npm error code EINTEGRITY\nnpm error Integrity checksum failed when using sha512",
                "is not the one that package-lock.json names",
                "npm install",
            ),
            (
                "npm error code ECONNREFUSED\nnpm error syscall connect",
                "can't be reached",
                "npm ping",
            ),
            (
                "npm error code EBADENGINE\nnpm error engine Unsupported engine\nnpm error notsup Required: {\"node\":\">=99\"}\nnpm error notsup Actual:   {\"node\":\"v20.20.2\"}",
                "`engines` asks for {\"node\":\">=99\"}, the server has {\"node\":\"v20.20.2\"}",
                "widen `engines`",
            ),
            (
                "npm error code EBADPLATFORM\nnpm error notsup Unsupported platform for dep@1.0.0: wanted {\"os\":\"darwin\"}",
                "Unsupported platform for dep@1.0.0",
                "optionalDependencies",
            ),
            (
                "npm error code ERESOLVE\nnpm error ERESOLVE could not resolve",
                "contradict",
                "legacy-peer-deps=true",
            ),
            (
                "npm error code ENOSPC\nnpm error syscall write",
                "the disk is full",
                "df -h",
            ),
            (
                "npm error code 128\nnpm error An unknown git error occurred\nnpm error command git ls-remote",
                "git repository",
                "SSH key",
            ),
            (
                "npm error code 1\nnpm error path /r/7/node_modules/@x/native\nnpm error command failed\nnpm error command sh -c node-gyp rebuild\nnpm error gyp ERR! find Python",
                "an install script of the package `@x/native` failed: `node-gyp rebuild`",
                "python3",
            ),
            (
                "npm error code 3\nnpm error path /r/7\nnpm error command failed\nnpm error command sh -c exit 3",
                "an install script of the app itself failed: `exit 3`",
                "above",
            ),
            (
                "> a@1.0.0 build\n> vite build\n\nsh: 1: vite: not found",
                "there is no program `vite`",
                "[install] omit",
            ),
            (
                "Error: Cannot find module '@rollup/rollup-linux-x64-gnu'",
                "`@rollup/rollup-linux-x64-gnu` is not installed",
                "package-lock.json",
            ),
            (
                "Error: Cannot find module 'lodash'",
                "`lodash` is not installed",
                "add it with `npm install`",
            ),
            (
                "error TS2307: Cannot find module './Button' or its corresponding type declarations.",
                "",
                "upper and lower case differ",
            ),
            (
                "FATAL ERROR: Reached heap limit Allocation failed - JavaScript heap out of memory",
                "node ran out of memory",
                "max-old-space-size",
            ),
        ] {
            let advice = advice(printed);
            let told = advice.cause.unwrap_or_default();
            assert!(told.contains(cause), "{printed}\n→ {told}");
            let hints = advice.hints.join("\n");
            assert!(hints.contains(hint), "{printed}\n→ {hints}");
        }
    }

    #[test]
    fn what_is_not_known_gets_no_advice() {
        for printed in [
            "",
            "src/x.ts(1,1): error TS2304: Cannot find name 'y'.",
            "the page was not found",
            "npm error code EUSAGE\nnpm error other",
        ] {
            let lines: Vec<_> = printed.lines().map(str::to_owned).collect();
            assert_eq!(
                advise(&lines, Path::new("/r/7"), Words::of(ManagerKind::Npm)),
                None,
                "{printed}"
            );
        }
    }
}
