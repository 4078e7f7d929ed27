//! An app, what is around its installs, and what is stored of them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use handover::build::{Inputs, Limits, Surroundings, checkout};
use handover::config::ManagerKind;
use handover::git::Repo;
use handover::ids::ReleaseNumber;
use handover::store::{About, Found, Snapshot, Store};
use tempfile::TempDir;

use crate::support::Project;

/// The same for all: a workspace with a program, a package from elsewhere, and files that have to do with nothing.
pub(super) const LOCK: &str = r#"{"name": "app", "lockfileVersion": 3, "packages": {
  "": {"name": "app", "workspaces": ["packages/*"]},
  "packages/a": {"name": "a", "bin": {"a": "cli.js"}},
  "node_modules/a": {"resolved": "packages/a", "link": true},
  "node_modules/ms": {"version": "2.1.3", "integrity": "sha512-x"}
}}"#;
pub(super) const QUIET: &str = r#"{"name": "app", "workspaces": ["packages/*"]}"#;
pub(super) const LOUD: &str =
    r#"{"name": "app", "workspaces": ["packages/*"], "scripts": {"postinstall": "node build.js"}}"#;

/// A project, what is around its installs, and a store with the tree of the first of them.
pub(super) struct Bench {
    pub(super) project: Project,
    pub(super) around: Surroundings,
    pub(super) settings: [PathBuf; 3],
    store: Arc<Store>,
    dir: TempDir,
    installs: u32,
}

/// What an install has opened.
pub(super) type Opened<'o> = Option<&'o [&'o str]>;
/// What most of them have.
pub(super) const READS: Opened<'_> = Some(&[
    "node",
    "src/read.js",
    "packages/a/cli.js",
    "package.json",
    "src",
]);

/// What one has that copies the workspace instead of linking it.
pub(super) const COPIES: Opened<'_> = Some(&["packages/a/cli.js", "packages/a"]);

impl Bench {
    /// The first install is stored.
    pub(super) fn with(package: &str, opened: Opened<'_>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let settings = ["user", "builtin", "global"].map(|name| dir.path().join(name));
        let text = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
            let pairs = pairs.iter();
            pairs
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect()
        };
        let around = Surroundings {
            manager: ManagerKind::Npm,
            machine: text(&[
                ("npm", "11.1.0"),
                ("node", "22.1.0"),
                ("abi", "127"),
                ("arch", "x64"),
                ("libc", "2.36"),
            ]),
            arguments: ["ci", "--include=dev"].map(str::to_owned).to_vec(),
            environment: text(&[
                ("PATH", "/bin"),
                ("npm_config_registry", "r"),
                ("TZ", "UTC"),
            ]),
            settings: settings.to_vec(),
        };
        fs::write(&settings[0], "fund=false\n").unwrap();
        let mut bench = Self {
            project: project(package),
            around,
            settings,
            store: Arc::new(Store::at(dir.path().join("store"))),
            dir,
            installs: 0,
        };
        bench.store_the_first(opened);
        bench
    }

    fn gather(&mut self) -> (PathBuf, Inputs) {
        self.installs += 1;
        let commit = self.project.commit("as it is now").parse().unwrap();
        let bare = self.dir.path().join("repo.git");
        if !bare.exists() {
            Repo::init_bare(&bare, "main").unwrap();
        }
        self.project.push_with(&bare, &["--force", "main"]);
        let repo = Repo::open(&bare).unwrap();
        let (staging, release) = (
            self.dir.path().join("staging"),
            self.dir.path().join(format!("release-{}", self.installs)),
        );
        let limits = Limits::default();
        let checkout = checkout(&repo, &commit, &staging, &release, &limits).unwrap();
        let inputs = Inputs::gather(&release, checkout.listing, &self.around);
        (release, inputs)
    }

    pub(super) fn store_the_first(&mut self, opened: Opened<'_>) {
        let (release, inputs) = self.gather();
        assert_eq!(inputs.unstorable(), None);
        let before = Snapshot::take(&release).unwrap();
        fs::create_dir(release.join("node_modules")).unwrap();
        if opened == COPIES {
            fs::create_dir(release.join("node_modules/a")).unwrap();
        }
        let after = Snapshot::take(&release).unwrap();
        let made = after.made_since(&before, |_| false).unwrap();
        let opened: Option<BTreeSet<_>> =
            opened.map(|names| names.iter().map(PathBuf::from).collect());
        let about = About {
            made: handover::time::now(),
            release: ReleaseNumber(1),
            directory: release,
            parts: inputs.parts().clone(),
            reads: inputs.reads(opened.as_ref(), |path| made.is_directory(path)),
            modes: BTreeMap::new(),
            packages: 2,
            warnings: Vec::new(),
            took_ms: 1,
        };
        let pending = self.store.expect(inputs.key(), made, about).unwrap();
        pending.seal().unwrap();
    }

    /// Why the next install runs; nothing where it does not.
    pub(super) fn miss(&mut self) -> Option<String> {
        let (_, inputs) = self.gather();
        let holds = |about: &About| inputs.holds(about);
        match self.store.find(&inputs.key(), holds).unwrap() {
            Found::Tree(_) => None,
            Found::Nothing(nearest) => {
                Some(inputs.difference(nearest.as_deref(), ReleaseNumber(2)))
            }
        }
    }
}

fn project(package: &str) -> Project {
    let project = Project::empty();
    project
        .write("package.json", package)
        .write("package-lock.json", LOCK)
        .write(
            "packages/a/package.json",
            r#"{"name": "a", "bin": "cli.js"}"#,
        )
        .write("packages/a/cli.js", "#!/usr/bin/env node\n")
        .write("src/read.js", "read")
        .write("src/unread.js", "unread")
        .write("node", "has the name of another part")
        .write("README.md", "words");
    project
}
