//! One topic at one gateway: who listens here, where its requests go, what waits for an answer. Command in, effects
//! out: no task, no clock, no link. Whoever holds the topic's lock carries the effects out before letting go of it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use campanile_proto::{Epoch, Found, Message, Refusal, Subscription};

use crate::hub::catch_up::CatchUp;
pub use crate::hub::effect::{
    Counted, Delivery, Effect, Life, LinkView, Listener, MemberId, Request, Routes, Start,
};
use crate::hub::publish::Pending;
use crate::hub::reason::Reason;

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
    member: MemberId,
    /// The link on which the subscription was made and the unanswered publishes were sent.
    link: Option<u64>,
    subscription: Option<Subscribing>,
    /// Position of the last delivery.
    position: Option<(Epoch, u64)>,
    /// The last epoch heard of, also without a subscription.
    epoch: Option<Epoch>,
    listeners: Vec<Listener>,
    joins: Vec<Join>,
    /// Those behind the topic, who are being given what they missed.
    catch_up: CatchUp,
    /// Without an answer, in the order of their numbers.
    publishes: VecDeque<Arc<Pending>>,
    /// Not asked for anything before.
    hold_until: Option<Instant>,
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
}

impl Topic {
    /// A topic that nobody listens to. `generation` is the last one that its slot has used.
    pub fn new(name: Bytes, slot: u32, generation: u32, member: MemberId, now: Instant) -> Self {
        Self {
            name,
            slot,
            generation,
            member,
            link: None,
            subscription: None,
            position: None,
            epoch: None,
            listeners: Vec::new(),
            joins: Vec::new(),
            catch_up: CatchUp::default(),
            publishes: VecDeque::new(),
            hold_until: None,
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
        self.member
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
        self.joins.push(Join { listener, start, deadline });
        let view = self.bind(now, routes, effects);
        if self.subscription.is_none() {
            self.subscribe(view, effects);
        } else if self.is_live(view) {
            self.admit(effects);
            self.advance_one(id, effects);
        }
        // Whoever goes live is the last of the listeners.
        if self.listeners.last().is_none_or(|listener| listener.id != id) {
            self.wake_by(deadline, effects);
        }
    }

    /// A channel no longer listens, or no longer wants to.
    pub fn leave(&mut self, id: u64, now: Instant, effects: &mut Vec<Effect>) {
        if let Some(index) = self.listeners.iter().position(|listener| listener.id == id) {
            // Order among listeners means nothing.
            self.listeners.swap_remove(index);
        } else {
            self.joins.retain(|join| join.listener.id != id);
            self.catch_up.remove(id);
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
        let view = self.bind(now, routes, effects);
        self.publishes.push_back(pending);
        if let Some(link) = view.up
            && self.link == Some(link)
        {
            self.send_publish(link, self.publishes.len() - 1, effects);
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
        effects: &mut Vec<Effect>,
    ) {
        if !self.is_current(number, link) {
            return effects.push(Effect::Count(Counted::Stale));
        }
        self.subscription = Some(Subscribing { number, confirmed: true });
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

    /// The owner has refused a subscription.
    pub fn subscribe_refused(
        &mut self,
        number: Subscription,
        reason: Refusal,
        link: LinkView,
        now: Instant,
        effects: &mut Vec<Effect>,
    ) {
        if !self.is_current(number, link) {
            return;
        }
        self.subscription = None;
        self.link = None;
        if reason == Refusal::Overloaded {
            for join in self.joins.drain(..) {
                effects.push(join.listener.failed(Reason::Overloaded));
            }
            self.hold(now + ASK_FULL_AGAIN, effects);
        } else {
            self.hold(now + ASK_AGAIN, effects);
        }
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
        if offset == last + 1 {
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
    pub fn published(&mut self, number: u64, epoch: Epoch, offset: u64, effects: &mut Vec<Effect>) {
        self.epoch = Some(epoch);
        if let Some(pending) = self.take_publish(number) {
            effects.push(Effect::Answer(pending, Ok((epoch, offset))));
        }
    }

    /// A publish was refused.
    pub fn publish_refused(&mut self, number: u64, reason: Refusal, now: Instant, effects: &mut Vec<Effect>) {
        if reason == Refusal::NotOwner {
            // It did not happen: it waits for the owner, wherever that is, until its time is up.
            if let Ok(index) = self.publishes.binary_search_by_key(&number, |pending| pending.number) {
                self.publishes[index].take_back();
                self.subscription = None;
                self.link = None;
                self.hold(now + ASK_AGAIN, effects);
            }
        } else if let Some(pending) = self.take_publish(number) {
            // The refusal of one copy says nothing of another, which may have run.
            let reason = if pending.is_resent() { Reason::Unanswered } else { Reason::of_refusal(reason) };
            effects.push(Effect::Answer(pending, Err(reason)));
        }
    }

    /// The holder has given the topic up; nothing follows under this subscription (H8).
    pub fn moved(
        &mut self,
        number: Subscription,
        link: LinkView,
        now: Instant,
        routes: &dyn Routes,
        effects: &mut Vec<Effect>,
    ) {
        if !self.is_current(number, link) {
            return effects.push(Effect::Count(Counted::Stale));
        }
        effects.push(Effect::Count(Counted::Moved));
        self.subscription = None;
        self.link = None;
        let asked = self.publishes.iter().any(|pending| pending.handed_to().is_some());
        if asked || routes.owner(&self.name) == self.member {
            // Its answers to publishes are right behind: what it refused can still go to its successor. Or it has
            // read the new ring, and we have not yet.
            self.hold(now + ASK_AGAIN, effects);
        } else {
            self.bind(now, routes, effects);
        }
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
        if self.hold_until.is_some_and(|until| until <= now) {
            self.hold_until = None;
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
            self.publishes.front().map(|pending| pending.deadline),
            self.hold_until,
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
        link.member == self.member
            && link.up.is_some()
            && link.up == self.link
            && self.subscription.is_some_and(|subscription| subscription.number == number)
    }

    fn is_live(&self, view: LinkView) -> bool {
        view.up.is_some()
            && view.up == self.link
            && self.subscription.is_some_and(|subscription| subscription.confirmed)
    }

    /// Whoever waits for the subscription listens from here on, or catches up first.
    fn admit(&mut self, effects: &mut Vec<Effect>) {
        let Some(position) = self.position else { return };
        for Join { listener, start, deadline } in self.joins.drain(..) {
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
        self.position.filter(|_| self.subscription.is_some_and(|subscription| subscription.confirmed))
    }

    fn read(&mut self, wanted: Option<(Epoch, u64)>, effects: &mut Vec<Effect>) {
        if let (Some((epoch, from)), Some(Subscribing { number, .. }), Some(link)) =
            (wanted, self.subscription, self.link)
        {
            let request = Request::Read(number, epoch, from);
            effects.push(Effect::Send { member: self.member, link, request });
        }
    }

    /// Finds the member and the link that the topic's requests go to. A topic with a subscription or unanswered
    /// publishes stays with its holder until that says `Moved`, or until its link is down and the ring names
    /// another (H8, H9).
    fn bind(&mut self, now: Instant, routes: &dyn Routes, effects: &mut Vec<Effect>) -> LinkView {
        let mut view = routes.view(self.member);
        let here = view.up.is_some() && view.up == self.link;
        if !here || (self.subscription.is_none() && self.publishes.is_empty()) {
            let owner = routes.owner(&self.name);
            if owner != self.member {
                self.member = owner;
                self.link = None;
                self.subscription = None;
                view = routes.view(owner);
            }
        }
        let held = self.hold_until.is_some_and(|until| until > now);
        if view.up.is_some() && view.up != self.link && !held {
            self.set_up(view, effects);
        }
        view
    }

    /// Makes everything anew on a link: first the publishes that may have run, in order, then the subscription, so
    /// that a client's reply still comes before its own event (L5); then those that have never left, which run when
    /// the topic is subscribed, so that their events come back.
    fn set_up(&mut self, view: LinkView, effects: &mut Vec<Effect>) {
        let Some(link) = view.up else { return };
        self.link = Some(link);
        self.subscription = None;
        self.catch_up.restart();
        // Another process cannot know what became of what was handed to the one before.
        self.publishes.retain(|pending| {
            let lost = pending.handed_to().is_some_and(|owner| owner != view.owner);
            if lost {
                effects.push(Effect::Answer(Arc::clone(pending), Err(Reason::Unanswered)));
            }
            !lost
        });
        let handed = self.publishes.iter().rposition(|pending| pending.handed_to().is_some());
        let first_unsent = handed.map_or(0, |last| last + 1);
        for index in 0..first_unsent {
            self.send_publish(link, index, effects);
        }
        if self.is_wanted() {
            self.subscribe(view, effects);
        }
        for index in first_unsent..self.publishes.len() {
            self.send_publish(link, index, effects);
        }
    }

    fn send_publish(&self, link: u64, index: usize, effects: &mut Vec<Effect>) {
        let Some(pending) = self.publishes.get(index).cloned() else {
            return;
        };
        let resend_epoch = pending.handed_to().and(pending.epoch());
        pending.note_epoch(self.epoch);
        let settled_below = self.publishes.front().map_or(pending.number, |first| first.number);
        let sending = pending.send_anew();
        let request = Request::Publish { pending, sending, settled_below, resend_epoch };
        effects.push(Effect::Send { member: self.member, link, request });
    }

    fn subscribe(&mut self, view: LinkView, effects: &mut Vec<Effect>) {
        if let Some(link) = view.up
            && self.link == Some(link)
        {
            self.generation = self.generation.wrapping_add(1);
            let number = Subscription { slot: self.slot, generation: self.generation };
            self.subscription = Some(Subscribing { number, confirmed: false });
            let request = Request::Subscribe(number, self.name.clone());
            effects.push(Effect::Send { member: self.member, link, request });
        }
    }

    fn unsubscribe(&mut self, routes: &dyn Routes, effects: &mut Vec<Effect>) {
        let view = routes.view(self.member);
        if let Some(Subscribing { number, .. }) = self.subscription.take()
            && let Some(link) = view.up
            && self.link == Some(link)
        {
            effects.push(Effect::Send { member: self.member, link, request: Request::Unsubscribe(number) });
        }
        self.position = None;
    }

    /// Answers everything whose time is up.
    fn expire(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        self.joins.retain(|join| {
            let goes_on = join.deadline > now;
            if !goes_on {
                effects.push(join.listener.failed(Reason::OwnerUnreachable));
            }
            goes_on
        });
        self.catch_up.expire(now, effects);
        while self.publishes.front().is_some_and(|pending| pending.deadline <= now) {
            if let Some(pending) = self.publishes.pop_front() {
                let reason = pending.give_up();
                effects.push(Effect::Answer(pending, Err(reason)));
            }
        }
    }

    /// Takes out a publish that has its answer. Copies that still wait in an outbox stay there.
    fn take_publish(&mut self, number: u64) -> Option<Arc<Pending>> {
        // Answers come in order, but for those that were refused.
        let index = match self.publishes.front() {
            Some(first) if first.number == number => 0,
            _ => self.publishes.binary_search_by_key(&number, |pending| pending.number).ok()?,
        };
        let pending = self.publishes.remove(index)?;
        pending.send_anew();
        Some(pending)
    }

    fn hold(&mut self, until: Instant, effects: &mut Vec<Effect>) {
        self.hold_until = Some(until);
        self.wake_by(until, effects);
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
