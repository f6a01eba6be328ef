//! Listeners to patterns: whoever listens to all topics whose names match. Every topic server is told of every pattern, with the
//! number of its listeners, and a listener is live when all of them have it. Command in, effects out, as for topics.

use std::collections::{BTreeMap, HashMap};
use std::time::Instant;

use bytes::Bytes;
use campanile_proto::reach::Pattern;
use campanile_proto::{FromGateway, Incarnation};
use prometheus_client::metrics::gauge::Gauge;

use crate::client::outbox::{Item, Outbox};
use crate::hub::effect::{Effect, Leaving, LinkView, Listener, MemberId, Request};
use crate::hub::reason::Reason;

/// A topic server that this gateway may have to do with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reached {
    /// Its link.
    pub(crate) view: LinkView,
    /// The newest ring names it.
    pub(crate) is_member: bool,
    /// It has said that it is ending in an orderly way.
    pub(crate) is_leaving: bool,
}

/// All patterns of this gateway.
#[derive(Debug, Default)]
pub(crate) struct Patterns {
    by_name: HashMap<Bytes, u32>,
    count: Gauge,
    /// By the gateway's numbers; numbers are used again.
    patterns: Vec<Option<OfPattern>>,
    free: Vec<u32>,
    /// The links that were told of all patterns.
    told: BTreeMap<MemberId, Told>,
    /// The topic servers that a listener must be known to before it is live.
    members: Vec<MemberId>,
    /// The ring that this gateway routes by, and the newest that any topic server has named: until it is this gateway's, too, it
    /// does not know all to whom a listener must be known.
    ring: u64,
    heard_ring: u64,
    /// Grows with each change of any pattern.
    changes: u32,
}

#[derive(Clone, Copy, Debug)]
struct Told {
    link: u64,
    process: Incarnation,
}

#[derive(Debug)]
struct OfPattern {
    number: u32,
    pattern: Bytes,
    live: Vec<Listener>,
    joins: Vec<Join>,
    /// Those who count no more, and stay until every topic server knows: what counts them may be on its way here.
    leaving: Vec<(u32, Leaving, Listener)>,
    /// Its own last change.
    change: u32,
    /// By topic server: the last change that stands there, on the link that is up.
    stands: BTreeMap<MemberId, u32>,
}

#[derive(Debug)]
struct Join {
    listener: Listener,
    change: u32,
    deadline: Instant,
}

impl Patterns {
    /// None; `count` says how many there are.
    pub(crate) fn new(count: Gauge) -> Self {
        Self { count, ..Self::default() }
    }

    /// Whether nobody listens to a pattern, or wants to.
    pub(crate) fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    /// A listener to a pattern. Returns its number.
    pub(crate) fn join(
        &mut self,
        pattern: &[u8],
        listener: Listener,
        deadline: Instant,
        effects: &mut Vec<Effect>,
    ) -> u32 {
        let number = self.number(pattern);
        let change = self.next_change();
        if let Some(own) = self.of(number) {
            own.joins.push(Join { listener, change, deadline });
        }
        self.changed(number, change, effects);
        self.admit(number, effects);
        number
    }

    /// A listener leaves; `told` is for one that wants to know when it counts no more.
    pub(crate) fn leave(&mut self, number: u32, id: u64, told: Option<Leaving>, effects: &mut Vec<Effect>) {
        let change = self.next_change();
        let Some(own) = self.of(number) else {
            return told.into_iter().for_each(|told| effects.push(left(told)));
        };
        let live = own.live.iter().position(|listener| listener.id == id);
        let live = live.map(|index| own.live.remove(index));
        let before = own.joins.len();
        own.joins.retain(|join| join.listener.id != id);
        if live.is_none() && own.joins.len() == before {
            // It is leaving already, or was never there.
            if told.is_none() {
                own.leaving.retain(|(_, leaving, _)| leaving.id != id);
                self.forget_if_over(number);
            }
            return told.into_iter().for_each(|told| effects.push(left(told)));
        }
        match (told, live) {
            (Some(told), Some(live)) => own.leaving.push((change, told, live)),
            (Some(told), None) => effects.push(left(told)),
            (None, _) => {}
        }
        self.changed(number, change, effects);
        self.tell_left(number, None, effects);
        self.forget_if_over(number);
    }

    /// What a pattern's listeners were told of stands at a topic server.
    pub(crate) fn stands(&mut self, number: u32, change: u32, view: LinkView, effects: &mut Vec<Effect>) {
        if !self.is_told(view) {
            return;
        }
        if let Some(own) = self.of(number) {
            own.stands.insert(view.member, change);
        }
        self.admit(number, effects);
        self.tell_left(number, None, effects);
        self.forget_if_over(number);
    }

    /// A topic server has named the ring of this version.
    pub(crate) fn heard_of_ring(&mut self, version: u64) {
        self.heard_ring = self.heard_ring.max(version);
    }

    /// Whether this link was told of all patterns: what comes on another is of no use.
    pub(crate) fn is_told(&self, view: LinkView) -> bool {
        view.up.is_some() && self.told.get(&view.member).map(|told| told.link) == view.up
    }

    /// Whether a topic server is told of patterns on a link that is up.
    pub(crate) fn uses(&self, member: MemberId) -> bool {
        !self.is_empty() && self.told.contains_key(&member)
    }

    /// Whether anything may still come from this process.
    pub(crate) fn hears(&self, process: Incarnation) -> bool {
        self.told.values().any(|told| told.process == process)
    }

    /// The links or the ring have changed. A link that broke may have lost messages, and nobody can say which; one of a
    /// topic server that was not a member any more, and left in an orderly way, has lost none. Returns the processes that
    /// are heard no more.
    pub(crate) fn settle(
        &mut self,
        reached: &[Reached],
        ring: u64,
        effects: &mut Vec<Effect>,
    ) -> Vec<Incarnation> {
        self.ring = ring;
        self.members = reached.iter().filter(|own| own.is_member).map(|own| own.view.member).collect();
        let mut ended = Vec::new();
        let mut is_lost = false;
        for (member, told) in self.told.clone() {
            // Nobody, if it was a former member and has been let go.
            let own = reached.iter().find(|own| own.view.member == member);
            if own.is_some_and(|own| own.view.up == Some(told.link)) {
                continue;
            }
            self.told.remove(&member);
            ended.push(told.process);
            is_lost |= own.is_none_or(|own| own.is_member || !own.is_leaving);
            self.patterns.iter_mut().flatten().for_each(|own| _ = own.stands.remove(&member));
        }
        if is_lost {
            self.lost(effects);
        }
        for Reached { view, .. } in reached {
            let Some(link) = view.up.filter(|_| !self.told.contains_key(&view.member)) else { continue };
            self.told.insert(view.member, Told { link, process: view.owner });
            let says: Vec<_> = self.numbers().into_iter().filter_map(|number| self.says(number)).collect();
            if !says.is_empty() {
                for item in says.into_iter().chain([FromGateway::AllPatterns]) {
                    effects.push(say(view.member, link, item));
                }
            }
        }
        for number in self.numbers() {
            self.admit(number, effects);
            self.tell_left(number, None, effects);
            self.forget_if_over(number);
        }
        ended
    }

    /// Everybody who is live may have missed messages.
    pub(crate) fn lost(&self, effects: &mut Vec<Effect>) {
        for listener in self.patterns.iter().flatten().flat_map(|own| &own.live) {
            effects.push(tell(&listener.client, Item::PatternLost { channel: listener.channel }));
        }
    }

    /// Time has passed.
    pub(crate) fn tick(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        for number in self.numbers() {
            let Some(own) = self.of(number) else { continue };
            let joins = std::mem::take(&mut own.joins);
            let (late, waiting): (Vec<_>, Vec<_>) = joins.into_iter().partition(|join| join.deadline <= now);
            own.joins = waiting;
            let is_less = !late.is_empty();
            for Join { listener, .. } in late {
                effects.push(listener.failed(Reason::OwnerUnreachable));
            }
            if is_less {
                let change = self.next_change();
                self.changed(number, change, effects);
            }
            self.tell_left(number, Some(now), effects);
            self.forget_if_over(number);
        }
    }

    /// Everybody who gets a message that matches these patterns, in their order.
    pub(crate) fn listeners<'a>(&'a self, numbers: &'a [u32]) -> impl Iterator<Item = &'a Listener> + Clone {
        let of = |number: &u32| self.patterns.get(*number as usize).and_then(Option::as_ref);
        let leaving = |own: &'a OfPattern| own.leaving.iter().map(|(_, _, listener)| listener);
        numbers.iter().filter_map(of).flat_map(move |own| own.live.iter().chain(leaving(own)))
    }

    fn of(&mut self, number: u32) -> Option<&mut OfPattern> {
        self.patterns.get_mut(number as usize)?.as_mut()
    }

    fn numbers(&self) -> Vec<u32> {
        (0..self.patterns.len() as u32).filter(|number| self.patterns[*number as usize].is_some()).collect()
    }

    fn next_change(&mut self) -> u32 {
        self.changes = self.changes.wrapping_add(1);
        self.changes
    }

    /// The number of a pattern; makes one if need be. One that is used again cannot be taken for the older pattern: a topic
    /// server says all that it has to say of that before it says that the new one stands.
    fn number(&mut self, pattern: &[u8]) -> u32 {
        if let Some(number) = self.by_name.get(pattern) {
            return *number;
        }
        let free = self.free.pop().unwrap_or_else(|| {
            self.patterns.push(None);
            (self.patterns.len() - 1) as u32
        });
        let pattern = Bytes::copy_from_slice(pattern);
        self.by_name.insert(pattern.clone(), free);
        self.count.inc();
        let own = OfPattern {
            number: free,
            pattern,
            live: Vec::new(),
            joins: Vec::new(),
            leaving: Vec::new(),
            change: 0,
            stands: BTreeMap::new(),
        };
        self.patterns[free as usize] = Some(own);
        free
    }

    /// A pattern has more or fewer listeners: every topic server that has a link is told.
    fn changed(&mut self, number: u32, change: u32, effects: &mut Vec<Effect>) {
        let Some(own) = self.of(number) else { return };
        own.change = change;
        let pattern = own.told();
        for (member, told) in &self.told {
            effects.push(say(*member, told.link, FromGateway::Pattern(pattern.clone())));
            effects.push(say(*member, told.link, FromGateway::AllPatterns));
        }
    }

    fn says(&mut self, number: u32) -> Option<FromGateway> {
        let own = self.of(number)?;
        (own.listeners() > 0).then(|| FromGateway::Pattern(own.told()))
    }

    /// Whoever waits is live if every topic server has it.
    fn admit(&mut self, number: u32, effects: &mut Vec<Effect>) {
        if self.ring < self.heard_ring {
            return;
        }
        let members = std::mem::take(&mut self.members);
        let told: Vec<_> = self.told.keys().copied().collect();
        if let Some(own) = self.of(number) {
            let joins = std::mem::take(&mut own.joins);
            for join in joins {
                let stands = |member: &MemberId| own.stands_at(*member, join.change);
                if !members.is_empty() && members.iter().chain(&told).all(stands) {
                    let channel = join.listener.channel;
                    effects.push(tell(&join.listener.client, Item::PatternJoined { channel }));
                    own.live.push(join.listener);
                } else {
                    own.joins.push(join);
                }
            }
        }
        self.members = members;
    }

    /// Whoever has left is told if no topic server that can be reached counts it, or if its time is up.
    fn tell_left(&mut self, number: u32, now: Option<Instant>, effects: &mut Vec<Effect>) {
        let told: Vec<_> = self.told.keys().copied().collect();
        let Some(own) = self.of(number) else { return };
        for (change, leaving, listener) in std::mem::take(&mut own.leaving) {
            let is_late = now.is_some_and(|now| leaving.deadline <= now);
            if is_late || told.iter().all(|member| own.stands_at(*member, change)) {
                effects.push(left(leaving));
            } else {
                own.leaving.push((change, leaving, listener));
            }
        }
    }

    fn forget_if_over(&mut self, number: u32) {
        let is_over = |own: &OfPattern| own.listeners() == 0 && own.leaving.is_empty();
        if let Some(slot) = self.patterns.get_mut(number as usize)
            && let Some(own) = slot.take_if(|own| is_over(own))
        {
            self.by_name.remove(&own.pattern);
            self.count.dec();
            self.free.push(number);
        }
    }
}

impl OfPattern {
    fn listeners(&self) -> usize {
        self.live.len() + self.joins.len()
    }

    /// Changes stand in order.
    fn stands_at(&self, member: MemberId, change: u32) -> bool {
        self.stands.get(&member).is_some_and(|stands| stands.wrapping_sub(change) <= u32::MAX / 2)
    }

    fn told(&self) -> Pattern {
        let listeners = u32::try_from(self.listeners()).unwrap_or(u32::MAX);
        Pattern { number: self.number, pattern: self.pattern.clone(), listeners, change: self.change }
    }
}

fn say(member: MemberId, link: u64, item: FromGateway) -> Effect {
    Effect::Send { member, link, request: Request::Say(Box::new(item)) }
}

fn tell(client: &Outbox, item: Item) -> Effect {
    Effect::Tell(client.clone(), item)
}

fn left(Leaving { client, channel, .. }: Leaving) -> Effect {
    Effect::Tell(client, Item::Left { channel })
}

#[cfg(test)]
#[path = "patterns_tests.rs"]
mod tests;
