//! What a build has left for the next one (`.next/cache` and the like), carried from release to release.
//!
//! ```text
//!   <releases>/41/.next/cache ──survey──► copied file by file ──► <releases>/.staging-9 ──rename──► <releases>/42/.next/cache
//!                                 └─ too large, no room, trouble: left out
//! ```
//!
//! In two steps: the copies are made while the install runs, and get their names in the new release when that has ended.
//! Copies, never hard links: the old release runs on, and may write into its own. What it changes under the copy is left
//! out. A cache is there whole or not at all, and no trouble with one fails a deploy: the build then begins without.

mod place;

use std::fs::{self, DirBuilder, Metadata, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use crate::config::CachePath;
use crate::process::copy::{self, copy_file};
use crate::process::delete::delete_now;
use crate::process::disk::free;
use crate::process::rig::kill_point;

/// What is left free on the disk, in bytes.
const SPARE: u64 = 256 << 20;
/// The most files and directories that one cache may have.
const ENTRIES_MAX: usize = 300_000;

/// What to carry, and from where.
pub struct CarryRequest<'r> {
    /// The release that was built before.
    pub from: &'r Path,
    /// A directory beside the new release that nobody else uses; what was left there is removed.
    pub staging: &'r Path,
    /// Which directories.
    pub caches: &'r [CachePath],
    /// How large all of them may be together, in bytes.
    pub limit: u64,
    /// Asked before each file: false, and it is given up.
    pub go_on: &'r dyn Fn() -> bool,
}

/// Copies of caches, whole, beside the new release and not yet in it.
#[derive(Debug)]
pub struct Copies {
    staging: PathBuf,
    copied: Vec<(CachePath, Copied)>,
    left_out: Vec<(CachePath, LeftOut)>,
}

/// The copy of one cache.
#[derive(Debug)]
struct Copied {
    at: PathBuf,
    files: usize,
    bytes: u64,
    changed: usize,
}

/// What was carried.
#[derive(Debug, Default)]
pub struct Carried {
    /// Which directories.
    pub caches: Vec<CachePath>,
    /// How many files were copied for them.
    pub files: usize,
    /// Their sizes together, in bytes.
    pub bytes: u64,
    /// Files that were changed under the copy, and symlinks into the old release: they were left out.
    pub changed: usize,
    /// What was not carried, and why.
    pub left_out: Vec<(CachePath, LeftOut)>,
}

/// Why a cache was not carried.
#[derive(Debug, thiserror::Error)]
pub enum LeftOut {
    /// It is larger than what is still allowed.
    #[error("it has {bytes} bytes, and {limit} are left of what may be carried")]
    TooLarge {
        /// Its size.
        bytes: u64,
        /// What is allowed.
        limit: u64,
    },
    /// It has more files than any cache should have.
    #[error("it has more than {ENTRIES_MAX} files")]
    TooMany,
    /// The disk would be nearly full.
    #[error("there is no room for its {bytes} bytes on the disk")]
    NoRoom {
        /// Its size.
        bytes: u64,
    },
    /// It is to be left where it leads out of the release.
    #[error("`{path}` is a symlink", path = path.display())]
    Symlink {
        /// The symlink.
        path: PathBuf,
    },
    /// The deploy was given up.
    #[error("the deploy is given up")]
    GivenUp,
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

impl CarryRequest<'_> {
    /// Copies each cache that the old release has. Blocks: about as long as `cp -r`.
    pub fn copy(&self) -> Copies {
        let mut copies = Copies {
            staging: self.staging.to_owned(),
            copied: Vec::new(),
            left_out: Vec::new(),
        };
        if let Err(error) = delete_now(self.staging) {
            // Where it is in the way of a copy, that is left out.
            let error = &error as &dyn std::error::Error;
            tracing::warn!(error, "what was carried halfway can't be removed");
        }
        let mut left = self.limit;
        for (n, cache) in self.caches.iter().enumerate() {
            let to = self.staging.join(n.to_string());
            match self.one(cache, &to, left) {
                Ok(None) => {}
                Ok(Some(copied)) => {
                    left = left.saturating_sub(copied.bytes);
                    copies.copied.push((cache.clone(), copied));
                }
                Err(why) => copies.left_out.push((cache.clone(), why)),
            }
        }
        kill_point("carry.copied");
        copies
    }

    fn one(&self, cache: &CachePath, to: &Path, limit: u64) -> Result<Option<Copied>, LeftOut> {
        let path = cache.as_path();
        if !within(self.from, path)? {
            return Ok(None);
        }
        let source = self.from.join(path);
        let survey = survey(&source, cache)?;
        survey.check(self.from, limit)?;
        if survey.entries.is_empty() {
            return Ok(None);
        }
        DirBuilder::new()
            .mode(0o700)
            .recursive(true)
            .create(self.staging)
            .map_err(failed("make the directory", self.staging))?;
        survey.copy(&source, to, self).map(Some)
    }

    /// Whether a symlink of the old release leads into that very release, whose own files it would let a build write to.
    fn leads_back(&self, target: &Path) -> bool {
        let real = self.from.canonicalize();
        target.starts_with(self.from) || real.is_ok_and(|real| target.starts_with(real))
    }
}

/// Whether there is something at this path of a release, every step of which is a directory of the release's own.
fn within(release: &Path, path: &Path) -> Result<bool, LeftOut> {
    let mut at = release.to_owned();
    for name in path {
        at.push(name);
        match fs::symlink_metadata(&at) {
            Ok(found) if found.is_symlink() => return Err(LeftOut::Symlink { path: at }),
            Ok(_) => {}
            // Also where a file stands in the way: there is nothing below it.
            Err(error) if is_absent(&error) => return Ok(false),
            Err(error) => return Err(failed("look at", &at)(error)),
        }
    }
    Ok(true)
}

fn is_absent(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

/// What is to be copied; parents come before what is in them. The first is the cache itself, with an empty path.
#[derive(Debug, Default)]
struct Survey {
    entries: Vec<Entry>,
    bytes: u64,
}

#[derive(Debug)]
struct Entry {
    path: PathBuf,
    kind: Kind,
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Directory { mode: u32 },
    File,
    Symlink,
}

/// Looks through a cache.
fn survey(source: &Path, cache: &CachePath) -> Result<Survey, LeftOut> {
    let mut survey = Survey::default();
    let found = match fs::symlink_metadata(source) {
        Err(error) if is_absent(&error) => return Ok(survey),
        found => found.map_err(failed("look at", source))?,
    };
    survey.add(PathBuf::new(), &found)?;
    let mut ahead = if found.is_dir() {
        vec![PathBuf::new()]
    } else {
        Vec::new()
    };
    while let Some(dir) = ahead.pop() {
        let full = source.join(&dir);
        let entries = match fs::read_dir(&full) {
            Err(error) if is_absent(&error) => continue, // the old release has removed it just now
            entries => entries.map_err(failed("list", &full))?,
        };
        for entry in entries {
            let entry = entry.map_err(failed("list", &full))?;
            let path = dir.join(entry.file_name());
            if cache.leaves_behind(&cache.as_path().join(&path)) {
                continue;
            }
            let Ok(found) = entry.metadata() else {
                continue; // likewise
            };
            if found.is_dir() {
                ahead.push(path.clone());
            }
            survey.add(path, &found)?;
        }
    }
    Ok(survey)
}

impl Survey {
    /// Sockets, devices and the like are no cache.
    fn add(&mut self, path: PathBuf, found: &Metadata) -> Result<(), LeftOut> {
        let kind = if found.is_dir() {
            Kind::Directory { mode: found.mode() }
        } else if found.is_file() {
            self.bytes = self.bytes.saturating_add(found.len());
            Kind::File
        } else if found.is_symlink() {
            Kind::Symlink
        } else {
            return Ok(());
        };
        if self.entries.len() == ENTRIES_MAX {
            return Err(LeftOut::TooMany);
        }
        self.entries.push(Entry { path, kind });
        Ok(())
    }

    fn check(&self, beside: &Path, limit: u64) -> Result<(), LeftOut> {
        let bytes = self.bytes;
        if bytes > limit {
            return Err(LeftOut::TooLarge { bytes, limit });
        }
        let left = free(beside).map_err(failed("ask for room in", beside))?;
        let inodes = self.entries.len() as u64;
        if left.bytes < bytes.saturating_add(SPARE) || left.lacks_inodes(2 * inodes) {
            return Err(LeftOut::NoRoom { bytes });
        }
        Ok(())
    }

    fn copy(
        &self,
        source: &Path,
        at: &Path,
        request: &CarryRequest<'_>,
    ) -> Result<Copied, LeftOut> {
        let (mut files, mut bytes, mut changed) = (0, 0, 0);
        for entry in &self.entries {
            if !(request.go_on)() {
                return Err(LeftOut::GivenUp);
            }
            let (from, to) = (joined(source, &entry.path), joined(at, &entry.path));
            match entry.kind {
                Kind::Directory { .. } => DirBuilder::new()
                    .mode(0o700)
                    .create(&to)
                    .map_err(failed("make the directory", &to))?,
                Kind::File => match copy_file(&from, &to).map_err(failed("copy", &from))? {
                    copy::Copied::Whole(size) => {
                        files += 1;
                        bytes += size;
                    }
                    copy::Copied::Not => changed += 1,
                },
                Kind::Symlink => match fs::read_link(&from) {
                    Ok(target) if !request.leads_back(&target) => {
                        symlink(target, &to).map_err(failed("make the symlink", &to))?;
                    }
                    Ok(_) | Err(_) => changed += 1,
                },
            }
        }
        self.set_modes(at)?;
        Ok(Copied {
            at: at.to_owned(),
            files,
            bytes,
            changed,
        })
    }

    /// Last, because a directory that can't be written can't be filled either.
    fn set_modes(&self, top: &Path) -> Result<(), LeftOut> {
        for entry in self.entries.iter().rev() {
            if let Kind::Directory { mode } = entry.kind {
                let to = joined(top, &entry.path);
                let mode = Permissions::from_mode(mode & 0o777 | 0o700);
                fs::set_permissions(&to, mode).map_err(failed("set the mode of", &to))?;
            }
        }
        Ok(())
    }
}

/// Joining nothing would add a slash, with which a file is none.
fn joined(top: &Path, path: &Path) -> PathBuf {
    if path.as_os_str().is_empty() {
        top.to_owned()
    } else {
        top.join(path)
    }
}

fn failed(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> LeftOut {
    let path = path.to_owned();
    move |source| LeftOut::Io {
        doing,
        path,
        source,
    }
}

#[cfg(test)]
mod tests;
