//! A pusher without git's manners: it speaks the protocol by itself and sends whatever it is told to.

use std::io::{Read, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use super::pack::{Id, Pack};
use super::project::git_in;

/// The end of a section.
pub const FLUSH: &[u8] = b"0000";
/// What a pusher of today asks for.
pub const CAPABILITIES: &str = "report-status side-band-64k quiet object-format=sha1 agent=raw/1";
/// How long a push may take, a gigabyte and a busy machine included.
const PATIENCE: Duration = Duration::from_secs(180);

/// One ref to be moved. Ids and name go out as they are.
#[derive(Clone, Debug)]
pub struct Command {
    pub old: Vec<u8>,
    pub new: Vec<u8>,
    pub name: Vec<u8>,
}

/// A command with proper ids.
pub fn command(old: Id, new: Id, name: impl AsRef<[u8]>) -> Command {
    Command {
        old: old.to_string().into(),
        new: new.to_string().into(),
        name: name.as_ref().to_vec(),
    }
}

/// What goes over the line.
#[derive(Clone, Debug)]
pub struct Request {
    pub commands: Vec<Command>,
    pub capabilities: Vec<u8>,
    /// Push options; nothing: the section is left out.
    pub options: Option<Vec<Vec<u8>>>,
    pub pack: Vec<u8>,
}

impl Request {
    /// A push of these refs, with a pack that holds nothing.
    pub fn of(commands: Vec<Command>) -> Self {
        Self {
            commands,
            capabilities: CAPABILITIES.into(),
            options: None,
            pack: Pack::new().finish(),
        }
    }

    /// With this pack.
    pub fn pack(mut self, pack: impl Into<Vec<u8>>) -> Self {
        self.pack = pack.into();
        self
    }

    /// With these push options.
    pub fn options<O: AsRef<[u8]>>(mut self, options: impl IntoIterator<Item = O>) -> Self {
        let options = options.into_iter().map(|one| one.as_ref().to_vec());
        self.options = Some(options.collect());
        self
    }

    /// With these capabilities in place of the usual ones.
    pub fn capabilities(mut self, capabilities: impl AsRef<[u8]>) -> Self {
        self.capabilities = capabilities.as_ref().to_vec();
        self
    }

    /// The bytes, and where each packet of them ends.
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut capabilities = self.capabilities.clone();
        if self.options.is_some() {
            capabilities.extend_from_slice(b" push-options");
        }
        for (at, command) in self.commands.iter().enumerate() {
            let mut line = [&command.old[..], &command.new, &command.name].join(&b' ');
            if at == 0 {
                line.push(0);
                line.extend_from_slice(&capabilities);
            }
            bytes.extend(packet(&line));
        }
        bytes.extend(FLUSH);
        if let Some(options) = &self.options {
            bytes.extend(options.iter().flat_map(|option| packet(option)));
            bytes.extend(FLUSH);
        }
        bytes.extend_from_slice(&self.pack);
        bytes
    }
}

/// Four digits of length, which count themselves, and the payload.
pub fn packet(payload: &[u8]) -> Vec<u8> {
    let mut packet = format!("{:04x}", payload.len() + 4).into_bytes();
    packet.extend_from_slice(payload);
    packet
}

/// What came back.
#[derive(Clone, Debug, Default)]
pub struct Reply {
    /// What the server said about the pack: `ok`, or why not.
    pub unpack: Option<String>,
    /// A line for each ref, raw: `ok NAME` or `ng NAME REASON`.
    pub refs: Vec<Vec<u8>>,
    /// What hooks and git have told on the way.
    pub remote: Vec<u8>,
    /// Why the server gave up.
    pub fatal: Vec<u8>,
    /// What `git receive-pack` itself has printed.
    pub stderr: Vec<u8>,
    /// Its exit code; nothing: it was killed by a signal.
    pub exit: Option<i32>,
    /// Whether it had to be killed because it did not end.
    pub hung: bool,
    /// Everything that came on its standard output.
    pub raw: Vec<u8>,
}

impl Reply {
    /// Whether the ref was moved as asked.
    pub fn accepted(&self, name: &[u8]) -> bool {
        self.refs
            .iter()
            .any(|line| *line == [b"ok ", name].concat())
    }

    /// Why the ref was refused, if it says so.
    pub fn refused(&self, name: &[u8]) -> Option<String> {
        let start = [b"ng ", name, b" "].concat();
        let line = self.refs.iter().find(|line| line.starts_with(&start))?;
        Some(text(&line[start.len()..]))
    }

    /// The reasons that were given for whatever failed, the most telling first.
    pub fn reasons(&self) -> Vec<String> {
        let lines = |bytes: &[u8], starts: &[&str]| {
            let all = text(bytes);
            let told = all
                .lines()
                .filter(|line| starts.iter().any(|start| line.starts_with(start)));
            told.map(str::to_owned).collect::<Vec<_>>()
        };
        let mut reasons = lines(&self.remote, &["error: ", "fatal: "]);
        reasons.extend(lines(&self.fatal, &[""]));
        reasons.extend(lines(&self.stderr, &["error: ", "fatal: "]));
        reasons.extend(self.unpack.iter().filter(|what| *what != "ok").cloned());
        let ng = self.refs.iter().filter(|line| line.starts_with(b"ng "));
        reasons.extend(ng.map(|line| text(line)));
        reasons
    }

    fn read(&mut self) {
        let raw = std::mem::take(&mut self.raw);
        let mut rest = &raw[..];
        while let Some((Some(_), after)) = next_packet(rest) {
            rest = after;
        }
        // Past the flush that ends the list of refs.
        rest = rest.get(4..).unwrap_or_default();
        let mut report = Vec::new();
        while let Some((payload, after)) = next_packet(rest) {
            rest = after;
            match payload.map(|bytes| bytes.split_first()) {
                Some(Some((1, bytes))) => report.extend_from_slice(bytes),
                Some(Some((2, bytes))) => self.remote.extend_from_slice(bytes),
                Some(Some((3, bytes))) => self.fatal.extend_from_slice(bytes),
                _ => {}
            }
        }
        while let Some((Some(line), after)) = next_packet(&report) {
            let line = line.strip_suffix(b"\n").unwrap_or(line).to_vec();
            match line.strip_prefix(b"unpack ") {
                Some(what) => self.unpack = Some(text(what)),
                None => self.refs.push(line),
            }
            report = after.to_vec();
        }
        self.raw = raw;
    }
}

/// The next packet, a flush being none, and what follows it.
fn next_packet(bytes: &[u8]) -> Option<(Option<&[u8]>, &[u8])> {
    let digits = std::str::from_utf8(bytes.get(..4)?).ok()?;
    match usize::from_str_radix(digits, 16).ok()? {
        0 => Some((None, &bytes[4..])),
        len => Some((Some(bytes.get(4..len)?), &bytes[len..])),
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Sends these bytes to a `git receive-pack` of this repository, closes the line, and reads what comes back.
pub fn send(repo: &Path, bytes: &[u8]) -> Reply {
    let mut command = git_in(repo);
    command.args(["receive-pack", "."]);
    let mut child = command
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let (mut stdin, mut stdout, mut stderr) = (
        child.stdin.take().unwrap(),
        child.stdout.take().unwrap(),
        child.stderr.take().unwrap(),
    );
    let mut reply = Reply::default();
    std::thread::scope(|scope| {
        // A server that has refused does not read on: that is its right.
        scope.spawn(move || drop(stdin.write_all(bytes)));
        let told = scope.spawn(move || read_all(&mut stderr));
        let answered = scope.spawn(move || read_all(&mut stdout));
        (reply.exit, reply.hung) = ended(child);
        (reply.raw, reply.stderr) = (answered.join().unwrap(), told.join().unwrap());
    });
    reply.read();
    reply
}

fn read_all(from: &mut impl Read) -> Vec<u8> {
    let mut bytes = Vec::new();
    from.read_to_end(&mut bytes).unwrap();
    bytes
}

/// Waits for it; kills its whole group where the patience is at an end.
fn ended(mut child: Child) -> (Option<i32>, bool) {
    let group = Pid::from_raw(child.id().cast_signed());
    let (done, wait) = mpsc::channel::<()>();
    std::thread::scope(|scope| {
        let watch = scope.spawn(move || {
            let hung = wait.recv_timeout(PATIENCE) == Err(mpsc::RecvTimeoutError::Timeout);
            if hung {
                // It has not been waited for, so that the group is still its own.
                killpg(group, Signal::SIGKILL).unwrap();
            }
            hung
        });
        // Its end closes the pipes only when its children are gone too; the readers wait for that.
        let status = child.wait().unwrap();
        drop(done);
        (status.code(), watch.join().unwrap())
    })
}
