//! Rings that come from elsewhere than the file: a topic server tells of a newer one (rule R1).

use std::sync::Arc;

use tokio::sync::watch;

use crate::ring::Ring;

/// Where a process puts rings that others tell it of. Cloning names the same place. It keeps one ring, the one of the
/// highest version.
#[derive(Clone, Debug)]
pub struct Offers(watch::Sender<Option<Arc<Ring>>>);

/// The other end of [`Offers`].
#[derive(Debug)]
pub struct Offered(watch::Receiver<Option<Arc<Ring>>>);

/// What a part of the cluster gets of the ring: the one in force, and where to put newer ones that it hears of.
#[derive(Clone, Debug)]
pub struct Feed {
    /// The ring in force.
    pub rings: watch::Receiver<Arc<Ring>>,
    /// Whoever decides about the ring in force looks here.
    pub offers: Offers,
}

impl Offers {
    /// A place for offers, and its other end.
    pub fn new() -> (Self, Offered) {
        let (sender, receiver) = watch::channel(None);
        (Self(sender), Offered(receiver))
    }

    /// A place where nobody looks.
    pub fn ignored() -> Self {
        Self::new().0
    }

    /// Offers a ring. Never waits; a ring that is no newer than one that was offered before changes nothing.
    pub fn offer(&self, ring: Arc<Ring>) {
        self.0.send_if_modified(|best| {
            let is_newer = best.as_ref().is_none_or(|best| ring.version() > best.version());
            if is_newer {
                *best = Some(ring);
            }
            is_newer
        });
    }
}

impl Offered {
    /// The next ring that is offered: newer than all before. Waits for ever when nobody can offer any more. Cancel
    /// safe.
    pub async fn next(&mut self) -> Arc<Ring> {
        loop {
            if self.0.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
            if let Some(ring) = self.0.borrow_and_update().clone() {
                return ring;
            }
        }
    }
}

impl Feed {
    /// The rings of this channel, by one who heeds no offers.
    pub fn without_offers(rings: watch::Receiver<Arc<Ring>>) -> Self {
        Self { rings, offers: Offers::ignored() }
    }
}
