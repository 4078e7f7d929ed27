//! What is wrong with the hooks of a repository, without touching them.

use std::path::Path;

use super::file::{Found, look_at};
use super::{Gate, HOOKS, HookError, Link, PROC_RECEIVE, link};
use crate::git::Repo;

/// What keeps pushes to a repository from reaching the app as `wanted` says, in words; nothing where all is well. Which
/// binary the hooks run is left to the server.
pub fn amiss(repo: &Path, wanted: &Link) -> Result<Option<String>, HookError> {
    let Some(found) = link(repo)? else {
        return Ok(Some("it does not say which app it deploys".to_owned()));
    };
    let dir = Repo::open(repo)?.path().join("hooks");
    for (name, _) in HOOKS {
        let needed = name != PROC_RECEIVE || wanted.gate == Gate::On;
        match look_at(&dir.join(name))? {
            Found::Ours { exactly: true } => {}
            Found::Foreign(_) if !needed => {}
            Found::Nothing => return Ok(Some(format!("the hook {name} is missing"))),
            Found::Ours { exactly: false } => {
                return Ok(Some(format!("the hook {name} was changed")));
            }
            Found::Foreign(_) => {
                return Ok(Some(format!("another hook is in the place of {name}")));
            }
        }
    }
    if !found.binary.exists() {
        let binary = found.binary.display();
        return Ok(Some(format!("its hooks run {binary}, which is not there")));
    }
    let binary = found.binary.clone();
    let same = found
        == Link {
            binary,
            ..wanted.clone()
        };
    Ok((!same).then(|| "its configuration is that of another app or place".to_owned()))
}
