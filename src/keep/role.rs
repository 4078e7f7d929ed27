//! The role itself: sockets bound, `ready` said, the generation run to its end.

use std::io::{self, Write};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::signal::unix::{SignalKind, signal};

use crate::paths::GenerationPaths;
use crate::process::identity::Identity;
use crate::process::own::silence_stdout;
use crate::process::rig::kill_point;
use crate::process::socket::bind_listener;
use crate::report::with_causes;

use super::KeepError;
use super::channel::{self, Processes};
use super::control;
use super::ending::file_id;
use super::journal::Journal;
use super::keeper::{Keeper, Mode};
use super::log::AppLog;
use super::notes::{Note, Notes};
use super::output::Outputs;
use super::record::{Processes as Record, write_json};
use super::spec::Spec;

/// The queue of connections that are not accepted yet: a full one is an error for clients at once.
const BACKLOG: i32 = 4096;
/// For how long the last lines may take to be written, and the last event to be read.
const LAST_WORDS: Duration = Duration::from_millis(500);

const PRELOAD: &str = include_str!("preload.cjs");

/// Runs the keeper of the generation in `dir` (which holds its `spec.json`) until the generation has ended. Says
/// `ready` on standard output, or what is wrong, and closes it.
pub fn run(dir: &Path) -> Result<(), KeepError> {
    abort_on_panic();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(KeepError::SetUp)?;
    runtime.block_on(async {
        let role = match Role::set_up(dir) {
            Ok(role) => role,
            Err(error) => {
                say(&with_causes(&error));
                return Err(error);
            }
        };
        kill_point("keep.bound");
        say("ready");
        kill_point("keep.ready_said");
        silence_stdout().map_err(KeepError::SetUp)?;
        role.run().await
    })
}

/// Unwinding would drop, and so kill, the instances on its way out. As after SIGKILL they shall serve on instead.
fn abort_on_panic() {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        report(panic);
        std::process::abort();
    }));
}

/// A starter that has gone away meanwhile does not matter.
fn say(word: &str) {
    let mut stdout = io::stdout();
    let _ = writeln!(stdout, "{word}").and_then(|()| stdout.flush());
}

/// Everything that is bound and opened before anybody is told `ready`.
struct Role {
    spec: Spec,
    paths: GenerationPaths,
    identity: Identity,
    listener: UnixListener,
    control: UnixListener,
    app: UnixListener,
    log: AppLog,
}

impl Role {
    fn set_up(dir: &Path) -> Result<Self, KeepError> {
        let paths = GenerationPaths::at(dir);
        let spec = Spec::read(&paths.spec())?;
        std::fs::write(paths.preload(), PRELOAD)
            .map_err(|source| KeepError::file("write", &paths.preload(), source))?;
        let identity = Identity::of_self().map_err(KeepError::SetUp)?;
        let control = bind(&paths.control_socket(), 0o600, None)?;
        let app = bind(&paths.app_socket(), 0o600, None)?;
        let listener = bind(&spec.socket, spec.socket_mode, spec.socket_group)?;
        let log = AppLog::open(spec.log.clone(), spec.log_limits).map_err(KeepError::SetUp)?;
        let record = Record {
            keeper: identity.clone(),
            instances: Vec::new(),
        };
        write_json(&paths.processes(), &record)?;
        Ok(Self {
            spec,
            paths,
            identity,
            listener,
            control,
            app,
            log,
        })
    }

    async fn run(self) -> Result<(), KeepError> {
        let (notes, mut inbox) = Notes::channel();
        let journal = Arc::new(Journal::new());
        let control = tokio_listener(self.control)?;
        tokio::spawn(control::accept(
            control,
            notes.clone(),
            Arc::clone(&journal),
        ));
        tokio::spawn(channel::accept(tokio_listener(self.app)?, notes.clone()));
        watch_signals(notes.clone())?;
        let outputs = Arc::new(Outputs {
            generation: self.spec.generation,
            log: self.log,
            journal: Arc::clone(&journal),
        });
        let bound = file_id(&self.spec.socket);
        let mut keeper = Keeper {
            spec: self.spec,
            paths: self.paths,
            identity: self.identity,
            listener: self.listener,
            outputs: Arc::clone(&outputs),
            journal: Arc::clone(&journal),
            notes,
            processes: Processes::default(),
            instances: Vec::new(),
            mode: Mode::Starting,
            relay: None,
            pending: Vec::new(),
            next_run: 0,
            told_ready: false,
        };
        keeper.run(&mut inbox).await;
        keeper.leave_nothing_but_the_result(bound);
        drop(keeper);
        until_read(&journal).await;
        outputs.log.flush(LAST_WORDS).await;
        Ok(())
    }
}

fn bind(path: &Path, mode: u32, group: Option<u32>) -> Result<UnixListener, KeepError> {
    bind_listener(path, mode, group, BACKLOG).map_err(|source| KeepError::Bind {
        path: path.to_owned(),
        source,
    })
}

fn tokio_listener(listener: UnixListener) -> Result<tokio::net::UnixListener, KeepError> {
    tokio::net::UnixListener::from_std(listener).map_err(KeepError::SetUp)
}

fn watch_signals(notes: Notes) -> Result<(), KeepError> {
    let mut terminate = signal(SignalKind::terminate()).map_err(KeepError::SetUp)?;
    tokio::spawn(async move {
        while terminate.recv().await.is_some() {
            notes.send(Note::Terminated);
        }
    });
    Ok(())
}

/// Gives the watchers time to read the last event.
async fn until_read(journal: &Journal) {
    let until = Instant::now() + LAST_WORDS;
    while journal.has_watchers() && Instant::now() < until {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keep::environment;

    #[test]
    fn the_preload_knows_the_same_numbers() {
        let spares = environment::SPARE_LISTENER_FDS;
        let numbers: Vec<String> = std::iter::once(environment::LISTENER_FD)
            .chain(spares)
            .map(|n| n.to_string())
            .collect();
        assert!(PRELOAD.contains(&format!("LISTENERS = [{}]", numbers.join(", "))));
        let [out, err] = environment::OUTPUT_FDS;
        assert!(PRELOAD.contains(&format!("OUTPUTS = [{out}, {err}]")));
        assert!(PRELOAD.contains(&format!("BACKLOG = {BACKLOG};")));
    }
}
