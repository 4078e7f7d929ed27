//! From a release to a generation whose instances all listen.

use std::sync::Arc;
use std::time::Instant;

use tokio::time::timeout_at;

use super::memory::warn_if_short;
use super::{Replaced, START_HINT, Startable, Started, fatal, with_tail};
use crate::config::Place;
use crate::deploy::environment;
use crate::deploy::stage::{Stage, broken};
use crate::ids::GenerationNumber;
use crate::keep::{Command, KeepError, KeepEvent, Keeper, LogLimits, Spec, Watch};
use crate::process::blocking;
use crate::process::rig::kill_point;
use crate::process::socket::group_id;
use crate::push::Verbosity;
use crate::report::{EventKind, Failure, Phase};
use crate::time::Took;

const KEEPER_HINT: &str =
    "this is not the app's fault; see the server's log, and `handover doctor`";
impl Startable {
    /// Starts a generation of the release and waits until all its instances listen.
    pub(in crate::deploy) async fn start(self, stage: &mut Stage) -> Result<Started, Failure> {
        let began = Instant::now();
        stage.tell(EventKind::Began {
            phase: Phase::Start,
            command: None,
        });
        let deadline = tokio::time::Instant::now() + self.files.config.health.timeout;
        let generation = stage.announce_generation(self.release).await?;
        let spec = self.spec(stage, generation).await?;
        let instances = spec.instances;
        warn_if_short(stage, instances).await;
        let keeper = stage.start_keeper(generation, spec).await?;
        let mut watch = keeper
            .watch()
            .await
            .map_err(|error| broken(Phase::Start, &error))?;
        let listening = await_listening(stage, &keeper, &mut watch, deadline, &self);
        stage.unless_given_up(listening).await?;
        kill_point("start.listening");
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
    pub(in crate::deploy) async fn resume(self, warm: &Replaced) -> Result<Started, KeepError> {
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
        let web = self.web_command()?;
        let mut env = environment::of_instances(&stage.site.environment);
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
            compile_cache: config
                .web
                .compile_cache
                .then(|| stage.paths.compile_cache()),
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

    fn web_command(&self) -> Result<(String, std::collections::BTreeMap<String, String>), Failure> {
        let place = Place {
            release: &self.dir,
            path: &self.runtime.path,
            node: self.runtime.node.as_deref(),
        };
        let web = self.files.web_command(&place).map_err(|none| {
            Failure::new(Phase::Start, none.to_string()).hint(crate::config::NoWebCommand::HINT)
        })?;
        let mut env = self.runtime.variables.clone();
        env.extend(web.env);
        Ok((web.shell, env))
    }
}

/// Waits until every instance listens, and says as well as possible why one does not.
async fn await_listening(
    stage: &Stage,
    keeper: &Keeper,
    watch: &mut Watch,
    deadline: tokio::time::Instant,
    from: &Startable,
) -> Result<(), Failure> {
    let mut elsewhere = None;
    let verbose = stage.order.options.verbosity == Verbosity::Verbose;
    loop {
        match timeout_at(deadline, watch.next()).await {
            Ok(Some(KeepEvent::Ready { .. })) => return Ok(()),
            Ok(Some(KeepEvent::ListenElsewhere { address, .. })) => elsewhere = Some(address),
            Ok(Some(KeepEvent::Output { stream, line, .. })) if verbose => {
                stage.tell(EventKind::Output {
                    phase: Phase::Start,
                    stream,
                    line,
                });
            }
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
