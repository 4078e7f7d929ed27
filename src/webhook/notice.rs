//! What a webhook is told. The field names are a contract.

use std::io;

use serde::Serialize;

use crate::ids::{AppName, CommitId, DeployNumber, ReleaseNumber, hex};
use crate::process::random;
use crate::report::Phase;
use crate::state::NewDelivery;
use crate::time::{Timestamp, now};

/// How a deploy has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Happened {
    /// Its release is live.
    Live {
        /// The release.
        release: ReleaseNumber,
    },
    /// It failed and changed nothing.
    Failed {
        /// In this phase.
        phase: Phase,
        /// For this reason.
        cause: String,
    },
    /// Its release was live, did not stay up, and what was live before serves again.
    SwappedBack {
        /// The release that did not stay up.
        release: ReleaseNumber,
        /// How it did not stay up.
        cause: String,
    },
}

/// The end of a deploy, as a webhook is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// The app.
    pub app: AppName,
    /// The deploy.
    pub deploy: DeployNumber,
    /// The commit that was to be live.
    pub commit: CommitId,
    /// The first line of its message.
    pub subject: String,
    /// The branch.
    pub branch: String,
    /// Who pushed it, where that is known.
    pub pushed_by: Option<String>,
    /// The release that was live before; where the deploy did not last, it serves on, or again.
    pub previous_release: Option<ReleaseNumber>,
    /// Where the app is reached.
    pub urls: Vec<String>,
    /// How the deploy has ended.
    pub happened: Happened,
}

/// The event that is sent when a webhook is set.
pub(super) const PING: &str = "ping";

impl Happened {
    /// The name as it is sent.
    fn event(&self) -> &'static str {
        match self {
            Self::Live { .. } => "live",
            Self::Failed { .. } => "failed",
            Self::SwappedBack { .. } => "swapped_back",
        }
    }

    fn release(&self) -> Option<ReleaseNumber> {
        match self {
            Self::Live { release } | Self::SwappedBack { release, .. } => Some(*release),
            Self::Failed { .. } => None,
        }
    }

    fn phase(&self) -> Option<Phase> {
        match self {
            Self::Failed { phase, .. } => Some(*phase),
            Self::Live { .. } | Self::SwappedBack { .. } => None,
        }
    }

    fn cause(&self) -> Option<&str> {
        match self {
            Self::Failed { cause, .. } | Self::SwappedBack { cause, .. } => Some(cause),
            Self::Live { .. } => None,
        }
    }
}

impl Notice {
    /// The delivery that tells of it. Fails where there are no random bytes for its id.
    pub fn delivery(&self) -> io::Result<NewDelivery> {
        let id = delivery_id()?;
        Ok(NewDelivery {
            body: self.body(&id, now()),
            event: self.happened.event(),
            id,
        })
    }

    fn body(&self, delivery: &str, at: Timestamp) -> String {
        to_json(&Body {
            event: self.happened.event(),
            delivery,
            app: &self.app,
            deploy: self.deploy,
            release: self.happened.release(),
            previous_release: self.previous_release,
            commit: &self.commit,
            subject: &self.subject,
            branch: &self.branch,
            pushed_by: self.pushed_by.as_deref(),
            phase: self.happened.phase(),
            cause: self.happened.cause(),
            urls: &self.urls,
            at,
        })
    }
}

/// The delivery that tells nothing, and shows whether the webhook can be reached.
pub(super) fn ping(app: &AppName) -> io::Result<NewDelivery> {
    let id = delivery_id()?;
    let ping = Ping {
        event: PING,
        delivery: &id,
        app,
        at: now(),
    };
    Ok(NewDelivery {
        body: to_json(&ping),
        event: PING,
        id,
    })
}

fn delivery_id() -> io::Result<String> {
    Ok(hex(&random::bytes::<16>()?))
}

fn to_json(body: &impl Serialize) -> String {
    serde_json::to_string(body).expect("its keys are strings")
}

#[derive(Serialize)]
struct Body<'n> {
    event: &'static str,
    delivery: &'n str,
    app: &'n AppName,
    deploy: DeployNumber,
    release: Option<ReleaseNumber>,
    previous_release: Option<ReleaseNumber>,
    commit: &'n CommitId,
    subject: &'n str,
    branch: &'n str,
    pushed_by: Option<&'n str>,
    phase: Option<Phase>,
    cause: Option<&'n str>,
    urls: &'n [String],
    at: Timestamp,
}

#[derive(Serialize)]
struct Ping<'n> {
    event: &'static str,
    delivery: &'n str,
    app: &'n AppName,
    at: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(happened: Happened) -> String {
        let notice = Notice {
            app: "shop".parse().unwrap(),
            deploy: DeployNumber(12),
            commit: "7e".repeat(20).parse().unwrap(),
            subject: "Add the “basket”".into(),
            branch: "main".into(),
            pushed_by: None,
            previous_release: Some(ReleaseNumber(41)),
            urls: vec!["https://shop.example.com".into()],
            happened,
        };
        notice.body("d1", "2026-11-23T05:40:00.123Z".parse().unwrap())
    }

    #[test]
    fn every_body_has_the_same_fields_and_null_for_what_does_not_apply() {
        let live = Happened::Live {
            release: ReleaseNumber(42),
        };
        assert_eq!(
            told(live),
            r#"{"event":"live","delivery":"d1","app":"shop","deploy":12,"release":42,"previous_release":41,"commit":"7e7e7e7e7e7e7e7e7e7e7e7e7e7e7e7e7e7e7e7e","subject":"Add the “basket”","branch":"main","pushed_by":null,"phase":null,"cause":null,"urls":["https://shop.example.com"],"at":"2026-11-23T05:40:00.123Z"}"#
        );
        let failed = Happened::Failed {
            phase: Phase::Health,
            cause: "no answer".into(),
        };
        let failed = told(failed);
        let failed_fields = r#""release":null,"previous_release":41,"#;
        assert!(failed.contains(failed_fields), "{failed}");
        assert!(failed.contains(r#""phase":"health","cause":"no answer","#));
        let back = Happened::SwappedBack {
            release: ReleaseNumber(42),
            cause: "it crashed".into(),
        };
        let back = told(back);
        assert!(back.starts_with(r#"{"event":"swapped_back","#), "{back}");
        assert!(back.contains(r#""release":42,"previous_release":41,"#));
        assert!(back.contains(r#""phase":null,"cause":"it crashed","#));
    }

    #[test]
    fn the_id_is_in_the_body_and_new_each_time() {
        let shop = "shop".parse().unwrap();
        let (one, other) = (ping(&shop).unwrap(), ping(&shop).unwrap());
        assert_ne!(one.id, other.id);
        assert!(one.body.contains(&format!("\"delivery\":\"{}\"", one.id)));
    }
}
