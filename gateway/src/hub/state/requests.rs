//! What a topic asks of its topic server: where that goes, what is set up on a new link, and in which order.

use std::time::{Duration, Instant};

use campanile_proto::planted::{Fault, planted};
use campanile_proto::{Epoch, Subscription};

use super::{Subscribing, Topic};
use crate::hub::binding::Bound;
use crate::hub::effect::{Effect, LinkView, Request, Routes};
use crate::hub::reason::Reason;

impl Topic {
    /// The member serves the topic no more, or not yet: what it has not been handed stays here, and goes to the owner
    /// when the rest has its answers (H9).
    pub(super) fn part(
        &mut self,
        pause: Duration,
        now: Instant,
        routes: &dyn Routes,
        effects: &mut Vec<Effect>,
    ) {
        self.subscription = None;
        self.binding.part(self.spread(pause));
        self.publishes.recall();
        self.bind(now, routes, effects);
    }

    /// Between half of a pause and all of it, other for each topic and each attempt: topics that were refused together
    /// do not ask again together.
    fn spread(&self, pause: Duration) -> Duration {
        let mixed = self.slot.wrapping_mul(0x9e37_79b9) ^ self.generation.wrapping_mul(0x85eb_ca6b);
        let part = mixed.wrapping_mul(0xc2b2_ae35) >> 16;
        pause / 2 + pause / 2 * part / 0xffff
    }

    pub(super) fn leave_if_done(&mut self, now: Instant, routes: &dyn Routes, effects: &mut Vec<Effect>) {
        if self.binding.is_parting() {
            self.bind(now, routes, effects);
        }
    }

    /// Goes where the topic belongs now, and sets up there what is missing. Returns the link that takes requests.
    pub(super) fn bind(
        &mut self,
        now: Instant,
        routes: &dyn Routes,
        effects: &mut Vec<Effect>,
    ) -> Option<LinkView> {
        let before = self.member();
        let in_use = self.subscription.is_some() || !self.publishes.is_empty();
        let awaits_answers = || self.publishes.await_answers();
        let bound = self.binding.find(&self.name, in_use, awaits_answers, now, routes);
        if self.member() != before {
            self.subscription = None;
        }
        if let Some(until) = self.binding.hold_until() {
            self.wake_by(until, effects);
        }
        match bound {
            Bound::Here(view) => Some(view),
            Bound::Anew(view) => {
                self.set_up(view, effects);
                Some(view)
            }
            Bound::Waits => None,
        }
    }

    /// Makes everything anew on a link: first the publishes that may have run, in order, then the subscription, so
    /// that a client's reply still comes before its own event (L5); then those that have never left, which run when
    /// the topic is subscribed, so that their events come back.
    fn set_up(&mut self, view: LinkView, effects: &mut Vec<Effect>) {
        self.subscription = None;
        self.catch_up.restart();
        for lost in self.publishes.take_lost(view.owner, self.successor) {
            effects.push(Effect::Answer(lost, Err(Reason::Unanswered)));
        }
        let first_unsent = self.publishes.handed();
        for index in 0..first_unsent {
            self.send_publish(view, index, effects);
        }
        if self.is_wanted() {
            self.subscribe(view, effects);
        }
        for index in first_unsent..self.publishes.len() {
            self.send_publish(view, index, effects);
        }
    }

    pub(super) fn send_publish(&self, view: LinkView, index: usize, effects: &mut Vec<Effect>) {
        if let (Some(link), Some(request)) = (view.up, self.publishes.send(index, self.epoch)) {
            effects.push(Effect::Send { member: view.member, link, request });
        }
    }

    /// With two targets at a time, what the first one refuses goes to the second, out of order.
    pub(super) fn send_after_all(&self, number: u64, routes: &dyn Routes, effects: &mut Vec<Effect>) {
        let view = routes.view(self.member());
        if planted(Fault::TwoTargets)
            && self.binding.is_on(view)
            && let Some(index) = self.publishes.index_of(number)
        {
            self.send_publish(view, index, effects);
        }
    }

    pub(super) fn subscribe(&mut self, view: LinkView, effects: &mut Vec<Effect>) {
        if let Some(link) = view.up {
            self.generation = self.generation.wrapping_add(1);
            let number = Subscription { slot: self.slot, generation: self.generation };
            self.subscription = Some(Subscribing { number, confirmed: false });
            let listeners = self.counting.as_mut().map_or(0, |counting| counting.subscribe());
            let request = Request::Subscribe(number, self.name.clone(), listeners);
            effects.push(Effect::Send { member: view.member, link, request });
        }
    }

    /// Tells the owner how many listeners count, if it has a subscription of this topic; the next one tells it, too.
    pub(super) fn tell_count(&mut self, effects: &mut Vec<Effect>) {
        if let (Some(Subscribing { number, .. }), Some(link), Some(counting)) =
            (self.subscription, self.binding.link(), &self.counting)
            && let Some(told) = counting.tell()
        {
            let request = Request::Count(number, told);
            effects.push(Effect::Send { member: self.member(), link, request });
        }
    }

    /// So many listeners that counted have left.
    pub(super) fn uncount(&mut self, listeners: u32, effects: &mut Vec<Effect>) {
        if let Some(counting) = self.counting.as_mut().filter(|_| listeners > 0) {
            (0..listeners).for_each(|_| counting.remove());
            self.tell_count(effects);
        }
    }

    pub(super) fn unsubscribe(&mut self, routes: &dyn Routes, effects: &mut Vec<Effect>) {
        let view = routes.view(self.member());
        if let Some(Subscribing { number, .. }) = self.subscription.take()
            && self.binding.is_on(view)
            && let Some(link) = view.up
        {
            effects.push(Effect::Send { member: view.member, link, request: Request::Unsubscribe(number) });
        }
        self.position = None;
    }

    pub(super) fn read(&mut self, wanted: Option<(Epoch, u64)>, effects: &mut Vec<Effect>) {
        if let (Some((epoch, from)), Some(Subscribing { number, .. }), Some(link)) =
            (wanted, self.subscription, self.binding.link())
        {
            let request = Request::Read(number, epoch, from);
            effects.push(Effect::Send { member: self.member(), link, request });
        }
    }
}
