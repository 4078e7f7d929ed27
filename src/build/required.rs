//! The files without which nothing can be installed, looked at before anything runs.

use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use super::toolchain::Record;
use crate::config::{
    AppConfig, AppFiles, AppSources, ConfigError, LOCKFILES, Manager, ManagerError, NamedManager,
    NodeSource, PackageJson, Procfile, ToolSources, check_lockfile,
};
use crate::git::GitError;

/// The largest file of each kind, in bytes.
const SETTINGS_MAX: u64 = 1 << 20;
const LOCKFILE_MAX: u64 = 64 << 20;
/// The settings of yarn 2 and newer.
const YARNRC: &str = ".yarnrc.yml";

/// What an app's repository must have and has not. Each is for the app's author.
#[derive(Debug, thiserror::Error)]
pub enum RequiredError {
    /// There is no `package.json` at the top.
    #[error("there is no package.json at the top of the repository")]
    NoPackageJson,
    /// There is no lockfile.
    #[error("there is no {}", lockfile_of(*named))]
    NoLockfile {
        /// What `packageManager` names: npm, pnpm, yarn or bun.
        named: Option<&'static str>,
    },
    /// It can't be told which package manager is meant.
    #[error(transparent)]
    Manager(#[from] ManagerError),
    /// The name belongs to a directory or a symlink.
    #[error("{file} is not a regular file")]
    NotAFile {
        /// The file.
        file: &'static str,
    },
    /// The file is larger than any such file should be.
    #[error("{file} has {bytes} bytes; {limit} are allowed")]
    TooLarge {
        /// The file.
        file: &'static str,
        /// Its size.
        bytes: u64,
        /// The limit.
        limit: u64,
    },
    /// What a file says is wrong.
    #[error(transparent)]
    Broken(#[from] ConfigError),
    /// The repository can't be read.
    #[error(transparent)]
    Git(#[from] GitError),
    /// The system refused to read it.
    #[error("read `{path}`", path = path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

impl RequiredError {
    /// What to do about it.
    pub fn hint(&self) -> String {
        match self {
            Self::NoPackageJson => {
                "handover deploys Node.js apps: `npm init` makes a package.json; commit it and push again".to_owned()
            }
            Self::NoLockfile { named } => {
                let (manager, file) = (named.unwrap_or("npm"), lockfile_of(*named));
                format!("run `{manager} install`, commit {file} (.gitignore must not name it) and push again")
            }
            Self::Manager(error) => error.hint(),
            Self::NotAFile { file } => {
                format!("put the file itself in the place of {file}, commit and push again")
            }
            Self::TooLarge { .. } | Self::Broken(_) => "correct it, commit and push again".to_owned(),
            Self::Git(_) => super::failure::SERVER_HINT.to_owned(),
            Self::Io { source, .. } => super::failure::io_hint(source),
        }
    }
}

/// Where the files of an app are: in a release directory, or still in the repository.
pub(super) trait Files {
    /// The content of a regular file at the top, or nothing if the name is not there.
    fn read(&self, file: &'static str, limit: u64) -> Result<Option<Vec<u8>>, RequiredError>;

    /// Whether there is a regular file at the top, or a symlink to one.
    fn is_file(&self, file: &str) -> bool;

    /// Whether there is anything of that name at the top.
    fn exists(&self, file: &str) -> bool;
}

/// Reads the files of a checked-out app that decide how it is built and run, and makes sure that there is a lockfile.
/// Blocks.
pub fn read_app_files(release: &Path) -> Result<AppFiles, RequiredError> {
    read_files(&Released(release))
}

/// The same for a release that was built before, maybe by a handover that was less particular: what only its build needed
/// is not judged again. Blocks.
pub fn read_built_files(release: &Path) -> Result<AppFiles, RequiredError> {
    let files = &Released(release);
    let mut parsed = settings(files)?;
    let guessed = manager(files, None, None).unwrap_or_default();
    parsed.manager = match Record::read(release) {
        Some(record) => record.manager(guessed),
        None => guessed,
    };
    Ok(parsed)
}

/// The files from wherever they are.
pub(super) fn read_files(files: &impl Files) -> Result<AppFiles, RequiredError> {
    let parsed = settings(files)?;
    let nvmrc = files.read(NodeSource::Nvmrc.file(), SETTINGS_MAX)?;
    let node_version = files.read(NodeSource::NodeVersion.file(), SETTINGS_MAX)?;
    let mut parsed = parsed.with_tools(&ToolSources {
        nvmrc: nvmrc.as_deref(),
        node_version: node_version.as_deref(),
    })?;
    files.read(".npmrc", SETTINGS_MAX)?; // npm reads it; a symlink or a directory in its place is refused
    let written = parsed.package.package_manager.as_deref();
    parsed.manager = manager(files, parsed.named_manager.as_ref(), written)?;
    Ok(parsed)
}

/// What decides how the app is started.
fn settings(files: &impl Files) -> Result<AppFiles, RequiredError> {
    let package_json = files.read(PackageJson::FILE, SETTINGS_MAX)?;
    let package_json = package_json.ok_or(RequiredError::NoPackageJson)?;
    let handover_toml = files.read(AppConfig::FILE, SETTINGS_MAX)?;
    let procfile = files.read(Procfile::FILE, SETTINGS_MAX)?;
    Ok(AppFiles::parse(&AppSources {
        handover_toml: handover_toml.as_deref(),
        procfile: procfile.as_deref(),
        package_json: &package_json,
        server_js: files.is_file("server.js"),
    })?)
}

/// Which package manager the app uses, as its one lockfile says.
fn manager(
    files: &impl Files,
    named: Option<&NamedManager>,
    written: Option<&str>,
) -> Result<Manager, RequiredError> {
    let there = LOCKFILES.iter().map(|(file, _)| *file);
    let there: Vec<_> = there.filter(|file| files.exists(file)).collect();
    Manager::only_one(&there, named)?;
    let Some(&file) = there.first() else {
        let named = named.map(|named| named.kind.name());
        return Err(RequiredError::NoLockfile { named });
    };
    let Some(bytes) = files.read(file, LOCKFILE_MAX)? else {
        return Err(RequiredError::NotAFile { file });
    };
    let manager = check_lockfile(file, &bytes)?.as_named(named, written)?;
    Ok(manager.with_yarnrc(files.read(YARNRC, SETTINGS_MAX)?.as_deref()))
}

/// The lockfile that a manager writes.
fn lockfile_of(manager: Option<&str>) -> &'static str {
    match manager {
        Some("pnpm") => "pnpm-lock.yaml",
        Some("yarn") => "yarn.lock",
        Some("bun") => "bun.lock",
        _ => "package-lock.json",
    }
}

/// A release directory.
struct Released<'r>(&'r Path);

impl Files for Released<'_> {
    fn read(&self, file: &'static str, limit: u64) -> Result<Option<Vec<u8>>, RequiredError> {
        let path = self.0.join(file);
        let failed = |source| RequiredError::Io {
            path: path.clone(),
            source,
        };
        let found = match fs::symlink_metadata(&path) {
            Ok(found) => found,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        if !found.is_file() {
            return Err(RequiredError::NotAFile { file });
        }
        let bytes = found.len();
        if bytes > limit {
            return Err(RequiredError::TooLarge { file, bytes, limit });
        }
        let mut content = Vec::new();
        fs::File::open(&path)
            .and_then(|open| open.take(limit).read_to_end(&mut content))
            .map_err(failed)?;
        Ok(Some(content))
    }

    fn is_file(&self, file: &str) -> bool {
        self.0.join(file).is_file()
    }

    fn exists(&self, file: &str) -> bool {
        fs::symlink_metadata(self.0.join(file)).is_ok()
    }
}
