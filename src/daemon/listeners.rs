//! The public listening sockets: taken over from a front that runs, or opened.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::time::Duration;

use super::error::DaemonError;
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
        self.sockets
            .iter()
            .filter_map(|socket| socket.local_addr().ok())
            .collect()
    }
}

/// Takes over the sockets of a front that runs, as far as they are wanted, and opens the rest. A front that has others
/// than are wanted drains, and another is started.
pub(super) async fn obtain(front: &Path, wanted: &[SocketAddr]) -> Result<Listeners, DaemonError> {
    let running = FrontClient::connect(front).await.ok();
    let mut running = match running {
        Some(client) => Some(client),
        None => {
            return Ok(Listeners {
                sockets: open(wanted, Vec::new())?,
                front_runs: false,
            });
        }
    };
    let held = match &mut running {
        Some(client) => client.listeners().await.unwrap_or_default(),
        None => Vec::new(),
    };
    let matches = held.len() == wanted.len()
        && wanted
            .iter()
            .all(|address| held.iter().any(|socket| serves(socket, *address)));
    if !matches && let Some(client) = &mut running {
        tracing::info!("front listens elsewhere than wanted; it drains");
        if let Err(error) = client.drain(DRAIN).await {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "front can't be told to drain"
            );
        }
    }
    Ok(Listeners {
        sockets: open(wanted, held)?,
        front_runs: matches,
    })
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
