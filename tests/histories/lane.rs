//! A server that one history after the other is played on.

use crate::disk::{self, Disk};
use crate::history::History;
use crate::model::KEPT;
use crate::step::Step;
use crate::support::Server;

/// For how many histories a server is used: long enough to be cheap, short enough to start anew now and then.
const SERVES: u32 = 25;

/// A server with a disk of its own.
#[derive(Debug)]
pub struct Lane {
    server: Option<Server>,
    // Dropped after the server: its home lies on it.
    disk: Option<Disk>,
    played: u32,
    has_disks: bool,
}

impl Lane {
    /// Without a server so far.
    pub fn new(has_disks: bool) -> Self {
        Self {
            server: None,
            disk: None,
            played: 0,
            has_disks,
        }
    }

    /// Plays a history with an app of its own; panics where the server is not as the model.
    pub fn play(&mut self, steps: &[Step]) {
        if self.played == SERVES {
            self.leave();
        }
        // A history that fails drops its server with it: nobody else gets what it has broken.
        let server = self.server.take().unwrap_or_else(|| self.open());
        self.played += 1;
        let app = format!("h{}", self.played);
        let mut history = History::begin(server, self.disk.as_ref(), &app);
        history.play(steps);
        self.server = Some(history.end());
    }

    fn open(&mut self) -> Server {
        self.disk = None;
        self.played = 0;
        let settings = format!("keep_releases = {KEPT}\nlook_every = \"1s\"\nbuilds = 4\n");
        let mut server = Server::prepare(&settings);
        if self.has_disks {
            self.disk = Some(Disk::over(server.home()));
            std::fs::write(server.home().join("handover.toml"), settings).unwrap();
        }
        server.launch(&["--listen", "127.0.0.1:0"]);
        server
    }

    /// Ends the server and gives the disk back.
    pub fn leave(&mut self) {
        self.server = None;
        self.disk = None;
        self.played = 0;
    }
}

/// Whether servers can have disks of their own here.
pub fn has_disks() -> bool {
    match disk::apart() {
        Ok(()) => true,
        Err(why) => {
            crate::support::skip(&format!("full disks: {why}"));
            false
        }
    }
}
