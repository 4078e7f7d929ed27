//! Which files programs open, as the kernel tells it.

use std::collections::BTreeSet;
use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify, InotifyEvent, WatchDescriptor};

/// Watches directories for files in them, and themselves, being opened by anybody (`inotify(7)`).
#[derive(Debug)]
pub struct OpenedFiles {
    inotify: Inotify,
    watched: HashMap<WatchDescriptor, PathBuf>,
    seen: BTreeSet<PathBuf>,
    lost: bool,
}

impl OpenedFiles {
    /// Begins to watch these directories below `top`; the paths that come out are relative to it, too. What is made in them
    /// later is seen as well, but not what is in directories that are made later. Fails where the system's limits on
    /// watches are reached.
    pub fn watch<'d>(top: &Path, directories: impl Iterator<Item = &'d Path>) -> io::Result<Self> {
        let inotify = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK)?;
        let wanted = AddWatchFlags::IN_OPEN | AddWatchFlags::IN_ONLYDIR;
        let mut watched = HashMap::new();
        for directory in directories {
            let id = inotify.add_watch(&top.join(directory), wanted)?;
            watched.insert(id, directory.to_owned());
        }
        Ok(Self {
            inotify,
            watched,
            seen: BTreeSet::new(),
            lost: false,
        })
    }

    /// Takes note of what has been opened so far. To be called now and then: the kernel keeps 16,384 events by default.
    pub fn take_note(&mut self) -> io::Result<()> {
        loop {
            match self.inotify.read_events() {
                Ok(events) => events.into_iter().for_each(|event| self.note(event)),
                Err(Errno::EAGAIN) => return Ok(()),
                Err(Errno::EINTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// What has been opened, files and directories; nothing if the kernel had more to tell than it could keep.
    pub fn finish(mut self) -> io::Result<Option<BTreeSet<PathBuf>>> {
        self.take_note()?;
        Ok((!self.lost).then_some(self.seen))
    }

    fn note(&mut self, event: InotifyEvent) {
        self.lost |= event.mask.contains(AddWatchFlags::IN_Q_OVERFLOW);
        if !event.mask.contains(AddWatchFlags::IN_OPEN) {
            return;
        }
        let Some(directory) = self.watched.get(&event.wd) else {
            return;
        };
        let path = match event.name {
            Some(name) => directory.join(name),
            None => directory.clone(),
        };
        self.seen.insert(path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn what_is_opened_is_seen_and_what_is_only_looked_at_is_not() {
        let top = tempfile::tempdir().unwrap();
        let at = |path: &str| top.path().join(path);
        fs::create_dir_all(at("src/deep")).unwrap();
        for file in ["a", "b", "src/c", "src/deep/d"] {
            fs::write(at(file), "x").unwrap();
        }
        let directories = ["", "src"].map(Path::new);
        let opened = OpenedFiles::watch(top.path(), directories.into_iter()).unwrap();
        fs::read(at("a")).unwrap();
        fs::metadata(at("b")).unwrap();
        fs::read(at("src/c")).unwrap();
        fs::read(at("src/deep/d")).unwrap();
        fs::read_dir(at("src/deep")).unwrap();
        let seen = opened.finish().unwrap().unwrap();
        let expected = ["a", "src/c", "src/deep"].map(PathBuf::from);
        assert_eq!(seen, expected.into());
    }

    #[test]
    fn more_than_the_kernel_keeps_is_told_as_unknown() {
        let top = tempfile::tempdir().unwrap();
        for name in ["a", "b"] {
            fs::write(top.path().join(name), "x").unwrap();
        }
        let opened = OpenedFiles::watch(top.path(), [Path::new("")].into_iter()).unwrap();
        let kept = fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").unwrap();
        for _ in 0..kept.trim().parse::<usize>().unwrap() {
            // The same event twice in a row is told once.
            fs::File::open(top.path().join("a")).unwrap();
            fs::File::open(top.path().join("b")).unwrap();
        }
        assert_eq!(opened.finish().unwrap(), None);
    }
}
