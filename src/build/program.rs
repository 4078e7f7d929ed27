//! Where node and npm are.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

/// The programs that installing and building need.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Programs {
    /// `node`.
    pub node: PathBuf,
    /// `npm`.
    pub npm: PathBuf,
}

/// A program is not where the server looks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no `{program}` on the server (PATH is `{path}`)")]
pub struct ProgramsError {
    /// `node` or `npm`.
    pub program: &'static str,
    /// Where it was looked for.
    pub path: String,
}

impl ProgramsError {
    /// What to do about it.
    pub const HINT: &'static str = "install Node.js on the server (npm comes with it), in a directory of the PATH that `handover serve` was started with";
}

impl Programs {
    /// Looks along a search path, as a shell would. Blocks for some microseconds.
    pub fn find(path: &str) -> Result<Self, ProgramsError> {
        let find = |program| {
            find(program, path).ok_or_else(|| ProgramsError {
                program,
                path: path.to_owned(),
            })
        };
        Ok(Self {
            node: find("node")?,
            npm: find("npm")?,
        })
    }
}

/// The first executable file of that name. Relative entries of the path are left out: they would mean the release.
fn find(program: &str, path: &str) -> Option<PathBuf> {
    path.split(':')
        .map(Path::new)
        .filter(|dir| dir.is_absolute())
        .map(|dir| dir.join(program))
        .find(|file| {
            fs::metadata(file)
                .is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
        })
}
