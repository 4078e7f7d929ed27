//! The `git` of this server, which receives the pushes.

use std::process::{Command, Stdio};

/// The oldest git that knows the hook `proc-receive`, and with it the gate.
pub const GATE_NEEDS: (u32, u32) = (2, 29);

/// The version of the `git` that this `PATH` leads to; nothing where there is none that says so. Blocks.
pub fn version(path: &str) -> Option<(u32, u32)> {
    let output = Command::new("git")
        .arg("--version")
        .env_clear()
        .env("PATH", path)
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    parse(std::str::from_utf8(&output.stdout).ok()?)
}

/// `git version 2.47.3` and what some builds add to it.
fn parse(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.strip_prefix("git version ")?.split('.');
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_all_kinds_of_builds_are_understood() {
        assert_eq!(parse("git version 2.47.3\n"), Some((2, 47)));
        assert_eq!(parse("git version 2.39.5 (Apple Git-154)\n"), Some((2, 39)));
        assert_eq!(parse("git version 2.30.rc1\n"), Some((2, 30)));
        assert_eq!(parse("something else"), None);
    }

    #[test]
    fn the_git_that_runs_these_tests_is_found() {
        assert!(version(&std::env::var("PATH").unwrap()).is_some());
        assert_eq!(version("/nowhere"), None);
    }
}
