//! Where everything lies on disk (design: `<home>` is kept, `<run>` may vanish at a reboot).
//!
//! ```text
//! <home>/handover.db
//!        reserve/
//!        authorized_keys
//!        handover.toml                       (/etc/handover/handover.toml for the system's installation)
//!        apps/<app>/repo.git  releases/<n>/  store/  logs/  cache/
//!        node/<version>/  tools/<manager>/<version>/
//! <run>/control.sock  front.sock
//!       <app>/live.sock  previous.sock  g57.sock  g57/
//! ```

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::ids::{AppName, DeployNumber, GenerationNumber, ReleaseNumber};

/// The longest path a UNIX socket can have: `sun_path` holds 108 bytes and one of them is the closing NUL.
pub const SOCKET_PATH_MAX: usize = 107;

/// The home of the system's installation: root's, and that of the user who owns this directory.
const SYSTEM_HOME: &str = "/var/lib/handover";

/// Why the directories of an installation can't be used.
#[derive(Debug, thiserror::Error)]
pub enum PathError {
    /// A socket path would be cut short by the kernel.
    #[error("socket path `{path}` has {len} bytes; UNIX sockets allow {SOCKET_PATH_MAX}. Choose a shorter --home, a shorter app name, or set HANDOVER_RUN to a short directory", path = path.display())]
    SocketTooLong {
        /// The path that does not fit.
        path: PathBuf,
        /// Its length in bytes.
        len: usize,
    },
    /// Neither `--home` nor an environment that says where to put things.
    #[error("no place for handover's files: give --home DIR, or set HANDOVER_HOME or HOME")]
    NoHome,
    /// A relative directory can't be resolved.
    #[error("resolve `{path}`", path = path.display())]
    Resolve {
        /// The directory as given.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
}

/// What the choice of directories depends on, taken from the process once so that the choice itself is pure.
#[derive(Debug, Clone, Default)]
pub struct Surroundings {
    /// Whether the effective user is root, or owns the directory of the system's installation.
    pub system: bool,
    /// `HANDOVER_RUN`: overrides the run directory.
    pub run: Option<OsString>,
    /// `XDG_RUNTIME_DIR`.
    pub xdg_runtime_dir: Option<OsString>,
    /// `XDG_DATA_HOME`.
    pub xdg_data_home: Option<OsString>,
    /// `HOME`.
    pub home: Option<OsString>,
}

impl Surroundings {
    /// Reads the surroundings of this process, which acts as the user `uid`.
    pub fn of_this_process(uid: u32) -> Self {
        let var = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        Self {
            system: uid == 0 || owns_system_home(uid),
            run: var("HANDOVER_RUN"),
            xdg_runtime_dir: var("XDG_RUNTIME_DIR"),
            xdg_data_home: var("XDG_DATA_HOME"),
            home: var("HOME"),
        }
    }
}

/// A link does not count: only who may make entries in `/var/lib` decides whose the installation is.
fn owns_system_home(uid: u32) -> bool {
    std::fs::symlink_metadata(SYSTEM_HOME).is_ok_and(|home| home.is_dir() && home.uid() == uid)
}

/// The directories of one installation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    home: PathBuf,
    run: PathBuf,
    settings: PathBuf,
}

impl Layout {
    /// Chooses the directories: `given` is `--home` or `HANDOVER_HOME`.
    pub fn choose(given: Option<&Path>, around: &Surroundings) -> Result<Self, PathError> {
        let run_override = around.run.as_ref().map(PathBuf::from);
        if let Some(home) = given {
            let home = std::path::absolute(home).map_err(|source| PathError::Resolve {
                path: home.to_owned(),
                source,
            })?;
            let run = run_override.unwrap_or_else(|| home.join("run"));
            return Ok(Self {
                settings: home.join("handover.toml"),
                home,
                run,
            });
        }
        if around.system {
            return Ok(Self {
                home: PathBuf::from(SYSTEM_HOME),
                run: run_override.unwrap_or_else(|| PathBuf::from("/run/handover")),
                settings: PathBuf::from("/etc/handover/handover.toml"),
            });
        }
        let data = match (&around.xdg_data_home, &around.home) {
            (Some(data), _) => PathBuf::from(data),
            (None, Some(home)) => Path::new(home).join(".local/share"),
            (None, None) => return Err(PathError::NoHome),
        };
        let home = data.join("handover");
        let run = run_override
            .or_else(|| {
                around
                    .xdg_runtime_dir
                    .as_ref()
                    .map(|dir| Path::new(dir).join("handover"))
            })
            .unwrap_or_else(|| home.join("run"));
        Ok(Self {
            settings: home.join("handover.toml"),
            home,
            run,
        })
    }

    /// The directory that is kept: database, repositories, releases, logs.
    pub fn home(&self) -> &Path {
        &self.home
    }

    /// The directory that may vanish at a reboot: sockets.
    pub fn run(&self) -> &Path {
        &self.run
    }

    /// The server's own settings file.
    pub fn settings(&self) -> &Path {
        &self.settings
    }

    /// The `SQLite` database, written by `serve` only.
    pub fn database(&self) -> PathBuf {
        self.home.join("handover.db")
    }

    /// The lock that keeps two `serve` from using one installation.
    pub fn serve_lock(&self) -> PathBuf {
        self.home.join("serve.lock")
    }

    /// Room that is kept back for the way back on a full disk.
    pub fn reserve(&self) -> PathBuf {
        self.home.join("reserve")
    }

    /// What sshd reads the keys from, unless the settings name another file.
    pub fn authorized_keys(&self) -> PathBuf {
        self.home.join("authorized_keys")
    }

    /// The control API of `serve`.
    pub fn control_socket(&self) -> PathBuf {
        self.run.join("control.sock")
    }

    /// The control socket of `front`.
    pub fn front_socket(&self) -> PathBuf {
        self.run.join("front.sock")
    }

    /// The directory above all apps' files.
    pub fn apps(&self) -> PathBuf {
        self.home.join("apps")
    }

    /// The directories of one app.
    pub fn app(&self, app: &AppName) -> AppPaths {
        AppPaths {
            home: self.apps().join(app.as_str()),
            run: self.run.join(app.as_str()),
        }
    }

    /// Refuses an installation whose own sockets would not fit into `sun_path`.
    pub fn check_sockets(&self) -> Result<(), PathError> {
        check_socket(&self.control_socket())?;
        check_socket(&self.front_socket())
    }
}

/// The directories of one app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppPaths {
    home: PathBuf,
    run: PathBuf,
}

impl AppPaths {
    /// What is kept of the app.
    pub fn home(&self) -> &Path {
        &self.home
    }

    /// The app's sockets.
    pub fn run(&self) -> &Path {
        &self.run
    }

    /// The bare repository that is pushed to, unless the app was given one of its own.
    pub fn repo(&self) -> PathBuf {
        self.home.join("repo.git")
    }

    /// All releases.
    pub fn releases(&self) -> PathBuf {
        self.home.join("releases")
    }

    /// One release: the built code of one commit.
    pub fn release(&self, number: ReleaseNumber) -> PathBuf {
        self.releases().join(number.to_string())
    }

    /// Where a checkout is written before it is renamed to its release.
    pub fn staging(&self, deploy: DeployNumber) -> PathBuf {
        self.releases().join(format!(".staging-{deploy}"))
    }

    /// What its installs have made.
    pub fn store(&self) -> PathBuf {
        self.home.join("store")
    }

    /// The directories in which there may be something that was put aside, to be deleted later.
    pub fn removed_from(&self) -> [PathBuf; 2] {
        [self.releases(), self.home.join("cache")]
    }

    /// Logs of the app and of its deploys.
    pub fn logs(&self) -> PathBuf {
        self.home.join("logs")
    }

    /// What the app's instances print; rotated to `app.log.1`, `app.log.2` ….
    pub fn app_log(&self) -> PathBuf {
        self.logs().join("app.log")
    }

    /// The events of one deploy, a JSON object a line.
    pub fn deploy_log(&self, number: DeployNumber) -> PathBuf {
        self.logs().join(format!("deploy-{number}.jsonl"))
    }

    /// The caches of the app's package managers, each in a directory of its own: `cache/npm`.
    pub fn caches(&self) -> PathBuf {
        self.home.join("cache")
    }

    /// What node has compiled of the app, for the starts that follow.
    pub fn compile_cache(&self) -> PathBuf {
        self.home.join("cache/compile")
    }

    /// The app, always: what nginx or the front connects to.
    pub fn live_socket(&self) -> PathBuf {
        self.run.join("live.sock")
    }

    /// The generation that was live before.
    pub fn previous_socket(&self) -> PathBuf {
        self.run.join("previous.sock")
    }

    /// The private name of a generation's socket: bound once, never used again.
    pub fn generation_socket(&self, number: GenerationNumber) -> PathBuf {
        self.run.join(format!("g{number}.sock"))
    }

    /// What `keep` needs and leaves for one generation.
    pub fn generation(&self, number: GenerationNumber) -> GenerationPaths {
        GenerationPaths {
            dir: self.run.join(format!("g{number}")),
        }
    }

    /// Refuses an app whose longest socket path would not fit into `sun_path`.
    pub fn check_sockets(&self) -> Result<(), PathError> {
        check_socket(&self.generation(GenerationNumber(u32::MAX)).control_socket())?;
        check_socket(&self.previous_socket())
    }
}

/// The directory of one generation, in `<run>/<app>/`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GenerationPaths {
    dir: PathBuf,
}

impl GenerationPaths {
    /// The paths of the generation whose directory this is.
    pub fn at(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into() }
    }

    /// The directory itself.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// What `serve` asks of `keep`, written before it is started.
    pub fn spec(&self) -> PathBuf {
        self.dir.join("spec.json")
    }

    /// Where the processes of the app tell `keep` how they are, and hear what is asked of them.
    pub fn app_socket(&self) -> PathBuf {
        self.dir.join("app.sock")
    }

    /// What is loaded into each node process of the app.
    pub fn preload(&self) -> PathBuf {
        self.dir.join("preload.cjs")
    }

    /// Which processes `keep` and its instances are.
    pub fn processes(&self) -> PathBuf {
        self.dir.join("keep.json")
    }

    /// How the generation ended; beside its directory, which is gone by then.
    pub fn retirement(&self) -> PathBuf {
        self.dir.with_extension("retired.json")
    }

    /// Where `keep` answers.
    pub fn control_socket(&self) -> PathBuf {
        self.dir.join("control.sock")
    }

    /// What `keep` itself has to say (its tracing output).
    pub fn keeper_log(&self) -> PathBuf {
        self.dir.join("keep.log")
    }
}

fn check_socket(path: &Path) -> Result<(), PathError> {
    let len = path.as_os_str().as_bytes().len();
    if len > SOCKET_PATH_MAX {
        return Err(PathError::SocketTooLong {
            path: path.to_owned(),
            len,
        });
    }
    Ok(())
}

/// The deploy whose log has this name ([`AppPaths::deploy_log`]).
pub fn deploy_of_log(name: &str) -> Option<DeployNumber> {
    let number = name.strip_prefix("deploy-")?.strip_suffix(".jsonl")?;
    number.parse().ok()
}

#[cfg(test)]
mod tests;
