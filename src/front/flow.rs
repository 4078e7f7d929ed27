//! The body of a request on its way to the app: when it last moved, and whether it may move yet.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::time::Instant;

/// What the exchange knows of a body that hyper is sending.
///
/// A client that sent `Expect: 100-continue` waits for leave to send its body, and gets it when the body is first
/// asked for. That must not happen before the app has given leave, or an app that refuses (`401`, `413`) would have
/// to swallow what it refused. So such a body begins behind a gate.
#[derive(Debug)]
pub(super) struct Flow(Mutex<State>);

#[derive(Debug)]
struct State {
    moved: Instant,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    /// The app has not said yet that it wants the body; this task waits for it.
    Gated(Option<Waker>),
    Moving,
    Ended,
}

impl Flow {
    /// A body that may move at once.
    pub(super) fn moving() -> Arc<Self> {
        Self::at(Stage::Moving)
    }

    /// A body that waits for [`Self::open`].
    pub(super) fn gated() -> Arc<Self> {
        Self::at(Stage::Gated(None))
    }

    fn at(stage: Stage) -> Arc<Self> {
        let moved = Instant::now();
        Arc::new(Self(Mutex::new(State { moved, stage })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets the body move.
    pub(super) fn open(&self) {
        let mut state = self.state();
        if let Stage::Gated(waiting) = &mut state.stage {
            let waiting = waiting.take();
            state.stage = Stage::Moving;
            state.moved = Instant::now();
            drop(state);
            if let Some(task) = waiting {
                task.wake();
            }
        }
    }

    /// When a part of the body last moved, or the body began to.
    pub(super) fn moved(&self) -> Instant {
        self.state().moved
    }

    /// Whether the body still waits for leave.
    pub(super) fn is_gated(&self) -> bool {
        matches!(self.state().stage, Stage::Gated(_))
    }

    /// Whether the whole body has been sent.
    pub(super) fn has_ended(&self) -> bool {
        matches!(self.state().stage, Stage::Ended)
    }

    fn poll_open(&self, cx: &Context<'_>) -> Poll<()> {
        match &mut self.state().stage {
            Stage::Gated(waiting) => {
                *waiting = Some(cx.waker().clone());
                Poll::Pending
            }
            Stage::Moving | Stage::Ended => Poll::Ready(()),
        }
    }

    fn note_moved(&self, whole: Whole) {
        let mut state = self.state();
        state.moved = Instant::now();
        if whole == Whole::Sent {
            state.stage = Stage::Ended;
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Whole {
    Sent,
    NotYet,
}

/// The body of a request to an app.
#[derive(Debug)]
pub(super) enum RequestBody {
    /// There is none.
    Empty,
    /// What the client sends, as it comes.
    Streamed {
        /// From the client.
        incoming: Incoming,
        /// Shared with the exchange.
        flow: Arc<Flow>,
    },
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let Self::Streamed { incoming, flow } = &mut *self else {
            return Poll::Ready(None);
        };
        ready!(flow.poll_open(cx));
        let frame = ready!(Pin::new(&mut *incoming).poll_frame(cx));
        let ended = frame.is_none() || incoming.is_end_stream();
        flow.note_moved(if ended { Whole::Sent } else { Whole::NotYet });
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Streamed { incoming, .. } => incoming.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Streamed { incoming, .. } => incoming.size_hint(),
        }
    }
}
