//! The checks.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Finding, Result};
use crate::config::ServerSettings;
use crate::ids::AppName;
use crate::paths::Layout;
use crate::process::disk;
use crate::process::socket::group_id;
use crate::report::size_text;

/// Below this much free disk a deploy of a usual app may fail, in bytes.
const DISK_WANTED: u64 = 2_000_000_000;
/// Below this many free inodes `npm ci` may fail.
const INODES_WANTED: u64 = 100_000;

/// All of them, in the order in which things are needed.
pub(super) fn all(layout: &Layout) -> Vec<Finding> {
    let mut findings = vec![
        program(
            "git",
            (2, 29),
            "apt-get install git",
            "the gate (a failed deploy rejects the push) needs git 2.29",
        ),
        program(
            "node",
            (18, 0),
            "apt-get install nodejs npm",
            "node 18 is the oldest that handover is tested with",
        ),
        program(
            "npm",
            (8, 0),
            "apt-get install npm",
            "older ones may not read today's lockfiles",
        ),
        finding("home", writable(layout.home(), "--home")),
        finding("run", writable(layout.run(), "HANDOVER_RUN")),
        finding("sockets", socket_paths(layout)),
    ];
    findings.extend(free_space(layout.home()));
    findings.push(finding("settings", settings(layout)));
    findings
}

pub(super) fn finding(check: &str, result: Result) -> Finding {
    Finding {
        check: check.to_owned(),
        result,
    }
}

fn program(name: &'static str, wanted: (u32, u32), install: &str, why: &str) -> Finding {
    let result = match version_of(name) {
        None => Result::Bad {
            found: format!("there is no `{name}` in PATH"),
            remedy: format!(
                "{install}; if it is elsewhere, start the server with a PATH that leads there"
            ),
        },
        Some((text, version)) if version < wanted => Result::Warning {
            found: format!("{text} is old"),
            remedy: format!("{why}; install a newer one"),
        },
        Some((text, _)) => Result::Good { found: text },
    };
    finding(name, result)
}

/// What `name --version` prints, and the two first numbers in it.
fn version_of(name: &str) -> Option<(String, (u32, u32))> {
    let output = Command::new(name).arg("--version").output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout)
        .lines()
        .next()?
        .trim()
        .to_owned();
    let mut numbers = text
        .split(|c: char| !c.is_ascii_digit())
        .filter(|digits| !digits.is_empty())
        .map(str::parse);
    let major = numbers.next()?.ok()?;
    let minor = numbers.next()?.ok()?;
    Some((text, (major, minor)))
}

fn writable(dir: &Path, option: &str) -> Result {
    let probe = dir.join(format!(".doctor-{}", std::process::id()));
    if !dir.exists() {
        let parent = dir
            .ancestors()
            .find(|above| above.exists())
            .unwrap_or(Path::new("/"));
        return Result::Warning {
            found: format!("{} does not exist yet", dir.display()),
            remedy: format!(
                "`handover serve` makes it; it needs to write in {}",
                parent.display()
            ),
        };
    }
    match File::create_new(&probe).and_then(|_| std::fs::remove_file(&probe)) {
        Ok(()) => Result::Good {
            found: dir.display().to_string(),
        },
        Err(error) => Result::Bad {
            found: format!("{} can't be written: {error}", dir.display()),
            remedy: format!(
                "give it to the user that runs handover (chown), or choose another with {option}"
            ),
        },
    }
}

fn socket_paths(layout: &Layout) -> Result {
    let longest: AppName = "a"
        .repeat(AppName::MAX_LEN)
        .parse()
        .expect("31 letters are a name");
    let own = layout.check_sockets();
    let apps = layout.app(&longest).check_sockets();
    match (own, apps) {
        (Err(error), _) => Result::Bad {
            found: error.to_string(),
            remedy: "choose a shorter --home or HANDOVER_RUN".into(),
        },
        (Ok(()), Err(_)) => Result::Warning {
            found: format!(
                "{} leaves no room for long app names",
                layout.run().display()
            ),
            remedy: "short app names work; for long ones choose a shorter --home or HANDOVER_RUN"
                .into(),
        },
        (Ok(()), Ok(())) => Result::Good {
            found: "every app name fits into a socket path".into(),
        },
    }
}

fn free_space(home: &Path) -> [Finding; 2] {
    let existing = home
        .ancestors()
        .find(|above| above.exists())
        .map_or_else(|| PathBuf::from("/"), Path::to_owned);
    let remedy = "free some: old releases go with a smaller keep_releases; or choose another disk with --home";
    let judge = |enough: bool, found: String| {
        if enough {
            Result::Good { found }
        } else {
            Result::Warning {
                found,
                remedy: remedy.to_owned(),
            }
        }
    };
    match disk::free(&existing) {
        Ok(free) => [
            finding(
                "disk",
                judge(
                    free.bytes >= DISK_WANTED,
                    format!("{} free", size_text(free.bytes)),
                ),
            ),
            // Some file systems make inodes as they go, and say 0.
            finding(
                "inodes",
                judge(
                    !free.lacks_inodes(INODES_WANTED),
                    free.inodes
                        .map_or_else(|| "no limit".to_owned(), |count| format!("{count} free")),
                ),
            ),
        ],
        Err(error) => ["disk", "inodes"].map(|check| {
            finding(
                check,
                Result::Warning {
                    found: format!("can't be asked: {error}"),
                    remedy: "look with df".into(),
                },
            )
        }),
    }
}

fn settings(layout: &Layout) -> Result {
    let path = layout.settings();
    let parsed = match std::fs::read(path) {
        Ok(bytes) => ServerSettings::parse(path, &bytes),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Result::Good {
                found: format!(
                    "{} does not exist: the defaults are in force",
                    path.display()
                ),
            };
        }
        Err(error) => {
            return Result::Bad {
                found: format!("{}: {error}", path.display()),
                remedy: "make it readable".into(),
            };
        }
    };
    match parsed {
        Err(error) => Result::Bad {
            found: error.to_string(),
            remedy: "correct the file; it is read again at once".into(),
        },
        Ok(settings) => match &settings.front_group {
            Some(group) if !matches!(group_id(group), Ok(Some(_))) => Result::Bad {
                found: format!("front_group = \"{group}\": there is no such group"),
                remedy: "name the group that nginx's worker runs in (often www-data or nginx)"
                    .into(),
            },
            _ => Result::Good {
                found: path.display().to_string(),
            },
        },
    }
}
