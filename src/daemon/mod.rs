//! The role `serve`, composed: lock, database, apps, control API, front, watcher, outbox; and how it ends.
//!
//! ```text
//!   starting ──► ready ──SIGTERM──► ended: apps and front serve on, the next start finds them
//!                      ──SIGINT───► ended: apps and front were stopped first
//! ```
//!
//! systemd is told of `ready` and of the end (`Type=notify`), and may pass the public sockets.

mod backup;
mod error;
mod front;
mod listeners;
mod lock;
mod notice;
mod rescue;
mod settings;
mod watcher;

use std::io::Write;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;

use tokio::net::UnixListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{Semaphore, watch};

pub use error::DaemonError;
use listeners::addresses;
use notice::Notice;
pub use rescue::{had_apps, open_alone};

use crate::build::{Remover, Toolbox};
use crate::config::ServerSettings;
use crate::control;
use crate::deploy::environment;
use crate::deploy::fleet::Fleet;
use crate::deploy::site::Site;
use crate::deploy::turns::Turns;
use crate::paths::Layout;
use crate::process::own::raise_open_files;
use crate::process::reserve::Reserve;
use crate::process::socket::bind_listener;
use crate::state::Database;
use crate::webhook::Outbox;

/// How `serve` is to run.
#[derive(Debug)]
pub struct ServeOptions {
    /// Where everything lies.
    pub layout: Layout,
    /// Where the front listens; what the settings say, where this is empty and nothing was passed.
    pub listen: Vec<SocketAddr>,
    /// Sockets for the front that systemd has opened; they take the place of what the settings say.
    pub passed: Vec<TcpListener>,
    /// Whether to run without the front, whatever the settings say.
    pub no_front: bool,
    /// This binary.
    pub executable: PathBuf,
}

/// Runs `serve` until it is told to end.
pub async fn run(mut options: ServeOptions) -> Result<(), DaemonError> {
    let mut signals = Signals::listen()?;
    if let Err(error) = raise_open_files() {
        // Each viewer and each keeper needs some; where they run out, whoever needs one says so.
        tracing::warn!(%error, "can't raise the limit of open files");
    }
    let passed = std::mem::take(&mut options.passed);
    let layout = &options.layout;
    lock::make_directories(layout)?;
    layout.check_sockets()?;
    let _lock = lock::take(layout)?;
    let settings = settings::read(layout)?;
    let reserve = Arc::new(Reserve::at(layout.reserve()));
    reserve.give_up_if_low();
    let database = rescue::open(layout, &settings)?.with_reserve(Arc::clone(&reserve));
    let control = bind_control(layout)?;

    let (settings_sender, settings_seen) = watch::channel(Arc::new(settings));
    let (listen_sender, listen_seen) = watch::channel(Vec::new());
    let site = Arc::new(site(
        &options,
        database,
        reserve,
        settings_seen,
        listen_seen,
        Remover::start().map_err(DaemonError::Remover)?,
    ));
    let wanted = wanted_listeners(&options, &site.settings.borrow(), &addresses(&passed));
    if wanted.is_empty() && !passed.is_empty() {
        tracing::warn!("sockets were passed, but there is to be no front: they are closed");
    }
    let listeners = listeners::obtain(&site, &wanted, passed).await?;
    listen_sender.send_replace(listeners.addresses());
    let fleet = Fleet::start(Arc::clone(&site)).await?;
    let front = front::Supervisor::start(&site, listeners);
    let watcher = watcher::start(Arc::clone(&fleet), settings_sender)?;
    let outbox = tokio::spawn(site.outbox.clone().run());
    let backup = tokio::spawn(backup::keep(site.database.clone()));
    let keyring = Arc::new(control::Keyring::new(Arc::clone(&site)));
    if let Err(error) = keyring.write().await {
        let error = &error as &dyn std::error::Error;
        tracing::error!(
            error,
            "file of the keys can't be set right; sshd lets in whom it let in before"
        );
    }
    let api = tokio::spawn(control::serve(control, Arc::clone(&fleet), keyring));

    say_ready(&site);
    notice::tell(Notice::Ready);
    let end = signals.next().await;
    notice::tell(Notice::Stopping);
    tracing::info!(?end, "server ends");
    api.abort();
    outbox.abort();
    backup.abort();
    drop(watcher);
    match end {
        End::LeaveRunning => front.leave(),
        End::StopAll => {
            fleet.stop_all().await;
            front.stop().await;
        }
    }
    // Whoever connects from here on learns at once that nobody is there.
    let _ = std::fs::remove_file(layout.control_socket());
    Ok(())
}

fn site(
    options: &ServeOptions,
    database: Database,
    reserve: Arc<Reserve>,
    settings: watch::Receiver<Arc<ServerSettings>>,
    listen: watch::Receiver<Vec<SocketAddr>>,
    remover: Remover,
) -> Site {
    let builds = settings.borrow().parallel_builds();
    Site {
        layout: options.layout.clone(),
        outbox: Outbox::new(database.clone(), settings.clone()),
        database,
        reserve,
        executable: options.executable.clone(),
        environment: environment::base(std::env::vars_os()),
        settings,
        listen,
        routes: watch::Sender::default(),
        toolbox: Toolbox::open(options.layout.home()),
        builds: Turns::new(builds),
        making_ready: Semaphore::new(1),
        remover: Arc::new(remover),
    }
}

/// Where the front is to listen: what was passed and what was typed, else what the settings say.
fn wanted_listeners(
    options: &ServeOptions,
    settings: &ServerSettings,
    passed: &[SocketAddr],
) -> Vec<SocketAddr> {
    if options.no_front || (!settings.front && options.listen.is_empty()) {
        return Vec::new();
    }
    let explicit = [passed, &options.listen].concat();
    if explicit.is_empty() {
        settings.listen.clone()
    } else {
        explicit
    }
}

fn bind_control(layout: &Layout) -> Result<UnixListener, DaemonError> {
    const MODE: u32 = 0o600;
    const BACKLOG: i32 = 128;
    let path = layout.control_socket();
    let failed = |source| DaemonError::Control {
        path: layout.control_socket(),
        source,
    };
    // The lock is ours: whatever has this name belongs to a server that is gone.
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    let listener = bind_listener(&path, MODE, None, BACKLOG).map_err(failed)?;
    listener.set_nonblocking(true).map_err(failed)?;
    UnixListener::from_std(listener).map_err(failed)
}

/// The one line on stdout: whoever started us may go on.
fn say_ready(site: &Site) {
    let listen = site.listen.borrow();
    let front = if listen.is_empty() {
        "no front".to_owned()
    } else {
        let addresses: Vec<_> = listen
            .iter()
            .map(|address| format!("http://{address}"))
            .collect();
        format!("front on {}", addresses.join(", "))
    };
    // Nobody may be reading.
    let _ = writeln!(
        std::io::stdout(),
        "handover is ready: {front}; home {}",
        site.layout.home().display()
    );
}

/// What a signal asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// SIGTERM: end, and leave everything running.
    LeaveRunning,
    /// SIGINT: stop everything first.
    StopAll,
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn listen() -> Result<Self, DaemonError> {
        Ok(Self {
            terminate: signal(SignalKind::terminate()).map_err(DaemonError::Signals)?,
            interrupt: signal(SignalKind::interrupt()).map_err(DaemonError::Signals)?,
        })
    }

    async fn next(&mut self) -> End {
        tokio::select! {
            _ = self.terminate.recv() => End::LeaveRunning,
            _ = self.interrupt.recv() => End::StopAll,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::paths::Surroundings;

    fn wanted(listen: &[u16], no_front: bool, settings: &str, passed: &[u16]) -> Vec<u16> {
        let at = |port: &u16| SocketAddr::from(([127, 0, 0, 1], *port));
        let home = std::path::Path::new("/h");
        let options = ServeOptions {
            layout: Layout::choose(Some(home), &Surroundings::default()).unwrap(),
            listen: listen.iter().map(at).collect(),
            passed: Vec::new(),
            no_front,
            executable: PathBuf::new(),
        };
        let settings = ServerSettings::parse(home, settings.as_bytes()).unwrap();
        let passed: Vec<_> = passed.iter().map(at).collect();
        let wanted = wanted_listeners(&options, &settings, &passed);
        wanted.iter().map(SocketAddr::port).collect()
    }

    #[test]
    fn passed_sockets_take_the_place_of_the_settings() {
        let settings = "listen = [\"127.0.0.1:3\"]";
        assert_eq!(wanted(&[], false, settings, &[]), [3]);
        assert_eq!(wanted(&[], false, settings, &[80]), [80]);
        assert_eq!(wanted(&[1], false, settings, &[]), [1]);
        assert_eq!(wanted(&[1], false, settings, &[80]), [80, 1]);
    }

    #[test]
    fn no_front_means_no_listener_whatever_was_passed() {
        assert!(wanted(&[], true, "", &[80]).is_empty());
        assert!(wanted(&[], false, "front = false", &[80]).is_empty());
        assert_eq!(wanted(&[1], false, "front = false", &[80]), [80, 1]);
    }
}
