//! The modules are layers: imports go down only, and each third-party crate that is kept to one module stays there.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// From the top down, as in `src/lib.rs`. Modules of one row don't import each other.
const ROWS: &[&[&str]] = &[
    &["cli"],
    &["daemon"],
    &["hook"],
    &["control"],
    &["deploy"],
    &["front", "keep"],
    &["build", "slot", "push", "webhook"],
    &["git", "state", "store"],
    &["process", "report"],
    &["access", "config", "paths"],
    &["ids", "time"],
];

/// Crates that one module has to itself.
const KEPT: &[(&str, &str)] = &[
    ("nix", "process"),
    ("libc", "process"),
    ("git2", "git"),
    ("notify", "daemon"),
    ("rusqlite", "state"),
    ("clap", "cli"),
    ("tokio_rustls", "webhook"),
    ("hmac", "webhook"),
    ("ssh_key", "access"),
    ("blake3", "store"),
    ("postcard", "store"),
    ("nodejs_semver", "config"),
];

fn row(module: &str) -> usize {
    ROWS.iter()
        .position(|row| row.contains(&module))
        .unwrap_or_else(|| {
            panic!("module `{module}` has no place among the layers: see tests/layers.rs")
        })
}

fn sources(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    entries
        .flat_map(|path| {
            if path.is_dir() {
                sources(&path)
            } else {
                vec![path]
            }
        })
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .collect()
}

/// The top-level module that a file belongs to.
fn module_of(file: &Path, src: &Path) -> String {
    let first = file.strip_prefix(src).unwrap().components().next().unwrap();
    first
        .as_os_str()
        .to_str()
        .unwrap()
        .trim_end_matches(".rs")
        .to_owned()
}

/// Code without comments: what stands in words imports nothing.
fn code(file: &Path) -> String {
    let text = std::fs::read_to_string(file).unwrap();
    text.lines()
        .map(|line| line.split("//").next().unwrap_or_default())
        .collect::<Vec<_>>()
        .join("\n")
}

/// The top-level modules that code names: `crate::a::…` and each of `crate::{a, b::…}`.
fn imports(code: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for rest in code.split("crate::").skip(1) {
        let word = |text: &str| {
            text.chars()
                .take_while(|c| c.is_alphanumeric() || *c == '_')
                .collect::<String>()
        };
        match rest.strip_prefix('{') {
            None => _ = found.insert(word(rest)),
            Some(group) => {
                let mut depth = 0;
                let mut item = String::new();
                for c in group.chars() {
                    match c {
                        '{' => depth += 1,
                        '}' if depth == 0 => break,
                        '}' => depth -= 1,
                        ',' if depth == 0 => {
                            found.insert(word(item.trim()));
                            item.clear();
                            continue;
                        }
                        _ => {}
                    }
                    item.push(c);
                }
                found.insert(word(item.trim()));
            }
        }
    }
    found.remove("");
    found
}

#[test]
fn imports_go_down_only() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut wrong = Vec::new();
    for file in sources(&src) {
        let module = module_of(&file, &src);
        if module == "lib" || module == "main" {
            continue;
        }
        for imported in imports(&code(&file))
            .iter()
            .filter(|imported| **imported != module)
        {
            if row(imported) <= row(&module) {
                wrong.push(format!("{}: {module} imports {imported}", file.display()));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "imports that don't go down:\n{}",
        wrong.join("\n")
    );
}

#[test]
fn each_kept_crate_is_used_by_one_module() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for file in sources(&src) {
        let (module, code) = (module_of(&file, &src), code(&file));
        for (kept, owner) in KEPT {
            let named = [
                format!("use {kept}::"),
                format!("use {kept};"),
                format!(" {kept}::"),
                format!("({kept}::"),
                format!("<{kept}::"),
            ];
            let used = named.iter().any(|text| code.contains(text));
            assert!(
                !used || module == *owner,
                "{}: `{kept}` belongs to `{owner}`",
                file.display()
            );
        }
    }
}

#[test]
fn the_check_itself_sees_imports() {
    let code = "use crate::ids::{AppName, CommitId};\nuse crate::{hook, keep::{a, b}};\ncrate::time::now()";
    assert_eq!(
        imports(code),
        ["hook", "ids", "keep", "time"].map(str::to_owned).into()
    );
}
