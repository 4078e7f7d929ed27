//! The objects of a repository, of which every push adds some files.
//!
//! git's own collection is off (see the settings): it may remove a commit that only the database still names. Packing
//! removes none: what nothing names goes into the pack, too.

use std::ffi::OsStr;
use std::io;
use std::path::Path;

use crate::process::child::{Priority, Spawn, SpawnError, describe_exit};

/// With more files of one object each it is worth packing them.
const LOOSE_AT_MOST: usize = 256;
/// With more packs it is worth making them one.
const PACKS_AT_MOST: usize = 16;

/// Whether there are so many files that packing them is worth it. Blocks: about 1 ms for a few hundred.
pub fn wants_packing(repo: &Path) -> io::Result<bool> {
    let objects = repo.join("objects");
    let mut loose = 0;
    for entry in std::fs::read_dir(&objects)? {
        let name = entry?.file_name();
        if is_fan_out(&name) {
            loose += count(&objects.join(name), |_| true)?;
        }
    }
    let packs = count(&objects.join("pack"), |name| {
        name.to_string_lossy().ends_with(".pack")
    })?;
    Ok(loose > LOOSE_AT_MOST || packs > PACKS_AT_MOST)
}

/// The first two digits of the names of objects.
fn is_fan_out(name: &OsStr) -> bool {
    name.len() == 2
        && name
            .to_string_lossy()
            .bytes()
            .all(|b| b.is_ascii_hexdigit())
}

fn count(dir: &Path, counts: impl Fn(&OsStr) -> bool) -> io::Result<usize> {
    let entries = match std::fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        entries => entries?,
    };
    let mut found = 0;
    for entry in entries {
        found += usize::from(counts(&entry?.file_name()));
    }
    Ok(found)
}

/// Packs what lies loose, and makes one pack of many small ones. It takes the time of what is new, not of the whole
/// repository (`git repack --geometric`, git 2.32), or else that of all. Others may read and push meanwhile. The future
/// may be dropped: that ends it, and leaves things as they were. `path` is where programs are found.
pub async fn pack(repo: &Path, path: &str) -> Result<(), PackError> {
    let gently = run(repo, path, &["--geometric=2"]).await;
    if gently.is_ok() {
        return gently;
    }
    run(repo, path, &["-a", "-k"]).await
}

/// Why a repository could not be packed.
#[derive(Debug, thiserror::Error)]
pub enum PackError {
    /// git can't be started.
    #[error(transparent)]
    Spawn(#[from] SpawnError),
    /// Its end can't be seen.
    #[error("wait for `git repack`")]
    Wait(#[source] io::Error),
    /// It has not succeeded.
    #[error("`git repack` ended with {0}")]
    Ended(String),
}

async fn run(repo: &Path, path: &str, how: &[&str]) -> Result<(), PackError> {
    let mut git = Spawn::new("git")
        .args(["repack", "-d", "-q"])
        .args(how)
        .cwd(repo)
        .env("PATH", path)
        .env("GIT_DIR", repo)
        .priority(Priority::BUILD)
        .spawn()?;
    let status = git.wait().await.map_err(PackError::Wait)?;
    if status.success() {
        Ok(())
    } else {
        Err(PackError::Ended(describe_exit(status)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::git::Repo;
    use std::process::Command;

    fn git(repo: &Path, args: &[&str]) -> String {
        let output = Command::new("git")
            .arg("-C")
            .arg(repo)
            .args(["-c", "user.name=a", "-c", "user.email=a@b"])
            .args(args)
            .output()
            .unwrap();
        assert!(output.status.success(), "git {args:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    #[tokio::test]
    async fn what_nothing_names_is_packed_too() {
        let dir = tempfile::tempdir().unwrap();
        let repo = dir.path().join("repo.git");
        Repo::init_bare(&repo, "main").unwrap();
        let tree = git(&repo, &["mktree", "--missing"]);
        let commits: Vec<String> = (0..=LOOSE_AT_MOST)
            .map(|n| git(&repo, &["commit-tree", "-m", &n.to_string(), &tree]))
            .collect();
        git(&repo, &["update-ref", "refs/heads/main", &commits[0]]);
        assert!(wants_packing(&repo).unwrap());
        pack(&repo, &std::env::var("PATH").unwrap()).await.unwrap();
        assert!(!wants_packing(&repo).unwrap());
        assert_eq!(git(&repo, &["count-objects"]), "0 objects, 0 kilobytes");
        for commit in &commits {
            git(&repo, &["cat-file", "-e", commit]);
        }
    }

    #[tokio::test]
    async fn a_repository_that_is_not_there_is_told() {
        let nowhere = Path::new("/nowhere.git");
        assert!(wants_packing(nowhere).is_err());
        assert!(pack(nowhere, "/usr/bin:/bin").await.is_err());
    }
}
