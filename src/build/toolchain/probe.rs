//! What a program that is installed is: found along a search path, asked once, remembered as long as its file is the same.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use super::program::{Libc, NodeProgram, Origin};
use crate::build::failure::StepFailure;
use crate::build::step::Step;
use crate::config::{Version, VersionRange};
use crate::process::child::Spawn;
use crate::report::{Phase, Stream};

/// How long a program may take to say its version.
const LIMIT: Duration = Duration::from_secs(60);

/// What a node is asked: for what can't be read from the outside.
pub const NODE_QUESTION: &str = "console.log(JSON.stringify({version:process.versions.node,abi:process.versions.modules,arch:process.arch,libc:((process.report&&process.report.getReport()||{}).header||{}).glibcVersionRuntime||null}))";

/// The first executable file of that name along a search path, as a shell would find it. Relative entries are left out:
/// they would mean the release. Blocks for some microseconds.
pub(super) fn find(program: &str, path: &str) -> Option<PathBuf> {
    path.split(':')
        .map(Path::new)
        .filter(|dir| dir.is_absolute())
        .map(|dir| dir.join(program))
        .find(|file| {
            fs::metadata(file)
                .is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
        })
}

/// Which file it is, and in which state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct FileIdentity {
    device: u64,
    inode: u64,
    bytes: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl FileIdentity {
    /// Symlinks are followed.
    pub(super) fn of(path: &Path) -> Option<Self> {
        let found = fs::metadata(path).ok()?;
        Some(Self {
            device: found.dev(),
            inode: found.ino(),
            bytes: found.size(),
            modified: (found.mtime(), found.mtime_nsec()),
            changed: (found.ctime(), found.ctime_nsec()),
        })
    }
}

/// What it answers.
#[derive(Debug, Clone, Deserialize)]
struct Answer {
    version: String,
    abi: String,
    arch: String,
    libc: Option<String>,
}

/// What a package manager says, or the package that it lies in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ManagerAnswer {
    pub(super) version: Version,
    /// `engines.node` of its package.
    pub(super) node: Option<VersionRange>,
}

/// A program, by its file and by the name that it was found under: the stand-ins of a version manager are links to one
/// program, which looks at the name that it was started by.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Known(PathBuf, FileIdentity);

impl Known {
    fn at(path: &Path) -> Option<Self> {
        FileIdentity::of(path).map(|identity| Self(path.to_owned(), identity))
    }
}

/// What was learned of programs.
#[derive(Debug, Default)]
pub(super) struct Probed {
    nodes: Mutex<HashMap<Known, Answer>>,
    managers: Mutex<HashMap<Known, ManagerAnswer>>,
}

impl Probed {
    /// Asks a node what it is.
    pub(super) async fn node(
        &self,
        path: &Path,
        origin: Origin,
        env: &BTreeMap<String, String>,
    ) -> Result<NodeProgram, StepFailure> {
        let program = Known::at(path);
        let known = program.as_ref();
        let known = known.and_then(|program| lock(&self.nodes).get(program).cloned());
        let answer = if let Some(answer) = known {
            answer
        } else {
            let said = ask(path, &["-e", NODE_QUESTION], env).await?;
            let answer: Answer =
                serde_json::from_str(&said).map_err(|_| unintelligible(path, &said))?;
            if let Some(program) = program {
                lock(&self.nodes).insert(program, answer.clone());
            }
            answer
        };
        Ok(NodeProgram {
            path: path.to_owned(),
            version: answer
                .version
                .parse()
                .map_err(|_| unintelligible(path, &answer.version))?,
            abi: answer.abi,
            arch: answer.arch,
            libc: answer.libc.map_or(Libc::Musl, Libc::Glibc),
            origin,
        })
    }

    /// What a package manager is: from the package that it lies in, else it is asked.
    pub(super) async fn manager(
        &self,
        command: &[PathBuf],
        env: &BTreeMap<String, String>,
    ) -> Result<ManagerAnswer, StepFailure> {
        let (Some(program), Some(script)) = (command.first(), command.last()) else {
            return Err(unintelligible(Path::new(""), ""));
        };
        let asked = Known::at(script);
        let known = asked.as_ref();
        if let Some(known) = known.and_then(|asked| lock(&self.managers).get(asked).cloned()) {
            return Ok(known);
        }
        // What lies in a repository is part of the app's package and of no other.
        let installed = command.len() == 1;
        let answer = if let Some(answer) = of_package(script).filter(|_| installed) {
            answer
        } else {
            let rest = command[1..].iter().map(|word| word.to_string_lossy());
            let args: Vec<_> = rest.chain(["--version".into()]).collect();
            let args: Vec<&str> = args.iter().map(AsRef::as_ref).collect();
            let said = ask(program, &args, env).await?;
            ManagerAnswer {
                version: said.parse().map_err(|_| unintelligible(script, &said))?,
                node: None,
            }
        };
        if let Some(asked) = asked {
            lock(&self.managers).insert(asked, answer.clone());
        }
        Ok(answer)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What stands in the `package.json` of the package manager that a script is part of.
fn of_package(script: &Path) -> Option<ManagerAnswer> {
    const NAMES: [&str; 4] = ["npm", "pnpm", "yarn", "@yarnpkg/cli-dist"];
    let real = script.canonicalize().ok()?;
    real.ancestors().skip(1).take(3).find_map(|dir| {
        let package = fs::read(dir.join("package.json")).ok()?;
        let package: Value = serde_json::from_slice(&package).ok()?;
        let name = package.get("name")?.as_str()?;
        if !NAMES.contains(&name) {
            return None;
        }
        Some(ManagerAnswer {
            version: package.get("version")?.as_str()?.parse().ok()?,
            node: needed_node(&package),
        })
    })
}

/// `engines.node` of a `package.json`, where it can be understood.
pub(super) fn needed_node(package: &Value) -> Option<VersionRange> {
    let range = package.get("engines")?.get("node")?.as_str()?;
    range.parse().ok()
}

/// Runs it, and gives the last line that it says. In `/`, so that no file of an app is obeyed.
async fn ask(
    program: &Path,
    args: &[&str],
    env: &BTreeMap<String, String>,
) -> Result<String, StepFailure> {
    let step = Step {
        phase: Phase::Install,
        words: format!("{} {}", program.display(), args.first().unwrap_or(&"")),
        spawn: Spawn::new(program).args(args).envs(env).cwd("/"),
        limit: LIMIT,
    };
    let mut said = String::new();
    let mut hear = |line: crate::build::step::Line| {
        if line.stream == Stream::Out && !line.text.trim().is_empty() {
            said = line.text;
        }
    };
    let ran = step.run(&mut hear).await;
    ran.map_err(|unfinished| unfinished.failure)?;
    Ok(said)
}

fn unintelligible(path: &Path, said: &str) -> StepFailure {
    StepFailure::new(
        Phase::Install,
        format!(
            "`{}` does not say what version it is, but `{said}`",
            path.display()
        ),
    )
    .hint("this is not the app's fault: run it on the server, and mend or remove it")
}

#[cfg(test)]
mod tests;
