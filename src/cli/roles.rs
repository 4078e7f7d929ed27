//! The roles of the binary.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use tracing_subscriber::EnvFilter;

use super::args;
use super::exit::Exit;
use super::say::Failed;
use crate::control::Outcome;
use crate::daemon::{self, ServeOptions};
use crate::front::{self, FrontOptions};
use crate::paths::Layout;
use crate::process::own::start_with_lean_heap;
use crate::process::passed;
use crate::process::tcp::inherited_listener;
use crate::process::{runtime, start_threads};
use crate::{hook, keep};

/// Runs async work on this one thread.
pub(super) fn block_on<T>(work: impl Future<Output = T>) -> Result<T, Failed> {
    let runtime = runtime().map_err(Failed::new)?;
    let value = runtime.block_on(work);
    // Work that still blocks on the disk is not waited for: what it leaves half done the next start sweeps away.
    runtime.shutdown_background();
    Ok(value)
}

pub(super) fn serve(layout: Layout, serve: args::Serve) -> Result<Exit, Failed> {
    start_with_lean_heap();
    log_to_stderr();
    let executable = std::env::current_exe().map_err(Failed::new)?;
    let options = ServeOptions {
        layout,
        listen: serve.listen,
        passed: passed::listeners().map_err(Failed::new)?,
        no_front: serve.no_front,
        executable,
    };
    let run = async {
        start_threads().await;
        daemon::run(options).await
    };
    block_on(run)?.map_err(Failed::new)?;
    Ok(Exit::Done)
}

pub(super) fn keep(dir: &Path) -> Result<Exit, Failed> {
    keep::run(dir).map_err(Failed::new)?;
    Ok(Exit::Done)
}

pub(super) fn front(options: args::Front) -> Result<Exit, Failed> {
    log_to_stderr();
    let listeners = options
        .listen_fds
        .into_iter()
        .map(inherited_listener)
        .collect::<Result<Vec<_>, _>>();
    let mut front = FrontOptions::new(options.control, listeners.map_err(Failed::new)?);
    front.threads = options.threads.unwrap_or(front.threads);
    front.limits.response = options.response_timeout.unwrap_or(front.limits.response);
    front.limits.connect = options.connect_timeout.unwrap_or(front.limits.connect);
    front::run(front).map_err(Failed::new)?;
    Ok(Exit::Done)
}

pub(super) fn hook(name: &str) -> Result<Exit, Failed> {
    let repo: PathBuf = std::env::current_dir().map_err(Failed::new)?;
    let ran = match name {
        "pre-receive" => block_on(hook::pre_receive(&repo))?,
        "proc-receive" => block_on(hook::proc_receive(&repo))?,
        "post-receive" => block_on(hook::post_receive(&repo))?,
        other => {
            return Err(Failed::new(format!(
                "run the hook `{}`: this handover has none of that name",
                other.escape_debug()
            )));
        }
    };
    Ok(match ran.map_err(Failed::new)? {
        Outcome::Good => Exit::Done,
        Outcome::Bad | Outcome::Unknown => Exit::Failed,
    })
}

/// Tracing for people at a terminal, and for the journal of systemd; `HANDOVER_LOG` chooses what (default: info).
fn log_to_stderr() {
    let filter = EnvFilter::try_from_env("HANDOVER_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        // Where the log's disk is full, saying so there would be a panic.
        .log_internal_errors(false)
        .init();
}
