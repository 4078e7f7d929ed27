//! From calls to changes of a disk, and to what was synced when.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::calls::Call;
use crate::image::{Change, Image, Inode, Node};

/// What a sync writes through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Synced {
    All,
    /// A file's content, or a directory's names.
    One(Inode),
}

/// A sync, by the number of changes that had been made.
#[derive(Debug, Clone, Copy)]
pub struct Sync {
    /// Those that it is sure to cover: before it began.
    pub covers: usize,
    /// Those before it ended.
    pub at: usize,
    pub what: Synced,
}

/// Follows the calls.
#[derive(Debug)]
pub struct Recorder {
    home: PathBuf,
    /// The disk as programs see it.
    pub now: Image,
    pub changes: Vec<Change>,
    /// When each change was made, and by which call.
    pub made: Vec<(u64, String)>,
    pub syncs: Vec<Sync>,
    /// Where each process is.
    places: BTreeMap<u32, PathBuf>,
    /// Where each file is written next.
    cursors: BTreeMap<Inode, usize>,
}

impl Recorder {
    /// The disk before the first call. `home` is what its top is called.
    pub fn new(home: &Path, before: Image) -> Self {
        Self {
            home: home.to_owned(),
            now: before,
            changes: Vec::new(),
            made: Vec::new(),
            syncs: Vec::new(),
            places: BTreeMap::new(),
            cursors: BTreeMap::new(),
        }
    }

    /// What a call has done.
    pub fn take(&mut self, call: &Call) {
        let places = call.places();
        if call.args.starts_with("AT_FDCWD<") {
            self.places.insert(call.pid, places[0].clone());
        }
        match call.name.as_str() {
            "chdir" => {
                let to = self.absolute(call, &call.strings()[0], None);
                self.places.insert(call.pid, to);
            }
            "fchdir" => {
                self.places.insert(call.pid, places[0].clone());
            }
            "open" | "openat" | "creat" => self.open(call),
            "write" | "writev" => self.write(call, &places[0], None),
            "pwrite64" => self.write(call, &places[0], Some(call.last_number())),
            "ftruncate" => self.resize(call, &places[0]),
            "truncate" => {
                let path = self.absolute(call, &call.strings()[0], None);
                self.resize(call, &path);
            }
            "lseek" => {
                if let Some(inode) = self.file(&places[0]) {
                    let at = usize::try_from(call.result).unwrap();
                    self.cursors.insert(inode, at);
                }
            }
            "fsync" | "fdatasync" => {
                if let Some(inode) = self.file(&places[0]) {
                    self.sync(call, Synced::One(inode));
                }
            }
            "sync" | "syncfs" => self.sync(call, Synced::All),
            "chmod" | "fchmod" | "fchmodat" => self.set_mode(call),
            "mmap" => {
                let shared = call.args.contains("MAP_SHARED") && call.args.contains("PROT_WRITE");
                assert!(!shared || self.of(call).is_none(), "{call:?}");
            }
            "sendto" | "sendmsg" | "sync_file_range" => {}
            "fallocate" | "pwritev" | "pwritev2" | "copy_file_range" | "sendfile" => {
                assert!(self.of(call).is_none(), "what does {call:?} write?");
            }
            _ => self.rename_and_the_like(call),
        }
    }

    /// The first file of the disk that a call has a descriptor of.
    fn of(&self, call: &Call) -> Option<Inode> {
        call.places().iter().find_map(|path| self.file(path))
    }

    fn open(&mut self, call: &Call) {
        let Some(path) = call.opened.clone() else {
            return;
        };
        let Some(inner) = self.inner(&path) else {
            return;
        };
        let has = |flag: &str| call.args.contains(flag) || call.name == "creat";
        let inode = match self.now.find(&inner) {
            Some(inode) => inode,
            None if has("O_CREAT") => self.make(
                call,
                &inner,
                Node::File {
                    content: Vec::new(),
                    mode: mode(call) & !0o022,
                },
            ),
            None => return, // made by somebody who is not watched: the app that runs
        };
        if self.now.is_dir(inode) {
            return;
        }
        if has("O_TRUNC") && self.now.length(inode) > 0 {
            self.change(call, Change::Resize(inode, 0));
        }
        let at = if has("O_APPEND") { usize::MAX } else { 0 };
        self.cursors.insert(inode, at);
    }

    fn write(&mut self, call: &Call, path: &Path, at: Option<u64>) {
        let Some(inode) = self.file(path) else {
            return;
        };
        let cursor = self.cursors.get(&inode).copied().unwrap_or(usize::MAX);
        let start = match at {
            Some(at) => usize::try_from(at).unwrap(),
            None if cursor == usize::MAX => self.now.length(inode),
            None => cursor,
        };
        let data = call.data();
        if at.is_none() && cursor != usize::MAX {
            self.cursors.insert(inode, start + data.len());
        }
        self.change(call, Change::Write(inode, start, data));
    }

    fn resize(&mut self, call: &Call, path: &Path) {
        if let Some(inode) = self.file(path) {
            let length = usize::try_from(call.last_number()).unwrap();
            self.change(call, Change::Resize(inode, length));
        }
    }

    fn sync(&mut self, call: &Call, what: Synced) {
        let covers = self.made.iter().filter(|(at, _)| *at <= call.began).count();
        self.syncs.push(Sync {
            covers,
            at: self.changes.len(),
            what,
        });
    }

    fn set_mode(&mut self, call: &Call) {
        let path = match call.strings().first() {
            Some(path) => self.absolute(call, path, call.places().first()),
            None => call.places()[0].clone(),
        };
        if let Some(inode) = self.file(&path) {
            self.now.set_mode(inode, mode(call));
        }
    }

    /// Calls that change names.
    fn rename_and_the_like(&mut self, call: &Call) {
        let (strings, dirs) = (call.strings(), call.places());
        let at = |which: usize| self.inner(&self.absolute(call, &strings[which], dirs.get(which)));
        let names = match call.name.as_str() {
            "mkdir" | "mkdirat" => {
                if let Some(path) = at(0) {
                    self.make(call, &path, Node::Dir(BTreeMap::new()));
                }
                return;
            }
            "symlink" | "symlinkat" => {
                let to = PathBuf::from(OsStr::from_bytes(&strings[0]));
                let path = self.inner(&self.absolute(call, &strings[1], dirs.first()));
                if let Some(path) = path {
                    self.make(call, &path, Node::Link(to));
                }
                return;
            }
            "unlink" | "unlinkat" | "rmdir" => vec![at(0).map(|path| (path, None))],
            "link" | "linkat" => {
                let (from, to) = (at(0), at(1));
                let inode = from.and_then(|from| self.now.find(&from));
                vec![to.map(|to| (to, inode))]
            }
            "rename" | "renameat" | "renameat2" => {
                let (from, to) = (at(0), at(1));
                let inode = from.as_ref().and_then(|from| self.now.find(from));
                vec![from.map(|from| (from, None)), to.map(|to| (to, inode))]
            }
            other => panic!("what does {other} do? {call:?}"),
        };
        let names: Vec<_> = names
            .into_iter()
            .flatten()
            .map(|(path, to)| {
                let (dir, name) = self.now.place(&path);
                (dir, name.to_owned(), to)
            })
            .collect();
        if !names.is_empty() {
            self.change(call, Change::Names(names));
        }
    }

    fn make(&mut self, call: &Call, path: &Path, node: Node) -> Inode {
        let inode = self.now.add(node);
        let (dir, name) = self.now.place(path);
        let names = vec![(dir, name.to_owned(), Some(inode))];
        self.change(call, Change::Names(names));
        inode
    }

    fn change(&mut self, call: &Call, change: Change) {
        self.now.apply(&change, crate::image::Fate::Kept);
        self.changes.push(change);
        let what = self.words(call);
        self.made.push((call.ended, what));
    }

    /// A call in a few words.
    fn words(&self, call: &Call) -> String {
        let named = call.strings().into_iter().map(|one| {
            let text = String::from_utf8_lossy(&one).into_owned();
            text.chars().take(60).collect::<String>()
        });
        let named: Vec<String> = match call.name.as_str() {
            "write" | "writev" | "pwrite64" => vec![format!("{} bytes", call.result)],
            _ => named.collect(),
        };
        let places = call.places().into_iter().chain(call.opened.clone());
        let places: Vec<_> = places.filter_map(|path| self.inner(&path)).collect();
        format!("{}({}) {places:?}", call.name, named.join(", "))
    }

    fn file(&self, path: &Path) -> Option<Inode> {
        self.now.find(&self.inner(path)?)
    }

    /// The path from the disk's top; nothing for what lies elsewhere or does not outlive a power cut.
    fn inner(&self, path: &Path) -> Option<PathBuf> {
        let inner = path.strip_prefix(&self.home).ok()?;
        let left_out = crate::scene::NOT_ON_DISK
            .iter()
            .any(|one| inner.starts_with(one));
        (!left_out).then(|| inner.to_owned())
    }

    /// A path that a call has named, from the directory that stands beside it or from where the process is.
    fn absolute(&self, call: &Call, name: &[u8], beside: Option<&PathBuf>) -> PathBuf {
        let name = Path::new(OsStr::from_bytes(name));
        let base = beside.or_else(|| self.places.get(&call.pid));
        let path = match base {
            Some(base) => base.join(name),
            None => name.to_owned(),
        };
        assert!(path.is_absolute(), "where is {}? {call:?}", name.display());
        tidy(&path)
    }
}

/// Without `.` and `..`.
fn tidy(path: &Path) -> PathBuf {
    let mut tidy = PathBuf::new();
    for part in path.components() {
        match part {
            std::path::Component::CurDir => {}
            std::path::Component::ParentDir => {
                tidy.pop();
            }
            other => tidy.push(other),
        }
    }
    tidy
}

/// The mode among the arguments, which stands last.
fn mode(call: &Call) -> u32 {
    let mut words = call.args.rsplit(", ");
    let octal = |word: &str| u32::from_str_radix(word.strip_prefix('0')?, 8).ok();
    words.find_map(octal).unwrap_or(0o644) & 0o777
}
