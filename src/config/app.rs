//! `handover.toml` in the app's repository.

use std::time::Duration;

use super::cache::CachePath;
use super::problem::{ConfigError, Source, quoted};
use super::table::{Document, Section};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

/// What the app's author has set, with defaults for the rest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppConfig {
    /// `[web]`: the process that serves.
    pub web: WebConfig,
    /// `[health]`: when a generation is well.
    pub health: HealthConfig,
    /// `[drain]`: how what was live before ends.
    pub drain: DrainConfig,
    /// `[install]`: the dependencies.
    pub install: InstallConfig,
    /// `[build]`: the build.
    pub build: BuildConfig,
    /// `[watch] for`: how long a new generation must stay up before the old one is let go. Default 30 s, at most 1 h.
    pub watch: Duration,
}

/// `[web]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebConfig {
    /// The command line, where it is set here.
    pub command: Option<String>,
    /// How many processes, 1 to 64. Default 1.
    pub instances: u16,
    /// Whether the preload redirects the app's `listen()`. Default true.
    pub preload: bool,
    /// Whether node keeps what it has compiled, for the starts that follow. Default true.
    pub compile_cache: bool,
}

/// `[health]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthConfig {
    /// What is asked for, beginning with `/`.
    pub path: String,
    /// Which answers count as well.
    pub accept: Accept,
    /// How long it may take from the start, 1 s to 30 min. Default 60 s.
    pub timeout: Duration,
    /// The pause between two questions, 50 ms to 1 min. Default 250 ms.
    pub interval: Duration,
}

/// Which answers to the health check count as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accept {
    /// Any status below 500: no path was set, and `/` need not exist in an app.
    Below500,
    /// A status of 200 to 399: the path was set to be asked.
    SuccessOrRedirect,
}

impl Accept {
    /// Whether this HTTP status counts as well.
    pub fn accepts(self, status: u16) -> bool {
        match self {
            Self::Below500 => status < 500,
            Self::SuccessOrRedirect => (200..400).contains(&status),
        }
    }
}

/// `[drain]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DrainConfig {
    /// How long connections of the old generation may last, 0 s to 24 h. Default 5 min.
    pub timeout: Duration,
    /// How long the old generation may take to stop after SIGTERM, 0 s to 10 min. Default 10 s.
    pub stop_timeout: Duration,
}

/// `[install]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstallConfig {
    /// Which kinds of dependencies are left out. Default none: a build needs devDependencies.
    pub omit: Vec<Omit>,
}

/// A kind of dependencies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Omit {
    /// `devDependencies`.
    Dev,
    /// `optionalDependencies`.
    Optional,
    /// `peerDependencies`.
    Peer,
}

impl Omit {
    /// The word that npm uses.
    pub fn name(self) -> &'static str {
        match self {
            Self::Dev => "dev",
            Self::Optional => "optional",
            Self::Peer => "peer",
        }
    }

    fn read(text: &str) -> Result<Self, String> {
        [Self::Dev, Self::Optional, Self::Peer]
            .into_iter()
            .find(|kind| kind.name() == text)
            .ok_or_else(|| {
                let written = quoted(text);
                format!("{written} can't be left out; only \"dev\", \"optional\" and \"peer\" can")
            })
    }
}

/// `[build]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuildConfig {
    /// The command line, where it is set here.
    pub command: Option<String>,
    /// How long it may take, 1 s to 4 h. Default 15 min.
    pub timeout: Duration,
    /// What it leaves for the next one. Default: the caches of the usual frameworks ([`CachePath::defaults`]).
    pub cache: Vec<CachePath>,
}

impl AppConfig {
    /// The file's name in the repository.
    pub const FILE: &'static str = "handover.toml";

    /// Reads the file. The error names each thing that is wrong, its line, and what would be right.
    pub fn parse(bytes: &[u8]) -> Result<Self, ConfigError> {
        let document = Document::parse(Source::new(Self::FILE, bytes)?)?;
        let mut root = document.root();
        let config = Self {
            web: WebConfig::read(root.section("web")),
            health: HealthConfig::read(root.section("health")),
            drain: DrainConfig::read(root.section("drain")),
            install: InstallConfig::read(root.section("install")),
            build: BuildConfig::read(root.section("build")),
            watch: read_watch(root.section("watch")),
        };
        root.finish();
        document.finish(config)
    }
}

impl Default for AppConfig {
    fn default() -> Self {
        Self::parse(b"").expect("an empty file sets nothing")
    }
}

impl WebConfig {
    fn read(mut section: Section<'_>) -> Self {
        let read = Self {
            command: section.command("command"),
            instances: section.count("instances", 1, 1..=64),
            preload: section.switch("preload", true),
            compile_cache: section.switch("compile_cache", true),
        };
        section.finish();
        read
    }
}

impl HealthConfig {
    fn read(mut section: Section<'_>) -> Self {
        let path = section.text("path").and_then(|(path, found)| {
            let Some(why) = path_problem(path) else {
                return Some(path.to_owned());
            };
            let written = quoted(path);
            found.wrong(format!(
                "{written} {why}; write a path such as \"/healthz\""
            ));
            None
        });
        let read = Self {
            accept: match path {
                Some(_) => Accept::SuccessOrRedirect,
                None => Accept::Below500,
            },
            path: path.unwrap_or_else(|| "/".to_owned()),
            timeout: section.duration("timeout", MINUTE, SECOND..=30 * MINUTE),
            interval: section.duration(
                "interval",
                Duration::from_millis(250),
                Duration::from_millis(50)..=MINUTE,
            ),
        };
        section.finish();
        read
    }
}

fn path_problem(path: &str) -> Option<&'static str> {
    if !path.starts_with('/') {
        Some("does not begin with `/`")
    } else if !path.bytes().all(|b| b.is_ascii_graphic()) {
        Some("has characters that a request line can't carry")
    } else if path.contains('#') {
        Some("has a fragment, which is never sent")
    } else if path.len() > 1000 {
        Some("is longer than 1000 bytes")
    } else {
        None
    }
}

impl DrainConfig {
    fn read(mut section: Section<'_>) -> Self {
        let read = Self {
            timeout: section.duration("timeout", 5 * MINUTE, Duration::ZERO..=24 * HOUR),
            stop_timeout: section.duration(
                "stop_timeout",
                10 * SECOND,
                Duration::ZERO..=10 * MINUTE,
            ),
        };
        section.finish();
        read
    }
}

impl InstallConfig {
    fn read(mut section: Section<'_>) -> Self {
        let read = Self {
            omit: section.list("omit", Omit::read).unwrap_or_default(),
        };
        section.finish();
        read
    }
}

impl BuildConfig {
    fn read(mut section: Section<'_>) -> Self {
        let read = Self {
            command: section.command("command"),
            timeout: section.duration("timeout", 15 * MINUTE, SECOND..=4 * HOUR),
            cache: section
                .list("cache", CachePath::read)
                .unwrap_or_else(CachePath::defaults),
        };
        section.finish();
        read
    }
}

fn read_watch(mut section: Section<'_>) -> Duration {
    let watch = section.duration("for", 30 * SECOND, Duration::ZERO..=HOUR);
    section.finish();
    watch
}
