//! The spaces of topics. A topic is any bytes, and its first byte says which space it is of: no UTF-8 text has a byte of 0xFE
//! or 0xFF, so that clients whose topics are text reach the plain space only, and there each topic by its own bytes.
//!
//! * A first byte of 0xFF: the sharded space; what follows is the shown name.
//! * A first byte of 0xFE: the plain space; what follows is the shown name, which is empty or begins with 0xFE or 0xFF.
//! * Anything else: the plain space; the topic is its own shown name.

use bytes::Bytes;

use crate::ids::TOPIC_BYTES;

const ESCAPED: u8 = 0xFE;
const SHARDED: u8 = 0xFF;

/// A space of topics: the same shown name is another topic in each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Space {
    /// What every front reaches. Patterns match shown names of this space, and no others.
    Plain,
    /// Topics beside it, which patterns do not see.
    Sharded,
}

/// The topic of a shown name, which may be any bytes, or none. `None` if the topic would be longer than a topic may be.
pub fn topic(space: Space, shown: &[u8]) -> Option<Bytes> {
    let prefix = match (space, shown.first()) {
        (Space::Sharded, _) => Some(SHARDED),
        (Space::Plain, None | Some(&(ESCAPED | SHARDED))) => Some(ESCAPED),
        (Space::Plain, Some(_)) => None,
    };
    let topic: Vec<u8> = prefix.into_iter().chain(shown.iter().copied()).collect();
    TOPIC_BYTES.contains(&topic.len()).then(|| topic.into())
}

/// A topic's space, and its name as people know it there.
pub fn shown(topic: &[u8]) -> (Space, &[u8]) {
    match topic.split_first() {
        Some((&SHARDED, shown)) => (Space::Sharded, shown),
        Some((&ESCAPED, shown)) => (Space::Plain, shown),
        _ => (Space::Plain, topic),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_name_of_each_space_is_a_topic_of_its_own() {
        let names: [&[u8]; 9] =
            [b"", b"a", b"\xff", b"\xfe", b"\xffa", b"\xfea", b"\xff\xff", b"\xfe\xff", b"topics:matrix"];
        let mut topics = BTreeSet::new();
        for space in [Space::Plain, Space::Sharded] {
            for name in names {
                let topic = topic(space, name).expect("short enough");
                assert_eq!(shown(&topic), (space, name));
                assert!(topics.insert(topic));
            }
        }
    }

    #[test]
    fn text_is_its_own_topic_and_reaches_no_other_space() {
        assert_eq!(topic(Space::Plain, "täglich".as_bytes()).as_deref(), Some("täglich".as_bytes()));
        for topic in [topic(Space::Sharded, b"a"), topic(Space::Plain, b""), topic(Space::Plain, b"\xfe")] {
            assert!(std::str::from_utf8(&topic.expect("short enough")).is_err());
        }
    }

    #[test]
    fn a_topic_is_no_longer_than_it_may_be() {
        assert!(topic(Space::Plain, &[b'a'; 1024]).is_some());
        assert!(topic(Space::Sharded, &[b'a'; 1023]).is_some());
        assert_eq!(topic(Space::Plain, &[b'a'; 1025]), None);
        assert_eq!(topic(Space::Sharded, &[b'a'; 1024]), None);
        assert_eq!(topic(Space::Plain, &[0xff; 1024]), None);
    }
}
