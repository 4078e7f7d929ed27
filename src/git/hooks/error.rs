//! What can go wrong with hook files.

use std::io;
use std::path::PathBuf;

use crate::git::GitError;

/// Why hooks can't be put into a repository, or taken out.
#[derive(Debug, thiserror::Error)]
pub enum HookError {
    /// The repository can't be opened or its configuration not used.
    #[error(transparent)]
    Git(#[from] GitError),
    /// git would not look into the repository's own `hooks` directory.
    #[error("install hooks in `{repo}`: {level} git configuration sets core.hooksPath to `{value}`, so git would not run them; unset it with `git config {flag}--unset core.hooksPath`", repo = repo.display())]
    HooksPath {
        /// The repository.
        repo: PathBuf,
        /// Whose configuration it is, in words.
        level: &'static str,
        /// The option of `git config` that reaches it, with a space, or nothing.
        flag: &'static str,
        /// Its value.
        value: String,
    },
    /// The repository deploys another app already.
    #[error("install hooks in `{repo}`: it belongs to the app `{app}` of the installation in `{home}`; destroy that app first, or give this one another repository", repo = repo.display())]
    OtherApp {
        /// The repository.
        repo: PathBuf,
        /// The app.
        app: String,
        /// Its installation.
        home: String,
    },
    /// The hooks directory is a symlink, and other repositories may share what it leads to.
    #[error("install hooks in `{dir}`: it is a symlink, and other repositories may use what it leads to; replace it by a directory of its own", dir = dir.display())]
    SharedDirectory {
        /// The `hooks` directory.
        dir: PathBuf,
    },
    /// There is a foreign hook and also one that was put aside before.
    #[error("install the hook `{hook}`: there is another one, and `{kept}` too; merge the two into one of them and remove the other", hook = hook.display(), kept = kept.display())]
    TwoForeign {
        /// The hook.
        hook: PathBuf,
        /// The one that was put aside.
        kept: PathBuf,
    },
    /// The repository decides about refs with a hook of its own, which can't be run beside ours.
    #[error("turn the gate on: `{hook}` is a hook of the repository's own, and proc-receive hooks can't be chained; go without the gate (--no-gate), or remove it", hook = hook.display())]
    OwnProcReceive {
        /// The hook.
        hook: PathBuf,
    },
    /// A path that must be text in git's configuration is not UTF-8.
    #[error("name `{path}` in git's configuration: it is not UTF-8", path = path.display())]
    NotText {
        /// The path.
        path: PathBuf,
    },
    /// The system refused a step.
    #[error("{doing} `{path}`", path = path.display())]
    Io {
        /// Which step.
        doing: &'static str,
        /// On which file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}
