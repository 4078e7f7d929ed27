//! What nobody needs any more: first put aside under a name that nothing is looked for by, then deleted.
//!
//! ```text
//!   <releases>/42 ──rename──► <releases>/.trash-42-0 ──(what is of use may be taken out)──► deleted, slice by slice
//! ```

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::process::delete::{RemoveError, delete, delete_now};
use crate::process::files::names_in;
use crate::process::rig::kill_point;

/// The beginning of the names of what was put aside.
const TRASH: &str = ".trash-";
/// And of what is not whole yet.
const STAGING: &str = ".staging-";

/// A directory (or file) that was put aside, and that nobody looks for any more. What of it is of use may be renamed away
/// before a [`super::Remover`] takes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Aside(PathBuf);

impl Aside {
    /// Where it is now.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// What earlier removals have put aside in `dir`, and nobody has deleted yet.
    pub fn all_in(dir: &Path) -> Vec<Self> {
        let names = names_in(dir).into_iter().filter(|name| is_trash(name));
        names.map(|name| Self(dir.join(name))).collect()
    }

    /// Deletes it, on this thread. `between` is called before each file, and may take its time.
    pub(super) fn delete(&self, between: &mut dyn FnMut()) -> Result<(), RemoveError> {
        delete(&self.0, between)
    }
}

/// Whether a directory of this name was put aside.
pub fn is_trash(name: &str) -> bool {
    name.starts_with(TRASH)
}

/// Puts a directory aside by renaming it beside itself, so that no half of it ever has its name. Nothing, if it is not
/// there.
pub fn put_aside(path: &Path) -> Result<Option<Aside>, RemoveError> {
    let trash = trash_name(path);
    kill_point("remove.begun");
    match fs::rename(path, &trash) {
        Ok(()) => {
            kill_point("remove.put_aside");
            Ok(Some(Aside(trash)))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(RemoveError {
            doing: "put aside",
            path: path.to_owned(),
            source,
        }),
    }
}

/// Deletes, at once, what was put aside in `dir`, and what was begun there under a staging name. Only for a moment when
/// nobody does either.
pub(super) fn sweep(dir: &Path) -> Result<(), RemoveError> {
    let left = names_in(dir).into_iter();
    left.filter(|name| is_trash(name) || name.starts_with(STAGING))
        .try_for_each(|name| delete_now(&dir.join(name)))
}

/// A name beside it that nothing else has.
fn trash_name(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    (0..u32::MAX)
        .map(|n| path.with_file_name(format!("{TRASH}{name}-{n}")))
        .find(|path| fs::symlink_metadata(path).is_err())
        .expect("some number is free")
}
