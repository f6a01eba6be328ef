//! What a session gets through its outbox, in the order in which it is to take effect.

use std::sync::Arc;

use bytes::Bytes;
use campanile_proto::{Encoding, Epoch};

use crate::hub::publish::Accepted;
use crate::hub::queries::Told;
use crate::hub::reason::Reason;

/// What a queued item costs beside its bytes.
const ITEM_OVERHEAD: usize = 64;

/// What a front calls one of its session's channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ChannelId(pub u32);

/// Something for a session, in the order in which it is to take effect.
#[derive(Clone, Debug)]
pub enum Item {
    /// A topic's message, encoded once for all who use the same codec.
    Event {
        /// What the front put into its listener: its own part of every frame.
        tag: Arc<Tag>,
        /// How the message was published.
        encoding: Encoding,
        /// What the codec made of it.
        body: Bytes,
    },
    /// The same for a topic whose queued messages give way when the queue is full.
    Droppable {
        /// What the front put into its listener.
        tag: Arc<Tag>,
        /// The front's channel.
        channel: ChannelId,
        /// The message.
        event: Arc<Placed>,
    },
    /// Here messages of a channel gave way: its events follow after this position.
    Dropped {
        /// The front's channel.
        channel: ChannelId,
        /// The topic's epoch.
        epoch: Epoch,
        /// The offset of the last that gave way.
        offset: u64,
    },
    /// A channel's listener is live: events follow after this position.
    Joined {
        /// The front's channel.
        channel: ChannelId,
        /// The topic's epoch.
        epoch: Epoch,
        /// The offset after which events follow.
        offset: u64,
        /// What became of the position that the channel came back with, if it had one.
        resumed: Option<Resumed>,
    },
    /// A step of what a channel missed ends here: say so to the hub, and the next one comes.
    Step {
        /// The front's channel.
        channel: ChannelId,
    },
    /// A channel has missed messages that nobody can give it any more: events follow after this position.
    Lost {
        /// The front's channel.
        channel: ChannelId,
        /// The topic's epoch.
        epoch: Epoch,
        /// The offset after which events follow.
        offset: u64,
    },
    /// A channel's listener will not become live.
    JoinFailed {
        /// The front's channel.
        channel: ChannelId,
        /// Why.
        reason: Reason,
    },
    /// What became of a publish.
    Answer {
        /// What the front called the publish.
        token: u32,
        /// The message's position and receivers, or why there is none.
        result: Result<Accepted, Reason>,
    },
    /// A listener to a pattern is live: it gets what is published from here on, whatever topic server serves it.
    PatternJoined {
        /// The front's channel.
        channel: ChannelId,
    },
    /// A listener to a pattern may have missed messages, and nobody can say which.
    PatternLost {
        /// The front's channel.
        channel: ChannelId,
    },
    /// A listener that has left counts nowhere any more.
    Left {
        /// The front's channel.
        channel: ChannelId,
    },
    /// What became of a query.
    Told {
        /// What the front called the query.
        token: u32,
        /// The answer, or why there is none.
        result: Result<Box<Told>, Reason>,
    },
    /// A frame of the front itself, ready to be sent as text.
    Frame(Bytes),
    /// Nothing but a mark of the front itself: all that was queued before it has been taken.
    Turn(u32),
}

/// What became of a position that a channel came back with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resumed {
    /// Everything behind it follows.
    pub recovered: bool,
    /// Otherwise, the oldest offset that is still kept.
    pub oldest: Option<u64>,
}

/// A message with its place in its topic, encoded once for all who use the same codec.
#[derive(Debug)]
pub struct Placed {
    /// How the message was published.
    pub encoding: Encoding,
    /// What the codec made of it.
    pub body: Bytes,
    /// The topic's epoch.
    pub epoch: Epoch,
    /// The message's offset.
    pub offset: u64,
}

/// A front's own part of every frame to one channel, in the two forms that it may need.
#[derive(Debug, PartialEq, Eq)]
pub struct Tag {
    /// Both in one piece: there is a tag for every channel.
    both: Box<[u8]>,
    text: u32,
    may_drop: bool,
}

impl Tag {
    /// What goes into text frames, and what into binary ones. The channel's events stay in its client's queue until
    /// they are written.
    pub fn new(text: &[u8], binary: &[u8]) -> Arc<Self> {
        Arc::new(Self::whole(text, binary, false))
    }

    /// The same for a channel whose queued events give way, the oldest first, when its client's queue is full.
    pub fn droppable(text: &[u8], binary: &[u8]) -> Arc<Self> {
        Arc::new(Self::whole(text, binary, true))
    }

    fn whole(text: &[u8], binary: &[u8], may_drop: bool) -> Self {
        Self { both: [text, binary].concat().into(), text: text.len() as u32, may_drop }
    }

    /// For text frames.
    pub fn text(&self) -> &[u8] {
        self.both.get(..self.text as usize).unwrap_or_default()
    }

    /// For binary frames.
    pub fn binary(&self) -> &[u8] {
        self.both.get(self.text as usize..).unwrap_or_default()
    }

    /// Whether the channel's queued events may be dropped.
    pub fn may_drop(&self) -> bool {
        self.may_drop
    }
}

impl Item {
    /// What the item counts as in bytes while it is queued.
    pub(crate) fn cost(&self) -> usize {
        ITEM_OVERHEAD
            + match self {
                Self::Event { tag, body, .. } => tag.text as usize + body.len(),
                Self::Droppable { tag, event, .. } => tag.text as usize + event.body.len(),
                Self::Frame(bytes) => bytes.len(),
                _ => 0,
            }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_item_is_as_small_as_an_event_allows() {
        assert_eq!(size_of::<Item>(), 48);
        assert_eq!(size_of::<Tag>(), 24);
    }
}
