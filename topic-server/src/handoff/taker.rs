//! A topic server that takes topics from this one: the link that it opened, and what it asked there.

use std::collections::VecDeque;

use bytes::Bytes;
use campanile_proto::Incarnation;
use campanile_proto::handoff::FromPeer;
use campanile_proto::message::Place;

use crate::handoff::outbox::PeerOutbox;

/// So many claims of one server may wait for an answer; it asks for all anyway.
const CLAIMS: usize = 100_000;

/// One taker, on one link.
#[derive(Debug)]
pub(super) struct Taker {
    pub(super) place: Place,
    pub(super) number: u64,
    pub(super) outbox: PeerOutbox,
    /// Topics that it wants first, each with the version of the ring that gives it to this server.
    pub(super) claims: VecDeque<(Bytes, u64)>,
    /// The ring under which it wants all that is its own.
    pub(super) wants_all: Option<u64>,
    /// To whom it has a link, as it said last.
    sees: Option<Vec<Place>>,
    /// The last version under which it was told that everything was given.
    pub(super) told_all_given: u64,
    /// The link version that it speaks.
    pub(super) version: u32,
    /// The gateways with patterns, as it was told last.
    pub(super) told_gateways: Vec<Incarnation>,
}

impl Taker {
    pub(super) fn new(place: Place, number: u64, version: u32, outbox: PeerOutbox) -> Self {
        Self {
            place,
            number,
            outbox,
            claims: VecDeque::new(),
            wants_all: None,
            sees: None,
            told_all_given: 0,
            version,
            told_gateways: Vec::new(),
        }
    }

    /// What it says. `Taken` and `Disclaimed` are not for here.
    pub(super) fn hear(&mut self, item: FromPeer) {
        match item {
            FromPeer::Claim { topic, ring_version } if self.claims.len() < CLAIMS => {
                // A slice would keep the whole batch.
                self.claims.push_back((Bytes::copy_from_slice(&topic), ring_version));
            }
            FromPeer::ClaimAll(ring_version) => self.wants_all = Some(ring_version),
            FromPeer::Sees(places) => self.sees = Some(places),
            _ => {}
        }
    }

    /// Whether it may have a link to this place. Who has not said anything may.
    pub(super) fn sees(&self, place: &Place) -> bool {
        self.sees.as_ref().is_none_or(|places| places.contains(place))
    }
}
