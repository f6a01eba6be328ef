//! Whom a topic's messages reach beside the gateways that are merely subscribed: listeners that count, and gateways whose
//! patterns match the topic's name. Most topics have neither, and nothing of this.

use std::sync::Arc;

use campanile_proto::Incarnation;
use campanile_proto::handoff::Introduced;
use campanile_proto::reach::Behind;

/// What a topic knows of its receivers. `L` names a link.
#[derive(Debug)]
pub struct Reach<L> {
    /// Listeners of subscribed links that count; none of 0.
    counts: Vec<(L, u32)>,
    /// Which state of this server's patterns `matches` was found in; 0 for none.
    seen: u64,
    matches: Vec<Matching<L>>,
    /// Gateways that were told elsewhere that the topic has come here.
    introduced: Vec<Introduced>,
}

/// One gateway's patterns that match the topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Matching<L> {
    /// The gateway's link.
    pub link: L,
    /// Its process.
    pub gateway: Incarnation,
    /// Its numbers of the patterns.
    pub patterns: Arc<[u32]>,
    /// Listeners of all of them together.
    pub listeners: u32,
}

impl<L> Default for Reach<L> {
    fn default() -> Self {
        Self { counts: Vec::new(), seen: 0, matches: Vec::new(), introduced: Vec::new() }
    }
}

impl<L: Clone + PartialEq> Reach<L> {
    /// So many listeners of a subscribed link count from here on.
    pub fn count(&mut self, link: &L, listeners: u32) {
        self.counts.retain(|(own, _)| own != link);
        if listeners > 0 {
            self.counts.push((link.clone(), listeners));
        }
    }

    /// Listeners of subscribed links that count.
    pub fn listeners(&self) -> u32 {
        self.counts.iter().fold(0, |sum, (_, listeners)| sum.saturating_add(*listeners))
    }

    /// Those, and the listeners of patterns.
    pub fn receivers(&self) -> u32 {
        self.matches.iter().fold(self.listeners(), |sum, matching| sum.saturating_add(matching.listeners))
    }

    /// Which state of the patterns the matches are of.
    pub fn seen(&self) -> u64 {
        self.seen
    }

    /// The patterns have changed.
    pub fn set_matches(&mut self, seen: u64, matches: Vec<Matching<L>>) {
        self.seen = seen;
        self.matches = matches;
    }

    /// The gateways whose patterns match.
    pub fn matches(&self) -> &[Matching<L>] {
        &self.matches
    }

    /// The topic has come here; these gateways' patterns matched it where it was.
    pub fn introduce(&mut self, introduced: Vec<Introduced>) {
        self.introduced = introduced;
    }

    /// These gateways, too, but for those that have been introduced with an earlier position.
    pub fn introduce_also(&mut self, gateways: impl IntoIterator<Item = Incarnation>, behind: Behind) {
        for gateway in gateways {
            if !self.introduced.iter().any(|own| own.gateway == gateway) {
                self.introduced.push(Introduced { gateway, behind });
            }
        }
    }

    /// What a gateway may have to wait for before the first message from here, if this is the first.
    pub fn take_introduction(&mut self, gateway: Incarnation) -> Option<Behind> {
        let index = self.introduced.iter().position(|introduced| introduced.gateway == gateway)?;
        Some(self.introduced.swap_remove(index).behind)
    }

    /// Gateways that have got nothing from here yet.
    pub fn introduced(&self) -> &[Introduced] {
        &self.introduced
    }

    /// Ends what belongs to subscriptions.
    pub fn drop_counts(&mut self) {
        self.counts = Vec::new();
    }

    /// Whether nothing is known that is not found again.
    pub fn is_idle(&self) -> bool {
        self.counts.is_empty() && self.matches.is_empty() && self.introduced.is_empty()
    }
}
