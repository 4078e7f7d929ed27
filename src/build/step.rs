//! Runs one program of a build and gives out what it prints, as it prints it.
//!
//! ```text
//! runs ──leader ends──▶ rest of its group killed ──▶ pipes read to their end ──▶ Ok / failed
//!      ──time is up───▶ SIGTERM, 2 s, SIGKILL to the group ──▶ pipes read ──▶ failed
//!      ──future dropped─▶ SIGKILL to the group
//! ```

use std::collections::VecDeque;
use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::time::timeout;

use super::failure::StepFailure;
use super::npm_manual::ManualFilter;
use crate::process::child::{Group, Output, Priority, Spawn, SpawnError, describe_exit};
use crate::process::rig::kill_point;
use crate::report::{LineSplitter, Phase, Stream, with_causes};
use crate::time::limit_text;

/// A line that a program printed, cleaned, without its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// In which phase.
    pub phase: Phase,
    /// To which of its outputs.
    pub stream: Stream,
    /// The text.
    pub text: String,
}

/// Where lines go. It is called within a millisecond of the line's end being written, and must not block.
pub type Lines<'l> = &'l mut (dyn FnMut(Line) + Send);

/// How many lines are kept for finding out what went wrong.
const KEPT: usize = 400;
/// How many of them are told.
const TOLD: usize = 30;
/// How long a program that is stopped may take for it.
const STOP_GRACE: Duration = Duration::from_secs(2);
/// How long the pipes are read after the group is gone: a process that left it may hold them open for ever.
const DRAIN: Duration = Duration::from_millis(500);

const SIGKILL: i32 = 9;
const OUT_OF_MEMORY_HINT: &str = "SIGKILL usually means that the server ran out of memory (`dmesg` tells): give it more memory or swap, or let the build use less";

/// One program to run.
pub(super) struct Step {
    pub(super) phase: Phase,
    /// What is run, as people would type it.
    pub(super) words: String,
    pub(super) spawn: Spawn,
    pub(super) limit: Duration,
}

/// A program that ended well.
#[derive(Debug)]
pub(super) struct Finished {
    /// What it printed last.
    pub(super) printed: Vec<String>,
    pub(super) took: Duration,
}

/// A program that did not; `printed` is for finding out why.
#[derive(Debug)]
pub(super) struct Unfinished {
    pub(super) failure: StepFailure,
    pub(super) printed: Vec<String>,
}

impl Step {
    /// Runs it to its end. The future may be dropped: that kills the whole group.
    pub(super) async fn run(self, lines: Lines<'_>) -> Result<Finished, Unfinished> {
        let began = Instant::now();
        let Self {
            phase,
            words,
            spawn,
            limit,
        } = self;
        let mut reader = Reader::new(phase, lines);
        let mut group = spawn
            .stdout(Output::Piped)
            .stderr(Output::Piped)
            .priority(Priority::BUILD)
            .spawn()
            .map_err(|error| unstarted(phase, &error))?;
        kill_point("step.started");
        let ended = run_group(&mut group, &mut reader, limit).await;
        let printed = reader.into_kept();
        match ended {
            Ok(status) if status.success() => Ok(Finished {
                printed,
                took: began.elapsed(),
            }),
            Ok(status) => Err(failed(ended_badly(phase, &words, status), printed)),
            Err(Stopped::TimeIsUp) => Err(failed(
                StepFailure::new(
                    phase,
                    format!(
                        "`{words}` took longer than {} and was stopped",
                        limit_text(limit)
                    ),
                ),
                printed,
            )),
            Err(Stopped::Lost(error)) => Err(failed(
                StepFailure::new(phase, format!("`{words}` could not be waited for: {error}")),
                printed,
            )),
        }
    }
}

enum Stopped {
    TimeIsUp,
    Lost(std::io::Error),
}

async fn run_group(
    group: &mut Group,
    reader: &mut Reader<'_>,
    limit: Duration,
) -> Result<ExitStatus, Stopped> {
    let mut out = Pipe::new(group.take_stdout(), Stream::Out);
    let mut err = Pipe::new(group.take_stderr(), Stream::Err);
    let reading = async {
        loop {
            tokio::select! {
                ended = group.leader_ended() => return ended,
                more = out.read(), if out.is_open() => reader.take(&mut out, &more),
                more = err.read(), if err.is_open() => reader.take(&mut err, &more),
            }
        }
    };
    let ended = match timeout(limit, reading).await {
        Ok(Ok(())) => group.wait().await.map_err(Stopped::Lost),
        Ok(Err(error)) => Err(Stopped::Lost(error)),
        Err(_) => match group.terminate(STOP_GRACE).await {
            Ok(_) => Err(Stopped::TimeIsUp),
            Err(error) => Err(Stopped::Lost(error)),
        },
    };
    let draining = async {
        while out.is_open() || err.is_open() {
            tokio::select! {
                more = out.read(), if out.is_open() => reader.take(&mut out, &more),
                more = err.read(), if err.is_open() => reader.take(&mut err, &more),
            }
        }
    };
    // At the limit what is still unread belongs to a process that has left the group.
    let _ = timeout(DRAIN, draining).await;
    reader.finish(&mut out);
    reader.finish(&mut err);
    ended
}

/// One of the two outputs.
struct Pipe<R> {
    from: Option<R>,
    stream: Stream,
    splitter: LineSplitter,
    buffer: Vec<u8>,
}

impl<R: AsyncRead + Unpin> Pipe<R> {
    fn new(from: Option<R>, stream: Stream) -> Self {
        Self {
            from,
            stream,
            splitter: LineSplitter::default(),
            buffer: Vec::with_capacity(16 * 1024),
        }
    }

    fn is_open(&self) -> bool {
        self.from.is_some()
    }

    /// Reads what there is; safe to cancel. An end or an error closes the pipe on our side.
    async fn read(&mut self) -> std::io::Result<usize> {
        self.buffer.clear();
        match &mut self.from {
            Some(from) => from.read_buf(&mut self.buffer).await,
            None => Ok(0),
        }
    }
}

/// Cuts what is read into lines, gives them out and remembers the last.
struct Reader<'l> {
    phase: Phase,
    lines: Lines<'l>,
    kept: VecDeque<String>,
    manual: ManualFilter,
}

impl<'l> Reader<'l> {
    fn new(phase: Phase, lines: Lines<'l>) -> Self {
        Self {
            phase,
            lines,
            kept: VecDeque::new(),
            manual: ManualFilter::default(),
        }
    }

    fn take<R>(&mut self, pipe: &mut Pipe<R>, read: &std::io::Result<usize>) {
        if !matches!(read, Ok(n) if *n > 0) {
            pipe.from = None;
            return;
        }
        for line in pipe.splitter.push(&pipe.buffer) {
            self.give_out(pipe.stream, line);
        }
    }

    fn finish<R>(&mut self, pipe: &mut Pipe<R>) {
        if let Some(line) = pipe.splitter.finish() {
            self.give_out(pipe.stream, line);
        }
    }

    fn give_out(&mut self, stream: Stream, text: String) {
        if !self.manual.shows(&text) {
            return;
        }
        if self.kept.len() == KEPT {
            self.kept.pop_front();
        }
        self.kept.push_back(text.clone());
        (self.lines)(Line {
            phase: self.phase,
            stream,
            text,
        });
    }

    fn into_kept(self) -> Vec<String> {
        self.kept.into()
    }
}

fn ended_badly(phase: Phase, words: &str, status: ExitStatus) -> StepFailure {
    let killed = status.signal().is_some();
    let verb = if killed { "was" } else { "ended with" };
    let failure = StepFailure::new(phase, format!("`{words}` {verb} {}", describe_exit(status)));
    // A shell gives the signal of its child as 128 + number.
    if status.signal() == Some(SIGKILL) || status.code() == Some(128 + SIGKILL) {
        return failure.hint(OUT_OF_MEMORY_HINT);
    }
    failure
}

fn unstarted(phase: Phase, error: &SpawnError) -> Unfinished {
    let failure = StepFailure::new(phase, with_causes(error));
    failed(failure, Vec::new())
}

fn failed(mut failure: StepFailure, printed: Vec<String>) -> Unfinished {
    let from = printed.len().saturating_sub(TOLD);
    failure.last_lines = printed[from..].to_vec();
    Unfinished { failure, printed }
}
