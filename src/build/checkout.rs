//! A commit's tree, written to a new release directory.
//!
//! ```text
//! walk (judge all) ──▶ <releases>/.staging-7 (directories, files, symlinks last) ──rename──▶ <releases>/42
//! ```
//!
//! Blobs are written as they are: no line endings changed, no filter, no attribute, no hook. The staging directory is
//! new and only ours; each directory and file is made anew (`mkdir`, `O_EXCL`) and the symlinks come last, so that
//! nothing is ever written through a symlink.
//!
//! The checkout itself is not synced: if the power fails before the release is live, the deploy is undone and the
//! directory with it. What must be on the disk is the *built* release, before anything calls it live: [`sync_release`].

use std::fs::{self, DirBuilder, File, Permissions};
use std::io::{self, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use super::listing::Listing;
use super::tree_rules::{Limits, Refusal, shown};
use super::walk::{Plan, PlannedFile, walk};
use crate::git::{GitError, Repo};
use crate::ids::CommitId;
use crate::process::files::sync_file_system;
use crate::process::rig::kill_point;

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkout {
    /// Regular files and symlinks.
    pub files: usize,
    /// Their sizes together, in bytes.
    pub bytes: u64,
    /// What the pusher should know, a line each.
    pub warnings: Vec<String>,
    /// What is there.
    pub listing: Listing,
}

/// Why a commit was not checked out. The staging directory is gone.
#[derive(Debug, thiserror::Error)]
pub enum CheckoutError {
    /// The tree is not acceptable: for its author.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The repository can't be read.
    #[error(transparent)]
    Git(#[from] GitError),
    /// There is a release of that number already.
    #[error("make the release directory `{path}`: it exists already", path = path.display())]
    Exists {
        /// The release directory.
        path: PathBuf,
    },
    /// The system refused a step.
    #[error("{doing} `{path}`", path = path.display())]
    Io {
        /// Which step.
        doing: &'static str,
        /// On which file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// Writes the tree of `commit` into `staging` and renames that to `release`; both must have the same parent, which is
/// made if need be. A staging directory that was left over is removed first. Blocks: about 10 ms for 150 files.
pub fn checkout(
    repo: &Repo,
    commit: &CommitId,
    staging: &Path,
    release: &Path,
    limits: &Limits,
) -> Result<Checkout, CheckoutError> {
    let plan = walk(repo, repo.commit_tree(commit)?, limits)?;
    if fs::symlink_metadata(release).is_ok() {
        return Err(CheckoutError::Exists {
            path: release.to_owned(),
        });
    }
    let staging = Staging::make(staging)?;
    kill_point("checkout.begun");
    let pointers = write(repo, &plan, &staging.path)?;
    set_mode(&staging.path, 0o755)?;
    kill_point("checkout.written");
    fs::rename(&staging.path, release).map_err(failed("rename to", release))?;
    staging.keep();
    kill_point("checkout.renamed");
    Ok(Checkout {
        files: plan.files.len() + plan.links.len(),
        bytes: plan.bytes,
        warnings: warnings(&plan, &pointers),
        listing: Listing::of(&plan),
    })
}

/// Writes a built release through to the disk; call it before anything says that the release is live. One `syncfs`,
/// because a release has thousands of small files (see [`sync_file_system`] for the figures); it can run beside the
/// start and the health check.
pub fn sync_release(release: &Path) -> io::Result<()> {
    sync_file_system(release)
}

/// A staging directory; removed with all that is in it unless it is kept.
struct Staging {
    path: PathBuf,
    keep: bool,
}

impl Staging {
    fn make(path: &Path) -> Result<Self, CheckoutError> {
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).map_err(failed("make the directory", parent))?;
        }
        match fs::remove_dir_all(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(failed("remove the left-over", path)(error));
            }
            _ => {}
        }
        DirBuilder::new()
            .mode(0o700)
            .create(path)
            .map_err(failed("make the directory", path))?;
        Ok(Self {
            path: path.to_owned(),
            keep: false,
        })
    }

    fn keep(mut self) {
        self.keep = true;
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        if !self.keep {
            // What can't be removed now is swept at the next start.
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

/// Gives the paths of Git LFS pointers among the files.
fn write<'p>(repo: &Repo, plan: &'p Plan, top: &Path) -> Result<Vec<&'p Path>, CheckoutError> {
    for directory in &plan.directories {
        let path = top.join(directory);
        fs::create_dir(&path).map_err(failed("make the directory", &path))?;
        set_mode(&path, 0o755)?;
    }
    let mut pointers = Vec::new();
    for file in &plan.files {
        let pointer = repo.with_blob(file.blob, |bytes| {
            write_file(&top.join(&file.path), file, bytes).map(|()| is_lfs_pointer(bytes))
        })??;
        if pointer {
            pointers.push(file.path.as_path());
        }
    }
    for (link, target) in &plan.links {
        let path = top.join(std::ffi::OsStr::from_bytes(link));
        symlink(std::ffi::OsStr::from_bytes(target), &path)
            .map_err(failed("make the symlink", &path))?;
    }
    Ok(pointers)
}

fn write_file(path: &Path, file: &PlannedFile, bytes: &[u8]) -> Result<(), CheckoutError> {
    let mode = if file.executable { 0o755 } else { 0o644 };
    let write = || {
        let mut open = File::options()
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(path)?;
        open.write_all(bytes)?;
        // Whatever our umask is, the app's user reads it.
        open.set_permissions(Permissions::from_mode(mode))
    };
    write().map_err(failed("write", path))
}

fn set_mode(path: &Path, mode: u32) -> Result<(), CheckoutError> {
    fs::set_permissions(path, Permissions::from_mode(mode)).map_err(failed("set the mode of", path))
}

fn failed(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> CheckoutError {
    let path = path.to_owned();
    move |source| CheckoutError::Io {
        doing,
        path,
        source,
    }
}

fn is_lfs_pointer(bytes: &[u8]) -> bool {
    bytes.len() < 1024 && bytes.starts_with(b"version https://git-lfs.github.com/spec/")
}

fn warnings(plan: &Plan, pointers: &[&Path]) -> Vec<String> {
    let mut warnings = Vec::new();
    if let Some(first) = pointers.first() {
        let first = shown(first.as_os_str().as_bytes());
        let what = match pointers.len() - 1 {
            0 => format!("`{first}` is a Git LFS pointer"),
            more => format!("`{first}` and {more} more are Git LFS pointers"),
        };
        warnings.push(format!(
            "{what}: what was pushed is the pointer, not the file's content; commit the files themselves (`git lfs migrate export`)"
        ));
    }
    let modules = Path::new("node_modules");
    if plan.directories.iter().any(|dir| dir == modules) {
        warnings.push(
            "node_modules is in the repository; npm ci replaces it, so take it out: `git rm -r --cached node_modules`"
                .to_owned(),
        );
    }
    warnings
}
