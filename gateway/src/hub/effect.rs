//! What the rules of a topic take and give: who listens, where requests go, and what a command leads to.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use campanile_proto::{Encoding, Epoch, FromGateway, Incarnation, Subscription};

use crate::client::outbox::{ChannelId, Item, Outbox, Placed, Resumed, Tag};
use crate::hub::codec::Codec;
use crate::hub::counting::Told as ToldCount;
use crate::hub::publish::{Accepted, Pending};
use crate::hub::reason::Reason;

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
    /// Whether it counts as a receiver.
    pub counts: bool,
}

impl Listener {
    /// A message of the topic at this position, as its codec has encoded it.
    pub(crate) fn event(&self, encoding: Encoding, body: Bytes, (epoch, offset): (Epoch, u64)) -> Item {
        if self.tag.may_drop() {
            self.droppable(Arc::new(Placed { encoding, body, epoch, offset }))
        } else {
            Item::Event { tag: self.tag.clone(), encoding, body }
        }
    }

    /// The same for one whose queued events may be dropped.
    pub(crate) fn droppable(&self, event: Arc<Placed>) -> Item {
        Item::Droppable { tag: self.tag.clone(), channel: self.channel, event }
    }

    /// The channel listens: events follow after this position.
    pub(crate) fn joined(&self, (epoch, offset): (Epoch, u64), resumed: Option<Resumed>) -> Effect {
        let item = Item::Joined { channel: self.channel, epoch, offset, resumed };
        Effect::Tell(self.client.clone(), item)
    }

    /// The channel does not listen.
    pub(crate) fn failed(&self, reason: Reason) -> Effect {
        Effect::Tell(self.client.clone(), Item::JoinFailed { channel: self.channel, reason })
    }

    /// The channel has missed messages that nobody can give it any more: events follow after this position.
    pub(crate) fn lost(&self, (epoch, offset): (Epoch, u64)) -> Effect {
        Effect::Tell(self.client.clone(), Item::Lost { channel: self.channel, epoch, offset })
    }
}

/// A listener that leaves, and is told when it counts no more.
#[derive(Clone, Debug)]
pub struct Leaving {
    /// The listener's.
    pub id: u64,
    /// Where the word goes.
    pub client: Outbox,
    /// What its front calls it.
    pub channel: ChannelId,
    /// It is told by then.
    pub deadline: Instant,
}

/// Where a channel wants its messages to start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// With the next one.
    Live,
    /// Behind this position, which its client has from an earlier life of the channel.
    After(Epoch, u64),
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
    Answer(Arc<Pending>, Result<Accepted, Reason>),
    /// Call [`Topic::wake`](crate::hub::state::Topic::wake) at this time.
    Wake(Instant),
    /// Something for the metrics.
    Count(Counted),
}

/// A request to a topic server.
#[derive(Clone, Debug)]
pub enum Request {
    /// Subscribe under a new number, with so many listeners that count.
    Subscribe(Subscription, Bytes, u32),
    /// Tell how many listeners count, as it is when this leaves.
    Count(Subscription, Arc<ToldCount>),
    /// Say something that is of no topic: of patterns, or a query.
    Say(Box<FromGateway>),
    /// End the subscription of this number.
    Unsubscribe(Subscription),
    /// What was missed of this subscription's topic behind a position.
    Read(Subscription, Epoch, u64),
    /// Run a publish, if it has not been given up.
    Publish {
        /// The publish.
        pending: Arc<Pending>,
        /// Which sending of it this is; only the newest leaves.
        sending: u64,
        /// Every lower number has been answered.
        settled_below: u64,
        /// The epoch of its first sending, if this is not the first.
        resend_epoch: Option<Epoch>,
    },
}

impl Request {
    /// Whether a topic server of link version 1 knows what this is.
    pub(crate) fn is_of_version_1(&self) -> bool {
        !matches!(self, Self::Count(..) | Self::Say(_))
    }
}

/// Things that should be rare, or that users want to know of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counted {
    /// Messages that a listener missed and cannot be given any more.
    Missed(u64),
    /// A listener was given what it had missed.
    Recovered,
    /// The counter of a listener's topic began anew.
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
