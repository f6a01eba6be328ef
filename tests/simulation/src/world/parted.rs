//! Who has been out of reach of whom for so long that rule H4 lets a topic begin a new life. What is noted here is all
//! that the checker forgives: two servers may accept for a topic from the moment when one of them, and a gateway that is
//! linked to it, could have had no link to the other for 5 s, if rings have given the topic to both.

use bytes::Bytes;
use campanile_proto::message::Place;
use campanile_ring_config::Ring;

use super::World;
use crate::network::Micros;
use crate::plan::Plan;
use crate::server::{Link, Server};

/// Without a link for so long a server may count as out of reach: 5 s, and a little less than that, because links are
/// looked at with every tick.
const PARTED: Micros = 4_950_000;

impl World {
    /// Notes what rule H4 allows from now on, as far as it depends on this topic server.
    pub(crate) fn note_who_is_parted(&mut self, spot: usize) {
        let Some(own) = &self.servers[spot] else { return };
        let wanted = own.handoff.wanted();
        for other in 0..self.servers.len() {
            let since = self.linked.entry((own.life, other)).or_insert(self.now);
            let place = self.plan.spots[other].place();
            // With whom nothing is to be settled, there need not be a link.
            if own.is_linked(&place) || !wanted.contains(&place) {
                *since = self.now;
            }
            // Who is dead accepts nothing.
            let is_alive = other != spot && self.servers[other].is_some();
            let is_parted = is_alive && self.now >= *since + PARTED;
            if !is_parted || !own.links.values().any(|link| link.is_blind(&place)) {
                continue;
            }
            let rings = &self.owners[..self.newest as usize];
            for topic in 0..self.plan.topics {
                let was_of = |spot: usize| rings.iter().any(|owners| owners[topic] == Some(spot));
                if was_of(spot) && was_of(other) {
                    self.checker.allow_overlap(topic);
                }
            }
        }
    }
}

impl Server {
    /// Whether the link that this server opens to a place is up.
    pub(super) fn is_linked(&self, place: &Place) -> bool {
        let peer = self.dialed.get(place).and_then(|dialed| dialed.peer.as_ref());
        peer.is_some_and(|peer| peer.incarnation.0 != 0)
    }
}

impl Link {
    /// Whether its gateway has said that it does not see a place.
    fn is_blind(&self, place: &Place) -> bool {
        self.sees.as_ref().is_some_and(|sees| !sees.contains(place))
    }
}

/// Which spot each ring gives each topic to.
pub(super) fn owners(plan: &Plan, names: &[Bytes]) -> Vec<Vec<Option<usize>>> {
    let owner = |ring: &Ring, topic: &[u8]| {
        let member = &ring.members()[ring.owner_index(topic)];
        plan.spots.iter().position(|spot| spot.address == member.address())
    };
    plan.rings.iter().map(|ring| names.iter().map(|name| owner(ring, name)).collect()).collect()
}
