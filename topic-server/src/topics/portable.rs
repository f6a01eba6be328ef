//! A topic's state on its way to another server: everything that the contract rests on, in pieces (rule H2). Times
//! travel as durations (rule L7).

use std::time::{Duration, Instant};

use bytes::Bytes;
use campanile_proto::Epoch;
use campanile_proto::handoff::{Head, KnownKey, PIECE_BYTES, Past, Piece, SentWindow};
use campanile_proto::planted::{Fault, planted};

use crate::topics::history::History;
use crate::topics::keys::{KEY_AGE, Keys};
use crate::topics::state::{Topic, Window};

/// Nothing that travels is older, or kept for longer, whatever the other side says.
const LONGEST: Duration = Duration::from_secs(86_400 * 7);

/// No topic has so many messages; beyond it, counting on would overflow some day.
const OFFSETS: u64 = u64::MAX / 2;

/// A topic that comes from another server, piece by piece.
#[derive(Debug)]
pub struct Arriving {
    /// The giver's number.
    pub number: u64,
    /// The topic.
    pub topic: Bytes,
    head: Head,
    history: Vec<Past>,
    keys: Vec<KnownKey>,
    windows: Vec<SentWindow>,
}

/// The state of a topic in pieces; never none.
pub(crate) fn pieces<L: Clone + PartialEq>(
    topic: &Topic<L>,
    name: &[u8],
    number: u64,
    now: Instant,
) -> Vec<Piece> {
    let name = Bytes::copy_from_slice(name);
    let head = Head {
        epoch: topic.epoch,
        offset: topic.offset,
        opened_under: topic.opened_under,
        renewed_from: topic.renewed_from,
        matching: topic.reach().map(|reach| reach.introduced().to_vec()).unwrap_or_default(),
    };
    let mut packer = Packer { number, name, pieces: Vec::new(), size: 0 };
    packer.next().head = Some(head);
    if let Some(history) = topic.history.as_ref().filter(|_| !planted(Fault::ForgetHistory)) {
        for (age, message) in history.pasts(now) {
            let past = Past { message, age_ms: milliseconds(age) };
            packer.room(past.cost()).history.push(past);
        }
    }
    if let Some(keys) = topic.keys.as_ref().filter(|_| !planted(Fault::ForgetKeys)) {
        for (key, offset, body, left) in keys.all(now) {
            let key = Bytes::copy_from_slice(key);
            let known = KnownKey { key, offset, body, left_ms: milliseconds(left) };
            packer.room(known.cost()).keys.push(known);
        }
    }
    for window in topic.windows.iter().filter(|_| !planted(Fault::ForgetWindows)) {
        let sent = SentWindow {
            gateway: window.gateway,
            last: window.last,
            accepted: window.accepted.iter().collect(),
            idle_ms: milliseconds(now.duration_since(window.used)),
        };
        packer.room(sent.cost()).windows.push(sent);
    }
    if let Some(piece) = packer.pieces.last_mut() {
        piece.last = true;
    }
    packer.pieces
}

struct Packer {
    number: u64,
    name: Bytes,
    pieces: Vec<Piece>,
    size: usize,
}

impl Packer {
    /// The piece into which something of this size goes.
    fn room(&mut self, cost: usize) -> &mut Piece {
        if self.size > 0 && self.size + cost > PIECE_BYTES || self.pieces.is_empty() {
            self.next();
        }
        self.size += cost;
        let last = self.pieces.len() - 1;
        &mut self.pieces[last]
    }

    fn next(&mut self) -> &mut Piece {
        self.size = 0;
        self.pieces.push(Piece {
            number: self.number,
            topic: self.name.clone(),
            head: None,
            history: Vec::new(),
            keys: Vec::new(),
            windows: Vec::new(),
            last: false,
        });
        let last = self.pieces.len() - 1;
        &mut self.pieces[last]
    }
}

impl Arriving {
    /// Begins with a first piece; `None` if it is none, or of a topic that nobody can have.
    pub fn begin(piece: Piece) -> Option<Self> {
        let Piece { number, topic, head, history, keys, windows, .. } = piece;
        // Names and bodies are slices of a whole batch.
        let topic = Bytes::copy_from_slice(&topic);
        let mut arriving = Self {
            number,
            topic,
            head: head.filter(|head| head.offset <= OFFSETS)?,
            history: Vec::new(),
            keys,
            windows,
        };
        arriving.keep(history);
        Some(arriving)
    }

    /// Goes on with the next piece; `false` if it is of something else.
    pub fn go_on(&mut self, piece: Piece) -> bool {
        if piece.number != self.number || piece.topic != self.topic || piece.head.is_some() {
            return false;
        }
        self.keep(piece.history);
        self.keys.extend(piece.keys);
        self.windows.extend(piece.windows);
        true
    }

    /// Messages with bytes of their own.
    fn keep(&mut self, history: Vec<Past>) {
        let detach = |past: Past| Past { message: past.message.detached(), age_ms: past.age_ms };
        self.history.extend(history.into_iter().map(detach));
    }

    /// The life of its counter.
    pub fn epoch(&self) -> Epoch {
        self.head.epoch
    }

    /// Offset of its last message.
    pub fn offset(&self) -> u64 {
        self.head.offset
    }

    /// The life that its own goes on from, if it was a copy.
    pub fn renewed_from(&self) -> Option<Epoch> {
        self.head.renewed_from
    }

    /// Version of the ring under which its epoch was opened.
    pub fn opened_under(&self) -> u64 {
        self.head.opened_under
    }

    /// The topic, as it was at its giver, without subscribers.
    pub fn into_topic<L: Clone + PartialEq>(self, now: Instant) -> Topic<L> {
        let Head { epoch, offset, opened_under, renewed_from, matching } = self.head;
        let mut topic = Topic::new(epoch, opened_under, now);
        topic.offset = offset;
        topic.renewed_from = renewed_from;
        if !matching.is_empty() {
            topic.reach_mut().introduce(matching);
        }
        let first = (offset + 1).saturating_sub(self.history.len() as u64);
        if !self.history.is_empty() && first > 0 {
            let mut history = History::default();
            for (offset, past) in (first..).zip(self.history) {
                history.restore(offset, &past.message, ago(now, past.age_ms));
            }
            topic.history = Some(history);
        }
        if !self.keys.is_empty() {
            let mut keys = Keys::default();
            for known in self.keys {
                let left = Duration::from_millis(known.left_ms).min(KEY_AGE);
                keys.restore(&known.key, known.offset, known.body, now + left);
            }
            topic.keys = Some(Box::new(keys));
        }
        let window = |sent: SentWindow| Window {
            gateway: sent.gateway,
            last: sent.last,
            accepted: sent.accepted.into_iter().collect(),
            used: ago(now, sent.idle_ms),
        };
        topic.windows = self.windows.into_iter().map(window).collect();
        topic
    }
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// A machine that has not run for so long has no such instant: then it is now.
fn ago(now: Instant, milliseconds: u64) -> Instant {
    now.checked_sub(Duration::from_millis(milliseconds).min(LONGEST)).unwrap_or(now)
}

#[cfg(test)]
#[path = "portable_tests.rs"]
mod tests;
