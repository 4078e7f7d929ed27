//! What comes after a `101`: two connections joined until both directions have ended.

use std::io;

use hyper::upgrade::{OnUpgrade, Parts, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncWriteExt, copy_bidirectional};

use super::client_io::ClientIo;
use super::gauge::Open;
use super::upstream::Upstream;
use super::upstream_io::UpstreamIo;

/// Why a tunnel ended in any other way than by both sides.
#[derive(Debug, thiserror::Error)]
enum TunnelError {
    /// A connection ended before it could be joined.
    #[error("change the protocol")]
    Change(#[source] hyper::Error),
    /// A side broke off.
    #[error("copy between client and app")]
    Copy(#[source] io::Error),
}

/// Joins a client and an app once both connections have left HTTP. There is no limit on silence; the app's connection
/// is counted, and the client's too, until the end.
pub(super) fn spawn(client: OnUpgrade, app: OnUpgrade, upstream: Upstream, in_flight: Open) {
    tokio::task::spawn_local(async move {
        if let Err(error) = join(client, app).await {
            tracing::debug!(error = &error as &dyn std::error::Error, "tunnel broke off");
        }
        drop(upstream);
        drop(in_flight);
    });
}

async fn join(client: OnUpgrade, app: OnUpgrade) -> Result<(), TunnelError> {
    let (client, app) = tokio::try_join!(client, app).map_err(TunnelError::Change)?;
    let client: Parts<TokioIo<ClientIo>> = client.downcast().map_err(not_ours)?;
    let app: Parts<TokioIo<UpstreamIo>> = app.downcast().map_err(not_ours)?;
    let mut client_io = client.io.into_inner().into_tunnel();
    let mut app_io = app.io.into_inner().into_tunnel();
    let copied = async {
        // What either side said right behind its header was read with it.
        app_io.write_all(&client.read_buf).await?;
        client_io.write_all(&app.read_buf).await?;
        copy_bidirectional(&mut client_io, &mut app_io).await
    };
    copied.await.map(drop).map_err(TunnelError::Copy)
}

fn not_ours(_: Upgraded) -> TunnelError {
    TunnelError::Copy(io::Error::other("a connection of an unknown kind"))
}
