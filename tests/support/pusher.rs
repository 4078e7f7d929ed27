//! Somebody who pushes while the test goes on.

use std::io::Read;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;

use super::project::{Pushed, pushed};
use super::wait::until_or;

/// A command under way in a process group of its own, as a shell starts it. What is left of the group is killed when
/// this is dropped.
#[derive(Debug)]
pub struct Pusher {
    child: Child,
    read: Arc<Mutex<Vec<u8>>>,
    reader: JoinHandle<()>,
}

impl Pusher {
    /// Starts it.
    pub fn start(command: &mut Command) -> Self {
        let command = command.process_group(0).stdin(Stdio::null());
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let mut stderr = child.stderr.take().unwrap();
        let read = Arc::new(Mutex::new(Vec::new()));
        let reads = Arc::clone(&read);
        let reader = std::thread::spawn(move || {
            let mut some = [0; 8192];
            while let Ok(count @ 1..) = stderr.read(&mut some) {
                reads.lock().unwrap().extend_from_slice(&some[..count]);
            }
        });
        Self {
            child,
            read,
            reader,
        }
    }

    /// What has been read so far.
    pub fn so_far(&self) -> String {
        text(&self.read)
    }

    /// Waits until this has been read.
    #[track_caller]
    pub fn until_reads(&self, words: &str) {
        until_or(
            || self.so_far().contains(words).then_some(()),
            || format!("{words:?} is not read, but:\n{}", self.so_far()),
        );
    }

    /// Sends a signal to the command alone.
    pub fn signal(&self, signal: Signal) {
        kill(self.pid(), signal).unwrap();
    }

    /// Sends a signal to the command and all that it has started, as a terminal does.
    pub fn signal_all(&self, signal: Signal) {
        killpg(self.pid(), signal).unwrap();
    }

    /// Waits for its end and for that of everybody who writes where it does.
    #[track_caller]
    pub fn finish(mut self) -> Pushed {
        let (child, read) = (&mut self.child, &self.read);
        let status = until_or(
            || child.try_wait().unwrap(),
            || format!("a push does not end; so far:\n{}", text(read)),
        );
        until_or(
            || self.reader.is_finished().then_some(()),
            || format!("a push has left a writer; so far:\n{}", self.so_far()),
        );
        self.pushed(status)
    }

    fn pushed(&self, status: ExitStatus) -> Pushed {
        pushed(&Output {
            status: ExitStatus::from_raw(status.into_raw()),
            stdout: Vec::new(),
            stderr: self.read.lock().unwrap().clone(),
        })
    }

    /// The command's process, which leads its group.
    pub fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id().cast_signed())
    }
}

fn text(read: &Mutex<Vec<u8>>) -> String {
    String::from_utf8_lossy(&read.lock().unwrap()).into_owned()
}

impl Drop for Pusher {
    fn drop(&mut self) {
        if !matches!(self.child.try_wait(), Ok(Some(_))) {
            let _ = killpg(self.pid(), Signal::SIGKILL); // it may just have ended
            let _ = self.child.wait();
        }
    }
}
