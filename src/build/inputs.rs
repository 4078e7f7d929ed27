//! All that an install reads: what stands for the tree that it will make.
//!
//! What npm reads itself is known before it runs, and makes the key. What scripts read is seen while they run: each file of
//! the commit that anybody opens meanwhile. A script can also ask whether a file is there, which nobody sees; so where
//! scripts run, the names of all files count.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Map, Value};

use super::install::InstallRequest;
use super::listing::{Listing, shown};
use super::npm_left_out::{Machine, left_out, may_omit};
use super::npm_lock::{Scripts, links, own_programs, scripts};
use super::other_locks::floating;
use super::surroundings::{Surroundings, content};
use crate::config::{LOCKFILES, ManagerKind};
use crate::ids::ReleaseNumber;
use crate::store::{About, Digest, Key, differing};

/// The names under which a read of everything, and of all names, is remembered. No file is called so: those have `file `
/// before them.
const EVERYTHING: &str = "everything";
const NAMES: &str = "names";
/// The files that package managers read wherever they lie.
const READ_BY_NAME: [&str; 11] = [
    "package.json",
    ".npmrc",
    "npm-shrinkwrap.json",
    "package-lock.json",
    "pnpm-lock.yaml",
    "pnpm-workspace.yaml",
    "yarn.lock",
    ".yarnrc.yml",
    "bun.lock",
    "bun.lockb",
    "bunfig.toml",
];
/// Where packages are.
const MODULES: &str = "node_modules";
/// How many differences are told.
const TOLD: usize = 3;

/// What an install is given.
#[derive(Debug)]
pub struct Inputs {
    parts: BTreeMap<String, Digest>,
    /// Of the app's own packages; npm itself opens them.
    programs: BTreeSet<PathBuf>,
    /// Where the lockfile of npm's has links.
    links: Vec<PathBuf>,
    scripts: Scripts,
    listing: Listing,
}

impl Inputs {
    /// What an install in this release is given. Reads the lockfile, and each `package.json` of the app's own.
    pub fn gather(release: &Path, listing: Listing, around: &Surroundings) -> Self {
        let mut parts = BTreeMap::new();
        for name in READ_BY_NAME {
            for path in listing.files_named(name) {
                let digest = listing.file(path).expect("it is in the listing");
                parts.insert(shown(path), digest);
            }
            for path in listing.links_named(name) {
                let led_to = [
                    listing.look(path),
                    Digest::of(&content(&release.join(path))),
                ];
                let both = led_to.map(|digest| digest.to_string()).concat();
                parts.insert(shown(path), Digest::of(both.as_bytes()));
            }
        }
        parts.extend(around.parts());
        // npm takes away what is there.
        let committed = listing.called(MODULES);
        parts.extend(committed.map(|digest| (MODULES.to_owned(), digest)));
        let programs = own_programs_of(release, &listing);
        for path in &programs {
            let name = shown(path);
            // No file stands in for what has its name: `node`, say.
            let is_taken = parts.contains_key(&name) && !is_read_by_name(path);
            let name = if is_taken { format!("./{name}") } else { name };
            parts.insert(name, program(release, &listing, path));
        }
        Self {
            parts,
            programs,
            links: links(&lockfile(release, &listing).unwrap_or_default()),
            scripts: if around.manager == ManagerKind::Npm {
                scripts_of(release, &listing)
            } else {
                scripts_of_others(release, around.manager)
            },
            listing,
        }
    }

    /// The key under which the tree is stored.
    pub fn key(&self) -> Key {
        Key::of(&self.parts)
    }

    /// Each part of the key.
    pub fn parts(&self) -> &BTreeMap<String, Digest> {
        &self.parts
    }

    /// Why no stored tree can stand for this install, if so, in words.
    pub fn unstorable(&self) -> Option<String> {
        match &self.scripts {
            Scripts::Floating(names) => {
                let names = listed(names);
                Some(format!(
                    "the lockfile does not fix the content of {names} (no integrity)"
                ))
            }
            Scripts::None | Scripts::Of(_) => None,
        }
    }

    /// The directories in which files may be opened, relative to the release.
    pub(super) fn directories(&self) -> impl Iterator<Item = &Path> {
        self.listing.directories()
    }

    /// Whether a file in a release has the content that it has in the commit.
    pub(super) fn has_content(&self, release: &Path, path: &Path) -> bool {
        self.listing.has_content(release, path)
    }

    /// What has been read besides, where these files were opened and this was made; what was opened is not known if there
    /// is nothing.
    pub fn reads(
        &self,
        opened: Option<&BTreeSet<PathBuf>>,
        is_directory: impl Fn(&Path) -> bool,
    ) -> BTreeMap<String, Digest> {
        let Some(opened) = opened else {
            return [(EVERYTHING.to_owned(), self.listing.all())].into();
        };
        let files = opened.iter().filter_map(|path| {
            let digest = self.listing.file(path)?;
            let name = shown(path);
            let is_given = is_read_by_name(path) || self.programs.contains(path);
            let is_known = is_given && !self.may_be_read(path);
            (!is_known).then(|| (format!("file {name}"), digest))
        });
        let mut reads: BTreeMap<_, _> = files.collect();
        // What the lockfile has as links may be copied all the same (`install-links`), with every name.
        let copies = self.links.iter().any(|link| is_directory(link));
        if copies || matches!(self.scripts, Scripts::Of(_)) {
            reads.insert(NAMES.to_owned(), self.listing.names());
        }
        reads
    }

    /// Whether a program of the app's own may have been opened by others than npm, which does not care for all of it.
    fn may_be_read(&self, program: &Path) -> bool {
        self.programs.contains(program) && matches!(self.scripts, Scripts::Of(_))
    }

    /// Whether what an install has read besides would be the same now, and nothing runs now that has not run then.
    pub fn holds(&self, about: &About) -> bool {
        let is_seen = |name: &str| about.reads.contains_key(name);
        let ran_scripts = is_seen(NAMES) || is_seen(EVERYTHING);
        let runs_scripts = matches!(self.scripts, Scripts::Of(_));
        (ran_scripts || !runs_scripts) && self.now(&about.reads) == about.reads
    }

    /// The same reads, as they would be now.
    fn now(&self, reads: &BTreeMap<String, Digest>) -> BTreeMap<String, Digest> {
        let files: BTreeMap<String, &Path> = reads
            .keys()
            .filter_map(|name| name.strip_prefix("file "))
            .filter_map(|name| Some((name.to_owned(), self.path_of(name)?)))
            .collect();
        let now = reads.keys().filter_map(|name| {
            let digest = match name.as_str() {
                EVERYTHING => self.listing.all(),
                NAMES => self.listing.names(),
                file => self.listing.file(files.get(file.strip_prefix("file ")?)?)?,
            };
            Some((name.clone(), digest))
        });
        now.collect()
    }

    fn path_of(&self, name: &str) -> Option<&Path> {
        self.listing.files().find(|path| shown(path) == name)
    }

    /// Why the install of this release runs although something is stored, in words.
    pub fn difference(&self, nearest: Option<&About>, release: ReleaseNumber) -> String {
        let Some(about) = nearest else {
            return "nothing is stored yet".to_owned();
        };
        let parts = differing(&about.parts, &self.parts);
        let since = format!("since {}", about.maker(release));
        if !parts.is_empty() {
            return format!("{} changed {since}", listed(&parts));
        }
        let reads = differing(&about.reads, &self.now(&about.reads));
        let files: Vec<String> = reads
            .iter()
            .filter_map(|name| Some(name.strip_prefix("file ")?.to_owned()))
            .collect();
        if !files.is_empty() {
            return format!(
                "{} changed {since}, and the install reads that",
                listed(&files)
            );
        }
        match &self.scripts {
            Scripts::Of(names) if reads.iter().all(|name| name == NAMES) => format!(
                "files were added or removed {since}, which the install scripts of {} may look for",
                listed(names)
            ),
            _ if reads.iter().all(|name| name == NAMES) => format!(
                "files were added or removed {since}, and the install copies directories of the app"
            ),
            _ => format!("the app changed {since}, and what of it the install reads is not known"),
        }
    }
}

impl InstallRequest<'_> {
    /// Looks, when called, for what the install has left out though it should be there, and gives that in words; nothing
    /// where it can't be told. Blocks.
    pub(super) fn left_out(
        &self,
        inputs: &Arc<Inputs>,
    ) -> impl FnOnce() -> Option<String> + Send + 'static {
        let (release, inputs) = (self.release.to_owned(), Arc::clone(inputs));
        let (toolchain, omit) = (self.toolchain.clone(), self.omit.to_vec());
        let (settings, environment) = (self.config_files(), self.environment());
        move || {
            if toolchain.manager.kind != ManagerKind::Npm {
                return None;
            }
            let lock = lockfile(&release, &inputs.listing)?;
            let may_omit_all = may_omit(&settings, &environment);
            let is_there = |path: &str| fs::symlink_metadata(release.join(path)).is_ok();
            let machine = Machine::of(&toolchain);
            let missed = left_out(&lock, &machine, &omit, may_omit_all, is_there);
            let names: Vec<String> = missed
                .iter()
                .map(|path| package_at(path).to_owned())
                .collect();
            (!names.is_empty()).then(|| format!("npm went on without {}", listed(&names)))
        }
    }
}

/// The name of the package that lies at a path of a lockfile.
fn package_at(path: &str) -> &str {
    path.rsplit_once("node_modules/")
        .map_or(path, |(_, name)| name)
}

/// Whether its content is a part of the key wherever it lies.
fn is_read_by_name(path: &Path) -> bool {
    READ_BY_NAME
        .iter()
        .any(|name| path.file_name() == Some(OsStr::new(name)))
}

fn scripts_of(release: &Path, listing: &Listing) -> Scripts {
    let manifest_at = |directory: &str| {
        let path = Path::new(directory).join("package.json");
        read_json(release, listing, &path)
    };
    let (Some(lock), Some(_)) = (lockfile(release, listing), manifest_at("")) else {
        return Scripts::Floating(vec!["a lockfile that can't be read".to_owned()]);
    };
    let has_gyp = |directory: &str| {
        let path = Path::new(directory).join("binding.gyp");
        listing.file(&path).is_some()
    };
    scripts(&lock, has_gyp, manifest_at)
}

/// Which packages have scripts the lockfiles of the others do not say, or not all of them. That of bun may be a binary one,
/// in which names can be read all the same.
fn scripts_of_others(release: &Path, kind: ManagerKind) -> Scripts {
    let locks = LOCKFILES
        .iter()
        .filter(|(_, manager)| *manager == kind.name());
    let found = locks.filter_map(|(name, _)| fs::read(release.join(name)).ok());
    let open = found.flat_map(|lock| floating(kind, &String::from_utf8_lossy(&lock)));
    match open.collect::<Vec<_>>() {
        none if none.is_empty() => Scripts::Of(vec!["packages".to_owned()]),
        open => Scripts::Floating(open),
    }
}

fn own_programs_of(release: &Path, listing: &Listing) -> BTreeSet<PathBuf> {
    let lock = lockfile(release, listing).unwrap_or_default();
    own_programs(&lock, |directory| {
        let path = Path::new(directory).join("package.json");
        read_json(release, listing, &path)
    })
}

fn lockfile(release: &Path, listing: &Listing) -> Option<Map<String, Value>> {
    let names = ["npm-shrinkwrap.json", "package-lock.json"];
    let mut found = names
        .iter()
        .filter_map(|name| read_json(release, listing, Path::new(name)));
    found.next()
}

fn read_json(release: &Path, listing: &Listing, path: &Path) -> Option<Map<String, Value>> {
    listing.file(path)?;
    serde_json::from_slice(&fs::read(release.join(path)).ok()?).ok()
}

/// What npm looks at of a program of the app's own: links to it are made if it is there, and a first line that ends as on
/// Windows is written anew.
fn program(release: &Path, listing: &Listing, path: &Path) -> Digest {
    let content = match listing.file(path) {
        Some(_) => fs::read(release.join(path)).unwrap_or_default(),
        None => return listing.look(path),
    };
    let first = content.split(|&byte| byte == b'\n').next();
    if first.is_some_and(|line| line.starts_with(b"#!") && line.ends_with(b"\r")) {
        Digest::of(b"as on Windows")
    } else {
        listing.look(path)
    }
}

/// The first of them, and how many more there are.
fn listed(names: &[String]) -> String {
    let first = names.iter().take(TOLD).map(|name| format!("`{name}`"));
    let first = first.collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(TOLD) {
        0 => first,
        more => format!("{first} and {more} more"),
    }
}
