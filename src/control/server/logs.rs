//! What an app prints: its last lines, and what comes.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use axum::extract::{Path as UrlPath, Query, State};
use axum::response::Response;
use futures_util::{StreamExt, stream};
use serde::Deserialize;

use super::Shared;
use super::answer::{Refused, lines};
use crate::ids::AppName;
use crate::process::blocking;

/// How often a log that is followed is looked at. (Keepers write it without telling anybody.)
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// How much is read at once, in bytes.
const CHUNK: u64 = 64 * 1024;

#[derive(Debug, Deserialize)]
pub(super) struct Wanted {
    lines: usize,
    #[serde(default)]
    follow: bool,
}

pub(super) async fn show(
    State(fleet): Shared,
    UrlPath(app): UrlPath<AppName>,
    Query(wanted): Query<Wanted>,
) -> Result<Response, Refused> {
    fleet.app(&app).await?;
    let path = fleet.site().layout.app(&app).app_log();
    let opened = blocking(move || Tail::open(path, wanted.lines)).await;
    let (last, tail) = opened.map_err(|error| Refused::internal(&error))?;
    let first = stream::iter(last.into_iter().map(|line| line + "\n"));
    if !wanted.follow {
        return Ok(lines(first));
    }
    let coming = stream::unfold(tail, |mut tail| async {
        loop {
            if let Some(text) = tail.read_on().ok()? {
                return Some((text, tail));
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    });
    Ok(lines(first.chain(coming)))
}

/// A place in a log that is rotated now and then.
#[derive(Debug)]
struct Tail {
    path: PathBuf,
    file: Option<File>,
    partial: Vec<u8>,
}

impl Tail {
    /// The last lines of the log and of the files that it was rotated to, oldest first, and the place after them.
    fn open(path: PathBuf, lines: usize) -> io::Result<(Vec<String>, Self)> {
        let file = open(&path)?;
        let mut last = match &file {
            Some(file) => last_lines(file, lines)?,
            None => Vec::new(),
        };
        let mut rotated = 1;
        while last.len() < lines {
            let Some(older) = open(&rotated_path(&path, rotated))? else {
                break;
            };
            let mut before = last_lines(older, lines - last.len())?;
            before.append(&mut last);
            last = before;
            rotated += 1;
        }
        Ok((
            last,
            Self {
                path,
                file,
                partial: Vec::new(),
            },
        ))
    }

    /// The whole lines that have come since, if any.
    fn read_on(&mut self) -> io::Result<Option<String>> {
        let mut fresh = Vec::new();
        if let Some(file) = &self.file {
            file.take(CHUNK).read_to_end(&mut fresh)?;
        }
        if fresh.is_empty() {
            self.follow_rotation()?;
            return Ok(None);
        }
        self.partial.append(&mut fresh);
        let whole = self
            .partial
            .iter()
            .rposition(|&byte| byte == b'\n')
            .map_or(0, |end| end + 1);
        let rest = self.partial.split_off(whole);
        let text = std::mem::replace(&mut self.partial, rest);
        Ok((!text.is_empty()).then(|| String::from_utf8_lossy(&text).into_owned()))
    }

    /// Once a file is read to its end, goes on with the one that has its name now.
    fn follow_rotation(&mut self) -> io::Result<()> {
        let Some(current) = open(&self.path)? else {
            return Ok(());
        };
        let same = match &self.file {
            Some(file) => file.metadata()?.ino() == current.metadata()?.ino(),
            None => false,
        };
        if !same {
            self.file = Some(current);
        }
        Ok(())
    }
}

fn rotated_path(path: &Path, number: u32) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{number}"));
    PathBuf::from(name)
}

fn open(path: &Path) -> io::Result<Option<File>> {
    match File::open(path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn last_lines(file: impl Read, lines: usize) -> io::Result<Vec<String>> {
    let mut last = std::collections::VecDeque::with_capacity(lines.min(1024));
    for line in BufReader::new(file).split(b'\n') {
        if last.len() == lines {
            last.pop_front(); // nothing, where no lines are wanted
        }
        last.push_back(String::from_utf8_lossy(&line?).into_owned());
    }
    if lines == 0 {
        last.clear();
    }
    Ok(last.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn the_last_lines_reach_back_into_rotated_files() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("app.log");
        std::fs::write(rotated_path(&path, 2), "one\ntwo\n").unwrap();
        std::fs::write(rotated_path(&path, 1), "three\n").unwrap();
        std::fs::write(&path, "four\nfive\n").unwrap();
        assert_eq!(
            Tail::open(path.clone(), 4).unwrap().0,
            ["two", "three", "four", "five"]
        );
        assert_eq!(Tail::open(path.clone(), 1).unwrap().0, ["five"]);
        assert!(Tail::open(path, 0).unwrap().0.is_empty());
    }

    #[test]
    fn a_followed_log_goes_on_after_a_rotation() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("app.log");
        let (_, mut tail) = Tail::open(path.clone(), 10).unwrap();
        assert_eq!(tail.read_on().unwrap(), None);
        let mut log = File::create(&path).unwrap();
        log.write_all(b"one\ntw").unwrap();
        assert_eq!(tail.read_on().unwrap(), None, "the file is found");
        assert_eq!(tail.read_on().unwrap().as_deref(), Some("one\n"));
        log.write_all(b"o\n").unwrap();
        std::fs::rename(&path, rotated_path(&path, 1)).unwrap();
        std::fs::write(&path, "three\n").unwrap();
        assert_eq!(tail.read_on().unwrap().as_deref(), Some("two\n"));
        assert_eq!(tail.read_on().unwrap(), None, "the next file is found");
        assert_eq!(tail.read_on().unwrap().as_deref(), Some("three\n"));
    }
}
