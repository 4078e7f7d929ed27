//! The content of a disk, and changes to it that may or may not have reached it.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Component, Path, PathBuf};

/// A file, whatever its name.
pub type Inode = usize;

/// The directory that all others are in.
pub const ROOT: Inode = 0;

/// What a file is.
#[derive(Debug, Clone)]
pub enum Node {
    File { content: Vec<u8>, mode: u32 },
    Dir(BTreeMap<OsString, Inode>),
    Link(PathBuf),
}

/// One change, which happens as a whole or not at all.
#[derive(Debug, Clone)]
pub enum Change {
    /// Names in directories lead elsewhere, or nowhere. The last is what the change is about.
    Names(Vec<(Inode, OsString, Option<Inode>)>),
    /// A file has this at this place.
    Write(Inode, usize, Vec<u8>),
    /// A file has this length.
    Resize(Inode, usize),
}

/// How a change has come down to the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    Kept,
    Lost,
    /// The place is there, and zeros are in it.
    Zeros,
}

/// All files of a disk, those without a name among them.
#[derive(Debug, Clone)]
pub struct Image {
    nodes: Vec<Node>,
}

impl Image {
    /// What lies in a directory, without some of the names at its top.
    pub fn read(dir: &Path, without: &[&str]) -> Self {
        let mut image = Self {
            nodes: vec![Node::Dir(BTreeMap::new())],
        };
        image.read_into(ROOT, dir, without);
        image
    }

    fn read_into(&mut self, inode: Inode, dir: &Path, without: &[&str]) {
        for entry in std::fs::read_dir(dir).unwrap().map(Result::unwrap) {
            let (name, path) = (entry.file_name(), entry.path());
            if without.iter().any(|one| *name == **one) {
                continue;
            }
            let kind = entry.file_type().unwrap();
            let made = if kind.is_dir() {
                let made = self.add(Node::Dir(BTreeMap::new()));
                self.read_into(made, &path, &[]);
                made
            } else if kind.is_symlink() {
                self.add(Node::Link(std::fs::read_link(&path).unwrap()))
            } else {
                let mode = entry.metadata().unwrap().permissions().mode() & 0o777;
                let content = std::fs::read(&path).unwrap();
                self.add(Node::File { content, mode })
            };
            self.names(inode).insert(name, made);
        }
    }

    /// A file without a name.
    pub fn add(&mut self, node: Node) -> Inode {
        self.nodes.push(node);
        self.nodes.len() - 1
    }

    /// What a path leads to.
    pub fn find(&self, path: &Path) -> Option<Inode> {
        path.components().try_fold(ROOT, |inode, part| {
            let Component::Normal(name) = part else {
                return Some(inode);
            };
            match &self.nodes[inode] {
                Node::Dir(names) => names.get(name).copied(),
                Node::File { .. } | Node::Link(_) => None,
            }
        })
    }

    /// The directory of a path, and the name in it.
    pub fn place<'p>(&self, path: &'p Path) -> (Inode, &'p OsStr) {
        let dir = path.parent().and_then(|dir| self.find(dir));
        let dir = dir.unwrap_or_else(|| panic!("{} has no directory", path.display()));
        (dir, path.file_name().unwrap())
    }

    pub fn is_dir(&self, inode: Inode) -> bool {
        matches!(self.nodes[inode], Node::Dir(_))
    }

    pub fn length(&self, inode: Inode) -> usize {
        match &self.nodes[inode] {
            Node::File { content, .. } => content.len(),
            Node::Dir(_) | Node::Link(_) => 0,
        }
    }

    pub fn set_mode(&mut self, inode: Inode, wanted: u32) {
        if let Node::File { mode, .. } = &mut self.nodes[inode] {
            *mode = wanted;
        }
    }

    /// Files that came later than those that this image knows: without content, under no name.
    pub fn add_empty(&mut self, later: &Self) {
        for node in &later.nodes[self.nodes.len()..] {
            self.nodes.push(match node {
                Node::File { mode, .. } => Node::File {
                    content: Vec::new(),
                    mode: *mode,
                },
                Node::Dir(_) => Node::Dir(BTreeMap::new()),
                Node::Link(to) => Node::Link(to.clone()),
            });
        }
    }

    pub fn apply(&mut self, change: &Change, fate: Fate) {
        match (change, fate) {
            (_, Fate::Lost) => {}
            (Change::Names(names), Fate::Kept | Fate::Zeros) => {
                for (dir, name, to) in names {
                    match to {
                        Some(to) => self.names(*dir).insert(name.clone(), *to),
                        None => self.names(*dir).remove(name),
                    };
                }
            }
            (Change::Write(inode, at, data), Fate::Kept) => self.write(*inode, *at, data),
            (Change::Write(inode, at, data), Fate::Zeros) => {
                self.write(*inode, *at, &vec![0; data.len()]);
            }
            (Change::Resize(inode, length), Fate::Kept | Fate::Zeros) => {
                self.content(*inode).resize(*length, 0);
            }
        }
    }

    fn write(&mut self, inode: Inode, at: usize, data: &[u8]) {
        let content = self.content(inode);
        let end = at + data.len();
        if content.len() < end {
            content.resize(end, 0);
        }
        content[at..end].copy_from_slice(data);
    }

    fn names(&mut self, inode: Inode) -> &mut BTreeMap<OsString, Inode> {
        match &mut self.nodes[inode] {
            Node::Dir(names) => names,
            other => panic!("{other:?} is no directory"),
        }
    }

    fn content(&mut self, inode: Inode) -> &mut Vec<u8> {
        match &mut self.nodes[inode] {
            Node::File { content, .. } => content,
            other => panic!("{other:?} is no file"),
        }
    }

    /// Makes the files in a directory.
    pub fn write_to(&self, dir: &Path) {
        self.write_node(ROOT, dir);
    }

    fn write_node(&self, inode: Inode, path: &Path) {
        match &self.nodes[inode] {
            Node::Dir(names) => {
                let _ = std::fs::create_dir(path); // the top is there
                for (name, inode) in names {
                    self.write_node(*inode, &path.join(name));
                }
            }
            Node::Link(to) => symlink(to, path).unwrap(),
            Node::File { content, mode } => {
                std::fs::write(path, content).unwrap();
                std::fs::set_permissions(path, std::fs::Permissions::from_mode(*mode)).unwrap();
            }
        }
    }
}
