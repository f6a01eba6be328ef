//! A topic's idempotency keys: a publish that comes again with its key counts once. No clock: time comes in as an
//! argument.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use campanile_proto::Message;
use xxhash_rust::xxh3::Xxh3;

/// How long a key is remembered.
pub const KEY_AGE: Duration = Duration::from_secs(120);

/// How many keys of a topic are remembered at a time. A full table refuses keyed publishes rather than forget a
/// young key.
pub const KEYS: usize = 10_000;

/// The keys of one topic.
#[derive(Debug, Default)]
pub struct Keys {
    by_key: HashMap<Arc<[u8]>, Remembered>,
    /// In the order in which they are forgotten.
    order: VecDeque<(Instant, Arc<[u8]>)>,
}

#[derive(Clone, Copy, Debug)]
struct Remembered {
    offset: u64,
    body: u128,
}

/// What is known of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known {
    /// Nothing, and there is room for it.
    New,
    /// It came before, with the same body, and became the message of this offset.
    Same(u64),
    /// It came before with another body.
    Other,
    /// Nothing, and there is no room for it.
    Full,
}

impl Keys {
    /// What is known of a key and this message.
    pub fn look_up(&mut self, key: &[u8], message: &Message, now: Instant) -> Known {
        self.forget(now);
        match self.by_key.get(key) {
            Some(known) if known.body == digest(message) => Known::Same(known.offset),
            Some(_) => Known::Other,
            None if self.by_key.len() >= KEYS => Known::Full,
            None => Known::New,
        }
    }

    /// Remembers a key that was new.
    pub fn remember(&mut self, key: &[u8], message: &Message, offset: u64, now: Instant) {
        let key: Arc<[u8]> = key.into();
        self.by_key.insert(Arc::clone(&key), Remembered { offset, body: digest(message) });
        self.order.push_back((now + KEY_AGE, key));
    }

    /// All that are remembered, the first to be forgotten first: key, offset, digest of the message, time left.
    pub fn all(&self, now: Instant) -> impl Iterator<Item = (&Arc<[u8]>, u64, u128, Duration)> {
        self.order.iter().filter_map(move |(until, key)| {
            let known = self.by_key.get(key)?;
            Some((key, known.offset, known.body, until.saturating_duration_since(now)))
        })
    }

    /// Remembers a key that a topic brings with it from elsewhere; the first to be forgotten come first.
    pub fn restore(&mut self, key: &[u8], offset: u64, body: u128, until: Instant) {
        let key: Arc<[u8]> = key.into();
        self.by_key.insert(Arc::clone(&key), Remembered { offset, body });
        self.order.push_back((until, key));
    }

    /// Forgets what is too old. Returns whether nothing is left.
    pub fn forget(&mut self, now: Instant) -> bool {
        while self.order.front().is_some_and(|(until, _)| *until <= now)
            && let Some((_, key)) = self.order.pop_front()
        {
            self.by_key.remove(&key);
        }
        self.by_key.is_empty()
    }

    /// When the last key is forgotten.
    pub fn over_at(&self) -> Option<Instant> {
        self.order.back().map(|(until, _)| *until)
    }
}

/// Of everything that makes two publishes the same.
fn digest(message: &Message) -> u128 {
    let mut hash = Xxh3::new();
    hash.update(&[message.encoding as u8, message.event.len() as u8]);
    hash.update(&message.event);
    hash.update(&message.payload);
    hash.digest128()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use campanile_proto::Encoding;

    use super::*;

    fn message(payload: &'static str) -> Message {
        Message {
            encoding: Encoding::Json,
            event: Bytes::from_static(b"e"),
            payload: Bytes::from_static(payload.as_bytes()),
        }
    }

    #[test]
    fn a_key_that_comes_again_has_its_first_offset() {
        let now = Instant::now();
        let mut keys = Keys::default();
        assert_eq!(keys.look_up(b"k", &message("{}"), now), Known::New);
        keys.remember(b"k", &message("{}"), 7, now);
        assert_eq!(keys.look_up(b"k", &message("{}"), now), Known::Same(7));
        assert_eq!(keys.look_up(b"l", &message("{}"), now), Known::New);
    }

    #[test]
    fn another_body_under_the_same_key_is_told_apart() {
        let now = Instant::now();
        let mut keys = Keys::default();
        keys.remember(b"k", &message("{}"), 7, now);
        assert_eq!(keys.look_up(b"k", &message("{ }"), now), Known::Other);
        let binary = Message { encoding: Encoding::Binary, ..message("{}") };
        assert_eq!(keys.look_up(b"k", &binary, now), Known::Other);
        let event =
            Message { event: Bytes::from_static(b"e{"), payload: Bytes::from_static(b"}"), ..message("") };
        assert_eq!(keys.look_up(b"k", &event, now), Known::Other);
    }

    #[test]
    fn keys_are_forgotten_by_age_only() {
        let start = Instant::now();
        let mut keys = Keys::default();
        for number in 0..KEYS {
            keys.remember(&number.to_be_bytes(), &message("{}"), 1, start);
        }
        let young = start + KEY_AGE - Duration::from_millis(1);
        assert_eq!(keys.look_up(b"new", &message("{}"), young), Known::Full);
        assert_eq!(keys.look_up(&0_usize.to_be_bytes(), &message("{}"), young), Known::Same(1));
        assert_eq!(keys.over_at(), Some(start + KEY_AGE));
        assert_eq!(keys.look_up(b"new", &message("{}"), start + KEY_AGE), Known::New);
        assert!(keys.forget(start + KEY_AGE));
    }
}
