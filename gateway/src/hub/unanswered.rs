//! The publishes of one topic that are without an answer, in the order of their numbers.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use campanile_proto::planted::{Fault, planted};
use campanile_proto::{Epoch, Incarnation};

use crate::hub::effect::Request;
use crate::hub::publish::Pending;

/// Publishes without an answer.
#[derive(Debug, Default)]
pub(crate) struct Unanswered(VecDeque<Arc<Pending>>);

impl Unanswered {
    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds the newest one.
    pub(crate) fn push(&mut self, pending: Arc<Pending>) {
        self.0.push_back(pending);
    }

    /// The publish of this number.
    pub(crate) fn get(&self, number: u64) -> Option<&Arc<Pending>> {
        self.index_of(number).and_then(|index| self.0.get(index))
    }

    /// Takes out a publish that has its answer. Copies that still wait in an outbox stay there.
    pub(crate) fn take(&mut self, number: u64) -> Option<Arc<Pending>> {
        let pending = self.0.remove(self.index_of(number)?)?;
        pending.send_anew();
        Some(pending)
    }

    /// When the first one's time is up.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.0.front().map(|pending| pending.deadline)
    }

    /// Takes out one whose time is up.
    pub(crate) fn take_expired(&mut self, now: Instant) -> Option<Arc<Pending>> {
        self.deadline().filter(|deadline| *deadline <= now)?;
        self.0.pop_front()
    }

    /// What has not left yet stays here.
    pub(crate) fn recall(&self) {
        self.0.iter().for_each(|pending| pending.recall());
    }

    /// Whether a copy of one of them lies with the topic server of the topic's link, which will answer it.
    pub(crate) fn await_answers(&self) -> bool {
        self.0.iter().any(|pending| pending.is_awaited())
    }

    /// Before they go to a process: takes out what it cannot know of, because another one was handed it. The process
    /// that took the topic over from that one, `successor`, does know (L5).
    pub(crate) fn take_lost(
        &mut self,
        owner: Incarnation,
        successor: Option<Incarnation>,
    ) -> Vec<Arc<Pending>> {
        let is_lost = |pending: &Arc<Pending>| match pending.handed_to() {
            None => false,
            Some(same) if same == owner || planted(Fault::TwoTargets) => false,
            Some(_) if successor == Some(owner) => !pending.pass_to(owner),
            Some(_) => true,
        };
        let (lost, kept) = self.0.drain(..).partition(is_lost);
        self.0 = kept;
        Vec::from(lost)
    }

    /// How many of the first ones end with one that may have run.
    pub(crate) fn handed(&self) -> usize {
        self.0.iter().rposition(|pending| pending.handed_to().is_some()).map_or(0, |last| last + 1)
    }

    /// A new sending of the publish at this index. `epoch` is the topic's, as far as it is known.
    pub(crate) fn send(&self, index: usize, epoch: Option<Epoch>) -> Option<Request> {
        let pending = Arc::clone(self.0.get(index)?);
        let resend_epoch = pending.handed_to().and(pending.epoch());
        pending.note_epoch(epoch);
        let settled_below = self.0.front().map_or(pending.number, |first| first.number);
        let sending = pending.send_anew();
        Some(Request::Publish { pending, sending, settled_below, resend_epoch })
    }

    /// Where the publish of this number stands.
    pub(crate) fn index_of(&self, number: u64) -> Option<usize> {
        // Answers come in order, but for those that were refused.
        match self.0.front() {
            Some(first) if first.number == number => Some(0),
            _ => self.0.binary_search_by_key(&number, |pending| pending.number).ok(),
        }
    }
}
