//! `control.sock`: whoever manages the generation.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio::sync::oneshot;

use super::journal::Journal;
use super::notes::{Note, Notes};
use super::protocol::{KeepEvent, Reply, Request};

/// The longest request, in bytes.
const LINE_MAX: u64 = 4096;

/// Accepts for as long as the keeper runs.
pub(super) async fn accept(listener: UnixListener, notes: Notes, journal: Arc<Journal>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                tokio::spawn(converse(stream, notes.clone(), Arc::clone(&journal)));
            }
            Err(error) => {
                tracing::warn!(%error, "can't accept a control connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn converse(stream: UnixStream, notes: Notes, journal: Arc<Journal>) {
    let (reader, mut writer) = stream.into_split();
    let mut reader = BufReader::with_capacity(512, reader);
    while let Some(line) = next_line(&mut reader).await {
        let reply = match serde_json::from_slice(&line) {
            Ok(Request::Watch) => {
                let _ = watch(reader, writer, &journal).await;
                return;
            }
            Ok(request) => ask(request, &notes).await,
            Err(error) => Reply::Refused {
                reason: format!("not a request: {error}"),
            },
        };
        if write_line(&mut writer, &reply).await.is_err() {
            return;
        }
    }
}

async fn next_line(reader: &mut BufReader<OwnedReadHalf>) -> Option<Vec<u8>> {
    let mut line = Vec::new();
    let read = reader.take(LINE_MAX).read_until(b'\n', &mut line).await;
    (read.is_ok_and(|read| read > 0) && line.ends_with(b"\n")).then_some(line)
}

async fn ask(request: Request, notes: &Notes) -> Reply {
    let (reply, answer) = oneshot::channel();
    notes.send(Note::Asked { request, reply });
    answer.await.unwrap_or_else(|_| Reply::Refused {
        reason: "the generation has ended".to_owned(),
    })
}

async fn watch(
    mut reader: BufReader<OwnedReadHalf>,
    mut writer: OwnedWriteHalf,
    journal: &Journal,
) -> std::io::Result<()> {
    let mut told = journal.watch();
    write_line(&mut writer, &Reply::Done).await?;
    for event in told.past {
        write_line(&mut writer, &event).await?;
    }
    let mut nothing = [0; 64];
    loop {
        // Who is too slow misses lines or, much later, events; status and tail still tell.
        let event = tokio::select! {
            line = told.lines.recv() => match line {
                Ok(line) => line,
                Err(RecvError::Lagged(_)) => continue,
                Err(RecvError::Closed) => return Ok(()),
            },
            event = told.events.recv() => match event {
                Ok(event) => event,
                Err(RecvError::Lagged(_)) => continue,
                Err(RecvError::Closed) => return Ok(()),
            },
            read = reader.read(&mut nothing) => match read {
                Ok(read) if read > 0 => continue,
                _ => return Ok(()),
            },
        };
        if !matches!(event, KeepEvent::Output { .. }) {
            // What was printed before comes before.
            while let Some(line) = waiting(&mut told.lines) {
                write_line(&mut writer, &line).await?;
            }
        }
        write_line(&mut writer, &event).await?;
        if matches!(event, KeepEvent::Retired { .. }) {
            return Ok(());
        }
    }
}

/// A line that has been told already.
fn waiting(lines: &mut Receiver<KeepEvent>) -> Option<KeepEvent> {
    loop {
        match lines.try_recv() {
            Ok(line) => return Some(line),
            Err(TryRecvError::Lagged(_)) => {}
            Err(TryRecvError::Empty | TryRecvError::Closed) => return None,
        }
    }
}

async fn write_line(writer: &mut OwnedWriteHalf, value: &impl Serialize) -> std::io::Result<()> {
    let mut line = serde_json::to_vec(value)?;
    line.push(b'\n');
    writer.write_all(&line).await
}
