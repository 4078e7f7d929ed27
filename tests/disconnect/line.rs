//! A line between a client and a server that can be cut: both sides get a reset, as from a router that has forgotten them.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{sleep, spawn};
use std::time::Duration;

use nix::libc;
use nix::sys::socket::{setsockopt, sockopt};

const LOOK_EVERY: Duration = Duration::from_millis(10);

/// A TCP proxy on loopback.
pub struct Line {
    address: SocketAddr,
    cut: Arc<AtomicBool>,
    ended: Arc<AtomicBool>,
}

impl Line {
    /// A line that leads here.
    pub fn to(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let line = Self {
            address: listener.local_addr().unwrap(),
            cut: Arc::default(),
            ended: Arc::default(),
        };
        let (cut, ended) = (Arc::clone(&line.cut), Arc::clone(&line.ended));
        spawn(move || {
            while !ended.load(Ordering::Relaxed) {
                match listener.accept() {
                    Ok((client, _)) => {
                        // A new connection is a new line.
                        cut.store(false, Ordering::Relaxed);
                        connect(&client, server, &cut);
                    }
                    Err(_) => sleep(LOOK_EVERY),
                }
            }
        });
        line
    }

    /// Where it begins.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Cuts whatever is connected.
    pub fn cut(&self) {
        self.cut.store(true, Ordering::Relaxed);
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.cut();
        self.ended.store(true, Ordering::Relaxed);
    }
}

fn connect(client: &TcpStream, server: SocketAddr, cut: &Arc<AtomicBool>) {
    client.set_nonblocking(false).unwrap();
    let server = TcpStream::connect(server).unwrap();
    for (from, to) in [(client, &server), (&server, client)] {
        from.set_read_timeout(Some(LOOK_EVERY)).unwrap();
        let (from, to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
        let cut = Arc::clone(cut);
        spawn(move || carry(from, to, &cut));
    }
}

/// Carries one direction until it ends or the line is cut.
fn carry(mut from: TcpStream, mut to: TcpStream, cut: &AtomicBool) {
    let mut some = [0; 16 * 1024];
    while !cut.load(Ordering::Relaxed) {
        match from.read(&mut some) {
            Ok(0) => {
                let _ = to.shutdown(std::net::Shutdown::Write); // it may be gone
                return;
            }
            Ok(count) => {
                if to.write_all(&some[..count]).is_err() {
                    return;
                }
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(_) => return,
        }
    }
    // What is closed now is reset: nothing is sent that waits, and no end is said.
    let reset = libc::linger {
        l_onoff: 1,
        l_linger: 0,
    };
    for side in [&from, &to] {
        setsockopt(side, sockopt::Linger, &reset).unwrap();
    }
}
