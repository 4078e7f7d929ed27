//! The thread that writes.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::Receiver;

use crate::keep::spec::LogLimits;
use crate::time;

use super::Shared;
use super::rotate::{is_still, rotate};

/// Lines are written together up to this many bytes.
const BATCH_BYTES: usize = 64 * 1024;

pub(super) struct Writer {
    path: PathBuf,
    limits: LogLimits,
    shared: Arc<Shared>,
    file: Option<File>,
}

impl Writer {
    pub(super) fn new(path: PathBuf, limits: LogLimits, shared: Arc<Shared>) -> Self {
        Self {
            path,
            limits,
            shared,
            file: None,
        }
    }

    /// Writes until the other side is gone.
    pub(super) fn run(mut self, lines: &Receiver<String>) {
        while let Ok(first) = lines.recv() {
            let mut batch = first;
            let mut count = 1;
            while batch.len() < BATCH_BYTES
                && let Ok(line) = lines.try_recv()
            {
                batch.push_str(&line);
                count += 1;
            }
            if self.write(&batch).is_err() {
                self.file = None;
                self.shared
                    .dropped_lines
                    .fetch_add(count, Ordering::Relaxed);
            }
            self.shared
                .queued_bytes
                .fetch_sub(batch.len(), Ordering::Relaxed);
        }
    }

    fn write(&mut self, batch: &str) -> io::Result<()> {
        let dropped = self.shared.dropped_lines.swap(0, Ordering::Relaxed);
        let written = self.write_after_note(dropped, batch);
        if written.is_err() {
            self.shared
                .dropped_lines
                .fetch_add(dropped, Ordering::Relaxed);
        }
        written
    }

    fn write_after_note(&mut self, dropped: u64, batch: &str) -> io::Result<()> {
        let file = self.current()?;
        if dropped > 0 {
            let note = format!(
                "{:.3} keep {dropped} lines were dropped: the disk was slow or full\n",
                time::now()
            );
            file.write_all(note.as_bytes())?;
        }
        file.write_all(batch.as_bytes())
    }

    /// The file that the path means now: another keeper of the app may have rotated it.
    fn current(&mut self) -> io::Result<&mut File> {
        let file = match self.file.take() {
            Some(file) if is_still(&file, &self.path)? => file,
            _ => self.open()?,
        };
        let file = if file.metadata()?.len() >= self.limits.file_bytes {
            rotate(&self.path, &file, self.limits.files)?;
            self.open()?
        } else {
            file
        };
        Ok(self.file.insert(file))
    }

    fn open(&self) -> io::Result<File> {
        OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o640)
            .open(&self.path)
    }
}
