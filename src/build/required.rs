//! The files without which nothing can be installed, looked at before anything runs.

use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use crate::config::{
    AppConfig, AppFiles, AppSources, ConfigError, PackageJson, Procfile, check_lockfile,
};
use crate::git::GitError;

/// npm looks for them in this order.
const LOCKFILES: [&str; 2] = ["npm-shrinkwrap.json", "package-lock.json"];
/// What other package managers leave.
const FOREIGN_LOCKFILES: [(&str, &str); 4] = [
    ("yarn.lock", "yarn"),
    ("pnpm-lock.yaml", "pnpm"),
    ("bun.lock", "bun"),
    ("bun.lockb", "bun"),
];
/// The largest file of each kind, in bytes.
const SETTINGS_MAX: u64 = 1 << 20;
const LOCKFILE_MAX: u64 = 64 << 20;

/// What an app's repository must have and has not. Each is for the app's author.
#[derive(Debug, thiserror::Error)]
pub enum RequiredError {
    /// There is no `package.json` at the top.
    #[error("there is no package.json at the top of the repository")]
    NoPackageJson,
    /// There is no lockfile of npm's.
    #[error("there is no package-lock.json{}", foreign.map_or(String::new(), |(file, _)| format!(", only {file}")))]
    NoLockfile {
        /// The lockfile of another package manager, and that one's name.
        foreign: Option<(&'static str, &'static str)>,
    },
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
            Self::NoLockfile { foreign: None } => {
                "run `npm install`, commit package-lock.json (.gitignore must not name it) and push again".to_owned()
            }
            Self::NoLockfile {
                foreign: Some((_, manager)),
            } => format!(
                "only npm is supported yet, not {manager}: `npm install --package-lock-only` makes a package-lock.json; commit it and push again"
            ),
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

/// The same from wherever the files are.
pub(super) fn read_files(files: &impl Files) -> Result<AppFiles, RequiredError> {
    let package_json = files.read(PackageJson::FILE, SETTINGS_MAX)?;
    let package_json = package_json.ok_or(RequiredError::NoPackageJson)?;
    let handover_toml = files.read(AppConfig::FILE, SETTINGS_MAX)?;
    let procfile = files.read(Procfile::FILE, SETTINGS_MAX)?;
    let parsed = AppFiles::parse(&AppSources {
        handover_toml: handover_toml.as_deref(),
        procfile: procfile.as_deref(),
        package_json: &package_json,
        server_js: files.is_file("server.js"),
    })?;
    files.read(".npmrc", SETTINGS_MAX)?; // npm reads it; a symlink or a directory in its place is refused
    check_lock(files)?;
    Ok(parsed)
}

fn check_lock(files: &impl Files) -> Result<(), RequiredError> {
    for file in LOCKFILES {
        if let Some(bytes) = files.read(file, LOCKFILE_MAX)? {
            return Ok(check_lockfile(file, &bytes)?);
        }
    }
    let foreign = FOREIGN_LOCKFILES
        .into_iter()
        .find(|(file, _)| files.exists(file));
    Err(RequiredError::NoLockfile { foreign })
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
