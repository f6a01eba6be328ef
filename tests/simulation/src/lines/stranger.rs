//! Somebody who is in no ring.

use campanile_proto::LINK_VERSION;
use campanile_proto::handoff::{FromPeer, PeerHello};
use campanile_proto::message::Place;
use campanile_topic_server::handoff::PeerOutbox;

use crate::world::World;

impl World {
    /// Somebody who is in no ring says that all topics are its own (H10). Nothing that it is told goes anywhere.
    pub(crate) fn claim_as_a_stranger(&mut self, spot: usize) {
        let now = self.instant();
        let incarnation = self.new_life();
        let names = self.names.clone();
        let Some(own) = &mut self.servers[spot] else { return };
        let ring = own.ownership.ring();
        let hello = PeerHello {
            link_version: LINK_VERSION,
            from: Place { name: "stranger".to_owned(), address: "10.9.9.9:1".to_owned() },
            incarnation,
            link_number: 1,
            to: own.place.clone(),
            ring_version: ring.version(),
            ring_digest: ring.digest(),
        };
        own.handoff.accepted(&hello, PeerOutbox::default(), now);
        for topic in names {
            let claim = FromPeer::Claim { topic, ring_version: ring.version() };
            own.handoff.from_taker(incarnation, 1, claim, now);
        }
        own.handoff.settle(now);
        own.handoff.ended(incarnation, 1, now);
    }
}
