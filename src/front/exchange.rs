//! One request and its answer: from the client's header to the app's.

use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;

use hyper::body::{Body, Incoming};
use hyper::header::EXPECT;
use hyper::http::request::Parts;
use hyper::upgrade::OnUpgrade;
use hyper::{HeaderMap, Method, Request, Response, StatusCode, Uri, Version};

use super::answer::{AnswerBody, Lease};
use super::connect::{ConnectError, connect};
use super::flow::{Flow, RequestBody};
use super::gauge::Open;
use super::headers::{self, Seen};
use super::host;
use super::pages::Page;
use super::routes::{Choice, Target};
use super::send::{Answered, SendError, send};
use super::tunnel;
use super::upstream::Upstream;
use super::worker::Worker;

/// A request as it goes to the app, with what is needed to follow it.
struct Outbound {
    request: Request<RequestBody>,
    target: Arc<Target>,
    flow: Option<Arc<Flow>>,
    /// The client's side of a change of protocol, where one was asked for.
    upgrade: Option<OnUpgrade>,
}

/// Answers one request of a client.
pub(super) async fn answer(
    worker: Rc<Worker>,
    client: IpAddr,
    request: Request<Incoming>,
) -> Response<AnswerBody> {
    let in_flight = worker.gauges.in_flight.open();
    let method = request.method().clone();
    let accept = accept_of(request.headers());
    let mut response = match exchange(&worker, client, request, in_flight).await {
        Ok(response) => response,
        Err(page) => page.response(&method, &accept).map(AnswerBody::Page),
    };
    if worker.is_draining() && response.status() != StatusCode::SWITCHING_PROTOCOLS {
        headers::say_close(response.headers_mut());
    }
    response
}

/// The one field that the front's own pages depend on.
fn accept_of(headers: &HeaderMap) -> HeaderMap {
    let accept = hyper::header::ACCEPT;
    headers
        .get_all(&accept)
        .iter()
        .map(|value| (accept.clone(), value.clone()))
        .collect()
}

async fn exchange(
    worker: &Rc<Worker>,
    client: IpAddr,
    request: Request<Incoming>,
    in_flight: Open,
) -> Result<Response<AnswerBody>, Page> {
    let outbound = prepare(worker, client, request)?;
    let flow = outbound.flow.clone();
    let answered = send_to_app(worker, &outbound.target, outbound.request, flow.as_ref()).await?;
    let lease = Lease {
        upstream: answered.upstream,
        pool: Rc::clone(&worker.pool),
        flow,
    };
    pass_on(answered.response, lease, outbound.upgrade, in_flight)
}

/// Decides where a request goes and makes it the one that goes there.
fn prepare(
    worker: &Worker,
    client: IpAddr,
    mut request: Request<Incoming>,
) -> Result<Outbound, Page> {
    if *request.method() == Method::CONNECT {
        return Err(Page::MethodNotAllowed);
    }
    if headers::has_other_codings(request.headers()) {
        return Err(Page::BadRequest("its transfer coding is unknown"));
    }
    let on_upgrade = hyper::upgrade::on(&mut request);
    let (mut head, incoming) = request.into_parts();
    let host = host::of_request(&head).map_err(Page::BadRequest)?;
    let target = choose(worker, &host.name)?;

    let wanted = headers::wanted_upgrade(head.version, &head.headers);
    let seen = Seen {
        client,
        host: host.sent.as_ref(),
        upgrade: wanted.as_ref(),
        version: head.version,
    };
    headers::prepare_request(&mut head.headers, &seen);
    head.uri = origin_form(&head.uri)?;
    head.version = Version::HTTP_11;
    let (request, flow) = with_body(head, incoming);
    Ok(Outbound {
        request,
        target,
        flow,
        upgrade: wanted.map(|_| on_upgrade),
    })
}

fn choose(worker: &Worker, host: &str) -> Result<Arc<Target>, Page> {
    let routes = worker.routes();
    match routes.choose(host) {
        Choice::To(target) => Ok(Arc::clone(target)),
        Choice::UnknownHost => Err(Page::UnknownHost(host.to_owned())),
        Choice::NoApps => Err(Page::NoApps),
    }
}

/// `http://host/path` becomes `/path`; what is in that form already, and `*`, stay.
fn origin_form(target: &Uri) -> Result<Uri, Page> {
    if target.authority().is_none() {
        return Ok(target.clone());
    }
    let path = target.path_and_query().map_or("/", |path| path.as_str());
    path.parse()
        .map_err(|_| Page::BadRequest("its target is not a path"))
}

fn with_body(head: Parts, incoming: Incoming) -> (Request<RequestBody>, Option<Arc<Flow>>) {
    if incoming.is_end_stream() {
        return (Request::from_parts(head, RequestBody::Empty), None);
    }
    let expects_leave = head.headers.contains_key(EXPECT);
    let flow = if expects_leave {
        Flow::gated()
    } else {
        Flow::moving()
    };
    let body = RequestBody::Streamed {
        incoming,
        flow: Arc::clone(&flow),
    };
    let mut request = Request::from_parts(head, body);
    if expects_leave {
        let gate = Arc::clone(&flow);
        hyper::ext::on_informational(&mut request, move |answer| {
            if answer.status() == StatusCode::CONTINUE {
                gate.open();
            }
        });
    }
    (request, Some(flow))
}

/// Sends over an idle connection if there is one, else over a new one.
///
/// An idle connection may be closed by the app at the very moment at which it is used. The request is then sent once
/// more, over a new connection, if hyper gives it back (not a byte of it was written), or if it is a `GET`, `HEAD`,
/// `OPTIONS` or `TRACE` without a body, which asks for nothing that must not happen twice (RFC 9110, 9.2.2). Any other
/// that was written is never sent again: nobody knows whether the app has acted on it.
async fn send_to_app(
    worker: &Worker,
    target: &Arc<Target>,
    mut request: Request<RequestBody>,
    flow: Option<&Arc<Flow>>,
) -> Result<Answered, Page> {
    if let Some(upstream) = worker.pool.take(target) {
        let copy = repeatable_copy(&request);
        match send(upstream, request, flow, worker.limits.response).await {
            Ok(answered) => return Ok(answered),
            Err(SendError::NotSent(unsent)) => request = *unsent,
            Err(error @ SendError::NoAnswer(_)) => match copy {
                Some(copy) => request = copy,
                None => return Err(failed(target, &error)),
            },
            Err(error) => return Err(failed(target, &error)),
        }
    }
    let upstream = reach(worker, target).await?;
    send(upstream, request, flow, worker.limits.response)
        .await
        .map_err(|error| failed(target, &error))
}

async fn reach(worker: &Worker, target: &Arc<Target>) -> Result<Upstream, Page> {
    connect(target, worker.limits.connect)
        .await
        .map_err(|error| match error {
            ConnectError::NothingDeployed(target) => Page::NothingDeployed(target.app.clone()),
            ConnectError::Unreachable { .. } => {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(app = %target.app, error, "app is not reachable");
                Page::NotAnswering(target.app.clone())
            }
        })
}

fn repeatable_copy(request: &Request<RequestBody>) -> Option<Request<RequestBody>> {
    let is_empty = matches!(request.body(), RequestBody::Empty);
    if !is_empty || !request.method().is_safe() {
        return None;
    }
    let mut copy = Request::new(RequestBody::Empty);
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.headers_mut() = request.headers().clone();
    *copy.extensions_mut() = request.extensions().clone();
    Some(copy)
}

fn failed(target: &Target, error: &SendError) -> Page {
    let app = target.app.clone();
    match error {
        SendError::StalledUpload => Page::StalledUpload,
        SendError::TooSlow => {
            tracing::warn!(%app, "app gave no answer in time");
            Page::TooSlow(app)
        }
        SendError::NotSent(_) | SendError::NoAnswer(_) | SendError::BadAnswer(_) => {
            let error = error as &dyn std::error::Error;
            tracing::warn!(%app, error, "app did not answer a request");
            Page::NotAnswering(app)
        }
    }
}

/// Makes the app's answer the client's.
fn pass_on(
    mut response: Response<Incoming>,
    lease: Lease,
    upgrade: Option<OnUpgrade>,
    in_flight: Open,
) -> Result<Response<AnswerBody>, Page> {
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        let Some(client) = upgrade else {
            let error = SendError::BadAnswer("101 was not asked for");
            return Err(failed(&lease.upstream.target, &error));
        };
        let app = hyper::upgrade::on(&mut response);
        headers::prepare_switch(response.headers_mut());
        tunnel::spawn(client, app, lease.upstream, in_flight);
        let no_body = http_body_util::Full::default();
        return Ok(response.map(|_| AnswerBody::Page(no_body)));
    }
    if headers::has_other_codings(response.headers()) {
        let error = SendError::BadAnswer("its transfer coding is unknown");
        return Err(failed(&lease.upstream.target, &error));
    }
    let ends_early = ends_before_the_request(&response, &lease);
    headers::prepare_response(response.headers_mut());
    if ends_early {
        headers::say_close(response.headers_mut());
    }
    // The client's connection decides by itself how a body is framed for it, and which version it speaks.
    *response.version_mut() = Version::HTTP_11;
    Ok(response.map(|incoming| AnswerBody::streamed(incoming, lease, in_flight)))
}

/// Whether the rest of the request will not be read: then the client's connection can't be used again either.
fn ends_before_the_request(response: &Response<Incoming>, lease: &Lease) -> bool {
    lease.flow.as_ref().is_some_and(|flow| {
        flow.is_gated() || (!flow.has_ended() && headers::says_close(response.headers()))
    })
}
