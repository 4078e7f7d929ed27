//! What a lockfile of npm's says of how much an install depends on.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

use serde_json::{Map, Value};

/// The scripts of the app itself that `npm ci` runs.
const ROOT_SCRIPTS: [&str; 10] = [
    "preinstall",
    "install",
    "postinstall",
    "predependencies",
    "dependencies",
    "postdependencies",
    "prepublish",
    "preprepare",
    "prepare",
    "postprepare",
];

/// What an install depends on beside what npm itself reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Scripts {
    /// On nothing: it unpacks packages whose content the lockfile fixes.
    None,
    /// On whatever the scripts of these look at.
    Of(Vec<String>),
    /// On what is out there at the time: of these the lockfile does not fix the content.
    Floating(Vec<String>),
}

/// Reads what a lockfile and a `package.json` say; `manifest_at` gives the `package.json` of a directory of the app's own, and
/// `has_gyp` tells whether there is something to be built in it.
pub(super) fn scripts(
    lock: &Map<String, Value>,
    has_gyp: impl Fn(&str) -> bool,
    manifest_at: impl Fn(&str) -> Option<Map<String, Value>>,
) -> Scripts {
    let mut found = Seen::default();
    found.root(&manifest_at("").unwrap_or_default(), has_gyp(""));
    match lock.get("packages").and_then(Value::as_object) {
        Some(packages) => packages.iter().for_each(|(path, package)| {
            found.package(path, package, &has_gyp, &manifest_at);
        }),
        // Before npm 7 scripts were not noted.
        None => found.old(lock.get("dependencies")),
    }
    if !found.floating.is_empty() {
        Scripts::Floating(found.floating)
    } else if !found.scripts.is_empty() {
        Scripts::Of(found.scripts)
    } else {
        Scripts::None
    }
}

/// The paths at which the lockfile has links to directories of the app's own.
pub(super) fn links(lock: &Map<String, Value>) -> Vec<PathBuf> {
    let packages = lock.get("packages").and_then(Value::as_object);
    let is_link = |package: &Value| package.get("link").and_then(Value::as_bool) == Some(true);
    let links = packages.into_iter().flatten();
    links
        .filter(|(_, package)| is_link(package))
        .map(|(path, _)| PathBuf::from(path))
        .collect()
}

/// Where the programs lie that packages of the app's own bring along.
pub(super) fn own_programs(
    lock: &Map<String, Value>,
    manifest_at: impl Fn(&str) -> Option<Map<String, Value>>,
) -> BTreeSet<PathBuf> {
    let packages = lock.get("packages").and_then(Value::as_object);
    let own = packages
        .into_iter()
        .flatten()
        .filter(|(path, _)| is_own(path));
    let mut programs = BTreeSet::new();
    for (path, package) in own {
        let manifest = manifest_at(path).unwrap_or_default();
        for bin in [package.get("bin"), manifest.get("bin")] {
            let targets: Vec<&str> = match bin {
                Some(Value::String(target)) => vec![target],
                Some(Value::Object(all)) => all.values().filter_map(Value::as_str).collect(),
                _ => Vec::new(),
            };
            // Without `./`, as in listings.
            let paths = targets
                .iter()
                .map(|target| Path::new(path).join(target).components().collect());
            programs.extend(paths);
        }
    }
    programs
}

/// Whether a package is a directory of the app's own, other than the app itself.
fn is_own(path: &str) -> bool {
    !path.is_empty() && !path.contains("node_modules/")
}

#[derive(Default)]
struct Seen {
    scripts: Vec<String>,
    floating: Vec<String>,
}

impl Seen {
    fn root(&mut self, manifest: &Map<String, Value>, has_gyp: bool) {
        for name in ROOT_SCRIPTS
            .iter()
            .filter(|name| has_script(manifest, name))
        {
            self.scripts.push(format!("package.json ({name})"));
        }
        if has_gyp {
            self.scripts.push("binding.gyp".to_owned());
        }
    }

    fn package(
        &mut self,
        path: &str,
        package: &Value,
        has_gyp: &impl Fn(&str) -> bool,
        manifest_at: &impl Fn(&str) -> Option<Map<String, Value>>,
    ) {
        let text = |key| package.get(key).and_then(Value::as_str);
        let is = |key| package.get(key).and_then(Value::as_bool) == Some(true);
        let Some(name) = path.rsplit_once("node_modules/").map(|(_, name)| name) else {
            // The app itself, or a package of its own: npm runs its scripts where it lies.
            if !path.is_empty() {
                let noted = is("hasInstallScript") || has_gyp(path);
                self.own(path, noted, manifest_at(path));
            }
            return;
        };
        if is("link") || is_for_others(package) {
            return;
        }
        let resolved = text("resolved").unwrap_or_default();
        if resolved.starts_with("file:") && !is_tarball(resolved) {
            // A directory of the app's, copied: with every name in it.
            let names = if leads_out(&resolved["file:".len()..]) {
                &mut self.floating
            } else {
                &mut self.scripts
            };
            names.push(name.to_owned());
        } else if text("integrity").is_none() && !(is("inBundle") && resolved.is_empty()) {
            self.floating.push(name.to_owned());
        }
        if is("hasInstallScript") {
            self.scripts.push(name.to_owned());
        }
    }

    fn own(&mut self, path: &str, noted: bool, manifest: Option<Map<String, Value>>) {
        if leads_out(path) {
            self.floating.push(path.to_owned());
        }
        let has = manifest
            .is_none_or(|manifest| ROOT_SCRIPTS.iter().any(|name| has_script(&manifest, name)));
        if noted || has {
            self.scripts.push(path.to_owned());
        }
    }

    fn old(&mut self, dependencies: Option<&Value>) {
        let Some(dependencies) = dependencies.and_then(Value::as_object) else {
            return;
        };
        for (name, package) in dependencies {
            self.scripts.push(name.clone());
            let bundled = package.get("bundled").and_then(Value::as_bool) == Some(true);
            let version = package
                .get("version")
                .and_then(Value::as_str)
                .unwrap_or_default();
            if package.get("integrity").is_none() && !bundled && !version.starts_with("file:") {
                self.floating.push(name.clone());
            }
            self.old(package.get("dependencies"));
        }
    }
}

/// Whether a directory is none of the app's.
fn leads_out(path: &str) -> bool {
    let mut parts = Path::new(path).components();
    parts.any(|part| !matches!(part, Component::Normal(_) | Component::CurDir))
}

/// As npm tells a tarball from a directory.
fn is_tarball(path: &str) -> bool {
    [".tgz", ".tar.gz", ".tar"]
        .iter()
        .any(|ending| path.ends_with(ending))
}

fn has_script(manifest: &Map<String, Value>, name: &str) -> bool {
    let scripts = manifest.get("scripts").and_then(Value::as_object);
    scripts.is_some_and(|scripts| scripts.contains_key(name))
}

/// Whether npm leaves it out on Linux, whatever else holds: it is optional, and for other systems only.
fn is_for_others(package: &Value) -> bool {
    let optional = package.get("optional").and_then(Value::as_bool) == Some(true);
    let systems = package.get("os").and_then(Value::as_array);
    optional
        && systems.is_some_and(|systems| {
            let mut names = systems.iter().filter_map(Value::as_str);
            names.all(|name| name != "linux" && !name.starts_with('!') && name != "any")
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn of(lock: &Value, manifest: &Value) -> Scripts {
        let object = |value: &Value| value.as_object().unwrap().clone();
        scripts(
            &object(lock),
            |path| path == "packages/native",
            |path| match path {
                "" => Some(object(manifest)),
                "packages/quiet" | "packages/native" => Some(Map::new()),
                _ => None,
            },
        )
    }

    fn package(more: &Value) -> Value {
        let mut package = json!({"version": "1.0.0", "integrity": "sha512-x"});
        let fields = package.as_object_mut().unwrap();
        fields.extend(more.as_object().unwrap().clone());
        json!({"packages": {"": {}, "node_modules/@a/b": package}})
    }

    #[test]
    fn packages_whose_content_is_fixed_depend_on_nothing() {
        assert_eq!(
            of(&package(&json!({})), &json!({"scripts": {"start": "x"}})),
            Scripts::None
        );
        let lock = json!({"packages": {
            "": {}, "packages/quiet": {}, "node_modules/quiet": {"resolved": "packages/quiet", "link": true},
            "node_modules/a": {"integrity": "x"}, "node_modules/a/node_modules/b": {"inBundle": true},
            "node_modules/tar": {"resolved": "file:tar-1.tgz", "integrity": "x"},
            "node_modules/fsevents": {"optional": true, "os": ["darwin"], "hasInstallScript": true, "integrity": "x"},
        }});
        assert_eq!(of(&lock, &json!({})), Scripts::None);
    }

    #[test]
    fn scripts_may_look_at_anything() {
        let names = |names: &[&str]| Scripts::Of(names.iter().map(ToString::to_string).collect());
        assert_eq!(
            of(&package(&json!({"hasInstallScript": true})), &json!({})),
            names(&["@a/b"])
        );
        for script in ROOT_SCRIPTS {
            let found = of(&package(&json!({})), &json!({"scripts": {script: "x"}}));
            assert_eq!(found, names(&[&format!("package.json ({script})")]));
        }
        let own = json!({"packages": {"packages/loud": {}}});
        assert_eq!(of(&own, &json!({})), names(&["packages/loud"]));
        let copied = json!({"packages": {"node_modules/c": {"resolved": "file:c"}}});
        assert_eq!(of(&copied, &json!({})), names(&["c"]));
        let native = json!({"packages": {"packages/native": {}}});
        assert_eq!(of(&native, &json!({})), names(&["packages/native"]));
    }

    #[test]
    fn programs_of_the_apps_own_packages_are_where_they_say() {
        let lock = json!({"packages": {
            "": {"bin": "root.js"}, "packages/a": {"bin": {"a": "cli.js", "b": "./bin/b.js"}}, "packages/b": {},
            "node_modules/c": {"bin": {"c": "c.js"}}, "packages/b/node_modules/d": {"bin": {"d": "d.js"}},
        }});
        let programs = own_programs(lock.as_object().unwrap(), |path| {
            let manifest = json!({"bin": "./b.js"});
            (path == "packages/b").then(|| manifest.as_object().unwrap().clone())
        });
        let expected = [
            "packages/a/bin/b.js",
            "packages/a/cli.js",
            "packages/b/b.js",
        ];
        assert_eq!(programs, expected.map(PathBuf::from).into());
    }

    #[test]
    fn what_the_lockfile_does_not_fix_floats() {
        let floating = |name: &str| Scripts::Floating(vec![name.to_owned()]);
        let git = json!({"packages": {"node_modules/g": {"resolved": "git+ssh://git@host/g.git#abc", "hasInstallScript": true}}});
        assert_eq!(of(&git, &json!({})), floating("g"));
        let bundled = json!({"packages": {"node_modules/g": {"resolved": "git+ssh://git@host/g.git#abc", "inBundle": true}}});
        assert_eq!(of(&bundled, &json!({})), floating("g"));
        for outside in ["file:../c", "file:/opt/c"] {
            let copied = json!({"packages": {"node_modules/c": {"resolved": outside}}});
            assert_eq!(of(&copied, &json!({})), floating("c"));
        }
        let linked =
            json!({"packages": {"../c": {}, "node_modules/c": {"resolved": "../c", "link": true}}});
        assert_eq!(of(&linked, &json!({})), floating("../c"));
        let old =
            json!({"dependencies": {"g": {"version": "github:a/g#abc"}, "b": {"bundled": true}}});
        assert_eq!(of(&old, &json!({})), floating("g"));
    }

    #[test]
    fn of_old_lockfiles_any_package_may_have_scripts() {
        let old = json!({"dependencies": {"a": {"integrity": "x", "dependencies": {"b": {"integrity": "y"}}}}});
        assert_eq!(
            of(&old, &json!({})),
            Scripts::Of(vec!["a".to_owned(), "b".to_owned()])
        );
    }
}
