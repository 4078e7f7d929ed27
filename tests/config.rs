//! What people write down is understood, or refused with its place and what would be right.

#![allow(clippy::unwrap_used)] // a panic is how a test fails

use std::path::Path;

use handover::config::{
    AppConfig, ConfigError, LOCKFILES, NodeWishes, PackageJson, Procfile, ServerSettings,
    check_lockfile,
};
use proptest::prelude::*;

#[path = "config/app.rs"]
mod app_settings;
#[path = "config/package.rs"]
mod package;
#[path = "config/plan.rs"]
mod plan;
#[path = "config/server.rs"]
mod server_settings;
#[path = "config/tools.rs"]
mod tools;

fn app(toml: &str) -> Result<AppConfig, ConfigError> {
    AppConfig::parse(toml.as_bytes())
}

fn server(toml: &str) -> Result<ServerSettings, ConfigError> {
    ServerSettings::parse(Path::new("/etc/handover/handover.toml"), toml.as_bytes())
}

fn refusal<T: std::fmt::Debug>(result: Result<T, ConfigError>) -> String {
    result.unwrap_err().to_string()
}

proptest! {
    #[test]
    fn no_text_makes_a_parser_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = AppConfig::parse(&bytes);
        let _ = Procfile::parse(&bytes);
        let _ = PackageJson::parse(&bytes);
        for (lockfile, _) in LOCKFILES {
            let _ = check_lockfile(lockfile, &bytes);
        }
        let _ = NodeWishes::parse(None, Some(&bytes), Some(&bytes));
    }

    #[test]
    fn nothing_toml_like_makes_a_message_of_more_than_a_line_a_problem(
        section in "(web|health|drain|x|\")", key in "(path|timeout|for|omit|\\PC{0,6})", value in "\\PC{0,20}"
    ) {
        if let Err(error) = app(&format!("[{section}]\n{key} = {value}\n")) {
            prop_assert!(!error.problems().is_empty());
            for problem in error.problems() {
                prop_assert!(!problem.to_string().chars().any(char::is_control), "{problem:?}");
            }
        }
    }

    #[test]
    fn a_procfile_that_is_accepted_says_the_same_when_written_again(text in "([a-z]{0,3}:? ?[a-z $:]{0,8}\n){0,5}") {
        if let Ok(procfile) = Procfile::parse(text.as_bytes()) {
            let lines: Vec<_> = procfile.types().iter().map(|t| format!("{}: {}", t.name, t.command)).collect();
            let again = lines.join("\n");
            let again = Procfile::parse(again.as_bytes()).unwrap();
            let plain = |p: &Procfile| p.types().iter().map(|t| (t.name.clone(), t.command.clone())).collect::<Vec<_>>();
            prop_assert_eq!(plain(&again), plain(&procfile));
        }
    }
}
