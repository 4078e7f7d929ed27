//! Whether a generation is well.

use std::time::Instant;

use super::{Ready, START_HINT, Started, fatal, with_tail};
use crate::config::Accept;
use crate::deploy::health::{Passed, Probe, Unwell};
use crate::deploy::stage::Stage;
use crate::keep::Watch;
use crate::process::rig::kill_point;
use crate::report::{EventKind, Failure, Phase};
use crate::time::Took;

impl Started {
    /// Asks the generation over HTTP until it passes. Its processes must stay alive meanwhile.
    pub(in crate::deploy) async fn check(mut self, stage: &mut Stage) -> Result<Ready, Failure> {
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
        let asked = async {
            tokio::select! {
                passed = probe.run(&socket) => Ok(passed),
                cause = died(&mut self.watch) => {
                    let failure = Failure::new(Phase::Health, cause);
                    Err(with_tail(failure, &self.keeper).await.hint(START_HINT))
                }
            }
        };
        let passed = stage.unless_given_up(asked).await?;
        kill_point("health.known");
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
