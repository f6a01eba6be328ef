//! A topic's last messages, for those who were away: bounded by count, bytes and age. No clock: time comes in as an
//! argument.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::Bytes;
use campanile_proto::{Encoding, Found, Message};

/// What a message costs beside its bytes: its place in the queue and its allocation.
const MESSAGE_OVERHEAD: usize = 112;

/// How much of a topic is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Messages; 0 keeps none.
    pub messages: usize,
    /// Bytes, with overhead; the newest message is kept whatever its size.
    pub bytes: usize,
    /// Age.
    pub age: Duration,
}

impl Bounds {
    /// These, or those where they keep more.
    pub fn at_least(&self, other: &Self) -> Self {
        Self {
            messages: self.messages.max(other.messages),
            bytes: self.bytes.max(other.bytes),
            age: self.age.max(other.age),
        }
    }

    /// Whether anything is kept at all.
    pub fn keep_something(&self) -> bool {
        self.messages > 0 && self.bytes > 0 && !self.age.is_zero()
    }
}

/// The last messages of a topic, without a gap, up to the newest.
#[derive(Debug, Default)]
pub struct History {
    kept: VecDeque<Kept>,
    /// Offset of the oldest that is kept, if there is one.
    first: u64,
    bytes: usize,
}

/// A message, in one allocation of its own that it shares with nobody until it is read: what is never read, as most are
/// not, costs no second one.
#[derive(Debug)]
struct Kept {
    at: Instant,
    /// Event and payload.
    body: Bytes,
    /// Length of the event.
    event: u8,
    encoding: Encoding,
}

impl History {
    /// Keeps a message whose offset is the next one, with bytes of its own, which pin nothing larger. Returns by how many
    /// bytes the history grew.
    pub fn push(&mut self, offset: u64, message: &Message, now: Instant, bounds: &Bounds) -> isize {
        let before = self.bytes;
        self.restore(offset, message, now);
        self.trim(now, bounds);
        self.bytes as isize - before as isize
    }

    /// Drops what is out of bounds. Returns by how many bytes the history shrank.
    pub fn trim(&mut self, now: Instant, bounds: &Bounds) -> usize {
        let before = self.bytes;
        while let Some(oldest) = self.kept.front() {
            let too_many = self.kept.len() > bounds.messages;
            let too_large = self.bytes > bounds.bytes && self.kept.len() > 1;
            let too_old = now.duration_since(oldest.at) >= bounds.age;
            if !(too_many || too_large || too_old) {
                break;
            }
            self.bytes -= oldest.cost();
            self.kept.pop_front();
            self.first += 1;
        }
        if self.kept.is_empty() {
            self.kept = VecDeque::new();
        }
        before - self.bytes
    }

    /// Drops everything. Returns how many bytes that were.
    pub fn clear(&mut self) -> usize {
        self.kept = VecDeque::new();
        std::mem::take(&mut self.bytes)
    }

    /// All that is kept, oldest first: age and message.
    pub fn pasts(&self, now: Instant) -> impl Iterator<Item = (Duration, Message)> {
        self.kept.iter().map(move |kept| (now.duration_since(kept.at), kept.message()))
    }

    /// Keeps a message of a topic that comes from elsewhere, where it is as old as this. Older ones come first, the
    /// last one has the topic's offset. Nothing is dropped: the next message of the topic does that.
    pub fn restore(&mut self, offset: u64, message: &Message, at: Instant) {
        if self.kept.is_empty() {
            self.first = offset;
        }
        if self.kept.len() == self.kept.capacity() {
            // Room for one where there is none: most topics of very many have few messages.
            self.kept.reserve_exact(self.kept.len().max(1));
        }
        let kept = Kept::new(message, at);
        self.bytes += kept.cost();
        self.kept.push_back(kept);
    }

    /// Bytes kept, with overhead.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Offset of the oldest message kept.
    pub fn oldest(&self) -> Option<u64> {
        (!self.kept.is_empty()).then_some(self.first)
    }

    /// When the newest message is too old to keep.
    pub fn over_at(&self, bounds: &Bounds) -> Option<Instant> {
        self.kept.back().map(|kept| kept.at + bounds.age)
    }

    /// What a receiver that has everything up to `from` has missed, when `last` is the topic's last offset: at most
    /// `bytes`, or one larger message. The caller has made sure that `from` is not beyond `last`.
    pub fn read(&self, from: u64, last: u64, bytes: usize) -> Found {
        if from >= last {
            return Found::Messages(Vec::new());
        }
        let Some(oldest) = self.oldest().filter(|oldest| from + 1 >= *oldest) else {
            return Found::Gone { oldest: self.oldest() };
        };
        let skip = usize::try_from(from + 1 - oldest).unwrap_or(usize::MAX);
        let mut size = 0;
        let messages = self.kept.iter().skip(skip).take_while(|kept| {
            let first = size == 0;
            size += kept.cost();
            first || size <= bytes
        });
        Found::Messages(messages.map(Kept::message).collect())
    }
}

impl Kept {
    fn new(message: &Message, at: Instant) -> Self {
        let mut body = Vec::with_capacity(message.len());
        body.extend_from_slice(&message.event);
        body.extend_from_slice(&message.payload);
        // 255 at most: whoever made the message has checked it.
        Self { at, body: body.into(), event: message.event.len() as u8, encoding: message.encoding }
    }

    /// The message, which shares the bytes.
    fn message(&self) -> Message {
        let event = usize::from(self.event);
        Message {
            encoding: self.encoding,
            event: self.body.slice(..event),
            payload: self.body.slice(event..),
        }
    }

    fn cost(&self) -> usize {
        self.body.len() + MESSAGE_OVERHEAD
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use campanile_proto::Encoding;

    use super::*;

    const BOUNDS: Bounds = Bounds { messages: 5, bytes: 10_000, age: Duration::from_secs(120) };

    fn message(size: usize) -> Message {
        Message {
            encoding: Encoding::Json,
            event: Bytes::from_static(b"e"),
            payload: Bytes::from(vec![b'x'; size]),
        }
    }

    fn filled(count: u64, now: Instant) -> History {
        let mut history = History::default();
        for offset in 1..=count {
            history.push(offset, &message(offset as usize), now, &BOUNDS);
        }
        history
    }

    /// The sizes of the payloads found; tests make them tell the offsets.
    fn sizes(found: Found) -> Vec<usize> {
        match found {
            Found::Messages(messages) => messages.iter().map(|message| message.payload.len()).collect(),
            Found::Gone { oldest } => panic!("gone, oldest {oldest:?}"),
        }
    }

    #[test]
    fn what_was_missed_is_what_is_behind_the_position() {
        let history = filled(4, Instant::now());
        assert_eq!(sizes(history.read(0, 4, 10_000)), [1, 2, 3, 4]);
        assert_eq!(sizes(history.read(2, 4, 10_000)), [3, 4]);
        assert_eq!(sizes(history.read(4, 4, 10_000)), [0_usize; 0]);
    }

    #[test]
    fn the_oldest_go_when_there_are_too_many() {
        let history = filled(8, Instant::now());
        assert_eq!(history.oldest(), Some(4));
        assert_eq!(sizes(history.read(3, 8, 10_000)), [4, 5, 6, 7, 8]);
        assert_eq!(history.read(2, 8, 10_000), Found::Gone { oldest: Some(4) });
    }

    #[test]
    fn bytes_are_bounded_and_the_newest_message_stays_whatever_its_size() {
        let now = Instant::now();
        let mut history = filled(3, now);
        history.push(4, &message(9_000), now, &BOUNDS);
        assert!(history.bytes() <= BOUNDS.bytes);
        history.push(5, &message(50_000), now, &BOUNDS);
        assert_eq!(history.oldest(), Some(5));
        history.push(6, &message(1), now, &BOUNDS);
        assert_eq!(history.oldest(), Some(6));
    }

    #[test]
    fn age_is_bounded() {
        let start = Instant::now();
        let mut history = filled(2, start);
        let later = start + Duration::from_secs(60);
        history.push(3, &message(1), later, &BOUNDS);
        history.trim(start + BOUNDS.age, &BOUNDS);
        assert_eq!(history.oldest(), Some(3));
        assert_eq!(history.over_at(&BOUNDS), Some(later + BOUNDS.age));
        history.trim(later + BOUNDS.age, &BOUNDS);
        assert_eq!((history.oldest(), history.bytes()), (None, 0));
        assert_eq!(history.read(2, 3, 100), Found::Gone { oldest: None });
        assert_eq!(sizes(history.read(3, 3, 100)), [0_usize; 0]);
    }

    #[test]
    fn a_read_takes_what_fits_and_one_at_least() {
        let now = Instant::now();
        let mut history = History::default();
        for offset in 1..=4 {
            history.push(offset, &message(1_000 + offset as usize), now, &BOUNDS);
        }
        assert_eq!(sizes(history.read(0, 4, 2_500)), [1_001, 1_002]);
        assert_eq!(sizes(history.read(2, 4, 1)), [1_003]);
    }

    #[test]
    fn growth_and_shrinkage_add_up() {
        let now = Instant::now();
        let mut history = History::default();
        let mut total = 0;
        for offset in 1..=20 {
            total += history.push(offset, &message(offset as usize * 100), now, &BOUNDS);
            assert_eq!(usize::try_from(total), Ok(history.bytes()));
        }
        assert_eq!(history.clear(), usize::try_from(total).expect("not negative"));
    }

    #[test]
    fn a_kept_message_shares_nothing_with_what_it_came_in() {
        let batch = Bytes::from(vec![b'b'; 100_000]);
        let message =
            Message { encoding: Encoding::Json, event: batch.slice(0..5), payload: batch.slice(10..20) };
        let (mut history, now) = (History::default(), Instant::now());
        history.push(1, &message, now, &BOUNDS);
        let (_, kept) = history.pasts(now).next().expect("a message");
        assert_eq!(kept, message);
        let range = batch.as_ptr_range();
        assert!(!range.contains(&kept.payload.as_ptr()) && !range.contains(&kept.event.as_ptr()));
    }
}
