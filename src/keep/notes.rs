//! What the keeper's tasks tell its one owner of state.

use std::net::SocketAddr;

use tokio::sync::{mpsc, oneshot};

use super::channel::{FromProcess, ToProcess};
use super::drain::DrainEnd;
use super::instance::Ended;
use super::protocol::{Reply, Request};

/// One thing to decide about.
#[derive(Debug)]
pub(super) enum Note {
    /// Somebody asked for something on the control socket.
    Asked {
        request: Request,
        reply: oneshot::Sender<Reply>,
    },
    /// A process of the app has said hello.
    ProcessCame {
        key: u64,
        instance: u32,
        outbox: mpsc::Sender<ToProcess>,
    },
    /// A process of the app said something.
    ProcessSaid { key: u64, said: FromProcess },
    /// A process of the app has closed its channel.
    ProcessGone { key: u64 },
    /// The port of an instance that says nothing is listened on.
    PortAnswers {
        index: u32,
        run: u64,
        address: SocketAddr,
    },
    /// An instance accepts from the listener though it never said so.
    ListenerAccepts { index: u32, run: u64 },
    /// An instance has ended.
    Ended { index: u32, run: u64, ended: Ended },
    /// The pause before an instance is started again is over.
    Restart { index: u32, run: u64 },
    /// An instance that is being scaled away has no connections left, or no time.
    Emptied { index: u32, run: u64 },
    /// The processes have had their time to answer.
    AnswersDue,
    /// The generation's drain is over.
    Drained(DrainEnd),
    /// This process got SIGTERM.
    Terminated,
}

/// The sending side.
#[derive(Debug, Clone)]
pub(super) struct Notes(mpsc::UnboundedSender<Note>);

impl Notes {
    /// A pair of both sides. Unbounded, because each sender waits for its own next turn: a child's end, an answer.
    pub(super) fn channel() -> (Self, mpsc::UnboundedReceiver<Note>) {
        let (sender, receiver) = mpsc::unbounded_channel();
        (Self(sender), receiver)
    }

    /// Tells the keeper. Once it is gone nobody needs to know.
    pub(super) fn send(&self, note: Note) {
        let _ = self.0.send(note);
    }
}
