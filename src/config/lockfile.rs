//! Lockfiles: whose they are, and whether they are whole. What is in them is the package manager's to judge.

use serde_json::Value;

use super::manager::{Manager, ManagerKind, Wanted};
use super::package::parse_object;
use super::problem::{ConfigError, Source};

/// The lockfiles that are known, each with its manager's plain name. Of one manager's, the first that is there counts.
pub const LOCKFILES: [(&str, &str); 6] = [
    ("npm-shrinkwrap.json", "npm"),
    ("package-lock.json", "npm"),
    ("pnpm-lock.yaml", "pnpm"),
    ("yarn.lock", "yarn"),
    ("bun.lock", "bun"),
    ("bun.lockb", "bun"),
];

/// Whether a lockfile could have been written by the manager that its name belongs to, and which versions of that
/// manager can read it.
pub fn check_lockfile(file: &'static str, bytes: &[u8]) -> Result<Manager, ConfigError> {
    let read = match file {
        "pnpm-lock.yaml" => pnpm(text(file, bytes, "pnpm install")?),
        "yarn.lock" => Ok(yarn(text(file, bytes, "yarn install")?)),
        "bun.lock" => bun(text(file, bytes, "bun install")?),
        "bun.lockb" => bun_binary(bytes),
        _ => npm(file, bytes),
    };
    let (kind, wanted) = read?;
    Ok(Manager {
        kind,
        lockfile: file,
        wanted,
        yarn_path: None,
        plug_and_play: kind == ManagerKind::Yarn,
    })
}

type Read = Result<(ManagerKind, Wanted), ConfigError>;

fn npm(file: &str, bytes: &[u8]) -> Read {
    let source = Source::new(file, bytes)?;
    let object = parse_object(source)?;
    if object.contains_key("packages")
        || object.contains_key("dependencies")
        || object.contains_key("lockfileVersion")
    {
        let version = object.get("lockfileVersion").and_then(Value::as_u64);
        // npm 6 looks for the `dependencies` that 3 has not.
        let wanted = match version {
            Some(3..) => Wanted::reading(">=7"),
            Some(_) | None => Wanted::Any,
        };
        return Ok((ManagerKind::Npm, wanted));
    }
    Err(not_one(
        source,
        "it has no `lockfileVersion`",
        "npm install --package-lock-only",
    ))
}

/// A lockfile that is text: not empty, without a merge conflict.
fn text<'t>(file: &'t str, bytes: &'t [u8], remedy: &str) -> Result<Source<'t>, ConfigError> {
    let source = Source::new(file, bytes)?;
    if source.text.trim().is_empty() {
        return Err(not_one(source, "it is empty", remedy));
    }
    let conflict = source.text.lines().position(|line| {
        ["<<<<<<< ", ">>>>>>> "]
            .iter()
            .any(|mark| line.starts_with(mark))
    });
    match conflict {
        None => Ok(source),
        Some(n) => Err(ConfigError::one(source.on_line(
            n + 1,
            format!("a merge conflict was left in the file; resolve it with `{remedy}`"),
        ))),
    }
}

fn not_one(source: Source<'_>, why: &str, remedy: &str) -> ConfigError {
    ConfigError::one(source.somewhere(format!(
        "this is not a lockfile: {why}; make it anew with `{remedy}`"
    )))
}

fn pnpm(source: Source<'_>) -> Read {
    let version = source
        .text
        .lines()
        .find_map(|line| line.strip_prefix("lockfileVersion:"))
        .map(|value| value.trim().trim_matches(['\'', '"']));
    let Some(version) = version else {
        let why = "it has no `lockfileVersion`";
        return Err(not_one(source, why, "pnpm install --lockfile-only"));
    };
    // https://pnpm.io: 5.4 is of pnpm 7, 6.0 of pnpm 8, 9.0 of pnpm 9 and all since.
    let range = match version.split('.').next().unwrap_or_default() {
        "5" => "^7",
        "6" => "^8",
        "9" => ">=9 <11",
        _ => ">=9",
    };
    Ok((ManagerKind::Pnpm, Wanted::reading(range)))
}

fn yarn(source: Source<'_>) -> (ManagerKind, Wanted) {
    if !source
        .text
        .lines()
        .any(|line| line.starts_with("__metadata:"))
    {
        return (ManagerKind::Yarn1, Wanted::reading("^1.22"));
    }
    let of_metadata = |key: &str| {
        let mut lines = source
            .text
            .lines()
            .skip_while(|line| !line.starts_with("__metadata:"))
            .skip(1)
            .take_while(|line| line.starts_with(' '));
        lines.find_map(|line| line.trim().strip_prefix(key)?.strip_prefix(':'))
    };
    let version = of_metadata("version").map_or("", str::trim);
    let prefixed = source.text.contains("  checksum: 10c0/");
    // A newer one would write the file anew, which a frozen install forbids. Found by trying them.
    let range = match version {
        "4" if of_metadata("cacheKey").is_some_and(|key| key.trim() == "8") => "~3.0",
        "4" => "~2.4",
        "5" => "~3.1",
        "6" => ">=3.2 <4",
        "8" if prefixed || !source.text.contains("  checksum:") => ">=4.1 <4.14",
        "8" => "~4.0",
        "9" => "~4.14",
        _ => ">=4.15",
    };
    (ManagerKind::Yarn, Wanted::reading(range))
}

fn bun(source: Source<'_>) -> Read {
    // JSON with commas after the last entries, which no parser here reads.
    if source.text.contains("\"lockfileVersion\"") {
        return Ok((ManagerKind::Bun, Wanted::reading(">=1.2")));
    }
    let why = "it has no `lockfileVersion`";
    Err(not_one(source, why, "bun install --lockfile-only"))
}

fn bun_binary(bytes: &[u8]) -> Read {
    const BEGINNING: &[u8] = b"#!/usr/bin/env bun\nbun-lockfile-format-v";
    if bytes.starts_with(BEGINNING) {
        return Ok((ManagerKind::Bun, Wanted::reading(">=1")));
    }
    let source = Source {
        file: "bun.lockb",
        text: "",
    };
    let why = "it does not begin as one";
    Err(not_one(source, why, "bun install"))
}
