//! Composition of a front: threads, control socket, signals.

use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::net::UnixListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};

use super::control::{Control, ControlName};
use super::error::FrontError;
use super::gauge::Gauges;
use super::options::FrontOptions;
use super::worker::{self, Command, Shared, Stage};
use crate::process::identity::Identity;
use crate::process::own::{raise_open_files, release_free_memory};
use crate::process::rig::kill_point;
use crate::process::socket::set_nonblocking;
use crate::process::tcp::tune_listener;

/// How often the number of connections is compared with its last peak.
const LOOK_FOR_PEAKS_EVERY: Duration = Duration::from_secs(2);

/// Runs a front until it has drained, after a `drain` on its control socket or a SIGTERM or SIGINT.
pub fn run(options: FrontOptions) -> Result<(), FrontError> {
    if options.listeners.is_empty() {
        return Err(FrontError::NoListeners);
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(FrontError::Thread)?;
    runtime.block_on(supervise(options))
}

async fn supervise(options: FrontOptions) -> Result<(), FrontError> {
    let mut terminate = signal(SignalKind::terminate()).map_err(FrontError::Thread)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(FrontError::Thread)?;
    if let Err(error) = raise_open_files() {
        // Each request needs two descriptors; where they run out, `accept` says so.
        tracing::warn!(%error, "can't raise the limit of open files");
    }
    let identity = Identity::of_self().map_err(FrontError::Identity)?;
    for listener in &options.listeners {
        prepare(listener).map_err(FrontError::Listener)?;
    }
    kill_point("front.begun");
    let (name, listener) = ControlName::claim(&options.control)?;
    kill_point("front.claimed");
    let control_socket =
        UnixListener::from_std(listener).map_err(|source| FrontError::Control {
            path: options.control.clone(),
            source,
        })?;

    let gauges = Arc::new(Gauges::default());
    let (routes, routes_seen) = watch::channel(None);
    let (stage, mut stage_seen) = watch::channel(Stage::Serving);
    let shared = Shared {
        gauges: Arc::clone(&gauges),
        routes: routes_seen,
        stage: stage_seen.clone(),
        limits: options.limits,
    };
    let (mut threads, workers) = start_threads(&options, &shared)?;
    drop(shared);
    let control = Arc::new(Control {
        name,
        identity,
        gauges,
        listeners: options.listeners,
        routes,
        stage,
        workers,
    });

    kill_point("front.accepting");
    let serving = tokio::spawn(Arc::clone(&control).serve(control_socket));
    let releasing = tokio::spawn(release_memory_after_peaks(Arc::clone(&control)));
    loop {
        tokio::select! {
            // Threads end when they see the last stage: that has to be looked at before their end.
            biased;
            _ = stage_seen.wait_for(|stage| *stage == Stage::Ended) => break,
            _ = terminate.recv() => control.drain(options.limits.stop).await,
            _ = interrupt.recv() => control.drain(options.limits.stop).await,
            () = threads.one_ended() => return Err(FrontError::ThreadEnded),
        }
    }
    serving.abort();
    releasing.abort();
    threads.join().await
}

/// Gives back what many connections have needed once most of them have ended: the allocator would keep it for good.
async fn release_memory_after_peaks(control: Arc<Control>) {
    let mut peak = 0;
    loop {
        tokio::time::sleep(LOOK_FOR_PEAKS_EVERY).await;
        let open = control.gauges.clients.count();
        if 2 * open <= peak && peak > 0 {
            release_free_memory();
            peak = open;
        }
        peak = peak.max(open);
    }
}

/// Sets what is the socket's, and not a thread's or a process's: who else holds it shares it.
fn prepare(listener: &TcpListener) -> io::Result<()> {
    set_nonblocking(listener, true)?;
    tune_listener(listener)
}

/// The threads, and a way to hear that one of them has ended.
struct Threads {
    handles: Vec<JoinHandle<io::Result<()>>>,
    ended: mpsc::Receiver<()>,
}

impl Threads {
    async fn one_ended(&mut self) {
        self.ended.recv().await;
    }

    /// Waits for all threads, which end by themselves at [`Stage::Ended`].
    async fn join(mut self) -> Result<(), FrontError> {
        for _ in 0..self.handles.len() {
            self.one_ended().await;
        }
        for handle in self.handles {
            match handle.join() {
                Ok(result) => result.map_err(FrontError::Thread)?,
                Err(_panic) => return Err(FrontError::ThreadEnded),
            }
        }
        Ok(())
    }
}

/// Tells that a thread has ended, however it ended.
struct TellEnd(mpsc::Sender<()>);

impl Drop for TellEnd {
    fn drop(&mut self) {
        // There is room for each thread; only a front that has gone itself does not hear it.
        let _ = self.0.try_send(());
    }
}

type Started = (Threads, Vec<mpsc::UnboundedSender<Command>>);

fn start_threads(options: &FrontOptions, shared: &Shared) -> Result<Started, FrontError> {
    let count = options.threads.get();
    let (tell, ended) = mpsc::channel(count);
    let (mut handles, mut workers) = (Vec::new(), Vec::new());
    for number in 0..count {
        let listeners: io::Result<Vec<_>> = options
            .listeners
            .iter()
            .map(TcpListener::try_clone)
            .collect();
        let listeners = listeners.map_err(FrontError::Listener)?;
        let (send, commands) = mpsc::unbounded_channel();
        let (shared, tell) = (shared.clone(), TellEnd(tell.clone()));
        let body = move || {
            let _tell = tell;
            worker::run(shared, listeners, commands)
        };
        let handle = std::thread::Builder::new()
            .name(format!("front-{number}"))
            .spawn(body)
            .map_err(FrontError::Thread)?;
        handles.push(handle);
        workers.push(send);
    }
    Ok((Threads { handles, ended }, workers))
}
