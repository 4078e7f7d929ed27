//! The wish that a deploy be given up, which it hears where it can still be given up.

use tokio::sync::watch;

/// The side that may wish it.
#[derive(Debug)]
pub(super) struct Cancel(watch::Sender<bool>);

/// The side that hears it.
#[derive(Debug, Clone)]
pub(super) struct Cancelled(watch::Receiver<bool>);

/// A pair of the two.
pub(super) fn pair() -> (Cancel, Cancelled) {
    let (sender, receiver) = watch::channel(false);
    (Cancel(sender), Cancelled(receiver))
}

impl Cancel {
    /// Wishes it. More than once is the same as once.
    pub(super) fn cancel(&self) {
        self.0.send_replace(true);
    }
}

impl Cancelled {
    /// Returns when it is wished; never, if the other side is gone without.
    pub(super) async fn wished(&mut self) {
        if self.0.wait_for(|wished| *wished).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
