//! Releases whose dependencies were laid out from the store, beside what a real `npm ci` makes in the same place.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use handover::build::{self, Ask, InstallRequest, Limits, Toolbox};
use handover::deploy::environment;
use handover::git::Repo;
use handover::store::Digest;

use super::{Project, Pushed, Server, until};

/// An app whose dependencies are looked at.
pub struct Orchard {
    pub server: Server,
    pub repo: PathBuf,
    pub project: Project,
    environment: Vec<(String, String)>,
    version: u32,
}

/// Everything in a directory: by path, what is seen of it. Times are not: they are those of the making in either case.
type Tree = BTreeMap<PathBuf, Seen>;

#[derive(Debug, Clone, PartialEq, Eq)]
struct Seen {
    /// Kind and permissions.
    mode: u32,
    owner: (u32, u32),
    /// Of the content, or of what a symlink leads to.
    digest: Digest,
}

impl Orchard {
    /// An app with the dependencies of `tests/trees/NAME`.
    pub fn of_tree(name: &str) -> Self {
        Self::of(tree(name))
    }

    /// An app with the dependencies of a project.
    pub fn of(project: Project) -> Self {
        Self::among(project, &[])
    }

    /// The same, on a server with these variables in its environment.
    pub fn among(project: Project, environment: &[(&str, &str)]) -> Self {
        let server = Server::start_among(environment, "", &["--listen", "127.0.0.1:0"]);
        Self::on(server, project, environment)
    }

    /// The same, on this server.
    pub fn on(server: Server, project: Project, environment: &[(&str, &str)]) -> Self {
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Self {
            repo: server.create("shop"),
            server,
            project: served(project),
            environment: environment.iter().map(own).collect(),
            version: 0,
        }
    }

    /// Changes a file that has nothing to do with the dependencies.
    pub fn next_version(&mut self) {
        self.version += 1;
        self.project.version(&format!("v{}", self.version));
    }

    /// Pushes the next version, which goes live.
    #[track_caller]
    pub fn push(&mut self) -> Pushed {
        self.next_version();
        let pushed = self.project.push(&self.repo);
        pushed.went_live();
        pushed
    }

    /// Pushes the next version: npm runs, for this reason.
    #[track_caller]
    pub fn push_installs(&mut self, why: &str) -> Pushed {
        let pushed = self.push();
        pushed.says(&format!("({why})"));
        assert!(!pushed.text.contains(" installed them"), "{}", pushed.text);
        pushed
    }

    /// Pushes the next version: npm does not run.
    #[track_caller]
    pub fn push_lays_out(&mut self) -> Pushed {
        let pushed = self.push();
        pushed.says(" installed them");
        assert!(!pushed.text.contains("npm ci"), "{}", pushed.text);
        pushed
    }

    /// The directory of the release that is live.
    pub fn release(&self) -> PathBuf {
        let live = &self.server.status("shop")["live"]["release"];
        self.server.app_dir("shop").join(format!("releases/{live}"))
    }

    pub fn store(&self) -> PathBuf {
        self.server.app_dir("shop").join("store")
    }

    /// The files and directories in the store whose names are like this.
    pub fn stored(&self, like: impl Fn(&str) -> bool) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.store()).into_iter().flatten().flatten();
        let paths = entries.map(|entry| entry.path());
        paths
            .filter(|path| path.file_name().unwrap().to_str().is_some_and(&like))
            .collect()
    }

    /// The stored trees.
    pub fn entries(&self) -> Vec<PathBuf> {
        self.stored(|name| Path::new(name).extension().is_some_and(|end| end == "tree"))
    }

    /// Waits until a tree is in readiness for the next push; gives where it is.
    #[track_caller]
    pub fn until_ready(&self) -> PathBuf {
        until("a tree is in readiness", || {
            self.stored(|name| name.starts_with("spare-")).pop()
        })
    }

    /// Waits until the tree of an install is stored.
    #[track_caller]
    pub fn until_stored(&self) -> PathBuf {
        until("a tree is stored", || self.entries().pop())
    }

    /// Panics with what is different, unless the live release is what a real `npm ci` makes of its commit in its place.
    #[track_caller]
    pub fn assert_same(&self) {
        self.assert_same_but(&[]);
    }

    /// The same, for what is not in these files.
    #[track_caller]
    pub fn assert_same_but(&self, apart: &[&str]) {
        self.server.until_shelved();
        let release = self.release();
        let aside = self.server.home().join("aside");
        let look = |release: &Path| {
            let mut tree = look(release);
            for path in apart {
                assert!(tree.remove(Path::new(path)).is_some(), "no {path}");
            }
            tree
        };
        let laid = look(&release);
        fs::rename(&release, &aside).unwrap();
        self.install_really(&release);
        let installed = look(&release);
        fs::remove_dir_all(&release).unwrap();
        fs::rename(&aside, &release).unwrap();
        let differences = differences(&laid, &installed);
        assert!(
            differences.is_empty(),
            "laid out (-) and installed (+) are not the same:\n{differences}"
        );
    }

    /// Checks the commit that is live out and runs what a deploy without a store runs.
    #[track_caller]
    fn install_really(&self, release: &Path) {
        let commit = self.server.status("shop")["live"]["commit"].clone();
        let commit = commit.as_str().unwrap().parse().unwrap();
        let repo = Repo::open(&self.repo).unwrap();
        let staging = self.server.home().join("checkout");
        build::checkout(&repo, &commit, &staging, release, &Limits::default()).unwrap();
        let ours = self.environment.iter();
        let ours = ours.map(|(name, value)| (name.into(), value.into()));
        let env = environment::base(std::env::vars_os().chain(ours));
        let files = build::read_app_files(release).unwrap();
        let app = self.server.app_dir("shop");
        let mut said = String::new();
        let installed = async {
            let ask = Ask {
                node: &files.node,
                manager: &files.manager,
                release,
                env: &env,
                mark: &app,
                afresh: false,
                limit: InstallRequest::LIMIT,
            };
            let toolbox = Toolbox::open(self.server.home());
            let toolchain = toolbox.choose(&ask, &mut |_| ()).await?;
            let request = InstallRequest {
                release,
                caches: &app.join("cache"),
                mark: &app,
                env: &env,
                toolchain: &toolchain,
                manager: &files.manager,
                omit: &files.config.install.omit,
                verbose: false,
                limit: InstallRequest::LIMIT,
            };
            let mut hear = |line: build::Line| writeln!(said, "{}", line.text).unwrap();
            build::install(&request, &mut hear).await
        };
        let installed = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap()
            .block_on(installed);
        installed.unwrap_or_else(|failure| panic!("npm ci: {failure:?}\n{said}"));
    }
}

/// The project in `tests/trees/NAME`, not yet an app.
pub fn tree(name: &str) -> Project {
    let trees = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/trees");
    Project::of(&trees.join(name))
}

/// With a server that needs nothing, and a version.
fn served(project: Project) -> Project {
    let tiny = Project::tiny();
    project.write("server.js", &tiny.read("server.js"));
    project.version("v0");
    project
}

/// Has npm write the lockfile of a project, for what can't be known before: the digests of tarballs that are made anew.
#[track_caller]
pub fn lock(project: &Project) {
    let output = Command::new("npm")
        .args(["install", "--package-lock-only", "--ignore-scripts"])
        .args(["--no-audit", "--no-fund"])
        .current_dir(project.path())
        .output()
        .unwrap();
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "npm install: {words}");
    project.commit("locked");
}

/// Packs a package into a tarball of a project, as publishers do: each file with its mode.
pub fn tarball(project: &Project, to: &str, files: &[(&str, u32, &str)]) {
    use std::os::unix::fs::PermissionsExt as _;
    let place = tempfile::tempdir().unwrap();
    for (name, mode, content) in files {
        let path = place.path().join("package").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(*mode)).unwrap();
    }
    let to = project.path().join(to);
    fs::create_dir_all(to.parent().unwrap()).unwrap();
    let tar = Command::new("tar")
        .arg("czf")
        .arg(to)
        .arg("package")
        .current_dir(place.path())
        .status();
    assert!(tar.unwrap().success());
}

/// What handover writes into a release, and no install.
const OURS: &str = ".handover-tools.json";

fn look(top: &Path) -> Tree {
    let mut tree = Tree::new();
    let mut ahead = vec![PathBuf::new()];
    while let Some(inside) = ahead.pop() {
        let path = top.join(&inside);
        let found = fs::symlink_metadata(&path).unwrap();
        if inside == Path::new(OURS) {
            continue;
        }
        let digest = if found.is_dir() {
            let entries = fs::read_dir(&path).unwrap();
            ahead.extend(entries.map(|entry| inside.join(entry.unwrap().file_name())));
            Digest::of(b"")
        } else if found.is_symlink() {
            Digest::of(fs::read_link(&path).unwrap().as_os_str().as_bytes())
        } else {
            Digest::of(&fs::read(&path).unwrap())
        };
        let seen = Seen {
            mode: found.mode(),
            owner: (found.uid(), found.gid()),
            digest,
        };
        tree.insert(inside, seen);
    }
    tree
}

/// The first differences, a line each.
fn differences(laid: &Tree, installed: &Tree) -> String {
    let paths: BTreeSet<_> = laid.keys().chain(installed.keys()).collect();
    let different = paths
        .into_iter()
        .filter(|path| laid.get(*path) != installed.get(*path));
    let mut told = String::new();
    for path in different.take(40) {
        for (sign, tree) in [('-', laid), ('+', installed)] {
            if let Some(seen) = tree.get(path) {
                let Seen {
                    mode,
                    owner,
                    digest,
                } = seen;
                let path = path.display();
                writeln!(told, "{sign} {path} {mode:o} {owner:?} {digest}").unwrap();
            }
        }
    }
    told
}
