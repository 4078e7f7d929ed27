//! The copies get their names in the new release.

use std::fs;
use std::path::Path;

use super::{Carried, Copied, Copies, LeftOut, failed, is_absent, within};
use crate::process::delete::delete_now;
use crate::process::rig::kill_point;

impl Copies {
    /// Puts the copies into a release that is installed and not built. What the install has put in their places stays, and
    /// gets what is beside it. By renaming only.
    pub fn place(self, release: &Path) -> Carried {
        let mut carried = Carried {
            left_out: self.left_out,
            ..Carried::default()
        };
        for (cache, copied) in self.copied {
            match one(&copied, release, cache.as_path()) {
                Ok(false) => {}
                Ok(true) => {
                    carried.caches.push(cache);
                    carried.files += copied.files;
                    carried.bytes += copied.bytes;
                    carried.changed += copied.changed;
                }
                Err(why) => carried.left_out.push((cache, why)),
            }
        }
        kill_point("carry.placed");
        if let Err(error) = delete_now(&self.staging) {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(error, "what was carried halfway can't be removed");
        }
        carried
    }
}

/// Gives one copy its name; whether anything of it was missing.
fn one(copied: &Copied, release: &Path, path: &Path) -> Result<bool, LeftOut> {
    let (top, target) = (&copied.at, release.join(path));
    let found = match fs::symlink_metadata(top) {
        // It was a single file, and has changed.
        Err(error) if is_absent(&error) => return Ok(false),
        found => found.map_err(failed("look at", top))?,
    };
    if !within(release, path)? {
        if let Some(parent) = target.parent() {
            fs::create_dir_all(parent).map_err(failed("make the directory", parent))?;
        }
        let renamed = fs::rename(top, &target);
        return renamed.map(|()| true).map_err(failed("rename to", &target));
    }
    if !found.is_dir() || !target.is_dir() {
        return Ok(false); // what is there stays
    }
    let mut any = false;
    for entry in fs::read_dir(top).map_err(failed("list", top))? {
        let entry = entry.map_err(failed("list", top))?;
        let to = target.join(entry.file_name());
        if fs::symlink_metadata(&to).is_err() {
            fs::rename(entry.path(), &to).map_err(failed("rename to", &to))?;
            any = true;
        }
    }
    Ok(any)
}
