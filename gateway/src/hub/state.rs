//! One topic at one gateway: who listens here, where its requests go, what waits for an answer. Command in, effects
//! out: no task, no clock, no link. Whoever holds the topic's lock carries the effects out before letting go of it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use campanile_proto::{Epoch, Incarnation, Refusal, Subscription};

use crate::client::outbox::{ChannelId, Item, Outbox, Tag};
use crate::hub::codec::Codec;
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

/// A topic server, as the gateway counts them: never used for another name or address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MemberId(pub u32);

/// The link to a member, as it is now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkView {
    /// The member.
    pub member: MemberId,
    /// The link's number, while it is up.
    pub up: Option<u64>,
    /// The life of the process at its other end; meaningful while it is up.
    pub owner: Incarnation,
}

/// Where requests go: the newest ring, and the links.
pub trait Routes {
    /// The member that the newest ring names.
    fn owner(&self, topic: &[u8]) -> MemberId;
    /// The link to a member.
    fn view(&self, member: MemberId) -> LinkView;
}

/// One channel that listens.
#[derive(Clone, Debug)]
pub struct Listener {
    /// Unique in this process.
    pub id: u64,
    /// What its front calls it.
    pub channel: ChannelId,
    /// Where its messages go.
    pub client: Outbox,
    /// How they are encoded.
    pub codec: &'static dyn Codec,
    /// Its own part of every frame.
    pub tag: Arc<Tag>,
}

/// What a command leads to.
#[derive(Debug)]
pub enum Effect {
    /// To the topic server, if this link is still its link.
    Send {
        /// The topic server.
        member: MemberId,
        /// The link that the request belongs to.
        link: u64,
        /// The request.
        request: Request,
    },
    /// To a listener's client.
    Tell(Outbox, Item),
    /// To a publisher.
    Answer(Arc<Pending>, Result<(Epoch, u64), Reason>),
    /// Call [`Topic::wake`] at this time.
    Wake(Instant),
    /// Something for the metrics.
    Count(Counted),
}

/// A request to a topic server.
#[derive(Clone, Debug)]
pub enum Request {
    /// Subscribe under a new number.
    Subscribe(Subscription, Bytes),
    /// End the subscription of this number.
    Unsubscribe(Subscription),
    /// Run a publish, if it has not been given up.
    Publish {
        /// The publish.
        pending: Arc<Pending>,
        /// Every lower number has been answered.
        settled_below: u64,
        /// The epoch of its first sending, if this is not the first.
        resend_epoch: Option<Epoch>,
    },
}

/// Things that should be rare, or that users want to know of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counted {
    /// Messages that listeners missed: published while the topic had no link.
    Missed(u64),
    /// The topic's counter began anew while there were listeners.
    NewEpoch,
    /// A delivery that came twice.
    Repeated,
    /// A delivery of another subscription or link than the topic's own.
    Stale,
    /// A delivery came too early: the subscription is made anew.
    Jump,
    /// The topic's owner changed under a subscription.
    Moved,
}

/// What is to happen with a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// To every listener.
    FanOut,
    /// To nobody.
    Drop,
}

/// Whether a topic is still of use here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Life {
    /// It is.
    Goes,
    /// It can be forgotten.
    Over,
}

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
        deadline: Instant,
        now: Instant,
        routes: &dyn Routes,
        effects: &mut Vec<Effect>,
    ) {
        self.keep_until = now + LINGER;
        self.joins.push(Join { listener, deadline });
        let view = self.bind(now, routes, effects);
        if self.subscription.is_none() {
            self.subscribe(view, effects);
        } else if self.is_live(view) {
            self.admit(effects);
        }
        if !self.joins.is_empty() {
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
        self.publishes.push_back(Arc::clone(&pending));
        if let Some(link) = view.up
            && self.link == Some(link)
        {
            self.send_publish(link, pending, None, effects);
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
        self.subscription = Some(Subscribing {
            number,
            confirmed: true,
        });
        if !self.listeners.is_empty() {
            match self.position {
                Some((old, last)) if old == epoch && offset > last => {
                    effects.push(Effect::Count(Counted::Missed(offset - last)));
                }
                Some((old, _)) if old == epoch => {}
                Some(_) => effects.push(Effect::Count(Counted::NewEpoch)),
                None => {}
            }
        }
        self.position = Some((epoch, offset));
        self.epoch = Some(epoch);
        self.admit(effects);
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
                effects.push(Effect::Tell(
                    join.listener.client,
                    Item::JoinFailed {
                        channel: join.listener.channel,
                        reason: Reason::Overloaded,
                    },
                ));
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
        link: LinkView,
        effects: &mut Vec<Effect>,
    ) -> Delivery {
        let confirmed = self
            .subscription
            .is_some_and(|subscription| subscription.confirmed);
        let Some((epoch, last)) = self
            .position
            .filter(|_| confirmed && self.is_current(number, link))
        else {
            effects.push(Effect::Count(Counted::Stale));
            return Delivery::Drop;
        };
        if offset == last + 1 {
            self.position = Some((epoch, offset));
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
            if let Ok(index) = self
                .publishes
                .binary_search_by_key(&number, |pending| pending.number)
            {
                self.publishes[index].take_back();
                self.subscription = None;
                self.link = None;
                self.hold(now + ASK_AGAIN, effects);
            }
        } else if let Some(pending) = self.take_publish(number) {
            effects.push(Effect::Answer(pending, Err(Reason::of_refusal(reason))));
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
        if routes.owner(&self.name) == self.member {
            // The holder has read the new ring, and we have not yet.
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
        !self.listeners.is_empty() || !self.joins.is_empty()
    }

    fn is_current(&self, number: Subscription, link: LinkView) -> bool {
        link.member == self.member
            && link.up.is_some()
            && link.up == self.link
            && self
                .subscription
                .is_some_and(|subscription| subscription.number == number)
    }

    fn is_live(&self, view: LinkView) -> bool {
        view.up.is_some()
            && view.up == self.link
            && self
                .subscription
                .is_some_and(|subscription| subscription.confirmed)
    }

    /// Whoever waits for the subscription listens from here on.
    fn admit(&mut self, effects: &mut Vec<Effect>) {
        let Some((epoch, offset)) = self.position else {
            return;
        };
        for Join { listener, .. } in self.joins.drain(..) {
            let joined = Item::Joined {
                channel: listener.channel,
                epoch,
                offset,
            };
            effects.push(Effect::Tell(listener.client.clone(), joined));
            self.listeners.push(listener);
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

    /// Makes everything anew on a link: first the unanswered publishes, in order, then the subscription, so that a
    /// client's reply still comes before its own event (L5).
    fn set_up(&mut self, view: LinkView, effects: &mut Vec<Effect>) {
        let Some(link) = view.up else { return };
        self.link = Some(link);
        self.subscription = None;
        for pending in std::mem::take(&mut self.publishes) {
            match pending.handed_to() {
                // Another process cannot know what became of it.
                Some(owner) if owner != view.owner => {
                    effects.push(Effect::Answer(pending, Err(Reason::Unanswered)));
                }
                handed => {
                    self.publishes.push_back(Arc::clone(&pending));
                    let resend_epoch = handed.and(pending.epoch());
                    self.send_publish(link, pending, resend_epoch, effects);
                }
            }
        }
        if self.is_wanted() {
            self.subscribe(view, effects);
        }
    }

    fn send_publish(
        &self,
        link: u64,
        pending: Arc<Pending>,
        resend_epoch: Option<Epoch>,
        effects: &mut Vec<Effect>,
    ) {
        pending.note_epoch(self.epoch);
        let settled_below = self
            .publishes
            .front()
            .map_or(pending.number, |first| first.number);
        let request = Request::Publish {
            pending,
            settled_below,
            resend_epoch,
        };
        effects.push(Effect::Send {
            member: self.member,
            link,
            request,
        });
    }

    fn subscribe(&mut self, view: LinkView, effects: &mut Vec<Effect>) {
        if let Some(link) = view.up
            && self.link == Some(link)
        {
            self.generation = self.generation.wrapping_add(1);
            let number = Subscription {
                slot: self.slot,
                generation: self.generation,
            };
            self.subscription = Some(Subscribing {
                number,
                confirmed: false,
            });
            let request = Request::Subscribe(number, self.name.clone());
            effects.push(Effect::Send {
                member: self.member,
                link,
                request,
            });
        }
    }

    fn unsubscribe(&mut self, routes: &dyn Routes, effects: &mut Vec<Effect>) {
        let view = routes.view(self.member);
        if let Some(Subscribing { number, .. }) = self.subscription.take()
            && let Some(link) = view.up
            && self.link == Some(link)
        {
            effects.push(Effect::Send {
                member: self.member,
                link,
                request: Request::Unsubscribe(number),
            });
        }
        self.position = None;
    }

    /// Answers everything whose time is up.
    fn expire(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        self.joins.retain(|join| {
            if join.deadline > now {
                return true;
            }
            let failed = Item::JoinFailed {
                channel: join.listener.channel,
                reason: Reason::OwnerUnreachable,
            };
            effects.push(Effect::Tell(join.listener.client.clone(), failed));
            false
        });
        while self
            .publishes
            .front()
            .is_some_and(|pending| pending.deadline <= now)
        {
            if let Some(pending) = self.publishes.pop_front() {
                let reason = pending.give_up();
                effects.push(Effect::Answer(pending, Err(reason)));
            }
        }
    }

    fn take_publish(&mut self, number: u64) -> Option<Arc<Pending>> {
        // Answers come in order, but for those that were refused.
        if self
            .publishes
            .front()
            .is_some_and(|pending| pending.number == number)
        {
            return self.publishes.pop_front();
        }
        let index = self
            .publishes
            .binary_search_by_key(&number, |pending| pending.number)
            .ok()?;
        self.publishes.remove(index)
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
