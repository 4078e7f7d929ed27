//! What the npm registry has, asked by the system's npm.

use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use super::toolbox::Ask;
use crate::build::failure::StepFailure;
use crate::build::install::explained;
use crate::build::step::{Line, Step};
use crate::config::{ManagerKind, Version, VersionRange};
use crate::process::child::Spawn;
use crate::report::{Phase, Stream};

/// How long a question may take.
const LIMIT: Duration = Duration::from_secs(2 * 60);

/// A version that the registry has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Published {
    /// The version.
    pub(super) version: Version,
    /// `engines.node`, where it can be understood.
    pub(super) node: Option<VersionRange>,
}

/// The system's npm, and where it works.
pub(super) struct Registry<'a> {
    pub(super) npm: &'a Path,
    pub(super) ask: &'a Ask<'a>,
    /// A directory without any settings of an app.
    pub(super) cwd: &'a Path,
}

impl Registry<'_> {
    /// The versions of a package that lie in a range, whatever their order; none where there is no such package. For all
    /// versions (`*`) it is not told which node they need.
    pub(super) async fn versions(
        &self,
        package: &str,
        range: &str,
    ) -> Result<Vec<Published>, StepFailure> {
        let asked = match range {
            // npm takes it for the newest alone.
            "*" => package.to_owned(),
            range => format!("{package}@{range}"),
        };
        let args: &[&str] = match range {
            "*" => &["view", &asked, "versions", "--json"],
            _ => &["view", &asked, "version", "engines.node", "--json"],
        };
        let said = match self.npm(args, &format!("npm view {asked}"), LIMIT).await {
            Ok(said) => said,
            Err(failed) if failed.not_there => return Ok(Vec::new()),
            Err(failed) => return Err(failed.failure),
        };
        let said: Value = serde_json::from_str(&said).unwrap_or(Value::Null);
        Ok(match said {
            Value::Array(all) => all.iter().filter_map(published).collect(),
            one => published(&one).into_iter().collect(),
        })
    }

    /// Installs packages in a directory, with what they need of others. Their scripts are not run; npm checks their
    /// integrity.
    pub(super) async fn install(
        &self,
        packages: &[String],
        into: &Path,
    ) -> Result<(), StepFailure> {
        let prefix = format!("--prefix={}", into.display());
        let cache = format!("--cache={}", into.join(".cache").display());
        let mut args = vec![
            "install",
            "--ignore-scripts",
            "--no-save",
            "--no-package-lock",
            "--no-audit",
            "--no-fund",
            "--no-bin-links",
            "--omit=dev",
            "--include=optional",
            &prefix,
            &cache,
        ];
        args.extend(packages.iter().map(String::as_str));
        let words = format!("npm install {}", packages.join(" "));
        let installed = self.npm(&args, &words, self.ask.limit).await;
        installed.map(drop).map_err(|failed| failed.failure)
    }

    async fn npm(&self, args: &[&str], words: &str, limit: Duration) -> Result<String, Failed> {
        let mut env = self.ask.marked();
        for (name, value) in [
            ("npm_config_update_notifier", "false"),
            ("npm_config_loglevel", "error"),
            ("npm_config_fetch_retries", "1"),
            // An installed node may be older than a package asks for: it does not run it.
            ("npm_config_engine_strict", "false"),
        ] {
            env.entry(name.to_owned())
                .or_insert_with(|| value.to_owned());
        }
        env.insert(
            "npm_config_cache".to_owned(),
            self.cwd.join(".cache").to_string_lossy().into_owned(),
        );
        let step = Step {
            phase: Phase::Install,
            words: words.to_owned(),
            spawn: Spawn::new(self.npm).args(args).envs(env).cwd(self.cwd),
            limit,
        };
        let mut said = String::new();
        let mut hear = |line: Line| {
            if line.stream == Stream::Out {
                said.push_str(&line.text);
                said.push('\n');
            }
        };
        match step.run(&mut hear).await {
            Ok(_) => Ok(said),
            Err(unfinished) => {
                let mut printed = unfinished.printed.iter();
                let not_there = printed.any(|line| line.contains("code E404"));
                let mut failure = explained(unfinished, self.cwd, ManagerKind::Npm);
                // What npm thinks of its own code, and says again as JSON, helps nobody.
                failure
                    .last_lines
                    .retain(|line| line.starts_with("npm error") && !line.contains("     at "));
                Err(Failed { not_there, failure })
            }
        }
    }
}

/// An npm that did not do what it was to.
struct Failed {
    /// Because the registry has nothing of that name or version.
    not_there: bool,
    failure: StepFailure,
}

fn published(one: &Value) -> Option<Published> {
    let (version, node) = match one {
        // Where only the version is known, npm says just that.
        Value::String(version) => (version.as_str(), None),
        Value::Object(object) => (
            object.get("version")?.as_str()?,
            object.get("engines.node").and_then(Value::as_str),
        ),
        _ => return None,
    };
    Some(Published {
        version: version.parse().ok()?,
        node: node.and_then(|range| range.parse().ok()),
    })
}

/// The registry has no package of that name: it is one of the server's own that passes nothing on, for instance.
pub(super) fn no_package(package: &str, words: &str) -> StepFailure {
    StepFailure::new(
        Phase::Install,
        format!("{words} can't be fetched: the registry that the server's npm uses has no package {package}"),
    )
    .hint(format!(
        "install {words} on the server, in a directory of the PATH that `handover serve` was started with, or correct the registry of the server's npm: `npm config get registry`, as the user of `handover serve`, tells which it is"
    ))
}

/// The versions around what was wanted, for somebody who wants one that is not there: two below, two above, the newest.
pub(super) fn near(wanted: &str, all: &[Version]) -> Vec<Version> {
    let numbers: Vec<u64> = wanted
        .split(|c: char| !c.is_ascii_digit())
        .filter(|digits| !digits.is_empty())
        .take(3)
        .filter_map(|digits| digits.parse().ok())
        .collect();
    let of = |version: &Version| {
        let text = version.to_string();
        let numbers = text.split(['.', '-', '+']).take(3);
        numbers
            .filter_map(|number| number.parse().ok())
            .collect::<Vec<u64>>()
    };
    let mut sorted: Vec<&Version> = all.iter().filter(|one| !one.is_prerelease()).collect();
    sorted.sort();
    let first_above = sorted.partition_point(|version| of(version) < numbers);
    let around = first_above.saturating_sub(2)..sorted.len().min(first_above + 2);
    let mut near: Vec<Version> = sorted[around].iter().map(|&one| one.clone()).collect();
    near.extend(sorted.last().map(|&newest| newest.clone()));
    near.dedup();
    near
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_versions_around_a_wish_are_named() {
        let all: Vec<Version> = [
            "18.0.0",
            "20.9.0",
            "22.1.0",
            "22.2.0",
            "22.3.0",
            "26.0.0-rc.1",
            "25.0.0",
        ]
        .iter()
        .map(|text| text.parse().unwrap())
        .collect();
        let shown = |wanted| {
            let near = near(wanted, &all);
            near.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(
            shown("21"),
            ["18.0.0", "20.9.0", "22.1.0", "22.2.0", "25.0.0"]
        );
        assert_eq!(shown("v22.2.5"), ["22.1.0", "22.2.0", "22.3.0", "25.0.0"]);
        assert_eq!(shown(">=99"), ["22.3.0", "25.0.0"]);
        assert_eq!(shown("nothing"), ["18.0.0", "20.9.0", "25.0.0"]);
    }

    #[test]
    fn what_npm_says_of_versions_is_understood_in_each_of_its_forms() {
        let one = published(&serde_json::json!("1.2.3")).unwrap();
        assert_eq!(
            (one.version.to_string().as_str(), one.node),
            ("1.2.3", None)
        );
        let one =
            published(&serde_json::json!({"version": "9.0.0", "engines.node": ">=18"})).unwrap();
        assert!(one.node.unwrap().contains(&"20.0.0".parse().unwrap()));
        assert_eq!(published(&serde_json::json!({"error": {}})), None);
    }
}
