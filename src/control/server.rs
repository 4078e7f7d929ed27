//! The server side: routes, and who may use them.

mod answer;
mod apps;
mod deploys;
mod logs;
mod pusher;

use std::io;
use std::sync::Arc;

use axum::Router;
use axum::extract::connect_info::Connected;
use axum::extract::{ConnectInfo, Request, State};
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::{delete, get, post};
use axum::serve::IncomingStream;
use tokio::net::UnixListener;

use crate::deploy::fleet::Fleet;
use crate::process::socket::{Peer, effective_uid, peer};

use answer::Refused;

/// Answers requests on the control socket until the future that runs it is dropped.
pub async fn serve(listener: UnixListener, fleet: Arc<Fleet>) -> io::Result<()> {
    let service = routes(fleet).into_make_service_with_connect_info::<Caller>();
    axum::serve(listener, service).await
}

fn routes(fleet: Arc<Fleet>) -> Router {
    Router::new()
        .route("/v1/server", get(apps::server))
        .route("/v1/apps", get(apps::list).post(apps::create))
        .route("/v1/apps/{app}", get(apps::show).delete(apps::destroy))
        .route("/v1/apps/{app}/scale", post(apps::scale))
        .route(
            "/v1/apps/{app}/domains",
            get(apps::domains)
                .post(apps::add_domain)
                .delete(apps::remove_domain),
        )
        .route("/v1/apps/{app}/nginx", get(apps::nginx))
        .route("/v1/apps/{app}/releases", get(deploys::releases))
        .route("/v1/apps/{app}/push", post(deploys::push))
        .route("/v1/apps/{app}/deploys", post(deploys::deploy))
        .route("/v1/apps/{app}/restart", post(deploys::restart))
        .route("/v1/apps/{app}/cancel", post(deploys::cancel))
        .route("/v1/apps/{app}/follow", get(deploys::follow))
        .route(
            "/v1/apps/{app}/deploys/{number}/events",
            get(deploys::events),
        )
        .route("/v1/apps/{app}/logs", get(logs::show))
        .route("/v1/hooks", delete(apps::remove_hooks))
        .layer(middleware::from_fn(admit))
        .with_state(fleet)
}

/// Who is at the other end, as the kernel says.
#[derive(Debug, Clone, Copy)]
struct Caller(Option<Peer>);

impl Connected<IncomingStream<'_, UnixListener>> for Caller {
    fn connect_info(stream: IncomingStream<'_, UnixListener>) -> Self {
        Self(peer(stream.io()).ok())
    }
}

/// Only the user that `serve` runs as, and root. The socket's mode says the same; this holds where somebody has
/// loosened it.
async fn admit(
    ConnectInfo(Caller(caller)): ConnectInfo<Caller>,
    request: Request,
    next: Next,
) -> Result<Response, Refused> {
    match caller {
        Some(peer) if peer.uid == effective_uid() || peer.uid == 0 => Ok(next.run(request).await),
        _ => Err(Refused::forbidden()),
    }
}

type Shared = State<Arc<Fleet>>;
