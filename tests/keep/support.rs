//! A generation in a directory of its own: app files, spec, keeper; and clients for its socket.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use handover::ids::{GenerationNumber, ReleaseNumber};
use handover::keep::{Command, InstanceState, KeepEvent, Keeper, LogLimits, Spec, Status, Watch};
use handover::paths::{AppPaths, GenerationPaths, Layout, Surroundings};
use handover::process::identity::Identity;
use handover::slot;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

/// The bound of every wait: generous, since nothing is measured by it.
pub(crate) const BOUND: Duration = Duration::from_secs(40);

pub(crate) const EXE: &str = env!("CARGO_BIN_EXE_handover");

/// Answers with its instance's number; `/slow` when `/go` was asked for; `/pid` with its process id.
pub(crate) const SERVER: &str = r"
const http = require('http');
let waiting = [];
const server = http.createServer((req, res) => {
  if (req.url === '/slow') { waiting.push(res); return; }
  if (req.url === '/go') { waiting.splice(0).forEach((r) => r.end('slow done')); }
  if (req.url === '/pid') return res.end(String(process.pid));
  if (req.url === '/crash') { res.end('bye', () => process.exit(3)); return; }
  if (req.url === '/print') { console.log('printed ' + 'x'.repeat(100)); }
  if (req.url === '/address') return res.end(JSON.stringify(server.address()));
  req.resume();
  req.on('end', () => res.end('instance ' + process.env.HANDOVER_INSTANCE));
});
server.on('upgrade', (req, socket) => {
  socket.write('HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\nConnection: Upgrade\r\n\r\n');
  socket.pipe(socket);
});
server.listen(process.env.PORT, () => console.log('up on', server.address()));
";

pub(crate) struct App {
    pub(crate) paths: AppPaths,
    pub(crate) release: PathBuf,
    home: tempfile::TempDir,
}

impl App {
    pub(crate) fn new(files: &[(&str, &str)]) -> Self {
        let home = tempfile::Builder::new().prefix("hk").tempdir().unwrap();
        let layout = Layout::choose(Some(home.path()), &Surroundings::default()).unwrap();
        let paths = layout.app(&"shop".parse().unwrap());
        slot::prepare(&paths, None).unwrap();
        let release = paths.release(ReleaseNumber(4));
        std::fs::create_dir_all(&release).unwrap();
        std::fs::create_dir_all(paths.logs()).unwrap();
        for (name, text) in files {
            std::fs::write(release.join(name), text).unwrap();
        }
        Self {
            paths,
            release,
            home,
        }
    }

    pub(crate) fn dir(&self) -> &Path {
        self.home.path()
    }

    pub(crate) fn server() -> Self {
        Self::new(&[("server.js", SERVER)])
    }

    pub(crate) fn spec(&self, generation: u32, command: &str) -> Spec {
        let generation = GenerationNumber(generation);
        let path = std::env::var("PATH").unwrap();
        Spec {
            app: "shop".parse().unwrap(),
            generation,
            release: ReleaseNumber(4),
            commit: "7e41d08f".repeat(5).parse().unwrap(),
            release_dir: self.release.clone(),
            command: Command::Shell(command.to_owned()),
            instances: 1,
            env: BTreeMap::from([
                ("PATH".into(), path),
                ("HOME".into(), self.dir().to_string_lossy().into_owned()),
            ]),
            preload: true,
            compile_cache: None,
            socket: self.paths.generation_socket(generation),
            socket_mode: 0o660,
            socket_group: None,
            log: self.paths.app_log(),
            log_limits: LogLimits::default(),
            drain_limit: BOUND,
            stop_timeout: Duration::from_secs(5),
        }
    }

    pub(crate) async fn start(&self, spec: Spec) -> Generation {
        let paths = self.paths.generation(spec.generation);
        let keeper = Keeper::start(Path::new(EXE), &paths, &spec).await.unwrap();
        Generation {
            keeper,
            spec,
            paths,
        }
    }

    /// Starts `node server.js` and waits until it serves.
    pub(crate) async fn serving(&self, instances: u32) -> Generation {
        let mut spec = self.spec(1, "node server.js");
        spec.instances = instances;
        self.start(spec).await.ready().await
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.paths.app_log()).unwrap_or_default()
    }
}

/// A generation that runs; whatever a test leaves of it is killed.
pub(crate) struct Generation {
    pub(crate) keeper: Keeper,
    pub(crate) spec: Spec,
    pub(crate) paths: GenerationPaths,
}

impl Generation {
    /// Waits until all instances listen, and commits.
    pub(crate) async fn ready(self) -> Self {
        let mut watch = self.keeper.watch().await.unwrap();
        let mut told = Vec::new();
        within("ready", async {
            loop {
                let event = watch.next().await;
                match &event {
                    Some(KeepEvent::Ready { .. }) => return,
                    Some(KeepEvent::Exited { .. } | KeepEvent::StartFailed { .. }) | None => {
                        panic!("{event:?} after {told:#?}")
                    }
                    Some(_) => told.push(event),
                }
            }
        })
        .await;
        self.keeper.commit().await.unwrap();
        self
    }

    pub(crate) fn socket(&self) -> &Path {
        &self.spec.socket
    }

    pub(crate) async fn get(&self, path: &str) -> String {
        get(self.socket(), path).await.unwrap()
    }

    pub(crate) async fn status(&self) -> Status {
        self.keeper.status().await.unwrap()
    }

    pub(crate) async fn gone(&self) {
        within("the keeper's end", self.keeper.gone())
            .await
            .unwrap();
    }

    pub(crate) async fn stopped(self) {
        self.keeper.stop().await.unwrap();
        self.gone().await;
    }

    pub(crate) async fn instance_pid(&self, index: usize) -> u32 {
        self.status().await.instances[index].pid.unwrap()
    }

    pub(crate) async fn until_all_listen(&self, count: usize) -> Status {
        until("instances that listen", async || {
            let status = self.keeper.status().await.unwrap();
            let listening =
                |i: &&handover::keep::InstanceStatus| i.state == InstanceState::Listening;
            let all = status.instances.iter().filter(listening).count() == count
                && status.instances.len() == count;
            all.then_some(status)
        })
        .await
    }

    pub(crate) fn count(&self) -> (u64, u64) {
        let open = slot::connections(self.socket()).unwrap();
        (open.established, open.queued)
    }
}

impl Drop for Generation {
    fn drop(&mut self) {
        // After a test that failed half-way. Those who hold the listener are this generation's and nobody else's.
        let found = handover::keep::orphans::find(&self.paths, &self.spec.socket);
        for identity in found.unwrap_or_default() {
            kill(&identity);
        }
    }
}

pub(crate) fn kill(identity: &Identity) {
    use handover::process::{child::Signal, identity::PidFd};
    if let Ok(Some(pidfd)) = PidFd::open(identity) {
        let _ = pidfd.signal(Signal::SIGKILL);
    }
}

pub(crate) async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(BOUND, future).await {
        Ok(value) => value,
        Err(elapsed) => panic!("no {what} within {BOUND:?}: {elapsed}"),
    }
}

/// Asks again and again until there is an answer.
pub(crate) async fn until<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(begun.elapsed() < BOUND, "no {what} within {BOUND:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

pub(crate) async fn next_matching<T>(
    watch: &mut Watch,
    what: &str,
    mut pick: impl FnMut(&KeepEvent) -> Option<T>,
) -> T {
    within(what, async {
        loop {
            let event = watch.next().await.unwrap_or_else(|| panic!("no {what}"));
            if let Some(picked) = pick(&event) {
                return picked;
            }
        }
    })
    .await
}

/// One request on a connection of its own; the body of the answer.
pub(crate) async fn get(socket: &Path, path: &str) -> std::io::Result<String> {
    let mut stream = UnixStream::connect(socket).await?;
    send(&mut stream, path, "close").await?;
    let answer = read_all(&mut stream).await?;
    answer
        .split_once("\r\n\r\n")
        .filter(|_| answer.starts_with("HTTP/1.1 200") || answer.starts_with("HTTP/1.0 200"))
        .map(|(_, body)| dechunk(body))
        .ok_or_else(|| std::io::Error::other(format!("an answer of {answer:?}")))
}

/// All bodies here are short: one chunk at most.
fn dechunk(body: &str) -> String {
    match body.split_once("\r\n") {
        Some((size, rest)) if !size.is_empty() && u32::from_str_radix(size, 16).is_ok() => rest
            .split_once("\r\n")
            .map_or(rest, |(chunk, _)| chunk)
            .to_owned(),
        _ => body.to_owned(),
    }
}

pub(crate) async fn send(
    stream: &mut UnixStream,
    path: &str,
    connection: &str,
) -> std::io::Result<()> {
    let request = format!("GET {path} HTTP/1.1\r\nHost: shop\r\nConnection: {connection}\r\n\r\n");
    stream.write_all(request.as_bytes()).await
}

pub(crate) async fn read_all(stream: &mut UnixStream) -> std::io::Result<String> {
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}

/// One keep-alive exchange on an open connection; the head of the answer, in lower case.
pub(crate) async fn exchange(stream: &mut UnixStream, path: &str) -> std::io::Result<String> {
    send(stream, path, "keep-alive").await?;
    let mut answer = Vec::new();
    loop {
        let mut byte = [0; 512];
        let read = stream.read(&mut byte).await?;
        if read == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        answer.extend_from_slice(&byte[..read]);
        let text = String::from_utf8_lossy(&answer).to_lowercase();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length: "))
                .map_or(0, |length| length.parse().unwrap());
            let whole = if head.contains("transfer-encoding: chunked") {
                body.ends_with("0\r\n\r\n")
            } else {
                body.len() >= length
            };
            if whole {
                return Ok(head.to_owned());
            }
        }
    }
}

/// An upgraded connection (a WebSocket, as far as anybody but its two ends can tell).
pub(crate) async fn upgrade(socket: &Path) -> UnixStream {
    let mut stream = UnixStream::connect(socket).await.unwrap();
    let request = "GET /ws HTTP/1.1\r\nHost: shop\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    assert!(head.starts_with(b"HTTP/1.1 101"));
    stream
}

pub(crate) async fn echo(stream: &mut UnixStream, word: &str) {
    stream.write_all(word.as_bytes()).await.unwrap();
    let mut back = vec![0; word.len()];
    stream.read_exact(&mut back).await.unwrap();
    assert_eq!(back, word.as_bytes());
}
