//! What a commit holds, by path: enough to tell whether something is still as it was, without reading it.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use super::walk::Plan;
use crate::git::ObjectId;
use crate::store::Digest;

/// Everything in the tree of a commit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listing(BTreeMap<Vec<u8>, Leaf>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Leaf {
    Directory,
    File { executable: bool, blob: String },
    Link { target: Vec<u8> },
}

impl Listing {
    pub(super) fn of(plan: &Plan) -> Self {
        let bytes = |path: &Path| path.as_os_str().as_bytes().to_vec();
        let directories = plan.directories.iter();
        let mut all: BTreeMap<_, _> = directories
            .map(|path| (bytes(path), Leaf::Directory))
            .collect();
        all.extend(plan.files.iter().map(|file| {
            let leaf = Leaf::File {
                executable: file.executable,
                blob: file.blob.to_string(),
            };
            (bytes(&file.path), leaf)
        }));
        all.extend(plan.links.iter().map(|(path, target)| {
            let target = target.clone();
            (path.clone(), Leaf::Link { target })
        }));
        Self(all)
    }

    /// All directories, that at the top among them, relative to it.
    pub(super) fn directories(&self) -> impl Iterator<Item = &Path> {
        let below = self.0.iter().filter(|(_, leaf)| **leaf == Leaf::Directory);
        let below = below.map(|(path, _)| Path::new(OsStr::from_bytes(path)));
        std::iter::once(Path::new("")).chain(below)
    }

    /// The files whose last name is this, wherever they are.
    pub(super) fn files_named(&self, name: &str) -> impl Iterator<Item = &Path> {
        self.files()
            .filter(move |path| path.file_name() == Some(OsStr::new(name)))
    }

    /// The symlinks whose last name is this, wherever they are.
    pub(super) fn links_named(&self, name: &str) -> impl Iterator<Item = &Path> {
        let links = self
            .0
            .iter()
            .filter(|(_, leaf)| matches!(leaf, Leaf::Link { .. }));
        links
            .map(|(path, _)| Path::new(OsStr::from_bytes(path)))
            .filter(move |path| path.file_name() == Some(OsStr::new(name)))
    }

    /// All files.
    pub(super) fn files(&self) -> impl Iterator<Item = &Path> {
        let files = self
            .0
            .iter()
            .filter(|(_, leaf)| matches!(leaf, Leaf::File { .. }));
        files.map(|(path, _)| Path::new(OsStr::from_bytes(path)))
    }

    /// Stands for the content and mode of a file; nothing where there is no such file.
    pub(super) fn file(&self, path: &Path) -> Option<Digest> {
        match self.0.get(path.as_os_str().as_bytes())? {
            Leaf::File { executable, blob } => {
                Some(Digest::of(format!("{executable} {blob}").as_bytes()))
            }
            Leaf::Directory | Leaf::Link { .. } => None,
        }
    }

    /// Whether a file in a directory has the content that it has here.
    pub(super) fn has_content(&self, top: &Path, path: &Path) -> bool {
        let Some(Leaf::File { blob, .. }) = self.0.get(path.as_os_str().as_bytes()) else {
            return false;
        };
        let content = std::fs::read(top.join(path)).ok();
        let found = content.and_then(|content| ObjectId::of_blob(&content).ok());
        found.is_some_and(|found| found.to_string() == *blob)
    }

    /// Stands for what is seen of a path without opening it, but for whether it may be executed.
    pub(super) fn look(&self, path: &Path) -> Digest {
        match self.0.get(path.as_os_str().as_bytes()) {
            None => Digest::of(b"nothing"),
            Some(Leaf::Directory) => Digest::of(b"directory"),
            Some(Leaf::File { .. }) => Digest::of(b"file"),
            Some(Leaf::Link { target }) => Digest::of(&[b"link to ", target.as_slice()].concat()),
        }
    }

    /// Stands for all that has this name, wherever it is, and what is below it; nothing where there is nothing.
    pub(super) fn called(&self, name: &str) -> Option<Digest> {
        let inside = |path: &[u8]| {
            let path = Path::new(OsStr::from_bytes(path));
            path.iter().any(|part| part == name)
        };
        let those = self.0.iter().filter(|(path, _)| inside(path));
        let those = Self(
            those
                .map(|(path, leaf)| (path.clone(), leaf.clone()))
                .collect(),
        );
        (!those.0.is_empty()).then(|| those.all())
    }

    /// Stands for which paths there are, and what is seen of each without opening it, but for the sizes of files.
    pub(super) fn names(&self) -> Digest {
        self.digest(|leaf| match leaf {
            Leaf::Directory => vec![b'd'],
            Leaf::File { executable, .. } => vec![if *executable { b'x' } else { b'f' }],
            Leaf::Link { target } => [b"l", target.as_slice()].concat(),
        })
    }

    /// Stands for everything.
    pub(super) fn all(&self) -> Digest {
        self.digest(|leaf| match leaf {
            Leaf::Directory => vec![b'd'],
            Leaf::File { executable, blob } => format!("f {executable} {blob}").into_bytes(),
            Leaf::Link { target } => [b"l", target.as_slice()].concat(),
        })
    }

    fn digest(&self, seen: impl Fn(&Leaf) -> Vec<u8>) -> Digest {
        let mut all = Vec::new();
        for (path, leaf) in &self.0 {
            for part in [path, &seen(leaf)] {
                all.extend((part.len() as u64).to_le_bytes());
                all.extend_from_slice(part);
            }
        }
        Digest::of(&all)
    }
}

/// A path as text, each path as another.
pub(super) fn shown(path: &Path) -> String {
    match path.to_str() {
        Some(text) if !text.contains('\\') => text.to_owned(),
        _ => path.as_os_str().as_bytes().escape_ascii().to_string(),
    }
}
