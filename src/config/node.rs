//! Which node an app wants: `engines.node` of package.json, `.nvmrc`, `.node-version`.
//!
//! None of them stands above another: a version is right if it is right for all that the app says. Two that no version
//! can satisfy together are refused by name.

use std::fmt;

use super::problem::{ConfigError, Source, quoted};
use super::version::{Version, VersionRange};

/// Where a wish is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NodeSource {
    /// `engines.node` of `package.json`.
    Engines,
    /// `.nvmrc`.
    Nvmrc,
    /// `.node-version`.
    NodeVersion,
}

impl NodeSource {
    /// The file's name in the repository.
    pub fn file(self) -> &'static str {
        match self {
            Self::Engines => "package.json",
            Self::Nvmrc => ".nvmrc",
            Self::NodeVersion => ".node-version",
        }
    }
}

impl fmt::Display for NodeSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Engines => "engines.node of package.json",
            Self::Nvmrc | Self::NodeVersion => self.file(),
        })
    }
}

/// One wish; shows itself as in ".nvmrc `lts/iron`".
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeWish {
    /// Where it is written.
    pub source: NodeSource,
    /// As it is written there.
    pub text: String,
    /// Which versions it means.
    pub range: VersionRange,
}

impl fmt::Display for NodeWish {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.source, quoted(&self.text))
    }
}

/// All that an app says of the node that it wants.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NodeWishes(Vec<NodeWish>);

impl NodeWishes {
    /// Reads them. A file without a word in it wishes nothing.
    pub fn parse(
        engines: Option<&str>,
        nvmrc: Option<&[u8]>,
        node_version: Option<&[u8]>,
    ) -> Result<Self, ConfigError> {
        let engines = engines.map(|text| {
            let source = Source::new(NodeSource::Engines.file(), b"")?;
            wish(NodeSource::Engines, text, |what| source.somewhere(what))
        });
        let read = [
            engines.transpose().map(Option::flatten),
            of_file(NodeSource::NodeVersion, node_version),
            of_file(NodeSource::Nvmrc, nvmrc),
        ];
        let (mut wishes, mut errors) = (Vec::new(), Vec::new());
        for wish in read {
            match wish {
                Ok(wish) => wishes.extend(wish),
                Err(error) => errors.push(error),
            }
        }
        if !errors.is_empty() {
            return Err(ConfigError::joined(errors.into_iter()));
        }
        let wishes = Self(wishes);
        wishes.contradiction().map_or(Ok(wishes), Err)
    }

    /// Whether nothing is wished.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = &NodeWish> {
        self.0.iter()
    }

    /// Whether a version is right for all of them.
    pub fn allow(&self, version: &Version) -> bool {
        self.0.iter().all(|wish| wish.range.contains(version))
    }

    fn contradiction(&self) -> Option<ConfigError> {
        let (n, one) = self.0.iter().enumerate().find(|(n, one)| {
            let others = &self.0[n + 1..];
            others.iter().any(|other| !one.range.meets(&other.range))
        })?;
        let other = self.0[n + 1..]
            .iter()
            .find(|other| !one.range.meets(&other.range))?;
        let source = Source::new(other.source.file(), b"").ok()?;
        Some(ConfigError::one(source.somewhere(format!(
            "no version of node satisfies both {one} and {other}; change one of them"
        ))))
    }
}

impl fmt::Display for NodeWishes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, wish) in self.0.iter().enumerate() {
            let joint = if n == 0 { "" } else { " and " };
            write!(f, "{joint}{wish}")?;
        }
        Ok(())
    }
}

/// The first line that is neither blank nor a comment.
fn of_file(from: NodeSource, bytes: Option<&[u8]>) -> Result<Option<NodeWish>, ConfigError> {
    let Some(bytes) = bytes else { return Ok(None) };
    let source = Source::new(from.file(), bytes)?;
    let mut lines = source.text.lines().enumerate().map(|(n, line)| {
        let said = line.split('#').next().unwrap_or_default();
        (n + 1, said.trim())
    });
    let Some((number, line)) = lines.find(|(_, line)| !line.is_empty()) else {
        return Ok(None);
    };
    wish(from, line, |what| source.on_line(number, what))
}

fn wish(
    source: NodeSource,
    text: &str,
    problem: impl FnOnce(String) -> super::problem::Problem,
) -> Result<Option<NodeWish>, ConfigError> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(None);
    }
    match range(text) {
        Some(range) => Ok(Some(NodeWish {
            source,
            text: text.to_owned(),
            range,
        })),
        None => Err(ConfigError::one(problem(not_known(text)))),
    }
}

/// A line with long-term support that is newer than this handover has a name that it can't know.
fn not_known(text: &str) -> String {
    let (text, lower) = (quoted(text), text.to_ascii_lowercase());
    let (newest, number) = LTS[LTS.len() - 1];
    let name = lower.strip_prefix("lts/").unwrap_or_default();
    if !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_lowercase()) {
        return format!(
            "this handover does not know {text}: lts/{newest}, of node {number}, is the newest line that it knows by name; write the number of the line that you mean, as `{}`",
            number + 2
        );
    }
    format!(
        "{text} is not a version of node, nor a range of versions; write one as `22`, `>=20.11 <25` or `lts/{newest}`"
    )
}

/// The lines with long-term support, by the names that `process.release.lts` has.
const LTS: [(&str, u64); 11] = [
    ("argon", 4),
    ("boron", 6),
    ("carbon", 8),
    ("dubnium", 10),
    ("erbium", 12),
    ("fermium", 14),
    ("gallium", 16),
    ("hydrogen", 18),
    ("iron", 20),
    ("jod", 22),
    ("krypton", 24),
];

/// What nvm and its likes understand, else a range as npm understands it.
fn range(text: &str) -> Option<VersionRange> {
    let line = |major: u64| format!("^{major}").parse().ok();
    let lower = text.to_ascii_lowercase();
    if matches!(lower.as_str(), "node" | "stable" | "latest" | "current") {
        return "*".parse().ok();
    }
    if let Some(name) = lower.strip_prefix("lts/") {
        // `lts/-1` is the line before the newest.
        let back = match name {
            "*" => Some(0),
            _ => name.strip_prefix('-').and_then(|n| n.parse::<usize>().ok()),
        };
        let found = match back {
            Some(back) => LTS.iter().rev().nth(back),
            None => LTS.iter().find(|(lts, _)| *lts == name),
        };
        return line(found?.1);
    }
    text.parse().ok()
}
