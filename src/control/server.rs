//! The server side: routes, and who may use them.

mod action;
mod answer;
mod apps;
mod asker;
mod deploys;
mod faults;
mod keyring;
mod keys;
mod logs;
mod pusher;
mod settings;
mod store;

use std::io;
use std::sync::Arc;

use axum::extract::State;
use axum::extract::connect_info::Connected;
use axum::middleware;
use axum::routing::{delete, get, post};
use axum::serve::IncomingStream;
use axum::{Extension, Router};
use tokio::net::UnixListener;

use crate::deploy::fleet::Fleet;
use crate::process::socket::{Peer, peer};

pub use keyring::{Keyring, KeyringError};

/// Answers requests on the control socket until the future that runs it is dropped.
pub async fn serve(
    listener: UnixListener,
    fleet: Arc<Fleet>,
    keyring: Arc<Keyring>,
) -> io::Result<()> {
    let service = routes(fleet, keyring).into_make_service_with_connect_info::<Caller>();
    axum::serve(listener, service).await
}

/// A route that keys are to reach needs its place in [`action::action`], too.
fn routes(fleet: Arc<Fleet>, keyring: Arc<Keyring>) -> Router {
    Router::new()
        .route("/v1/server", get(apps::server))
        .route("/v1/faults", get(faults::look).post(faults::mend))
        .route("/v1/apps", get(apps::list).post(apps::create))
        .route(
            "/v1/apps/{app}",
            get(apps::show)
                .patch(settings::change)
                .delete(apps::destroy),
        )
        .route("/v1/apps/{app}/settings", get(settings::show))
        .route("/v1/apps/{app}/scale", post(apps::scale))
        .route(
            "/v1/apps/{app}/domains",
            get(apps::domains)
                .post(apps::add_domain)
                .delete(apps::remove_domain),
        )
        .route("/v1/apps/{app}/nginx", get(apps::nginx))
        .route("/v1/apps/{app}/releases", get(deploys::releases))
        .route("/v1/apps/{app}/store", get(store::list))
        .route("/v1/apps/{app}/store/verify", post(store::verify))
        .route("/v1/apps/{app}/store/prune", post(store::prune))
        .route("/v1/apps/{app}/push", post(deploys::push))
        .route("/v1/apps/{app}/deploys", post(deploys::deploy))
        .route("/v1/apps/{app}/restart", post(deploys::restart))
        .route("/v1/apps/{app}/cancel", post(deploys::cancel))
        .route("/v1/apps/{app}/rollback", post(deploys::roll_back))
        .route("/v1/apps/{app}/follow", get(deploys::follow))
        .route(
            "/v1/apps/{app}/deploys/{number}/events",
            get(deploys::events),
        )
        .route("/v1/apps/{app}/logs", get(logs::show))
        .route("/v1/hooks", delete(apps::remove_hooks))
        .route("/v1/greeting", post(keys::greet))
        .route("/v1/apps/{app}/repository/push", get(keys::repository))
        .route("/v1/apps/{app}/repository/fetch", get(keys::repository))
        .with_state(fleet)
        .merge(key_routes().with_state(Arc::clone(&keyring)))
        .layer(Extension(Arc::clone(&keyring)))
        .layer(middleware::from_fn_with_state(keyring, asker::admit))
}

fn key_routes() -> Router<Arc<Keyring>> {
    Router::new()
        .route("/v1/keys", get(keys::list).post(keys::add))
        .route("/v1/keys/{key}", get(keys::show).delete(keys::remove))
        .route("/v1/authorized-keys", get(keys::authorized))
}

/// Who is at the other end, as the kernel says.
#[derive(Debug, Clone, Copy)]
struct Caller(Option<Peer>);

impl Connected<IncomingStream<'_, UnixListener>> for Caller {
    fn connect_info(stream: IncomingStream<'_, UnixListener>) -> Self {
        Self(peer(stream.io()).ok())
    }
}

type Shared = State<Arc<Fleet>>;
