//! A store, and releases of an app beside it.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::ids::ReleaseNumber;
use crate::store::{
    About, Digest, Entry, Found, Key, PackError, Pending, Snapshot, Store, StoreError,
};

/// A store, and releases beside it.
pub(super) struct Place {
    pub(super) dir: tempfile::TempDir,
    pub(super) store: Arc<Store>,
}

/// Kind and mode, and content or target.
pub(super) type Tree = BTreeMap<PathBuf, (u32, Vec<u8>)>;

pub(super) const KEYED: &str = "lockfile";

impl Place {
    pub(super) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Arc::new(Store::at(dir.path().join("store")));
        Self { dir, store }
    }

    /// A release with what the commit holds.
    pub(super) fn release(&self, name: &str) -> PathBuf {
        let release = self.dir.path().join("releases").join(name);
        fs::create_dir_all(release.join("packages/a")).unwrap();
        fs::write(release.join("package.json"), "{}").unwrap();
        release
    }

    /// Stores what an install makes in release 1.
    pub(super) fn stored(&self, install: impl FnOnce(&Path)) -> Entry {
        self.try_stored("1", "a", install).unwrap()
    }

    pub(super) fn try_stored(
        &self,
        release: &str,
        lock: &str,
        install: impl FnOnce(&Path),
    ) -> Result<Entry, PackError> {
        let id = self.installed(release, lock, install)?.seal()?;
        Ok(self.store.open(id)?.unwrap())
    }

    pub(super) fn installed(
        &self,
        release: &str,
        lock: &str,
        install: impl FnOnce(&Path),
    ) -> Result<Pending, PackError> {
        let (release, number) = (self.release(release), release.parse().unwrap());
        let before = Snapshot::take(&release)?;
        install(&release);
        let made = Snapshot::take(&release)?.made_since(&before, |_| false)?;
        let about = about(&release, ReleaseNumber(number), lock);
        Ok(self.store.expect(key(lock), made, about)?)
    }

    /// What the install makes in release 1, and is not stored yet.
    pub(super) fn pending(&self, lock: &str) -> Pending {
        let releases = self.dir.path().join("releases");
        let _ = fs::rename(releases.join("1"), releases.join(format!("before-{lock}")));
        self.installed("1", lock, install).unwrap()
    }

    pub(super) fn files(&self) -> usize {
        fs::read_dir(&self.store.dir).unwrap().count()
    }

    pub(super) fn found(&self, lock: &str) -> Option<Entry> {
        match self.store.find(&key(lock), |_| true) {
            Ok(Found::Tree(entry)) => Some(*entry),
            Ok(Found::Nothing(_)) | Err(StoreError::Damaged { .. }) => None,
            Err(error) => panic!("{error}"),
        }
    }

    pub(super) fn only_file(&self) -> PathBuf {
        let mut files = fs::read_dir(self.dir.path().join("store")).unwrap();
        let file = files.next().unwrap().unwrap().path();
        assert!(files.next().is_none());
        file
    }
}

pub(super) fn parts(lock: &str) -> BTreeMap<String, Digest> {
    [(KEYED.to_owned(), Digest::of(lock.as_bytes()))].into()
}

pub(super) fn key(lock: &str) -> Key {
    Key::of(&parts(lock))
}

pub(super) fn about(release: &Path, number: ReleaseNumber, lock: &str) -> About {
    About {
        made: crate::time::now(),
        release: number,
        directory: release.to_owned(),
        parts: parts(lock),
        reads: BTreeMap::new(),
        modes: BTreeMap::new(),
        packages: 3,
        warnings: vec!["mind the gap".to_owned()],
        took_ms: 7,
    }
}

/// Everything that an install may leave behind.
pub(super) fn install(release: &Path) {
    let at = |path: &str| release.join(path);
    let mode =
        |path: &str, mode| fs::set_permissions(at(path), Permissions::from_mode(mode)).unwrap();
    for dir in [
        "node_modules/.bin",
        "node_modules/a/lib",
        "node_modules/empty",
        "packages/a/node_modules/b",
    ] {
        fs::create_dir_all(at(dir)).unwrap();
    }
    fs::write(at("node_modules/a/lib/index.js"), "module.exports = 1\n").unwrap();
    fs::write(at("node_modules/a/nothing"), "").unwrap();
    fs::write(at("node_modules/a/cli.js"), "#!/usr/bin/env node\n").unwrap();
    fs::write(at("node_modules/a/large.node"), vec![7; 300_001]).unwrap();
    fs::write(at("packages/a/node_modules/b/index.js"), "b").unwrap();
    fs::write(at("made-by-prepare.js"), "made").unwrap();
    let odd = std::ffi::OsStr::from_bytes(b"node_modules/a/\xff odd\nname");
    fs::write(release.join(odd), "odd").unwrap();
    symlink("../a/cli.js", at("node_modules/.bin/a")).unwrap();
    symlink("nowhere", at("node_modules/dangling")).unwrap();
    symlink("../packages/a", at("node_modules/workspace-a")).unwrap();
    mode("node_modules/a/cli.js", 0o755);
    mode("node_modules/a/nothing", 0o400);
    mode("node_modules/a/large.node", 0o4711);
    mode("node_modules/empty", 0o2775);
    mode("node_modules/a/lib", 0o555);
}

pub(super) fn tree(top: &Path) -> Tree {
    let mut tree = Tree::new();
    let mut ahead = vec![top.to_owned()];
    while let Some(dir) = ahead.pop() {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            let found = fs::symlink_metadata(&path).unwrap();
            let content = if found.is_dir() {
                ahead.push(path.clone());
                Vec::new()
            } else if found.is_symlink() {
                fs::read_link(&path)
                    .unwrap()
                    .as_os_str()
                    .as_bytes()
                    .to_vec()
            } else {
                fs::read(&path).unwrap()
            };
            let inside = path.strip_prefix(top).unwrap().to_owned();
            tree.insert(inside, (found.mode(), content));
        }
    }
    tree
}
