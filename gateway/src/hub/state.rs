//! One topic at one gateway: who listens here, where its requests go, what waits for an answer. Command in, effects
//! out: no task, no clock, no link. Whoever holds the topic's lock carries the effects out before letting go of it.

mod requests;

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use campanile_proto::planted::{Fault, planted};
use campanile_proto::{Epoch, Found, Incarnation, Message, Refusal, Subscription};

use crate::client::outbox::Item;
use crate::hub::binding::Binding;
use crate::hub::catch_up::CatchUp;
use crate::hub::counting::Counting;
pub use crate::hub::effect::{
    Counted, Delivery, Effect, Leaving, Life, LinkView, Listener, MemberId, Request, Routes, Start,
};
use crate::hub::publish::{Accepted, Pending};
use crate::hub::reason::Reason;
use crate::hub::unanswered::Unanswered;

/// How long a topic stays subscribed after its last listener has left: a flap then costs nothing.
pub const LINGER: Duration = Duration::from_secs(1);

/// How many publishes of one topic may be without an answer. Half of what the owner remembers.
pub const UNANSWERED: usize = campanile_proto::ids::WINDOW / 2;

/// The wait before asking again after an owner said that it is not the owner: rings are read at different moments.
const ASK_AGAIN: Duration = Duration::from_millis(50);

/// The wait before asking again after an owner said that it is full.
const ASK_FULL_AGAIN: Duration = Duration::from_secs(1);

/// One topic at one gateway.
#[derive(Debug)]
pub struct Topic {
    name: Bytes,
    slot: u32,
    generation: u32,
    /// Where its requests go.
    binding: Binding,
    subscription: Option<Subscribing>,
    /// Position of the last delivery.
    position: Option<(Epoch, u64)>,
    /// The last epoch heard of, also without a subscription.
    epoch: Option<Epoch>,
    listeners: Vec<Listener>,
    joins: Vec<Join>,
    /// `None` as long as no listener counts.
    counting: Option<Box<Counting>>,
    /// Those behind the topic, who are being given what they missed.
    catch_up: CatchUp,
    publishes: Unanswered,
    /// The process that took the topic over with its publish windows, by the last holder's word (L5).
    successor: Option<Incarnation>,
    /// Kept until then, even without listeners.
    keep_until: Instant,
    wake_at: Option<Instant>,
}

#[derive(Clone, Copy, Debug)]
struct Subscribing {
    number: Subscription,
    confirmed: bool,
}

#[derive(Debug)]
struct Join {
    listener: Listener,
    start: Start,
    deadline: Instant,
    /// If it counts: what the owner must have been told of first.
    change: Option<u32>,
}

impl Topic {
    /// A topic that nobody listens to. `generation` is the last one that its slot has used.
    pub fn new(name: Bytes, slot: u32, generation: u32, member: MemberId, now: Instant) -> Self {
        Self {
            name,
            slot,
            generation,
            binding: Binding::new(member),
            subscription: None,
            position: None,
            epoch: None,
            listeners: Vec::new(),
            joins: Vec::new(),
            counting: None,
            catch_up: CatchUp::default(),
            publishes: Unanswered::default(),
            successor: None,
            keep_until: now,
            wake_at: None,
        }
    }

    /// Everybody who gets a delivery.
    pub fn listeners(&self) -> &[Listener] {
        &self.listeners
    }

    /// The last generation that was used.
    pub fn generation(&self) -> u32 {
        self.generation
    }

    /// The member that its requests go to.
    pub fn member(&self) -> MemberId {
        self.binding.member()
    }

    /// Whether somebody wants to listen and the topic's owner has not confirmed it: as long as that may be asking around
    /// for the topic, what this gateway sees of other topic servers counts (H4).
    pub fn is_waiting(&self) -> bool {
        self.is_wanted() && !self.subscription.is_some_and(|subscription| subscription.confirmed)
    }

    /// Where the topic stands, once it is subscribed.
    pub fn position(&self) -> Option<(Epoch, u64)> {
        self.position
    }

    /// A channel wants to listen. It is told when it does, or at its deadline that it does not.
    pub fn join(
        &mut self,
        listener: Listener,
        start: Start,
        deadline: Instant,
        now: Instant,
        routes: &dyn Routes,
        effects: &mut Vec<Effect>,
    ) {
        self.keep_until = now + LINGER;
        let id = listener.id;
        let change = listener.counts.then(|| self.counting.get_or_insert_default().add());
        self.joins.push(Join { listener, start, deadline, change });
        if let Some(view) = self.bind(now, routes, effects) {
            if self.subscription.is_none() {
                self.subscribe(view, effects);
            } else if change.is_some() {
                self.tell_count(effects);
            } else if self.is_confirmed() {
                self.admit(effects);
                self.advance_one(id, effects);
            }
        }
        // Whoever goes live is the last of the listeners.
        if self.listeners.last().is_none_or(|listener| listener.id != id) {
            self.wake_by(deadline, effects);
        }
    }

    /// The same for one that counts and is told when it counts no more, by the deadline at the latest.
    pub fn leave_told(&mut self, listener: Leaving, now: Instant, effects: &mut Vec<Effect>) {
        let Leaving { id, client, channel, deadline } = listener;
        let is_told = self.is_confirmed() && self.binding.link().is_some();
        let live = self.listeners.iter_mut().find(|listener| listener.id == id && listener.counts);
        let (Some(live), true) = (live, is_told) else {
            self.leave(id, now, effects);
            return effects.push(Effect::Tell(client, Item::Left { channel }));
        };
        // It stays until then: what counts it may be on its way here.
        live.counts = false;
        self.uncount(1, effects);
        if let Some(counting) = &mut self.counting {
            let leaving = Leaving { id, client, channel, deadline };
            counting.leaving.push((counting.change(), leaving));
        }
        self.wake_by(deadline, effects);
    }

    /// Tells those who have left that they count no more, as far as the owner has confirmed it or their time is up.
    fn tell_left(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        let left = self.counting.as_mut().map(|counting| counting.take_left(now)).unwrap_or_default();
        for Leaving { id, client, channel, .. } in left {
            self.leave(id, now, effects);
            effects.push(Effect::Tell(client, Item::Left { channel }));
        }
    }

    /// A channel no longer listens, or no longer wants to.
    pub fn leave(&mut self, id: u64, now: Instant, effects: &mut Vec<Effect>) {
        let mut counted = false;
        if let Some(index) = self.listeners.iter().position(|listener| listener.id == id) {
            // Order among listeners means nothing.
            counted = self.listeners.swap_remove(index).counts;
        } else {
            self.joins.retain(|join| {
                let stays = join.listener.id != id;
                counted |= !stays && join.listener.counts;
                stays
            });
            counted |= self.catch_up.remove(id).is_some_and(|listener| listener.counts);
        }
        if counted {
            self.uncount(1, effects);
        }
        if !self.is_wanted() {
            self.listeners = Vec::new();
            self.keep_until = now + LINGER;
            self.wake_by(self.keep_until, effects);
        }
    }

    /// Whether one more publish may wait for an answer.
    pub fn takes_publish(&self) -> bool {
        self.publishes.len() < UNANSWERED
    }

    /// A publish. It is answered in any case.
    pub fn publish(
        &mut self,
        pending: Arc<Pending>,
        now: Instant,
        routes: &dyn Routes,
        effects: &mut Vec<Effect>,
    ) {
        self.keep_until = now + LINGER;
        let deadline = pending.deadline;
        // Bound before it is queued, or a new link would send it twice.
        let bound = self.bind(now, routes, effects);
        self.publishes.push(pending);
        if let Some(view) = bound {
            self.send_publish(view, self.publishes.len() - 1, effects);
        }
        self.wake_by(deadline, effects);
    }

    /// The links or the ring have changed: go where the topic belongs now, and set up there what is missing.
    pub fn settle(&mut self, now: Instant, routes: &dyn Routes, effects: &mut Vec<Effect>) {
        self.bind(now, routes, effects);
    }

    /// The owner has confirmed a subscription: deliveries start after `offset`.
    pub fn subscribed(
        &mut self,
        number: Subscription,
        epoch: Epoch,
        offset: u64,
        link: LinkView,
        now: Instant,
        effects: &mut Vec<Effect>,
    ) {
        if !self.is_current(number, link) {
            return effects.push(Effect::Count(Counted::Stale));
        }
        self.subscription = Some(Subscribing { number, confirmed: true });
        if let Some(counting) = &mut self.counting {
            counting.subscribed();
        }
        self.tell_left(now, effects);
        self.successor = None;
        self.catch_up.restart();
        match self.position {
            // Whoever listened goes on where the topic broke off.
            Some((old, last)) if old == epoch && last < offset => {
                for listener in self.listeners.drain(..) {
                    self.catch_up.add(listener, (epoch, last), None);
                }
            }
            Some((old, last)) if old == epoch && last == offset => {}
            Some(_) => {
                self.catch_up.forget();
                for _ in &self.listeners {
                    effects.push(Effect::Count(Counted::NewEpoch));
                }
                if offset == 0 {
                    effects.extend(self.listeners.iter().map(|listener| listener.lost((epoch, 0))));
                } else {
                    // The new life has messages already: they are for whoever listened all the while.
                    for listener in self.listeners.drain(..) {
                        self.catch_up.add_renewed(listener, epoch);
                    }
                }
            }
            None => {}
        }
        self.position = Some((epoch, offset));
        self.epoch = Some(epoch);
        self.admit(effects);
        self.advance(effects);
    }

    /// The owner counts what it was told with this change.
    pub fn counted(
        &mut self,
        number: Subscription,
        change: u32,
        link: LinkView,
        now: Instant,
        effects: &mut Vec<Effect>,
    ) {
        if !self.is_current(number, link) {
            return effects.push(Effect::Count(Counted::Stale));
        }
        if let Some(counting) = &mut self.counting {
            counting.counted(change);
        }
        self.tell_left(now, effects);
        if self.is_confirmed() {
            self.admit(effects);
            self.advance(effects);
        }
    }

    /// The owner has refused a subscription.
    pub fn subscribe_refused(
        &mut self,
        number: Subscription,
        reason: Refusal,
        link: LinkView,
        now: Instant,
        routes: &dyn Routes,
        effects: &mut Vec<Effect>,
    ) {
        if !self.is_current(number, link) {
            return;
        }
        let is_full = reason == Refusal::Overloaded;
        if is_full {
            let mut counted = 0;
            for join in self.joins.drain(..) {
                counted += u32::from(join.listener.counts);
                effects.push(join.listener.failed(Reason::Overloaded));
            }
            self.uncount(counted, effects);
        }
        self.part(if is_full { ASK_FULL_AGAIN } else { ASK_AGAIN }, now, routes, effects);
    }

    /// A message has come. It counts only on the link that its subscription is bound to (L3).
    pub fn deliver(
        &mut self,
        number: Subscription,
        offset: u64,
        message: &Message,
        link: LinkView,
        effects: &mut Vec<Effect>,
    ) -> Delivery {
        let Some((epoch, last)) = self.confirmed_position().filter(|_| self.is_current(number, link)) else {
            effects.push(Effect::Count(Counted::Stale));
            return Delivery::Drop;
        };
        if offset == last + 1 || planted(Fault::AnyOffset) {
            self.position = Some((epoch, offset));
            self.catch_up.live(offset, message);
            return Delivery::FanOut;
        }
        if offset <= last {
            effects.push(Effect::Count(Counted::Repeated));
        } else {
            effects.push(Effect::Count(Counted::Jump));
            self.subscribe(link, effects);
        }
        Delivery::Drop
    }

    /// A part of what was missed has come, in order with the deliveries (L6).
    pub fn missed(
        &mut self,
        number: Subscription,
        epoch: Epoch,
        from: u64,
        found: Found,
        link: LinkView,
        effects: &mut Vec<Effect>,
    ) {
        let Some(position) =
            self.position.filter(|_| self.is_current(number, link) && self.catch_up.answers((epoch, from)))
        else {
            return effects.push(Effect::Count(Counted::Stale));
        };
        match found {
            Found::Messages(messages) => self.catch_up.part(from, messages),
            Found::Gone { oldest } => {
                self.catch_up.gone((epoch, from), oldest, position, &mut self.listeners, effects);
            }
        }
        self.advance(effects);
    }

    /// A listener's client has taken its last step of what it missed.
    pub fn step(&mut self, id: u64, effects: &mut Vec<Effect>) {
        if self.catch_up.stepped(id) {
            self.advance_one(id, effects);
        }
    }

    /// A publish got its offset.
    pub fn published(
        &mut self,
        number: u64,
        accepted: Accepted,
        link: LinkView,
        now: Instant,
        routes: &dyn Routes,
        effects: &mut Vec<Effect>,
    ) {
        if self.binding.is_on(link) {
            self.epoch = Some(accepted.epoch);
        }
        if let Some(pending) = self.publishes.take(number) {
            effects.push(Effect::Answer(pending, Ok(accepted)));
        }
        self.leave_if_done(now, routes, effects);
    }

    /// A publish was refused.
    pub fn publish_refused(
        &mut self,
        number: u64,
        reason: Refusal,
        link: LinkView,
        now: Instant,
        routes: &dyn Routes,
        effects: &mut Vec<Effect>,
    ) {
        let is_here = self.binding.is_on(link);
        let Some(pending) = self.publishes.get(number) else { return };
        match reason {
            Refusal::NotOwner if is_here => {
                // It did not happen: it waits for the owner, wherever that is, until its time is up.
                pending.take_back();
                return self.part(ASK_AGAIN, now, routes, effects);
            }
            // The topic is elsewhere by now, and so is the copy that counts.
            _ if !is_here && reason != Refusal::UnknownOutcome => {
                pending.take_back_older();
                return self.send_after_all(number, routes, effects);
            }
            _ => {}
        }
        // The refusal of one copy says nothing of another, which may have run.
        let reason = if pending.is_resent() { Reason::Unanswered } else { Reason::of_refusal(reason) };
        effects.extend(self.publishes.take(number).map(|pending| Effect::Answer(pending, Err(reason))));
        self.leave_if_done(now, routes, effects);
    }

    /// The holder has given the topic up, to the process `to` as far as that is known; nothing follows under this
    /// subscription (H8).
    pub fn moved(
        &mut self,
        number: Subscription,
        to: Option<Incarnation>,
        link: LinkView,
        now: Instant,
        routes: &dyn Routes,
        effects: &mut Vec<Effect>,
    ) {
        if !self.is_current(number, link) {
            return effects.push(Effect::Count(Counted::Stale));
        }
        effects.push(Effect::Count(Counted::Moved));
        self.successor = to;
        self.part(ASK_AGAIN, now, routes, effects);
    }

    /// Time has passed. `at` is the time that was asked for with [`Effect::Wake`].
    pub fn wake(
        &mut self,
        at: Instant,
        now: Instant,
        routes: &dyn Routes,
        effects: &mut Vec<Effect>,
    ) -> Life {
        if self.wake_at != Some(at) {
            return Life::Goes;
        }
        self.wake_at = None;
        self.expire(now, effects);
        self.leave_if_done(now, routes, effects);
        if self.binding.hold_until().is_some_and(|until| until <= now) {
            self.bind(now, routes, effects);
        }
        if !self.is_wanted() && self.keep_until <= now {
            self.unsubscribe(routes, effects);
            if self.publishes.is_empty() {
                return Life::Over;
            }
        }
        let next = [
            self.joins.first().map(|join| join.deadline),
            self.catch_up.deadline(),
            self.publishes.deadline(),
            self.counting.as_ref().and_then(|counting| counting.deadline()),
            self.binding.hold_until(),
            (!self.is_wanted() && self.keep_until > now).then_some(self.keep_until),
        ];
        if let Some(next) = next.into_iter().flatten().min() {
            self.wake_by(next, effects);
        }
        Life::Goes
    }

    /// Somebody listens, or wants to.
    fn is_wanted(&self) -> bool {
        !self.listeners.is_empty() || !self.joins.is_empty() || !self.catch_up.is_empty()
    }

    fn is_current(&self, number: Subscription, link: LinkView) -> bool {
        let is_own =
            |own: Subscription| own == number || (planted(Fault::AnyGeneration) && own.slot == number.slot);
        self.binding.is_on(link) && self.subscription.is_some_and(|subscription| is_own(subscription.number))
    }

    fn is_confirmed(&self) -> bool {
        self.subscription.is_some_and(|subscription| subscription.confirmed)
    }

    /// Whoever waits for the subscription listens from here on, or catches up first.
    fn admit(&mut self, effects: &mut Vec<Effect>) {
        let Some(position) = self.position else { return };
        let counting = &self.counting;
        let covers = |change| counting.as_ref().is_none_or(|counting| counting.covers(change));
        let waits = |join: &Join| join.change.is_some_and(|change| !covers(change));
        let (waiting, admitted) = match counting {
            None => (Vec::new(), std::mem::take(&mut self.joins)),
            Some(_) => self.joins.drain(..).partition(waits),
        };
        self.joins = waiting;
        for Join { listener, start, deadline, .. } in admitted {
            match start {
                Start::Live => {
                    effects.push(listener.joined(position, None));
                    self.listeners.push(listener);
                }
                Start::After(epoch, cursor) => {
                    self.catch_up.add(listener, (epoch, cursor), Some(deadline));
                }
            }
        }
    }

    /// Gives those who catch up their next step, and asks for what nobody here has, one read at a time (L6).
    fn advance(&mut self, effects: &mut Vec<Effect>) {
        let Some(position) = self.confirmed_position() else { return };
        let wanted = self.catch_up.advance(&self.name, position, &mut self.listeners, effects);
        self.read(wanted, effects);
    }

    fn advance_one(&mut self, id: u64, effects: &mut Vec<Effect>) {
        let Some(position) = self.confirmed_position() else { return };
        let wanted = self.catch_up.advance_one(id, &self.name, position, &mut self.listeners, effects);
        self.read(wanted, effects);
    }

    fn confirmed_position(&self) -> Option<(Epoch, u64)> {
        self.position.filter(|_| self.is_confirmed())
    }

    /// Answers everything whose time is up.
    fn expire(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        let mut counted = 0;
        self.joins.retain(|join| {
            let goes_on = join.deadline > now;
            if !goes_on {
                counted += u32::from(join.listener.counts);
                effects.push(join.listener.failed(Reason::OwnerUnreachable));
            }
            goes_on
        });
        counted += self.catch_up.expire(now, effects);
        self.uncount(counted, effects);
        self.tell_left(now, effects);
        while let Some(pending) = self.publishes.take_expired(now) {
            let reason = pending.give_up();
            effects.push(Effect::Answer(pending, Err(reason)));
        }
    }

    fn wake_by(&mut self, at: Instant, effects: &mut Vec<Effect>) {
        if self.wake_at.is_none_or(|wake| at < wake) {
            self.wake_at = Some(at);
            effects.push(Effect::Wake(at));
        }
    }
}

#[cfg(test)]
#[path = "state_tests.rs"]
mod tests;
