//! The server's own `handover.toml`.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::problem::{ConfigError, Source, quoted};
use super::table::{Document, Section};
use crate::ids::HostName;
use crate::time::{limit_text, parse_duration};

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;
const GIB: u64 = 1024 * MIB;

/// What the server's administrator has set, with defaults for the rest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerSettings {
    /// Where the built-in front listens. Default `127.0.0.1:8080`.
    pub listen: Vec<SocketAddr>,
    /// Whether the built-in front runs. Default true.
    pub front: bool,
    /// The group that may connect to the apps' sockets: nginx's, for instance.
    pub front_group: Option<String>,
    /// How many builds may run at once, 1 to 64; without it, as many as there are cores.
    pub builds: Option<u16>,
    /// What is printed as an app's address, with `{host}` in it.
    pub public_url: Option<String>,
    /// `[logs]`: how much of what an app prints is kept.
    pub logs: LogLimits,
    /// `[build_cache]`: what is carried from release to release.
    pub build_cache: BuildCacheLimits,
    /// How many releases of an app are kept for going back, 1 to 1000, the live one among them. Default 5.
    pub keep_releases: u16,
    /// How many deploys of an app are remembered, with their logs, 1 to 10000. Default 200. Those that a release was built
    /// by stay as long as it does.
    pub keep_deploys: u16,
    /// `[store]`: what is kept of what installs have made.
    pub store: StoreSettings,
    /// How long to wait after each attempt to reach a webhook that failed, 100 ms to 24 h each, at most 20; after the
    /// last of them a delivery is given up. Default 5 s, 30 s, 2 min, 10 min, 30 min.
    pub webhook_retry: Vec<Duration>,
    /// How often everything is looked at and mended without a reason, 100 ms to 24 h. Default 1 min.
    pub look_every: Duration,
    /// The file that sshd reads the keys from; without it, `authorized_keys` in the home directory.
    pub authorized_keys: Option<PathBuf>,
}

/// How much of an app's output is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogLimits {
    /// The size of one file in bytes, 64 KiB to 16 GiB. Default 10 MiB.
    pub max_bytes: u64,
    /// How many files there are, the current one among them, 1 to 100. Default 5.
    pub files: u16,
}

/// What is kept of what installs have made, for each app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreSettings {
    /// How much, in bytes, 0 to 1 TiB; 0 stores nothing. Default 4 GiB. The tree that was used last is kept in any case.
    pub max_bytes: u64,
    /// How long a tree is kept that is not used, 1 h to 10 years. Default 30 days.
    pub max_age: Duration,
    /// Whether a tree is laid out in advance, so that the next deploy takes it by a rename. Default true.
    pub spare: bool,
}

/// How much of what builds leave for each other is carried from release to release.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BuildCacheLimits {
    /// All caches of a release together, in bytes; 0 to 1 TiB, and 0 turns it off. Default 2 GiB.
    pub max_bytes: u64,
}

impl ServerSettings {
    /// Reads the file; `path` is for messages. The error names each thing that is wrong, its line, and what would be
    /// right.
    pub fn parse(path: &Path, bytes: &[u8]) -> Result<Self, ConfigError> {
        let file = path.to_string_lossy();
        let document = Document::parse(Source::new(&file, bytes)?)?;
        let mut root = document.root();
        let settings = Self {
            listen: read_listen(&mut root),
            front: root.switch("front", true),
            front_group: read_group(&mut root),
            builds: Some(root.count("builds", 0, 1..=64)).filter(|&set| set > 0),
            public_url: read_public_url(&mut root),
            logs: LogLimits::read(root.section("logs")),
            build_cache: BuildCacheLimits::read(root.section("build_cache")),
            keep_releases: root.count("keep_releases", 5, 1..=1000),
            keep_deploys: root.count("keep_deploys", 200, 1..=10_000),
            store: StoreSettings::read(root.section("store")),
            webhook_retry: read_webhook_retry(&mut root),
            look_every: read_look_every(&mut root),
            authorized_keys: read_authorized_keys(&mut root),
        };
        root.finish();
        document.finish(settings)
    }

    /// How many builds may run at once: as set, else one per core.
    pub fn parallel_builds(&self) -> usize {
        match self.builds {
            Some(set) => usize::from(set),
            None => std::thread::available_parallelism().map_or(1, usize::from),
        }
    }

    /// The address to print for a host of an app, where the settings say what it looks like.
    pub fn url(&self, host: &HostName) -> Option<String> {
        let template = self.public_url.as_ref()?;
        Some(template.replace(PLACEHOLDER, host.as_str()))
    }
}

impl Default for ServerSettings {
    fn default() -> Self {
        Self::parse(Path::new("handover.toml"), b"").expect("an empty file sets nothing")
    }
}

impl LogLimits {
    fn read(mut section: Section<'_>) -> Self {
        let read = Self {
            max_bytes: section.number("max_bytes", 10 * MIB, 64 * KIB..=16 * GIB),
            files: section.count("files", 5, 1..=100),
        };
        section.finish();
        read
    }
}

impl StoreSettings {
    fn read(mut section: Section<'_>) -> Self {
        const HOUR: Duration = Duration::from_secs(3600);
        let read = Self {
            max_bytes: section.number("max_bytes", 4 * GIB, 0..=1024 * GIB),
            max_age: section.duration("max_age", 720 * HOUR, HOUR..=87_600 * HOUR),
            spare: section.switch("spare", true),
        };
        section.finish();
        read
    }
}

impl BuildCacheLimits {
    fn read(mut section: Section<'_>) -> Self {
        let read = Self {
            max_bytes: section.number("max_bytes", 2 * GIB, 0..=1024 * GIB),
        };
        section.finish();
        read
    }
}

/// Stands for the host name in `public_url`.
const PLACEHOLDER: &str = "{host}";

fn read_listen(root: &mut Section<'_>) -> Vec<SocketAddr> {
    let default = || vec![SocketAddr::from(([127, 0, 0, 1], 8080))];
    root.list("listen", read_address).unwrap_or_else(default)
}

fn read_address(text: &str) -> Result<SocketAddr, String> {
    let wrong = |_| {
        format!(
            "{} is not an address with a port; write one as \"127.0.0.1:8080\", \"0.0.0.0:80\" or \"[::]:80\"",
            quoted(text)
        )
    };
    text.parse().map_err(wrong)
}

fn read_webhook_retry(root: &mut Section<'_>) -> Vec<Duration> {
    const AT_MOST: usize = 20;
    let default = || [5, 30, 120, 600, 1800].map(Duration::from_secs).to_vec();
    root.series("webhook_retry", AT_MOST, read_pause)
        .unwrap_or_else(default)
}

fn read_look_every(root: &mut Section<'_>) -> Duration {
    const DEFAULT: Duration = Duration::from_secs(60);
    let Some((text, found)) = root.text("look_every") else {
        return DEFAULT;
    };
    read_pause(text).unwrap_or_else(|reason| {
        found.wrong(reason);
        DEFAULT
    })
}

fn read_pause(text: &str) -> Result<Duration, String> {
    const ALLOWED: std::ops::RangeInclusive<Duration> =
        Duration::from_millis(100)..=Duration::from_secs(24 * 3600);
    let pause = parse_duration(text)?;
    if ALLOWED.contains(&pause) {
        return Ok(pause);
    }
    Err(format!(
        "{} is out of range; {} to {} are allowed",
        quoted(text),
        limit_text(*ALLOWED.start()),
        limit_text(*ALLOWED.end())
    ))
}

fn read_group(root: &mut Section<'_>) -> Option<String> {
    let (name, found) = root.text("front_group")?;
    let ok = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '$');
    if name.is_empty() || name.len() > 32 || !name.chars().all(ok) {
        found.wrong(format!(
            "{} is not the name of a group; write one such as \"www-data\"",
            quoted(name)
        ));
        return None;
    }
    Some(name.to_owned())
}

fn read_authorized_keys(root: &mut Section<'_>) -> Option<PathBuf> {
    let (path, found) = root.text("authorized_keys")?;
    if !path.starts_with('/') || path.ends_with('/') {
        found.wrong(format!(
            "{} is not the absolute path of a file; write one such as \"/home/git/.ssh/authorized_keys\"",
            quoted(path)
        ));
        return None;
    }
    Some(PathBuf::from(path))
}

fn read_public_url(root: &mut Section<'_>) -> Option<String> {
    let (template, found) = root.text("public_url")?;
    let scheme = ["http://", "https://"]
        .iter()
        .any(|scheme| template.starts_with(scheme));
    let plain = template.bytes().all(|b| b.is_ascii_graphic());
    if !scheme || !plain || template.matches(PLACEHOLDER).count() != 1 {
        found.wrong(format!(
            "{} is not a URL with {PLACEHOLDER} in it; write one as \"https://{PLACEHOLDER}\"",
            quoted(template)
        ));
        return None;
    }
    Some(template.to_owned())
}
