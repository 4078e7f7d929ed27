//! What instances print: read always, written by the log's own thread, kept as a tail.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::net::unix::pipe::Receiver;

use crate::ids::GenerationNumber;
use crate::report::{LineSplitter, Stream};
use crate::time;

use super::journal::Journal;
use super::log::AppLog;

/// Where printed lines go.
#[derive(Debug)]
pub(super) struct Outputs {
    pub(super) generation: GenerationNumber,
    pub(super) log: AppLog,
    pub(super) journal: Arc<Journal>,
}

impl Outputs {
    /// A line of an instance: `2026-11-23T05:40:00.123Z g57.0 out text`.
    fn line(&self, index: u32, stream: Stream, line: &str) {
        let name = match stream {
            Stream::Out => "out",
            Stream::Err => "err",
        };
        self.write(index, name, line);
        self.journal.line(index, stream, line);
    }

    /// A line of the keeper's own about an instance.
    pub(super) fn remark(&self, index: u32, line: &str) {
        self.write(index, "keep", line);
    }

    fn write(&self, index: u32, source: &str, line: &str) {
        let (now, generation) = (time::now(), self.generation);
        self.log
            .line(format!("{now:.3} g{generation}.{index} {source} {line}\n"));
    }
}

/// Reads one output of an instance to its end.
pub(super) async fn pump(
    outputs: Arc<Outputs>,
    index: u32,
    stream: Stream,
    reading_end: OwnedFd,
) -> io::Result<()> {
    let pipe = Receiver::from_owned_fd(reading_end)?;
    pump_from(pipe, |line| outputs.line(index, stream, line)).await
}

async fn pump_from(mut pipe: impl AsyncRead + Unpin, mut take: impl FnMut(&str)) -> io::Result<()> {
    let mut lines = LineSplitter::default();
    let mut piece = vec![0; 8 * 1024];
    loop {
        let read = pipe.read(&mut piece).await?;
        if read == 0 {
            break;
        }
        for line in lines.push(&piece[..read]) {
            take(&line);
        }
    }
    if let Some(line) = lines.finish() {
        take(&line);
    }
    Ok(())
}
