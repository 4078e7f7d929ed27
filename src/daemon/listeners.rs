//! The public listening sockets: taken over from a front that runs, or opened.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::time::Duration;

use super::error::DaemonError;
use crate::deploy::site::Site;
use crate::front::FrontClient;

/// How long a front whose listeners have changed may finish what it has in flight.
const DRAIN: Duration = Duration::from_secs(300);

/// The public sockets, held here for as long as the server runs, so that a front may die and be started again while
/// connections wait in their queues.
#[derive(Debug)]
pub(super) struct Listeners {
    pub(super) sockets: Vec<TcpListener>,
    /// Whether a front runs that has exactly these sockets.
    pub(super) front_runs: bool,
}

impl Listeners {
    /// Where they listen.
    pub(super) fn addresses(&self) -> Vec<SocketAddr> {
        addresses(&self.sockets)
    }
}

/// Where sockets listen.
pub(super) fn addresses(sockets: &[TcpListener]) -> Vec<SocketAddr> {
    let addresses = sockets.iter().map(TcpListener::local_addr);
    addresses.filter_map(Result::ok).collect()
}

/// Takes over the sockets of a front that runs and those that were passed to us, as far as they are wanted, and opens
/// the rest. (After a restart both have the same ones.) A front that has others than are wanted, or is of another
/// build than this server, drains, and another is started.
pub(super) async fn obtain(
    site: &Site,
    wanted: &[SocketAddr],
    passed: Vec<TcpListener>,
) -> Result<Listeners, DaemonError> {
    let Ok(mut running) = FrontClient::connect(&site.layout.front_socket()).await else {
        return Ok(Listeners {
            sockets: open(wanted, passed)?,
            front_runs: false,
        });
    };
    let mut held = running.listeners().await.unwrap_or_default();
    let stays = matches(&held, wanted) && is_of_this_build(&mut running, &site.executable).await;
    if !stays {
        tracing::info!("front is of another build or listens elsewhere than wanted; it drains");
        if let Err(error) = running.drain(DRAIN).await {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "front can't be told to drain"
            );
        }
    }
    held.extend(passed);
    Ok(Listeners {
        sockets: open(wanted, held)?,
        front_runs: stays,
    })
}

fn matches(held: &[TcpListener], wanted: &[SocketAddr]) -> bool {
    let is_held = |address: &SocketAddr| held.iter().any(|socket| serves(socket, *address));
    held.len() == wanted.len() && wanted.iter().all(is_held)
}

/// Where that can't be seen, the front is left alone.
async fn is_of_this_build(front: &mut FrontClient, executable: &Path) -> bool {
    match front.status().await {
        Ok(status) => status.identity.runs(executable).unwrap_or(true),
        Err(_) => true,
    }
}

/// One socket for each wanted address, of those that are held where possible.
fn open(
    wanted: &[SocketAddr],
    mut held: Vec<TcpListener>,
) -> Result<Vec<TcpListener>, DaemonError> {
    let mut sockets = Vec::with_capacity(wanted.len());
    for &address in wanted {
        let socket = match held.iter().position(|socket| serves(socket, address)) {
            Some(place) => held.swap_remove(place),
            None => TcpListener::bind(address)
                .map_err(|source| DaemonError::Listen { address, source })?,
        };
        sockets.push(socket);
    }
    Ok(sockets)
}

/// Whether the socket is what this address asks for; port 0 asks for any port.
fn serves(socket: &TcpListener, wanted: SocketAddr) -> bool {
    socket
        .local_addr()
        .is_ok_and(|has| has == wanted || (wanted.port() == 0 && has.ip() == wanted.ip()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_is_used_again() {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let first = open(&[any], Vec::new()).unwrap();
        let address = first[0].local_addr().unwrap();
        let again = open(&[address], first).unwrap();
        assert_eq!(again[0].local_addr().unwrap(), address);
    }

    #[test]
    fn an_address_that_is_taken_is_named() {
        let taken = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let error = open(&[taken.local_addr().unwrap()], Vec::new()).unwrap_err();
        assert!(
            error.to_string().contains("another program has it"),
            "{error}"
        );
    }
}
