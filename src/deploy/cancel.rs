//! The wish that a deploy be given up, which it hears where it can still be given up.

use tokio::sync::watch;

/// Why a deploy is given up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Why {
    /// The app or the server is being stopped.
    Stopping,
    /// Somebody wishes it, with `handover cancel`.
    Wished {
        /// Who, where that is known.
        by: Option<String>,
    },
}

/// The side that may wish it.
#[derive(Debug)]
pub(super) struct Cancel(watch::Sender<Option<Why>>);

/// The side that hears it.
#[derive(Debug, Clone)]
pub(super) struct Cancelled(watch::Receiver<Option<Why>>);

/// A pair of the two.
pub(super) fn pair() -> (Cancel, Cancelled) {
    let (sender, receiver) = watch::channel(None);
    (Cancel(sender), Cancelled(receiver))
}

impl Cancel {
    /// Wishes it. Of several wishes the first counts.
    pub(super) fn cancel(&self, why: Why) {
        self.0.send_if_modified(|wish| {
            let first = wish.is_none();
            wish.get_or_insert(why);
            first
        });
    }
}

impl Cancelled {
    /// Returns when it is wished; never, if the other side is gone without.
    pub(super) async fn wished(&mut self) -> Why {
        let heard = self.0.wait_for(Option::is_some).await;
        let wish = heard.ok().and_then(|wish| wish.clone());
        match wish {
            Some(wish) => wish,
            None => std::future::pending().await,
        }
    }
}
