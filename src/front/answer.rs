//! The body of an answer on its way to the client, and what happens to the app's connection at its end.

use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::{Body, Frame, Incoming, SizeHint};

use super::flow::Flow;
use super::gauge::Open;
use super::pool::Pool;
use super::upstream::Upstream;

/// The body of an answer.
#[derive(Debug)]
pub(super) enum AnswerBody {
    /// The front's own.
    Page(Full<Bytes>),
    /// What the app sends, as it comes.
    Streamed {
        incoming: Incoming,
        /// Goes back to the pool when the answer is complete, and is closed if it never is.
        lease: Option<Lease>,
        /// Counts the request until its answer is complete.
        _in_flight: Open,
    },
}

/// A connection that a request uses.
#[derive(Debug)]
pub(super) struct Lease {
    pub(super) upstream: Upstream,
    pub(super) pool: Rc<Pool>,
    /// The request's body, if it has one.
    pub(super) flow: Option<Arc<Flow>>,
}

impl Lease {
    /// The answer is complete: keeps the connection as soon as it can take another request, or closes it.
    fn end(self) {
        let Self {
            mut upstream,
            pool,
            flow,
        } = self;
        if flow.is_some_and(|flow| flow.is_gated()) {
            // The app answered without wanting the body that was announced to it; the body will not come.
            return;
        }
        if upstream.sender.is_ready() {
            pool.keep(upstream);
            return;
        }
        tokio::task::spawn_local(async move {
            if upstream.sender.ready().await.is_ok() {
                pool.keep(upstream);
            }
        });
    }
}

impl AnswerBody {
    /// The body of an app's answer.
    pub(super) fn streamed(incoming: Incoming, lease: Lease, in_flight: Open) -> Self {
        let mut lease = Some(lease);
        if incoming.is_end_stream() {
            // Nobody will ask for a body that is empty.
            lease.take().into_iter().for_each(Lease::end);
        }
        Self::Streamed {
            incoming,
            lease,
            _in_flight: in_flight,
        }
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match &mut *self {
            Self::Page(page) => Pin::new(page)
                .poll_frame(cx)
                .map_err(|never| match never {}),
            Self::Streamed {
                incoming, lease, ..
            } => {
                let frame = ready!(Pin::new(&mut *incoming).poll_frame(cx));
                let complete = frame.is_none() || incoming.is_end_stream();
                if complete && !matches!(frame, Some(Err(_))) {
                    lease.take().into_iter().for_each(Lease::end);
                }
                Poll::Ready(frame)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Page(page) => page.is_end_stream(),
            Self::Streamed { incoming, .. } => incoming.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Page(page) => page.size_hint(),
            Self::Streamed { incoming, .. } => incoming.size_hint(),
        }
    }
}
