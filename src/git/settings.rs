//! The configuration of a repository: what a server's needs, and what the hook files read.

use git2::{Config, ConfigLevel, ErrorCode};

use super::error::GitError;
use super::repo::Repo;

/// What a repository that handover makes is set to. `gc` is off because it would compete with a deploy for the disk
/// and could remove a commit that only the database still names; `core.fsync=all` because git's default leaves refs
/// and loose objects out.
const SERVER_DEFAULTS: [(&str, &str); 7] = [
    ("receive.fsckObjects", "true"),
    ("receive.denyDeletes", "true"),
    ("receive.autogc", "false"),
    ("receive.advertisePushOptions", "true"),
    ("core.fsync", "all"),
    ("core.logAllRefUpdates", "true"),
    ("gc.auto", "0"),
];

pub(super) fn set_server_defaults(repo: &Repo) -> Result<(), GitError> {
    for (key, value) in SERVER_DEFAULTS {
        set(repo, key, value)?;
    }
    Ok(())
}

/// The value in the repository's own file, or nothing. Of several the last one counts, as in git.
pub(super) fn local(repo: &Repo, key: &str) -> Result<Option<String>, GitError> {
    let read = |source| failed(repo, "read", key, source);
    absent(own_file(repo, key)?.get_string(key)).map_err(read)
}

/// The value that git would use, and which file it comes from in words.
pub(super) fn effective(
    repo: &Repo,
    key: &str,
) -> Result<Option<(String, &'static str)>, GitError> {
    let read = |source| failed(repo, "read", key, source);
    let config = repo
        .git
        .config()
        .and_then(|mut c| c.snapshot())
        .map_err(read)?;
    let Some(entry) = absent(config.get_entry(key)).map_err(read)? else {
        return Ok(None);
    };
    let level = match entry.level() {
        ConfigLevel::Local | ConfigLevel::Worktree => "the repository's",
        ConfigLevel::System | ConfigLevel::ProgramData => "the system's",
        _ => "this user's",
    };
    Ok(Some((entry.value().unwrap_or_default().to_owned(), level)))
}

/// Sets one value in the repository's own file, whatever number of them was there.
pub(super) fn set(repo: &Repo, key: &str, value: &str) -> Result<(), GitError> {
    own_file(repo, key)?
        .set_multivar(key, ".*", value)
        .map_err(|source| failed(repo, "set", key, source))
}

/// All values in the repository's own file, in their order.
pub(super) fn values(repo: &Repo, key: &str) -> Result<Vec<String>, GitError> {
    let read = |source| failed(repo, "read", key, source);
    let file = own_file(repo, key)?;
    let Some(mut entries) = absent(file.multivar(key, None)).map_err(read)? else {
        return Ok(Vec::new());
    };
    let mut values = Vec::new();
    while let Some(entry) = entries.next() {
        values.push(
            entry
                .and_then(|entry| entry.value().map(str::to_owned))
                .map_err(read)?,
        );
    }
    Ok(values)
}

/// Adds a value beside those that are there.
pub(super) fn add_value(repo: &Repo, key: &str, value: &str) -> Result<(), GitError> {
    const NO_OTHER: &str = "^$";
    own_file(repo, key)?
        .set_multivar(key, NO_OTHER, value)
        .map_err(|source| failed(repo, "set", key, source))
}

/// Removes one of several values.
pub(super) fn remove_value(repo: &Repo, key: &str, value: &str) -> Result<(), GitError> {
    let exactly: String = value
        .chars()
        .flat_map(|c| {
            c.is_ascii_punctuation()
                .then_some('\\')
                .into_iter()
                .chain([c])
        })
        .collect();
    absent(own_file(repo, key)?.remove_multivar(key, &format!("^{exactly}$")))
        .map(|_| ())
        .map_err(|source| failed(repo, "remove", key, source))
}

/// Removes a value from the repository's own file; that it is not there is fine.
pub(super) fn unset(repo: &Repo, key: &str) -> Result<(), GitError> {
    absent(own_file(repo, key)?.remove_multivar(key, ".*"))
        .map(|_| ())
        .map_err(|source| failed(repo, "remove", key, source))
}

fn own_file(repo: &Repo, key: &str) -> Result<Config, GitError> {
    repo.git
        .config()
        .and_then(|config| config.open_level(ConfigLevel::Local))
        .map_err(|source| failed(repo, "read", key, source))
}

fn absent<T>(result: Result<T, git2::Error>) -> Result<Option<T>, git2::Error> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.code() == ErrorCode::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn failed(repo: &Repo, doing: &'static str, key: &str, source: git2::Error) -> GitError {
    GitError::Config {
        doing,
        key: key.to_owned(),
        path: repo.path().to_owned(),
        source,
    }
}
