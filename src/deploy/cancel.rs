//! The wish that a deploy be given up, which it hears where it can still be given up.

use tokio::sync::watch;

use super::branch::BranchMove;
use crate::report::{Failure, Phase};

/// Why a deploy is given up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Why {
    /// The app or the server is being stopped.
    Stopping,
    /// Somebody wishes it, with `handover cancel`.
    Wished {
        /// Who, where that is known.
        by: Option<String>,
    },
}

/// The side that may wish it.
#[derive(Debug)]
pub(super) struct Cancel(watch::Sender<Option<Why>>);

/// The side that hears it.
#[derive(Debug, Clone)]
pub(super) struct Cancelled(watch::Receiver<Option<Why>>);

/// A pair of the two.
pub(super) fn pair() -> (Cancel, Cancelled) {
    let (sender, receiver) = watch::channel(None);
    (Cancel(sender), Cancelled(receiver))
}

impl Cancel {
    /// Wishes it. Of several wishes the first counts.
    pub(super) fn cancel(&self, why: Why) {
        self.0.send_if_modified(|wish| {
            let first = wish.is_none();
            wish.get_or_insert(why);
            first
        });
    }
}

impl Cancelled {
    /// The wish, if there is one already.
    pub(super) fn already(&self) -> Option<Why> {
        self.0.borrow().clone()
    }

    /// Returns when it is wished; never, if the other side is gone without.
    pub(super) async fn wished(&mut self) -> Why {
        let heard = self.0.wait_for(Option::is_some).await;
        let wish = heard.ok().and_then(|wish| wish.clone());
        match wish {
            Some(wish) => wish,
            None => std::future::pending().await,
        }
    }
}

/// What those are told whose deploy is given up in this phase.
pub(super) fn given_up(branch: &BranchMove, phase: Phase, why: &Why) -> Failure {
    match why {
        Why::Stopping => stopping_failure(branch),
        Why::Wished { by } => {
            let by = by
                .as_ref()
                .map_or_else(String::new, |by| format!(" by {by}"));
            Failure::cancelled(phase, format!("cancelled{by}"))
                .hint("push the same commit again to deploy it after all")
        }
    }
}

/// What those are told whose deploy is given up because the app or the server is being stopped.
pub(super) fn stopping_failure(branch: &BranchMove) -> Failure {
    let hint = if branch.is_gated() {
        "push again when the server is back, unless the app was destroyed"
    } else {
        "it is deployed when the server is started again, unless the app was destroyed"
    };
    Failure::new(Phase::Receive, "the app is being stopped").hint(hint)
}
