//! Strictly counted traffic on an app: a load client in a process of its own that retries nothing.
//!
//! Two clients are known: an acceptance load that is kept outside this repository (`HANDOVER_LOAD` names it; else
//! `../shared/load/load.js` beside the repository, where it is) and drives the pushes itself, and the project's own in
//! `tests/load`, for which they are driven here.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tempfile::TempDir;

use super::Project;

/// For how long after a new version's first answer an older one may still answer, in milliseconds.
const STALE_MS: u32 = 250;
/// When the first push begins, in seconds.
const FIRST_PUSH_S: f64 = 3.0;
/// How long work may take that is under way at the end, in seconds.
const GRACE_S: u32 = 20;

/// A load client.
#[derive(Debug, Clone)]
pub enum Client {
    /// The acceptance load.
    Acceptance(PathBuf),
    /// The project's own.
    Own(PathBuf),
}

/// Versions of a project that are pushed while traffic runs: tags `v1`, `v2` …
#[derive(Debug)]
pub struct Pushes<'a> {
    pub project: &'a Project,
    pub repo: &'a Path,
    pub count: u32,
    /// From the start of one to the start of the next, at least.
    pub every: Duration,
    /// How long one takes at most, by an estimate that decides how long the traffic lasts.
    pub at_most: Duration,
}

/// Traffic that runs.
#[derive(Debug)]
pub struct Traffic {
    child: Child,
    out: TempDir,
    kind: &'static str,
}

/// What the traffic has met.
#[derive(Debug)]
pub struct Report {
    /// Whether nothing was lost.
    pub pass: bool,
    /// Each reason for failing.
    pub why: Vec<String>,
    /// Losses by kind of request and class: `fresh.refused`.
    pub lost: BTreeMap<String, u64>,
    /// What is worth a line.
    pub figures: String,
}

impl Client {
    /// The client to use, if there is one.
    pub fn find() -> Option<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let acceptance = match std::env::var_os("HANDOVER_LOAD").filter(|path| !path.is_empty()) {
            Some(named) => PathBuf::from(named),
            None => root.join("../shared/load/load.js"),
        };
        let own = root.join("tests/load/load.mjs");
        if acceptance.exists() {
            Some(Self::Acceptance(acceptance))
        } else {
            own.exists().then_some(Self::Own(own))
        }
    }

    /// The app that the acceptance load brings along.
    pub fn app(&self) -> Option<PathBuf> {
        let Self::Acceptance(path) = self else {
            return None;
        };
        let app = path.parent()?.join("fixture");
        app.exists().then_some(app)
    }

    /// Traffic for `seconds`, during which the test may do what it likes.
    pub fn begin(&self, address: SocketAddr, seconds: u32) -> Traffic {
        self.spawn(address, &[("duration", seconds.to_string())], seconds)
    }

    /// Traffic while versions are pushed one after the other; ends when the last has been live for a while.
    pub fn run(&self, address: SocketAddr, pushes: &Pushes<'_>) -> Report {
        match self {
            Self::Acceptance(_) => {
                let span = FIRST_PUSH_S + f64::from(pushes.count) * pushes.at_most.as_secs_f64();
                self.spawn(address, &Self::deploy_options(pushes, span), 0)
                    .end()
            }
            Self::Own(_) => {
                let mut traffic = self.spawn(address, &[], 3600);
                traffic.until_ready();
                for n in 1..=pushes.count {
                    pushes.push(n);
                }
                traffic.end_early()
            }
        }
    }

    fn deploy_options(pushes: &Pushes<'_>, span: f64) -> Vec<(&'static str, String)> {
        let (work, repo) = (pushes.project.path().display(), pushes.repo.display());
        let push = format!("git -C {work} push -q -f {repo} v{{n}}^0:refs/heads/main");
        vec![
            ("duration", span.to_string()),
            ("deploy", push),
            ("deploys", pushes.count.to_string()),
            ("deploy-at", FIRST_PUSH_S.to_string()),
            ("deploy-every", pushes.every.as_secs_f64().to_string()),
            ("expect", "v{n}".to_owned()),
        ]
    }

    fn spawn(
        &self,
        address: SocketAddr,
        options: &[(&'static str, String)],
        seconds: u32,
    ) -> Traffic {
        let out = tempfile::tempdir().unwrap();
        let (path, kind) = match self {
            Self::Acceptance(path) => (path, "acceptance"),
            Self::Own(path) => (path, "own"),
        };
        let mut command = Command::new("node");
        command
            .arg(path)
            .args(["--url", &format!("http://{address}")]);
        command.args(["--grace", &GRACE_S.to_string()]);
        match self {
            Self::Acceptance(_) => {
                command.args(["--max-stale-ms", &STALE_MS.to_string(), "--events"]);
                command.arg(out.path().join("events"));
                for (name, value) in options {
                    command.arg(format!("--{name}")).arg(value);
                }
            }
            Self::Own(_) => {
                command.args(["--stale-ms", &STALE_MS.to_string()]);
                command.args(["--seconds", &seconds.to_string()]);
            }
        }
        let file = |name| File::create(out.path().join(name)).unwrap();
        command
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_SYSTEM", "/dev/null")
            .stdin(Stdio::null())
            .stdout(file("summary"))
            .stderr(Stdio::piped());
        let child = command.spawn().unwrap();
        Traffic { child, out, kind }
    }
}

impl Pushes<'_> {
    fn push(&self, n: u32) {
        let refs = format!("v{n}^0:refs/heads/main");
        let pushed = self.project.push_with(self.repo, &["-q", "-f", &refs]);
        assert_eq!(pushed.code, 0, "{}", pushed.text);
    }
}

impl Traffic {
    /// Waits until each kind of traffic has been answered once.
    fn until_ready(&mut self) {
        let mut errors = BufReader::new(self.child.stderr.take().unwrap());
        let mut line = String::new();
        errors.read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n");
    }

    fn end_early(self) -> Report {
        kill(Pid::from_raw(self.child.id().cast_signed()), Signal::SIGINT).unwrap();
        self.end()
    }

    /// Waits for the end of the traffic and tells what it has met.
    pub fn end(mut self) -> Report {
        // Whatever else it has to say is short.
        let words = self.child.stderr.take().map(std::io::read_to_string);
        let status = self.child.wait().unwrap();
        let text = std::fs::read_to_string(self.out.path().join("summary")).unwrap();
        let summary: Value = serde_json::from_str(&text)
            .unwrap_or_else(|error| panic!("{error}: {text:?}, {words:?}"));
        let report = Report::of(&summary);
        assert_eq!(status.success(), report.pass, "{summary:#}");
        eprintln!("{} load: {}", self.kind, report.figures);
        if !report.pass {
            let events = std::fs::read_to_string(self.out.path().join("events"));
            let events = events.unwrap_or_default();
            let first: Vec<&str> = events.lines().take(20).collect();
            eprintln!("{}", first.join("\n"));
        }
        report
    }
}

impl Report {
    fn of(summary: &Value) -> Self {
        let words = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let why = summary["why"].as_array().into_iter().flatten();
        let lost: BTreeMap<String, u64> =
            losses(summary["failures"].as_object().into_iter().flatten())
                .chain(losses(own_kinds(summary)))
                .collect();
        Self {
            pass: summary["pass"] == true,
            why: why.map(words).collect(),
            figures: figures(summary, &lost),
            lost,
        }
    }

    /// Panics unless nothing at all was lost, dropped or stale.
    #[track_caller]
    pub fn nothing_was_lost(&self) -> &Self {
        assert!(self.pass, "{:?}; {}", self.why, self.figures);
        assert!(self.lost.is_empty(), "{:?}", self.lost);
        self
    }
}

fn figures(summary: &Value, lost: &BTreeMap<String, u64>) -> String {
    let fresh = &summary["latency_ms"]["fresh"];
    let fresh = if fresh.is_null() {
        &summary["kinds"]["fresh"]
    } else {
        fresh
    };
    format!(
        "{} s, ok {}, {} echoes, lost {lost:?}, stale {}, fresh GET {fresh}, deploys {}",
        summary["seconds"],
        summary["ok"],
        summary["ws_echoes"],
        summary["stale"],
        summary["deploy_ms"],
    )
}

/// `kind.class` and how often.
fn losses<'a>(
    kinds: impl Iterator<Item = (&'a String, &'a Value)>,
) -> impl Iterator<Item = (String, u64)> {
    kinds.flat_map(|(kind, classes)| {
        let classes = classes.as_object().into_iter().flatten();
        classes.filter_map(move |(class, count)| Some((format!("{kind}.{class}"), count.as_u64()?)))
    })
}

fn own_kinds(summary: &Value) -> impl Iterator<Item = (&String, &Value)> {
    let kinds = summary["kinds"].as_object().into_iter().flatten();
    kinds.map(|(kind, of_kind)| (kind, &of_kind["lost"]))
}

impl Drop for Traffic {
    fn drop(&mut self) {
        // It has ended, unless the test has failed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
