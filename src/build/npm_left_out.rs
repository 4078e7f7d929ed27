//! What `npm ci` has left out without a word.
//!
//! Where an optional package can't be fetched, or its install script fails, npm goes on without it and ends well: the next
//! install may have it. A tree that lacks one is none to keep. What is not made for this machine is left out each time.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;

use serde_json::{Map, Value};

use super::toolchain::{Libc, Toolchain};
use crate::config::{Omit, Version, VersionRange};

/// The machine that packages are installed for, as npm's checks see it.
pub(super) struct Machine<'m> {
    pub(super) arch: &'m str,
    pub(super) libc: &'static str,
    pub(super) node: &'m Version,
    pub(super) npm: &'m Version,
}

impl<'m> Machine<'m> {
    pub(super) fn of(toolchain: &'m Toolchain) -> Self {
        Self {
            arch: &toolchain.node.arch,
            libc: match toolchain.node.libc {
                Libc::Glibc(_) => "glibc",
                Libc::Musl => "musl",
            },
            node: &toolchain.node.version,
            npm: &toolchain.manager.version,
        }
    }
}

/// The optional packages of a lockfile that should be there and are not, by their paths in it. `is_there` tells whether
/// something is at such a path. Settings may leave out all optional ones (`may_omit_all`): then one must be there.
pub(super) fn left_out(
    lock: &Map<String, Value>,
    machine: &Machine<'_>,
    omit: &[Omit],
    may_omit_all: bool,
    is_there: impl Fn(&str) -> bool,
) -> Vec<String> {
    let Some(packages) = lock.get("packages").and_then(Value::as_object) else {
        return Vec::new(); // before npm 7 it is not noted which are optional
    };
    let lock = Lock { packages, machine };
    let optional = || packages.keys().filter(|path| lock.is_optional(path, omit));
    if may_omit_all && !optional().any(|path| is_there(path)) {
        return Vec::new();
    }
    let is_missed = |path: &&String| {
        !is_there(path)
            && lock.fits(path, &mut BTreeSet::new())
            && lock.is_wanted(path, omit, &is_there)
    };
    optional().filter(is_missed).cloned().collect()
}

/// The settings of npm's by which it leaves out a kind of dependencies, the old names among them.
const OMITTING: [&str; 4] = ["omit", "optional", "only", "production"];

/// Whether these settings of npm's may leave out a kind of dependencies. Reads the files.
pub(super) fn may_omit(settings: &[PathBuf], environment: &BTreeMap<String, String>) -> bool {
    let is_key = |name: &str| OMITTING.contains(&name.trim().trim_end_matches("[]"));
    let says = |text: &str| {
        let mut keys = text.lines().filter_map(|line| line.split('=').next());
        keys.any(is_key)
    };
    let mut files = settings
        .iter()
        .filter_map(|path| fs::read_to_string(path).ok());
    let mut names = environment.keys().map(|name| name.to_ascii_lowercase());
    files.any(|text| says(&text))
        || names.any(|name| name.strip_prefix("npm_config_").is_some_and(is_key))
}

struct Lock<'l> {
    packages: &'l Map<String, Value>,
    machine: &'l Machine<'l>,
}

impl Lock<'_> {
    fn package(&self, path: &str) -> Option<&Map<String, Value>> {
        self.packages.get(path)?.as_object()
    }

    fn is(&self, path: &str, key: &str) -> bool {
        let found = self.package(path).and_then(|package| package.get(key));
        found.and_then(Value::as_bool) == Some(true)
    }

    /// Whether npm may go on without it, and was not told to leave it out.
    fn is_optional(&self, path: &str, omit: &[Omit]) -> bool {
        let omitted = |kind: Omit| omit.contains(&kind);
        let is_left = self.is(path, "dev") && omitted(Omit::Dev)
            || self.is(path, "optional") && omitted(Omit::Optional)
            || self.is(path, "peer") && omitted(Omit::Peer)
            || self.is(path, "devOptional") && omitted(Omit::Dev) && omitted(Omit::Optional);
        let may_lack = self.is(path, "optional") || self.is(path, "devOptional");
        path.contains("node_modules/") && may_lack && !is_left && !self.is(path, "inBundle")
    }

    /// Whether it, and all that it can't do without, is made for this machine.
    fn fits(&self, path: &str, seen: &mut BTreeSet<String>) -> bool {
        if !seen.insert(path.to_owned()) {
            return true;
        }
        let Some(package) = self.package(path) else {
            return true;
        };
        let needed = names(package, "dependencies");
        let optional: BTreeSet<_> = names(package, "optionalDependencies").collect();
        self.is_made_for(package)
            && needed
                .filter(|name| !optional.contains(name))
                .filter_map(|name| self.resolved(path, name))
                .all(|needed| self.fits(&needed, seen))
    }

    fn is_made_for(&self, package: &Map<String, Value>) -> bool {
        let machine = self.machine;
        let engine = |name: &str, version: &Version| {
            let range = package.get("engines").and_then(|engines| engines.get(name));
            let Some(range) = range.and_then(Value::as_str) else {
                return true;
            };
            let range = range.parse::<VersionRange>();
            range.is_ok_and(|range| range.contains(version))
        };
        allows(package.get("os"), "linux")
            && allows(package.get("cpu"), machine.arch)
            && allows(package.get("libc"), machine.libc)
            && engine("node", machine.node)
            && engine("npm", machine.npm)
    }

    /// Whether something that is there asks for it.
    fn is_wanted(&self, path: &str, omit: &[Omit], is_there: &impl Fn(&str) -> bool) -> bool {
        let mut dependents = self.packages.iter().filter_map(|(by, package)| {
            let package = package.as_object()?;
            let own = ["dependencies", "optionalDependencies", "peerDependencies"];
            let dev = Some("devDependencies").filter(|_| !omit.contains(&Omit::Dev));
            let mut kinds = own.into_iter().chain(dev);
            let asks = kinds.any(|kind| {
                names(package, kind).any(|name| self.resolved(by, name).as_deref() == Some(path))
            });
            asks.then_some(by)
        });
        dependents.any(|by| by.is_empty() || is_there(by))
    }

    /// Where a package finds another: beside its own packages, else beside those above it.
    fn resolved(&self, from: &str, name: &str) -> Option<String> {
        let mut above = Some(from);
        while let Some(directory) = above {
            let path = match directory {
                "" => format!("node_modules/{name}"),
                directory => format!("{directory}/node_modules/{name}"),
            };
            if self.packages.contains_key(&path) {
                return Some(path);
            }
            above = match directory {
                "" => None,
                directory => Some(directory.rsplit_once('/').map_or("", |(above, _)| above)),
            };
        }
        None
    }
}

fn names<'p>(package: &'p Map<String, Value>, kind: &str) -> impl Iterator<Item = &'p str> {
    let found = package.get(kind).and_then(Value::as_object);
    found.into_iter().flat_map(Map::keys).map(String::as_str)
}

/// As npm reads `os`, `cpu` and `libc`: a list of what is meant, or of what is not.
fn allows(list: Option<&Value>, mine: &str) -> bool {
    let names: Vec<&str> = match list {
        Some(Value::String(name)) => vec![name],
        Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).collect(),
        _ => return true,
    };
    let is_excluded = names
        .iter()
        .any(|name| name.strip_prefix('!') == Some(mine));
    let mut meant = names
        .iter()
        .filter(|name| !name.starts_with('!'))
        .peekable();
    let is_open = meant.peek().is_none();
    !is_excluded && (is_open || meant.any(|name| *name == mine || *name == "any"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn of(packages: &Value, there: &[&str], omit: &[Omit]) -> Vec<String> {
        with(packages, there, omit, false)
    }

    fn with(packages: &Value, there: &[&str], omit: &[Omit], may_omit_all: bool) -> Vec<String> {
        let (node, npm) = ("22.1.0".parse().unwrap(), "11.1.0".parse().unwrap());
        let machine = Machine {
            arch: "x64",
            libc: "glibc",
            node: &node,
            npm: &npm,
        };
        let lock = json!({ "packages": packages });
        let lock = lock.as_object().unwrap();
        left_out(lock, &machine, omit, may_omit_all, |path| {
            there.contains(&path)
        })
    }

    /// As rollup has them: one package for each kind of machine.
    fn natives() -> Value {
        json!({
            "": {"dependencies": {"rollup": "4"}, "optionalDependencies": {"fsevents": "1"}},
            "node_modules/rollup": {"optionalDependencies": {"@r/gnu": "4", "@r/musl": "4", "@r/arm": "4", "@r/mac": "4"}},
            "node_modules/@r/gnu": {"optional": true, "os": ["linux"], "cpu": ["x64"], "libc": ["glibc"]},
            "node_modules/@r/musl": {"optional": true, "os": ["linux"], "cpu": ["x64"], "libc": "musl"},
            "node_modules/@r/arm": {"optional": true, "os": ["linux"], "cpu": ["arm64"]},
            "node_modules/@r/mac": {"optional": true, "os": ["!linux"], "cpu": ["any"]},
            "node_modules/fsevents": {"optional": true, "os": ["darwin"], "dependencies": {"nan": "2"}},
            "node_modules/nan": {"optional": true}
        })
    }

    #[test]
    fn what_is_not_made_for_this_machine_is_not_missed() {
        let there = ["node_modules/rollup", "node_modules/@r/gnu"];
        assert!(of(&natives(), &there, &[]).is_empty());
        assert_eq!(
            of(&natives(), &there[..1], &[]),
            ["node_modules/@r/gnu"],
            "the one for this machine is"
        );
        let omit = [Omit::Optional];
        assert!(of(&natives(), &there[..1], &omit).is_empty());
    }

    #[test]
    fn what_needs_something_that_does_not_fit_is_left_out_with_it() {
        let lock = json!({
            "": {"optionalDependencies": {"a": "1", "new": "1", "c": "1"}},
            "node_modules/a": {"optional": true, "dependencies": {"b": "1"}},
            "node_modules/a/node_modules/b": {"optional": true, "os": ["win32"]},
            "node_modules/new": {"optional": true, "engines": {"node": ">=24"}},
            "node_modules/c": {"optional": true}
        });
        assert!(of(&lock, &["node_modules/c"], &[]).is_empty());
        assert_eq!(of(&lock, &[], &[]), ["node_modules/c"]);
    }

    #[test]
    fn where_none_of_several_came_settings_may_have_left_them_out() {
        let lock = json!({
            "": {"optionalDependencies": {"a": "1", "b": "1"}},
            "node_modules/a": {"optional": true}, "node_modules/b": {"devOptional": true}
        });
        assert!(with(&lock, &[], &[], true).is_empty());
        assert_eq!(of(&lock, &[], &[]).len(), 2);
        let there = ["node_modules/a"];
        assert_eq!(with(&lock, &there, &[], true), ["node_modules/b"]);
        let set = |name: &str| [(name.to_owned(), String::new())].into();
        assert!(may_omit(&[], &set("NPM_CONFIG_OMIT")));
        assert!(!may_omit(&[], &set("npm_config_registry")));
        let dir = tempfile::tempdir().unwrap();
        for (text, omits) in [
            ("omit[]=optional\n", true),
            ("a=b\noptional = false\n", true),
            ("registry=https://only/optional/\n", false),
        ] {
            let file = dir.path().join("npmrc");
            fs::write(&file, text).unwrap();
            assert_eq!(may_omit(&[file], &BTreeMap::new()), omits, "{text}");
        }
    }
}
