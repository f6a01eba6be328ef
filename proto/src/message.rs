//! Complete enums for what the two tiers say. The generated types stay behind [`crate::wire`]: here nothing is
//! optional that the protocol requires, and every bound has been checked.

use std::time::Duration;

use bytes::{Bytes, BytesMut};

use crate::ids::{Epoch, Incarnation, Subscription};
use crate::reach::{Match, Pattern, Query, QueryAnswer};

/// How a payload is to be read by those who must read it; the core never does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Encoding {
    /// The text of one JSON value.
    Json,
    /// Any bytes.
    Binary,
}

/// What subscribers get: an event's name and its payload. Cloning shares the bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// How to read the payload.
    pub encoding: Encoding,
    /// 1 to 255 bytes.
    pub event: Bytes,
    /// Opaque from front to front.
    pub payload: Bytes,
}

impl Message {
    /// Bytes that a queue counts for it, without the queue's own overhead.
    pub fn len(&self) -> usize {
        self.event.len() + self.payload.len()
    }

    /// The same message in one allocation of its own. What came over a link is a slice of a whole batch, and who
    /// keeps a slice keeps the batch: whatever outlives the moment must be detached first.
    pub fn detached(&self) -> Self {
        let mut bytes = BytesMut::with_capacity(self.len());
        bytes.extend_from_slice(&self.event);
        bytes.extend_from_slice(&self.payload);
        let mut event: Bytes = bytes.freeze();
        let payload = event.split_off(self.event.len());
        Self { encoding: self.encoding, event, payload }
    }

    /// Whether it has no bytes at all, which a checked message never is: events have a length of 1 at least.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A topic server, as rings name it (rule H7).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The member's name.
    pub name: String,
    /// The address at which rings have it.
    pub address: String,
}

/// The rings that a topic server knows of (rules R1, R2), each as the text of its file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rings {
    /// The newest one.
    pub newest: String,
    /// Older ones, under which topics may still lie elsewhere.
    pub previous: Vec<String>,
    /// Topic servers that held nothing of others under the ring of this version, or a newer one.
    pub clean: Vec<(Place, u64)>,
    /// The topic server has just started, and does not know yet what others know.
    pub starting: bool,
}

/// The first message of a gateway on a link (rule L2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    /// The link protocol that the gateway speaks.
    pub link_version: u32,
    /// The gateway's name, for people.
    pub gateway: String,
    /// The gateway process's life.
    pub incarnation: Incarnation,
    /// Grows with every link of this incarnation.
    pub link_number: u64,
    /// The member that the gateway expects to meet.
    pub member: String,
    /// The address at which the ring has that member.
    pub address: String,
    /// The gateway's newest ring.
    pub ring_version: u64,
    /// Digest of that ring's values.
    pub ring_digest: u64,
    /// Rings that the gateway held until a short while ago, each as the text of its file (rule R2).
    pub previous_rings: Vec<String>,
}

/// One publish as it travels to the owner (rule L5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publish {
    /// The gateway's slot of the topic, repeated in the answer.
    pub slot: u32,
    /// 1 to 1,024 bytes.
    pub topic: Bytes,
    /// Grows per topic and gateway incarnation.
    pub number: u64,
    /// Every lower number has been answered.
    pub settled_below: u64,
    /// What is left of the publisher's time.
    pub time_left: Duration,
    /// On a re-send, the epoch under which it was first sent.
    pub resend_epoch: Option<Epoch>,
    /// What is published.
    pub message: Message,
    /// Idempotency key, 1 to 64 bytes.
    pub key: Option<Bytes>,
}

/// Gateway to topic server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FromGateway {
    /// Opens the link.
    Hello(Hello),
    /// Wants a topic's messages under a new number.
    Subscribe {
        /// The new number.
        subscription: Subscription,
        /// 1 to 1,024 bytes.
        topic: Bytes,
        /// How many of the gateway's listeners count as receivers.
        listeners: u32,
    },
    /// So many listeners count from here on.
    Count {
        /// The number of the `Subscribe`.
        subscription: Subscription,
        /// How many of the gateway's listeners count as receivers.
        listeners: u32,
        /// Grows with each change; repeated in the answer.
        change: u32,
    },
    /// Has so many listeners to a pattern.
    Pattern(Pattern),
    /// Has told on this link of all patterns that it had when the link opened.
    AllPatterns,
    /// Asks something, under a number that comes back in the answer.
    Query(u64, Query),
    /// Wants no more under this number.
    Unsubscribe {
        /// The number of the `Subscribe`.
        subscription: Subscription,
    },
    /// Wants a message sequenced.
    Publish(Publish),
    /// Wants what was missed since a position.
    Read {
        /// The number of the `Subscribe`.
        subscription: Subscription,
        /// The position's epoch.
        epoch: Epoch,
        /// The last offset that the asker has.
        from: u64,
    },
    /// Every topic server to which the gateway has a link, or had one within the last 5 s (rule H4).
    Sees(Vec<Place>),
    /// Asks for a `Pong`.
    Ping(u64),
    /// Answers a `Ping`.
    Pong(u64),
}

/// The first message of a topic server on a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Welcome {
    /// The link protocol that the topic server speaks.
    pub link_version: u32,
    /// The member's name.
    pub member: String,
    /// The topic server process's life.
    pub incarnation: Incarnation,
    /// The topic server's newest ring.
    pub ring_version: u64,
    /// Digest of that ring's values.
    pub ring_digest: u64,
}

/// Why a topic server did not do what it was asked. In no case anything happened, but for `UnknownOutcome`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// It does not hold the topic and its ring gives it to another.
    NotOwner,
    /// The publish's time was up before its turn came.
    Expired,
    /// A bound of the server is reached.
    Overloaded,
    /// The server ends in an orderly way.
    Draining,
    /// A re-send whose first outcome the server cannot know.
    UnknownOutcome,
    /// A number that the server has seen pass and did not accept.
    StaleNumber,
    /// The idempotency key came before, with another event or payload.
    KeyReused,
    /// The topic is published to more often than it may be.
    RateLimited,
}

/// What a read finds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// The messages behind the position, without a gap, as many as fit; none if there is none behind it.
    Messages(Vec<Message>),
    /// The position cannot be continued: it is of another epoch, ahead of the topic, or too old.
    Gone {
        /// The oldest offset that is still kept.
        oldest: Option<u64>,
    },
}

/// Topic server to gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FromTopicServer {
    /// Accepts the link.
    Welcome(Welcome),
    /// The subscription stands; deliveries start after `offset`.
    Subscribed {
        /// The number of the `Subscribe`.
        subscription: Subscription,
        /// The topic's epoch.
        epoch: Epoch,
        /// The topic's last offset, 0 before the first.
        offset: u64,
    },
    /// One message of a topic.
    Deliver {
        /// The number of the `Subscribe`.
        subscription: Subscription,
        /// The message's offset.
        offset: u64,
        /// What was published.
        message: Message,
    },
    /// A part of what was missed, in order with the deliveries of the same subscription.
    Missed {
        /// The number of the `Subscribe`.
        subscription: Subscription,
        /// As asked.
        epoch: Epoch,
        /// As asked.
        from: u64,
        /// What there is.
        found: Found,
    },
    /// A publish has its offset and lies in every subscribed gateway's outbox.
    Published {
        /// The publish's slot.
        slot: u32,
        /// The publish's number.
        number: u64,
        /// The topic's epoch.
        epoch: Epoch,
        /// The message's offset.
        offset: u64,
        /// Listeners that count, of the topic and of patterns that match it, on all gateways, when this was said.
        receivers: u32,
    },
    /// What a `Count` said counts for every publish from here on.
    Counted {
        /// The number of the `Subscribe`.
        subscription: Subscription,
        /// As told.
        change: u32,
    },
    /// What a `Pattern` said stands here.
    PatternStands {
        /// The gateway's number of the pattern.
        number: u32,
        /// As told.
        change: u32,
    },
    /// One message of a topic for patterns of the gateway, and for its subscription if it has one.
    Match(Box<Match>),
    /// The last message of a topic for patterns of the gateway: the server gives the topic up.
    PatternsMoved {
        /// The topic.
        topic: Bytes,
        /// Its epoch.
        epoch: Epoch,
        /// The offset of its last message here.
        offset: u64,
    },
    /// Messages for the gateway's patterns are lost, and nobody can say which.
    PatternsLost,
    /// A part of the answer to a `Query`.
    QueryAnswer(QueryAnswer),
    /// A publish was not run.
    PublishRefused {
        /// The publish's slot.
        slot: u32,
        /// The publish's number.
        number: u64,
        /// Why.
        reason: Refusal,
    },
    /// A subscription does not stand.
    SubscribeRefused {
        /// The number of the `Subscribe`.
        subscription: Subscription,
        /// Why.
        reason: Refusal,
    },
    /// The server ends in an orderly way: send what is queued, and nothing more.
    Draining,
    /// The last message of a subscription: the server gives the topic up.
    Moved {
        /// The number of the `Subscribe`.
        subscription: Subscription,
        /// The last offset delivered under it.
        offset: u64,
        /// The process that takes the topic over, with its windows (rule L5), if that is known.
        to: Option<Incarnation>,
    },
    /// The rings that the topic server knows of (rule R1).
    Rings(Rings),
    /// Asks for a `Pong`.
    Ping(u64),
    /// Answers a `Ping`.
    Pong(u64),
}
