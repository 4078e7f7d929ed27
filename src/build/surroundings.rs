//! What an install reads that is not the app's: programs, settings, environment.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use super::install::InstallRequest;
use super::listing::shown;
use crate::config::ManagerKind;
use crate::store::Digest;

/// What an install reads that is not the app's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Surroundings {
    /// Which package manager it is.
    pub manager: ManagerKind,
    /// Programs and what else is about the machine: `npm` → `11.1.0`, `node` → `22.1.0`, `libc` → `glibc 2.36`.
    pub machine: BTreeMap<String, String>,
    /// The arguments that it is run with.
    pub arguments: Vec<String>,
    /// Its environment.
    pub environment: BTreeMap<String, String>,
    /// The settings that it reads outside the release, there or not; a directory stands for all that is in it.
    pub settings: Vec<PathBuf>,
}

impl Surroundings {
    /// Each part of the key.
    pub(super) fn parts(&self) -> BTreeMap<String, Digest> {
        let machine = self
            .machine
            .iter()
            .map(|(name, value)| (name.clone(), value));
        let environment = self.environment.iter();
        let environment = environment.map(|(name, value)| (format!("environment {name}"), value));
        let mut parts: BTreeMap<_, _> = machine
            .chain(environment)
            .map(|(name, value)| (name, Digest::of(value.as_bytes())))
            .collect();
        let arguments = self.arguments.join("\0");
        parts.insert("the arguments".to_owned(), Digest::of(arguments.as_bytes()));
        for path in &self.settings {
            parts.insert(path.display().to_string(), Digest::of(&content(path)));
        }
        parts
    }
}

/// What a settings file says, or all files of a directory. One that is empty, one that can't be read and one that is not
/// there are three things.
pub(super) fn content(path: &Path) -> Vec<u8> {
    let Ok(entries) = fs::read_dir(path) else {
        return match fs::read(path) {
            Ok(content) => [b"+", content.as_slice()].concat(),
            Err(error) => error.kind().to_string().into_bytes(),
        };
    };
    let mut paths: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    let within = paths.iter().flat_map(|path| {
        let content = content(path);
        let name = path.as_os_str().as_bytes();
        [name, &(content.len() as u64).to_le_bytes(), &content].concat()
    });
    within.collect()
}

impl InstallRequest<'_> {
    /// What this install reads that is not the app's.
    pub fn surroundings(&self) -> Surroundings {
        let (node, manager) = (&self.toolchain.node, &self.toolchain.manager);
        let machine = [
            ("node", node.version.to_string()),
            ("the ABI of node", node.abi.clone()),
            ("the architecture", node.arch.clone()),
            ("the C library", node.libc.to_string()),
            (manager.kind.name(), manager.version.to_string()),
        ];
        // What lies in the release is in its commit.
        let outside = self.config_files().into_iter();
        Surroundings {
            manager: manager.kind,
            machine: machine.map(|(name, value)| (name.to_owned(), value)).into(),
            // How much is shown changes nothing.
            arguments: Self {
                verbose: false,
                ..*self
            }
            .args(),
            environment: self.environment_in_any_release(),
            settings: outside
                .filter(|path| !path.starts_with(self.release))
                .collect(),
        }
    }

    /// The variables as they are in every release: what lies in this one is named by its path in it.
    fn environment_in_any_release(&self) -> BTreeMap<String, String> {
        let mut variables = self.environment();
        for value in variables.values_mut() {
            if let Ok(inside) = Path::new(value.as_str()).strip_prefix(self.release) {
                *value = shown(inside);
            }
        }
        variables
    }
}
