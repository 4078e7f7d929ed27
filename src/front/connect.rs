//! Reaching an app: connecting again while that is certain to be harmless.

use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::protocol::RouteState;
use super::routes::Target;
use super::upstream::Upstream;

/// The first pause between two attempts; each is twice the one before.
const FIRST_PAUSE: Duration = Duration::from_millis(2);
/// The longest pause between two attempts.
const LONGEST_PAUSE: Duration = Duration::from_millis(100);

/// Why an app can't be reached.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConnectError {
    /// The app has nothing that could answer.
    #[error("connect to {app}: nothing is deployed", app = .0.app)]
    NothingDeployed(Arc<Target>),
    /// It should have, but its socket does not answer.
    #[error("connect to `{socket}`", socket = .target.socket.display())]
    Unreachable {
        /// The app.
        target: Arc<Target>,
        /// What the last attempt said.
        #[source]
        source: std::io::Error,
    },
}

/// What to do after an attempt that failed.
#[derive(Debug, PartialEq, Eq)]
enum Next {
    Again,
    NothingDeployed,
    GiveUp,
}

/// Connects to what is live, and again for up to `patience` where the failure may pass. Nothing has been sent yet, so
/// that trying again is right for every kind of request.
pub(super) async fn connect(
    target: &Arc<Target>,
    patience: Duration,
) -> Result<Upstream, ConnectError> {
    let deadline = Instant::now() + patience;
    let mut pause = FIRST_PAUSE;
    loop {
        let source = match Upstream::connect(target).await {
            Ok(upstream) => return Ok(upstream),
            Err(source) => source,
        };
        let target = Arc::clone(target);
        match after_failure(
            source.kind(),
            target.state,
            Instant::now() + pause < deadline,
        ) {
            Next::Again => tokio::time::sleep(pause).await,
            Next::NothingDeployed => return Err(ConnectError::NothingDeployed(target)),
            Next::GiveUp => return Err(ConnectError::Unreachable { target, source }),
        }
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Decides. A full backlog (`WouldBlock`: UNIX sockets do not wait as TCP does), a socket between two listeners, and a
/// name between two files pass by themselves; a missing permission does not.
fn after_failure(kind: ErrorKind, state: RouteState, time_left: bool) -> Next {
    match (kind, state) {
        (ErrorKind::NotFound, RouteState::Empty) => Next::NothingDeployed,
        (
            ErrorKind::NotFound | ErrorKind::ConnectionRefused | ErrorKind::WouldBlock,
            RouteState::Live | RouteState::Empty,
        ) if time_left => Next::Again,
        _ => Next::GiveUp,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_pass_is_tried_again_until_the_time_is_up() {
        use ErrorKind::{ConnectionRefused, NotFound, PermissionDenied, WouldBlock};
        use RouteState::{Empty, Live};
        let cases = [
            (NotFound, Live, true, Next::Again),
            (ConnectionRefused, Live, true, Next::Again),
            (WouldBlock, Live, true, Next::Again),
            (WouldBlock, Live, false, Next::GiveUp),
            (NotFound, Live, false, Next::GiveUp),
            (PermissionDenied, Live, true, Next::GiveUp),
            (NotFound, Empty, true, Next::NothingDeployed),
            (ConnectionRefused, Empty, true, Next::Again),
        ];
        for (kind, state, time_left, next) in cases {
            assert_eq!(
                after_failure(kind, state, time_left),
                next,
                "{kind} {state:?}"
            );
        }
    }
}
