//! A server for tests: programs that say what a test wants, and no registry.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;

use super::toolbox::{Ask, Toolbox};
use crate::config::{Manager, NodeWishes};

/// An npm that asks a registry which has nothing.
pub(super) const NPM_WITHOUT_PACKAGES: &str = "echo 'npm error code E404' >&2; exit 1";

pub(super) struct Rig {
    dir: TempDir,
    env: BTreeMap<String, String>,
    pub(super) release: PathBuf,
    pub(super) toolbox: Toolbox,
    pub(super) node: NodeWishes,
    pub(super) manager: Manager,
}

impl Rig {
    /// With this node, and an npm that finds nothing.
    pub(super) fn with_node(version: &str, abi: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        for name in ["bin", "release", "home"] {
            fs::create_dir(dir.path().join(name)).unwrap();
        }
        let path = format!("{}:/usr/bin:/bin", dir.path().join("bin").display());
        let rig = Self {
            env: [("PATH".to_owned(), path)].into(),
            toolbox: Toolbox::open(&dir.path().join("home")),
            node: NodeWishes::default(),
            manager: Manager::default(),
            release: dir.path().join("release"),
            dir,
        };
        rig.install_node(version, abi);
        rig.install("npm", NPM_WITHOUT_PACKAGES);
        rig
    }

    pub(super) fn ask(&self) -> Ask<'_> {
        Ask {
            node: &self.node,
            manager: &self.manager,
            release: &self.release,
            env: &self.env,
            mark: self.dir.path(),
            afresh: false,
            limit: Duration::from_secs(60),
        }
    }

    pub(super) fn bin(&self) -> PathBuf {
        self.dir.path().join("bin")
    }

    /// Puts a shell script among the system's programs, as another file.
    pub(super) fn install(&self, name: &str, script: &str) {
        let _ = fs::remove_file(self.bin().join(name)); // there may be none
        program(&self.bin().join(name), script);
    }

    pub(super) fn install_node(&self, version: &str, abi: &str) {
        self.install("node", &says(version, abi));
    }

    /// A package manager as npm installs it: a link to a program in its package.
    pub(super) fn install_package(&self, name: &str, package_json: &str) {
        let package = self.dir.path().join("lib/node_modules").join(name);
        fs::create_dir_all(package.join("bin")).unwrap();
        fs::write(package.join("package.json"), package_json).unwrap();
        program(&package.join("bin").join(name), "exit 1");
        let link = self.bin().join(name);
        let _ = fs::remove_file(&link); // there may be none
        symlink(package.join("bin").join(name), link).unwrap();
    }

    /// A node that was fetched.
    pub(super) fn keep_node(&self, version: &str, abi: &str) -> PathBuf {
        let shelf = self.toolbox.nodes();
        let staging = shelf.stage().unwrap();
        fs::create_dir(staging.dir().join("bin")).unwrap();
        program(&staging.dir().join("bin/node"), &says(version, abi));
        let version = version.parse().unwrap();
        shelf.put(&staging, &version, &[]).unwrap().join("bin/node")
    }
}

fn says(version: &str, abi: &str) -> String {
    format!(r#"echo '{{"version":"{version}","abi":"{abi}","arch":"x64","libc":"2.36"}}'"#)
}

fn program(path: &Path, script: &str) {
    fs::write(path, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}
