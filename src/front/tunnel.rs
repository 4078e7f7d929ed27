//! What comes after a `101`: two connections joined until both directions have ended.
//!
//! ```text
//! both directions open ── one ends ──▶ one open ── it ends, or is silent for too long ──▶ closed
//! ```
//!
//! While both directions are open there is no limit on silence. Once one has ended the other has one: a client that
//! closes looks just like one that only will not say anything more, and an app that does not care about the end of
//! what it is told (node's servers leave that to the app) would hold the connection, and its generation, for ever.

use std::io;
use std::time::Duration;

use hyper::upgrade::{OnUpgrade, Parts, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, split};
use tokio::sync::watch;

use super::client_io::ClientIo;
use super::gauge::Open;
use super::upstream::Upstream;
use super::upstream_io::UpstreamIo;

/// How long one direction may be silent when the other has ended.
const HALF_OPEN_SILENCE: Duration = Duration::from_secs(60);
/// Bytes on their way in one direction.
const BUFFER: usize = 8 << 10;

/// Why a tunnel ended in any other way than by both sides.
#[derive(Debug, thiserror::Error)]
enum TunnelError {
    /// A connection ended before it could be joined.
    #[error("change the protocol")]
    Change(#[source] hyper::Error),
    /// A side broke off.
    #[error("copy between client and app")]
    Copy(#[from] io::Error),
}

/// Joins a client and an app once both connections have left HTTP. The app's connection is counted, and the client's
/// too, until the end.
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
    // What either side said right behind its header was read with it.
    app_io.write_all(&client.read_buf).await?;
    client_io.write_all(&app.read_buf).await?;
    pass_both_ways(client_io, app_io, HALF_OPEN_SILENCE).await?;
    Ok(())
}

fn not_ours(_: Upgraded) -> TunnelError {
    TunnelError::Copy(io::Error::other("a connection of an unknown kind"))
}

/// Passes bytes until both directions have ended, one has broken, or one has ended and the other been silent.
async fn pass_both_ways<A, B>(a: A, b: B, silence: Duration) -> io::Result<()>
where
    A: AsyncRead + AsyncWrite,
    B: AsyncRead + AsyncWrite,
{
    let ((from_a, to_a), (from_b, to_b)) = (split(a), split(b));
    let (one_ended, ended) = watch::channel(false);
    let forth = pass(from_a, to_b, &one_ended, ended.clone(), silence);
    let back = pass(from_b, to_a, &one_ended, ended, silence);
    tokio::try_join!(forth, back).map(drop)
}

async fn pass<R, W>(
    mut from: R,
    mut to: W,
    tell_end: &watch::Sender<bool>,
    mut other_ended: watch::Receiver<bool>,
    silence: Duration,
) -> io::Result<()>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let mut buffer = vec![0; BUFFER];
    loop {
        let too_silent = async {
            // Fails never: the sender outlives both directions.
            let _ = other_ended.wait_for(|ended| *ended).await;
            tokio::time::sleep(silence).await;
        };
        let read = tokio::select! {
            read = from.read(&mut buffer) => read?,
            () = too_silent => return Err(io::ErrorKind::TimedOut.into()),
        };
        if read == 0 {
            tell_end.send_replace(true);
            return to.shutdown().await;
        }
        to.write_all(&buffer[..read]).await?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::duplex;

    const SHORT: Duration = Duration::from_millis(50);
    const LONG: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn each_direction_passes_and_ends_by_itself() {
        let ((a, mut client), (b, mut app)) = (duplex(16), duplex(16));
        let tunnel = tokio::spawn(pass_both_ways(a, b, LONG));
        client.write_all(b"to the app").await.unwrap();
        client.shutdown().await.unwrap();
        let mut heard = String::new();
        app.read_to_string(&mut heard).await.unwrap();
        app.write_all(b"and a long way back").await.unwrap();
        drop(app);
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        tunnel.await.unwrap().unwrap();
        assert_eq!(
            (heard.as_str(), answer.as_str()),
            ("to the app", "and a long way back")
        );
    }

    #[tokio::test]
    async fn who_never_ends_is_closed_some_time_after_the_other_has() {
        let ((a, mut client), (b, mut app)) = (duplex(16), duplex(16));
        let tunnel = tokio::spawn(pass_both_ways(a, b, SHORT));
        client.shutdown().await.unwrap();
        assert_eq!(app.read(&mut [0; 16]).await.unwrap(), 0);
        let ended = tunnel.await.unwrap().unwrap_err();
        assert_eq!(ended.kind(), io::ErrorKind::TimedOut);
        assert!(
            app.write_all(b"x").await.is_err(),
            "its connection is closed"
        );
    }

    #[tokio::test]
    async fn silence_alone_ends_nothing() {
        let ((a, mut client), (b, mut app)) = (duplex(16), duplex(16));
        let tunnel = tokio::spawn(pass_both_ways(a, b, Duration::ZERO));
        for _ in 0..3 {
            tokio::time::sleep(SHORT).await;
            client.write_all(b"x").await.unwrap();
            app.read_exact(&mut [0]).await.unwrap();
        }
        assert!(!tunnel.is_finished());
    }
}
