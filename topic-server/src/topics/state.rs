//! One topic's rules: command in, outcome out. No task, no clock, no randomness, no link: time comes in as an
//! argument, and whoever holds the topic's lock carries the outcome out before letting go of it (rule L4).

use std::time::{Duration, Instant};

use campanile_process::token_bucket::{Rate, TokenBucket};
use campanile_proto::ids::WINDOW;
use campanile_proto::planted::{Fault, planted};
use campanile_proto::{Epoch, Found, Incarnation, Message, Refusal, Subscription};

use crate::topics::accepted::Accepted;
use crate::topics::few::Few;
use crate::topics::history::{Bounds, History};
use crate::topics::keys::{Keys, Known};
use crate::topics::reach::Reach;

/// A gateway that has not published for so long has no re-send left to make: its deadlines are 5 s.
const WINDOW_AGE: Duration = Duration::from_secs(60);

/// What is kept of a topic that has just come here, for gateways that are still on their way (H8).
const SETTLING: Bounds = Bounds { messages: 10_000, bytes: 1 << 20, age: SETTLING_TIME };

/// How long they may take.
pub const SETTLING_TIME: Duration = Duration::from_secs(10);

/// A topic, as its owner sees it. `L` names a link; a test names it by a number.
#[derive(Debug)]
pub struct Topic<L> {
    pub(super) epoch: Epoch,
    /// Offset of the last message, 0 before the first.
    pub(super) offset: u64,
    /// Version of the ring under which the epoch was opened (H5).
    pub(super) opened_under: u64,
    /// The life that this one goes on from, of which somebody else may hold more (H3).
    pub(super) renewed_from: Option<Epoch>,
    subscribers: Few<Subscriber<L>>,
    /// `None` where no listener counts and no pattern was ever looked at.
    reach: Option<Box<Reach<L>>>,
    pub(super) windows: Few<Window>,
    /// `None` where nothing is kept.
    pub(super) history: Option<History>,
    /// `None` where no key was ever used.
    pub(super) keys: Option<Box<Keys>>,
    /// `None` where publishes may come as they like.
    bucket: Option<Box<TokenBucket>>,
    /// When it was last of use to anybody.
    used: Instant,
    /// Until then more is kept than the bounds say: its gateways are still on their way here (H8).
    settling_until: Option<Instant>,
}

/// One gateway's subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscriber<L> {
    /// The link that set it up, and with which it ends.
    pub link: L,
    /// Its number on that link.
    pub subscription: Subscription,
}

/// A publish, as the rules see it: its bytes are nobody's business here.
#[derive(Clone, Copy, Debug)]
pub struct Order<'a> {
    /// The gateway process that sent it.
    pub gateway: Incarnation,
    /// Grows per topic and gateway.
    pub number: u64,
    /// Lower numbers have been answered and may be forgotten.
    pub settled_below: u64,
    /// On a re-send: the epoch of the first sending.
    pub resend_epoch: Option<Epoch>,
    /// When its publisher stops waiting.
    pub deadline: Instant,
    /// Published with this key before, it counts once.
    pub key: Option<&'a [u8]>,
    /// How often the topic may be published to; `None` for no bound.
    pub rate: Option<Rate>,
}

/// What became of a publish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is the message of this offset: answer, then deliver.
    Sequenced(u64),
    /// It was already the message of this offset: answer only.
    Repeated(u64),
    /// It is no message.
    Refused(Refusal),
}

/// What one gateway has published and may not have been told of.
#[derive(Debug)]
pub(super) struct Window {
    pub(super) gateway: Incarnation,
    pub(super) last: u64,
    /// Those that were accepted, with their offsets.
    pub(super) accepted: Accepted,
    pub(super) used: Instant,
}

impl<L: Clone + PartialEq> Topic<L> {
    /// A topic without messages, opened under the ring of this version.
    pub fn new(epoch: Epoch, opened_under: u64, now: Instant) -> Self {
        Self {
            epoch,
            offset: 0,
            opened_under,
            renewed_from: None,
            subscribers: Few::None,
            reach: None,
            windows: Few::None,
            history: None,
            keys: None,
            bucket: None,
            used: now,
            settling_until: None,
        }
    }

    /// Begins a new life that goes on counting: what was kept of the old one cannot be continued, but its keys still
    /// count (H3).
    pub fn renew(&mut self, epoch: Epoch, opened_under: u64) {
        self.renewed_from = Some(std::mem::replace(&mut self.epoch, epoch));
        self.opened_under = opened_under;
        self.history = None;
    }

    /// Ends all subscriptions.
    pub fn drop_subscribers(&mut self) {
        self.subscribers = Few::None;
        if let Some(reach) = &mut self.reach {
            reach.drop_counts();
        }
    }

    /// So many listeners of a link count from here on, if it is subscribed under this number. Says whether it is.
    pub fn count(&mut self, link: &L, subscription: Subscription, listeners: u32) -> bool {
        if !self.is_subscribed(link, subscription) {
            return false;
        }
        if listeners > 0 || self.reach.is_some() {
            self.reach_mut().count(link, listeners);
        }
        true
    }

    /// Whom messages reach beside those who are merely subscribed, if there is anybody.
    pub fn reach(&self) -> Option<&Reach<L>> {
        self.reach.as_deref()
    }

    /// The same, to be changed.
    pub fn reach_mut(&mut self) -> &mut Reach<L> {
        self.reach.get_or_insert_default()
    }

    /// Forgets what is found again when it is wanted.
    pub fn drop_idle_reach(&mut self) {
        self.reach.take_if(|reach| reach.is_idle());
    }

    /// Listeners of subscribed links that count.
    pub fn listeners(&self) -> u32 {
        self.reach.as_ref().map_or(0, |reach| reach.listeners())
    }

    /// Everybody who counts as a receiver.
    pub fn receivers(&self) -> u32 {
        self.reach.as_ref().map_or(0, |reach| reach.receivers())
    }

    /// Its gateways are on their way here, and will want what was published before they came: so much is kept until
    /// then, whatever the bounds say.
    pub fn settle(&mut self, until: Instant) {
        self.settling_until = Some(until);
    }

    /// Whether gateways may still be on their way here.
    pub fn is_settling(&self, now: Instant) -> bool {
        self.settling_until.is_some_and(|until| until > now)
    }

    /// What is kept now, where `bounds` are the rule.
    fn bounds_now(&mut self, bounds: &Bounds, now: Instant) -> Bounds {
        match self.settling_until {
            Some(until) if until > now => bounds.at_least(&SETTLING),
            Some(_) => {
                self.settling_until = None;
                *bounds
            }
            None => *bounds,
        }
    }

    /// The life of the topic's counter.
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Offset of the last message, 0 before the first.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Everybody that gets a delivery, once each.
    pub fn subscribers(&self) -> &[Subscriber<L>] {
        &self.subscribers
    }

    /// When the topic may be forgotten if nobody uses it before. `None` while somebody is subscribed.
    pub fn forget_at(&self, retention: Duration) -> Option<Instant> {
        let keys = self.keys.as_ref().and_then(|keys| keys.over_at());
        let at = (self.used + retention).max(keys.unwrap_or(self.used));
        self.subscribers.is_empty().then_some(at)
    }

    /// Subscribes a link. A second `Subscribe` of the same link replaces the first, whose number comes back.
    /// Deliveries start after [`Topic::offset`].
    pub fn subscribe(&mut self, link: L, subscription: Subscription) -> Option<Subscription> {
        if let Some(subscriber) = self.subscribers.iter_mut().find(|subscriber| subscriber.link == link) {
            return Some(std::mem::replace(&mut subscriber.subscription, subscription));
        }
        self.subscribers.push(Subscriber { link, subscription });
        None
    }

    /// Ends a link's subscription, if it still goes by this number. Says whether it did.
    pub fn unsubscribe(&mut self, link: &L, subscription: Subscription, now: Instant) -> bool {
        let Some(index) = self
            .subscribers
            .iter()
            .position(|subscriber| subscriber.link == *link && subscriber.subscription == subscription)
        else {
            return false;
        };
        self.subscribers.swap_remove(index);
        if let Some(reach) = &mut self.reach {
            reach.count(link, 0);
        }
        self.used = now;
        true
    }

    /// Whether this link is subscribed under this number.
    pub fn is_subscribed(&self, link: &L, subscription: Subscription) -> bool {
        self.subscribers.iter().any(|own| own.link == *link && own.subscription == subscription)
    }

    /// Gives a publish its offset, or says why not (rule L5). An accepted message goes into the history.
    pub fn publish(
        &mut self,
        order: &Order<'_>,
        message: &Message,
        bounds: &Bounds,
        now: Instant,
    ) -> Outcome {
        let bounds = &self.bounds_now(bounds, now);
        let is_of_another_life = order.resend_epoch.is_some_and(|epoch| epoch != self.epoch);
        if is_of_another_life && !planted(Fault::AnyEpoch) {
            return Outcome::Refused(Refusal::UnknownOutcome);
        }
        let mut keys = order.key.map(|key| (self.keys.take().unwrap_or_default(), key));
        let known = keys.as_mut().map_or(Known::New, |(keys, key)| keys.look_up(key, message, now));
        let outcome = self.in_window(order, known, now);
        if let Some((mut keys, key)) = keys {
            if let Outcome::Sequenced(offset) = outcome {
                keys.remember(key, message, offset, now);
            }
            self.keys = Some(keys);
        }
        if let Outcome::Sequenced(offset) = outcome {
            self.offset = offset;
            self.used = now;
            if bounds.keep_something() {
                self.history.get_or_insert_default().push(offset, message, now, bounds);
            } else {
                self.history = None;
            }
        }
        outcome
    }

    /// What the gateway's window says of a publish, and then the topic's rate of a new one. An accepted one, or one whose
    /// key came before, enters the window.
    fn in_window(&mut self, order: &Order<'_>, known: Known, now: Instant) -> Outcome {
        let next = self.offset + 1;
        let index = self.window(order.gateway, now);
        let window = &mut self.windows[index];
        window.used = now;
        window.accepted.settle(order.settled_below);
        if order.number <= window.last && !planted(Fault::ForgetNumbers) {
            return match window.accepted.get(order.number) {
                Some(offset) => Outcome::Repeated(offset),
                None => Outcome::Refused(Refusal::StaleNumber),
            };
        }
        if now >= order.deadline && !planted(Fault::RunLate) {
            return Outcome::Refused(Refusal::Expired);
        }
        if window.accepted.len() >= WINDOW {
            return Outcome::Refused(Refusal::Overloaded);
        }
        let (offset, outcome) = match known {
            // What is refused takes no number: the same publish may come again.
            Known::New if !is_within_rate(&mut self.bucket, order.rate, now) => {
                return Outcome::Refused(Refusal::RateLimited);
            }
            Known::New => (next, Outcome::Sequenced(next)),
            Known::Same(first) => (first, Outcome::Repeated(first)),
            Known::Other => return Outcome::Refused(Refusal::KeyReused),
            Known::Full => return Outcome::Refused(Refusal::Overloaded),
        };
        window.last = order.number;
        window.accepted.push(order.number, offset);
        outcome
    }

    /// What a receiver has missed that has everything up to `from` of this epoch (rule L6): at most `bytes`, or one
    /// larger message. Whether a position is ahead, too old or of another life is judged here and nowhere else.
    pub fn read(&mut self, epoch: Epoch, from: u64, bytes: usize, bounds: &Bounds, now: Instant) -> Found {
        let bounds = &self.bounds_now(bounds, now);
        let mut oldest = None;
        if planted(Fault::AnyPosition) {
            return Found::Messages(Vec::new());
        }
        if let Some(history) = &mut self.history {
            history.trim(now, bounds);
            if epoch == self.epoch && from <= self.offset {
                return history.read(from, self.offset, bytes);
            }
            oldest = history.oldest();
        } else if epoch == self.epoch && from == self.offset {
            return Found::Messages(Vec::new());
        }
        Found::Gone { oldest }
    }

    /// Bytes of the history.
    pub fn history_bytes(&self) -> usize {
        self.history.as_ref().map_or(0, |history| history.bytes())
    }

    /// Gives the history up.
    pub fn drop_history(&mut self) {
        self.history = None;
    }

    /// Which window is this gateway's.
    fn window(&mut self, gateway: Incarnation, now: Instant) -> usize {
        match self.windows.iter().position(|window| window.gateway == gateway) {
            Some(index) => index,
            None => {
                self.windows.retain(|window| now.duration_since(window.used) < WINDOW_AGE);
                self.windows.push(Window { gateway, last: 0, accepted: Accepted::default(), used: now });
                self.windows.len() - 1
            }
        }
    }
}

/// Takes a token for a publish. Topics without a bound have no bucket.
fn is_within_rate(bucket: &mut Option<Box<TokenBucket>>, rate: Option<Rate>, now: Instant) -> bool {
    rate.is_none_or(|rate| bucket.get_or_insert_default().take(rate, now).is_ok())
}

#[cfg(test)]
#[path = "state_tests.rs"]
mod tests;
