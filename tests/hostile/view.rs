//! What must not change, as it was at one moment.

use std::collections::BTreeMap;
use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::ground::APP;
use crate::support::invariants::Traces;
use crate::support::project::git_in;
use crate::support::{Server, http};

/// What must not change.
#[derive(Clone, PartialEq, Debug)]
pub struct View {
    serve: Option<u32>,
    pub traces: Traces,
    pub refs: String,
    files: BTreeMap<PathBuf, String>,
    answer: String,
}

impl View {
    pub fn of(server: &Server, repo: &Path, outside: &Path) -> Self {
        let mut files = BTreeMap::new();
        list(server.home(), &mut files, &|path| {
            may_change(path, server.home())
        });
        list(outside, &mut files, &|_| false);
        list_unfinished(&repo.join("objects"), &mut files);
        let answer = http::get(server.address(), "/");
        Self {
            serve: is_alive(server.pid()).then(|| server.pid()),
            traces: Traces::of(server, APP),
            refs: refs_of(repo),
            files,
            answer: answer.map_or_else(|error| error.to_string(), |answer| answer.body),
        }
    }

    /// Whether an old release is being removed, which happens beside everything else.
    pub fn removes(&self) -> bool {
        self.files
            .keys()
            .any(|path| path.to_string_lossy().contains("/releases/.trash-"))
    }

    pub fn differences(&self, now: &Self) -> Vec<String> {
        let mut found = Vec::new();
        if self.serve != now.serve {
            found.push("the server has ended".to_owned());
        }
        if self.traces != now.traces {
            found.push(now.traces.differences_from(&self.traces));
        }
        if self.refs != now.refs {
            found.push(format!("the refs are now:\n{}", head(&now.refs)));
        }
        if self.answer != now.answer {
            found.push(format!("the app answers {:?}", now.answer));
        }
        let gone = self
            .files
            .keys()
            .filter(|path| !now.files.contains_key(*path));
        found.extend(gone.map(|path| format!("gone: {}", path.display())));
        for (path, what) in &now.files {
            match self.files.get(path) {
                None => found.push(format!("new: {} {what}", path.display())),
                Some(old) if old != what => {
                    found.push(format!("changed: {} {old} → {what}", path.display()));
                }
                Some(_) => {}
            }
        }
        found
    }
}

/// Objects come and stay, but not what git has begun and not ended.
fn list_unfinished(objects: &Path, files: &mut BTreeMap<PathBuf, String>) {
    let dirs = [objects.to_owned(), objects.join("pack")];
    for entry in dirs
        .iter()
        .flat_map(|dir| fs::read_dir(dir).into_iter().flatten().flatten())
    {
        let name = entry.file_name().to_string_lossy().into_owned();
        if ["tmp", ".tmp", "incoming", "core"]
            .iter()
            .any(|start| name.starts_with(start))
        {
            files.insert(entry.path(), "unfinished".to_owned());
        }
    }
}

fn head(text: &str) -> String {
    text.chars().take(2000).collect()
}

/// What a push may change on disk: objects, what git notes of refs (their values are looked at apart), the database,
/// and logs.
fn may_change(path: &Path, home: &Path) -> bool {
    let Ok(inside) = path.strip_prefix(home) else {
        return false;
    };
    let app = Path::new("apps").join(APP);
    let allowed = ["repo.git/objects", "repo.git/logs", "logs"];
    let name = inside.to_string_lossy();
    allowed.iter().any(|dir| inside == app.join(dir))
        || name.starts_with("handover.db")
        || name == "serve.log"
}

/// Every file below a directory, in words that change when it does. Of directories only that they are there.
fn list(dir: &Path, files: &mut BTreeMap<PathBuf, String>, skip: &dyn Fn(&Path) -> bool) {
    for path in fs::read_dir(dir)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
    {
        let Ok(meta) = fs::symlink_metadata(&path) else {
            continue;
        };
        if skip(&path) {
            continue;
        }
        if meta.is_dir() {
            list(&path, files, skip);
        }
        let empty_below_refs = meta.is_dir() && path.to_string_lossy().contains("/repo.git/refs/");
        if !empty_below_refs {
            files.insert(path.clone(), describe(&path, &meta));
        }
    }
}

fn describe(path: &Path, meta: &Metadata) -> String {
    let lives = ["/run/", "/repo.git/refs/"]
        .iter()
        .any(|part| path.to_string_lossy().contains(part));
    match meta.file_type() {
        kind if kind.is_dir() => "directory".to_owned(),
        kind if kind.is_symlink() => format!("symlink {:?}", fs::read_link(path)),
        kind if !kind.is_file() || lives => format!("{kind:?}"),
        _ => format!(
            "{:o} {} bytes {}.{}",
            meta.mode(),
            meta.len(),
            meta.mtime(),
            meta.mtime_nsec()
        ),
    }
}

/// The refs of a repository, a line each.
pub fn refs_of(repo: &Path) -> String {
    let output = git_in(repo)
        .args(["for-each-ref", "--format=%(objectname) %(refname)"])
        .output()
        .unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn is_alive(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(')')
        .next()
        .is_some_and(|rest| rest.trim().starts_with(['S', 'R', 'D']))
}
