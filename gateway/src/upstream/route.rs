//! From a topic to its owner, by the newest ring.

use std::sync::Arc;

use campanile_ring_config::Ring;

use crate::hub::state::MemberId;

/// A ring, with this gateway's numbers for its members.
#[derive(Debug)]
pub(crate) struct Route {
    ring: Arc<Ring>,
    /// In the order of the ring's members.
    members: Vec<MemberId>,
}

impl Route {
    pub(crate) fn new(ring: Arc<Ring>, members: Vec<MemberId>) -> Self {
        debug_assert_eq!(ring.members().len(), members.len());
        Self { ring, members }
    }

    pub(crate) fn ring(&self) -> &Arc<Ring> {
        &self.ring
    }

    pub(crate) fn members(&self) -> &[MemberId] {
        &self.members
    }

    pub(crate) fn owner(&self, topic: &[u8]) -> MemberId {
        self.members[self.ring.owner_index(topic)]
    }
}
