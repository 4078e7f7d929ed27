//! Programs under strace, so that it is seen what they start. Off, unless `HANDOVER_TEST_STRACE` names a directory for the
//! logs (as `scripts/strace-suite` does) or a test asks for it.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::execs::Log;
use super::until;

static DIR: OnceLock<Option<PathBuf>> = OnceLock::new();
static COUNT: AtomicUsize = AtomicUsize::new(0);

/// Traces whatever this process starts from now on with [`command`].
pub fn into(dir: &Path) {
    let set = DIR.set(Some(dir.to_owned()));
    set.expect("nothing was started before");
}

/// A command, under strace where that is wanted. Its process id, its exit code and its streams are the program's own.
pub fn command(program: impl AsRef<OsStr>) -> Command {
    let wanted = || std::env::var_os("HANDOVER_TEST_STRACE").map(PathBuf::from);
    match DIR.get_or_init(wanted) {
        Some(dir) => traced(dir, program.as_ref()),
        None => Command::new(program),
    }
}

/// The tracer is a grandchild in a session of its own: no signal that a test sends to a process or a group is for it.
fn traced(dir: &Path, program: &OsStr) -> Command {
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let log = dir.join(format!("{}.{number}.strace", std::process::id()));
    let mut command = Command::new("strace");
    command
        .args(["-DDD", "-f", "-q", "--seccomp-bpf"])
        .args(["-e", "trace=execve,execveat,clone,clone3,fork,vfork"])
        .args(["-s", "65536", "-o"])
        .arg(log)
        .arg(program);
    command
}

/// Why nothing can be traced here, if so.
pub fn impossible() -> Option<String> {
    let dir = tempfile::tempdir().unwrap();
    let tried = traced(dir.path(), OsStr::new("true"))
        .stdin(Stdio::null())
        .output();
    match tried {
        Err(error) => Some(format!("strace can't be started: {error}")),
        Ok(output) if output.status.success() => None,
        Ok(output) => Some(String::from_utf8_lossy(&output.stderr).into_owned()),
    }
}

/// The logs in a directory, each as soon as all that it tells of has ended.
pub fn logs(dir: &Path) -> Vec<Log> {
    let files = std::fs::read_dir(dir)
        .unwrap()
        .map(|file| file.unwrap().path());
    files
        .map(|file| {
            until("all that was traced has ended", || {
                let text = std::fs::read_to_string(&file).unwrap();
                Log::parse(&text).filter(Log::is_complete)
            })
        })
        .collect()
}
