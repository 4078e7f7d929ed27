//! The second half of a deploy: start, health, swap, drain. A fresh start consists of it alone.
//!
//! ```text
//!   Startable ──start──► Started ──check──► Ready ──publish──► Swapped ──drain──► NewlyLive
//! ```
//!
//! Each step consumes what the one before made, so that nothing is published that has not passed its health check, and
//! nothing is drained that was not replaced.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::timeout_at;

use super::environment;
use super::fleet::blocking;
use super::health::{Passed, Probe, Unwell};
use super::journal::Journal;
use super::stage::{Stage, broken};
use crate::config::{Accept, AppFiles, Place};
use crate::ids::{CommitId, GenerationNumber, ReleaseNumber};
use crate::keep::{Command, KeepError, KeepEvent, Keeper, LogLimits, Spec, Watch};
use crate::process::socket::group_id;
use crate::report::{EventKind, Failure, Phase};
use crate::slot;
use crate::time::{Timestamp, Took, now};

/// How long a generation may drain whose spec can't be read.
const DEFAULT_DRAIN_LIMIT: Duration = Duration::from_secs(300);
/// The last lines of an app's output that a failure shows.
const TAIL_LINES: usize = 30;

/// The generation that serves.
#[derive(Debug)]
pub(super) struct Live {
    /// Its number.
    pub generation: GenerationNumber,
    /// Its release.
    pub release: ReleaseNumber,
    /// The commit that the release was built from.
    pub commit: CommitId,
    /// What runs it.
    pub keeper: Arc<Keeper>,
    /// Since when it serves.
    pub since: Timestamp,
}

/// A generation that was live, and waits for its connections to end.
#[derive(Debug, Clone)]
pub(super) struct Replaced {
    /// Its number.
    pub generation: GenerationNumber,
    /// Its release.
    pub release: ReleaseNumber,
    /// What runs it.
    pub keeper: Arc<Keeper>,
    /// When it is ended by force.
    pub deadline: Timestamp,
    /// Who is told when it is gone.
    pub journal: Option<Arc<Journal>>,
}

/// What a deploy has brought about.
#[derive(Debug)]
pub(super) struct NewlyLive {
    /// What serves now.
    pub live: Live,
    /// What served before.
    pub replaced: Option<Replaced>,
    /// What happens in the new generation.
    pub events: Watch,
    /// How long it must stay up.
    pub watch_for: Duration,
}

/// A release directory that is complete.
#[derive(Debug)]
pub(super) struct Startable {
    /// Its number.
    pub release: ReleaseNumber,
    /// The commit that it was built from.
    pub commit: CommitId,
    /// Where it lies.
    pub dir: PathBuf,
    /// What its author has set.
    pub files: AppFiles,
}

/// A generation whose instances all listen.
pub(super) struct Started {
    from: Startable,
    generation: GenerationNumber,
    keeper: Arc<Keeper>,
    watch: Watch,
    deadline: tokio::time::Instant,
}

/// A generation that has passed its health check. Only [`Started::check`] makes one.
pub(super) struct Ready {
    from: Startable,
    generation: GenerationNumber,
    keeper: Arc<Keeper>,
    watch: Watch,
}

/// A generation that `live.sock` leads to. Only [`Ready::publish`] makes one.
pub(super) struct Swapped {
    live: Live,
    watch: Watch,
    watch_for: Duration,
}

impl Startable {
    /// Starts a generation of the release and waits until all its instances listen.
    pub(super) async fn start(self, stage: &mut Stage) -> Result<Started, Failure> {
        let began = Instant::now();
        stage.tell(EventKind::Began {
            phase: Phase::Start,
            command: None,
        });
        let deadline = tokio::time::Instant::now() + self.files.config.health.timeout;
        let generation = stage.announce_generation(self.release).await?;
        let spec = self.spec(stage, generation).await?;
        let instances = spec.instances;
        let keeper = stage.start_keeper(generation, spec).await?;
        let mut watch = keeper
            .watch()
            .await
            .map_err(|error| broken(Phase::Start, &error))?;
        await_listening(&keeper, &mut watch, deadline, &self).await?;
        let plural = if instances == 1 { "" } else { "s" };
        let detail = format!("generation {generation}, {instances} instance{plural}");
        stage.tell(EventKind::Done {
            phase: Phase::Start,
            detail,
            took_ms: Took(began.elapsed()),
        });
        Ok(Started {
            from: self,
            generation,
            keeper,
            watch,
            deadline,
        })
    }

    /// Takes a generation of the release that still drains into service again, if it isn't too late for that.
    pub(super) async fn resume(self, warm: &Replaced) -> Result<Started, KeepError> {
        let watch = warm.keeper.watch().await?;
        warm.keeper.undrain().await?;
        let deadline = tokio::time::Instant::now() + self.files.config.health.timeout;
        Ok(Started {
            from: self,
            generation: warm.generation,
            keeper: Arc::clone(&warm.keeper),
            watch,
            deadline,
        })
    }

    async fn spec(&self, stage: &Stage, generation: GenerationNumber) -> Result<Spec, Failure> {
        let config = &self.files.config;
        let settings = stage.site.settings.borrow().clone();
        let web = self.web_command(stage)?;
        let mut env = stage.site.environment.clone();
        env.extend(web.1);
        Ok(Spec {
            app: stage.app().clone(),
            generation,
            release: self.release,
            commit: self.commit.clone(),
            release_dir: self.dir.clone(),
            command: Command::Shell(web.0),
            instances: stage.instances(u32::from(config.web.instances)).await?,
            env,
            preload: config.web.preload,
            socket: stage.paths.generation_socket(generation),
            socket_mode: 0o660,
            socket_group: front_group(settings.front_group.clone()).await?,
            log: stage.paths.app_log(),
            log_limits: LogLimits {
                file_bytes: settings.logs.max_bytes,
                files: u32::from(settings.logs.files.saturating_sub(1)),
            },
            drain_limit: config.drain.timeout,
            stop_timeout: config.drain.stop_timeout,
        })
    }

    fn web_command(
        &self,
        stage: &Stage,
    ) -> Result<(String, std::collections::BTreeMap<String, String>), Failure> {
        let node = environment::find_program("node", &stage.site.environment);
        let path = stage
            .site
            .environment
            .get("PATH")
            .map_or("", String::as_str);
        let place = Place {
            release: &self.dir,
            path,
            node: node.as_deref(),
        };
        let web = self.files.web_command(&place).map_err(|none| {
            Failure::new(Phase::Start, none.to_string()).hint(crate::config::NoWebCommand::HINT)
        })?;
        Ok((web.shell, web.env))
    }
}

/// Waits until every instance listens, and says as well as possible why one does not.
async fn await_listening(
    keeper: &Keeper,
    watch: &mut Watch,
    deadline: tokio::time::Instant,
    from: &Startable,
) -> Result<(), Failure> {
    let mut elsewhere = None;
    loop {
        match timeout_at(deadline, watch.next()).await {
            Ok(Some(KeepEvent::Ready { .. })) => return Ok(()),
            Ok(Some(KeepEvent::ListenElsewhere { address, .. })) => elsewhere = Some(address),
            Ok(Some(event)) => {
                if let Some(cause) = fatal(&event) {
                    return Err(with_tail(Failure::new(Phase::Start, cause), keeper)
                        .await
                        .hint(START_HINT));
                }
            }
            Ok(None) => {
                return Err(
                    Failure::new(Phase::Start, "the keeper of the new generation ended")
                        .hint(KEEPER_HINT),
                );
            }
            Err(_) => return Err(with_tail(not_listening(elsewhere, from), keeper).await),
        }
    }
}

const START_HINT: &str = "the app must keep running and listen on process.env.PORT; try it with: NODE_ENV=production PORT=3000 npm start";
const KEEPER_HINT: &str =
    "this is not the app's fault; see the server's log, and `handover doctor`";

/// Why this event means that a generation which is not live yet never will be.
fn fatal(event: &KeepEvent) -> Option<String> {
    match event {
        KeepEvent::Exited {
            index,
            status,
            ran_ms,
            ..
        } => Some(format!(
            "instance {index} ended after {ran_ms} with {status}"
        )),
        KeepEvent::StartFailed { index, error } => {
            Some(format!("instance {index} could not be started: {error}"))
        }
        KeepEvent::Output { .. }
        | KeepEvent::Listening { .. }
        | KeepEvent::Ready { .. }
        | KeepEvent::ListenElsewhere { .. }
        | KeepEvent::Draining { .. }
        | KeepEvent::Undrained
        | KeepEvent::Retired { .. } => None,
    }
}

fn not_listening(elsewhere: Option<String>, from: &Startable) -> Failure {
    let limit = crate::time::limit_text(from.files.config.health.timeout);
    match elsewhere {
        Some(address) => Failure::new(
            Phase::Start,
            format!("after {limit} the app listens on {address}, not on its PORT"),
        )
        .hint("listen on process.env.PORT, for instance: app.listen(process.env.PORT || 3000)"),
        None => Failure::new(
            Phase::Start,
            format!("after {limit} the app does not listen yet"),
        )
        .hint("the app must listen on process.env.PORT")
        .hint("if it only needs longer: set [health] timeout in handover.toml"),
    }
}

async fn with_tail(failure: Failure, keeper: &Keeper) -> Failure {
    let mut lines = keeper.tail().await.unwrap_or_default();
    lines.drain(..lines.len().saturating_sub(TAIL_LINES));
    failure.tail(lines)
}

/// The number of the group that the settings name.
async fn front_group(name: Option<String>) -> Result<Option<u32>, Failure> {
    let Some(name) = name else { return Ok(None) };
    let found = {
        let name = name.clone();
        blocking(move || group_id(&name)).await
    };
    match found {
        Ok(Some(id)) => Ok(Some(id)),
        Ok(None) | Err(_) => Err(Failure::new(
            Phase::Start,
            format!("the group `{name}` does not exist on this server"),
        )
        .hint("correct front_group in the server's handover.toml")),
    }
}

impl Started {
    /// Asks the generation over HTTP until it passes. Its processes must stay alive meanwhile.
    pub(super) async fn check(mut self, stage: &mut Stage) -> Result<Ready, Failure> {
        let began = Instant::now();
        stage.tell(EventKind::Began {
            phase: Phase::Health,
            command: None,
        });
        let health = &self.from.files.config.health;
        let probe = Probe {
            path: health.path.clone(),
            accept: health.accept,
            host: stage.host(),
            interval: health.interval,
            deadline: self.deadline,
        };
        let socket = stage.paths.generation_socket(self.generation);
        let passed = tokio::select! {
            passed = probe.run(&socket) => passed,
            cause = died(&mut self.watch) => {
                return Err(with_tail(Failure::new(Phase::Health, cause), &self.keeper).await.hint(START_HINT));
            }
        };
        match passed {
            Ok(Passed {
                status,
                answered_in,
            }) => {
                let took = Took(answered_in);
                let detail = format!("GET {} → {} in {took}, twice", probe.path, status.as_u16());
                stage.tell(EventKind::Done {
                    phase: Phase::Health,
                    detail,
                    took_ms: Took(began.elapsed()),
                });
                Ok(Ready {
                    from: self.from,
                    generation: self.generation,
                    keeper: self.keeper,
                    watch: self.watch,
                })
            }
            Err(unwell) => Err(with_tail(self.unwell(&probe, &unwell), &self.keeper).await),
        }
    }

    fn unwell(&self, probe: &Probe, unwell: &Unwell) -> Failure {
        let limit = crate::time::limit_text(self.from.files.config.health.timeout);
        let failure = Failure::new(
            Phase::Health,
            format!("GET {} {unwell} when the time was up ({limit})", probe.path),
        );
        match unwell {
            Unwell::Status(_) if probe.accept == Accept::Below500 => {
                failure.hint("any answer below 500 would do; or set [health] path in handover.toml")
            }
            Unwell::Status(_) => {
                failure.hint("[health] path in handover.toml must answer with 2xx or 3xx")
            }
            Unwell::Broken(_) | Unwell::Silent => {
                failure.hint("if the app only needs longer: set [health] timeout in handover.toml")
            }
        }
    }
}

/// Returns when an instance has ended, or the keeper itself.
async fn died(watch: &mut Watch) -> String {
    loop {
        match watch.next().await {
            Some(event) => {
                if let Some(cause) = fatal(&event) {
                    return cause;
                }
            }
            None => return "the keeper of the new generation ended".to_owned(),
        }
    }
}

impl Ready {
    /// The release that is about to be published.
    pub(super) fn release(&self) -> ReleaseNumber {
        self.from.release
    }

    /// Makes `live.sock` lead to the generation: one rename. From here on the deploy can't fail any more.
    pub(super) async fn publish(self, stage: &mut Stage) -> Result<Swapped, Failure> {
        let began = Instant::now();
        let (paths, generation) = (stage.paths.clone(), self.generation);
        let published = blocking(move || slot::publish(&paths, generation)).await;
        let took_ms = Took(began.elapsed());
        let published = published.map_err(|error| broken(Phase::Swap, &error))?;
        tracing::debug!(replaced = ?published.replaced, "published");
        if let Err(error) = self.keeper.commit().await {
            tracing::error!(%generation, error = &error as &dyn std::error::Error, "keeper can't be told that it is live");
        }
        stage.record_live(generation).await;
        let before = stage
            .live()
            .map(|live| format!("{} → ", live.release))
            .unwrap_or_default();
        let detail = format!("release {before}{}", self.from.release);
        stage.tell(EventKind::Done {
            phase: Phase::Swap,
            detail,
            took_ms,
        });
        let live = Live {
            generation,
            release: self.from.release,
            commit: self.from.commit,
            keeper: self.keeper,
            since: now(),
        };
        Ok(Swapped {
            live,
            watch: self.watch,
            watch_for: self.from.files.config.watch,
        })
    }
}

impl Swapped {
    /// Tells what was live to end when its connections have ended.
    pub(super) async fn drain(self, stage: &mut Stage) -> NewlyLive {
        let Some(old) = stage.live().cloned() else {
            return self.newly_live(None);
        };
        let limit = drain_limit_of(stage, old.generation).await;
        match old.keeper.drain(Some(limit)).await {
            Ok(open) => {
                stage.tell(EventKind::Draining {
                    generation: old.generation,
                    release: old.release,
                    connections: open.total(),
                    upgraded: open.upgraded,
                    limit_ms: Took(limit),
                });
            }
            Err(error) => {
                let (generation, error) = (old.generation, &error as &dyn std::error::Error);
                tracing::warn!(%generation, error, "keeper can't be told to drain");
            }
        }
        let replaced = Replaced {
            generation: old.generation,
            release: old.release,
            keeper: Arc::clone(&old.keeper),
            deadline: now() + limit,
            journal: Some(Arc::clone(stage.journal())),
        };
        self.newly_live(Some(replaced))
    }

    fn newly_live(self, replaced: Option<Replaced>) -> NewlyLive {
        NewlyLive {
            live: self.live,
            replaced,
            events: self.watch,
            watch_for: self.watch_for,
        }
    }
}

/// How long a generation may drain: what its author had set when it was started.
async fn drain_limit_of(stage: &Stage, generation: GenerationNumber) -> Duration {
    let spec = stage.paths.generation(generation).spec();
    blocking(move || Spec::read(&spec))
        .await
        .map_or(DEFAULT_DRAIN_LIMIT, |spec| spec.drain_limit)
}
