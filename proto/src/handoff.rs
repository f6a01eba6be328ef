//! Complete enums for what topic servers say to each other when topics move, and as they travel. As between the two
//! tiers, nothing is optional here that the protocol requires, and every bound has been checked.

use bytes::Bytes;

use crate::generated as g;
pub use crate::generated::PeerBatch;
pub use crate::generated::handoff_client::HandoffClient;
pub use crate::generated::handoff_server::{Handoff, HandoffServer};
use crate::generated::peer_item::Item;
use crate::ids::{Epoch, Incarnation, KEY_BYTES};
use crate::message::{Message, Place, Rings};
use crate::reach::{self, Behind};
use crate::wire::{self, BadMessage, ITEM_OVERHEAD};

/// A piece of a topic's state holds at most so many bytes, or one larger message.
pub const PIECE_BYTES: usize = 1 << 20;

/// The first item of who opens the stream (rules H7, H10).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerHello {
    /// The link protocol that it speaks.
    pub link_version: u32,
    /// Under which name and address rings have it; the address is empty where it does not know.
    pub from: Place,
    /// Its process's life.
    pub incarnation: Incarnation,
    /// Grows with every stream of this incarnation.
    pub link_number: u64,
    /// The member that it expects to meet.
    pub to: Place,
    /// Its newest ring.
    pub ring_version: u64,
    /// Digest of that ring's values.
    pub ring_digest: u64,
}

/// The first item of who accepts the stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerWelcome {
    /// The link protocol that it speaks.
    pub link_version: u32,
    /// Its name.
    pub name: String,
    /// Its process's life.
    pub incarnation: Incarnation,
    /// Its newest ring.
    pub ring_version: u64,
    /// Digest of that ring's values.
    pub ring_digest: u64,
}

/// What comes first in a topic's state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// The life of its counter.
    pub epoch: Epoch,
    /// Offset of its last message, 0 before the first.
    pub offset: u64,
    /// Version of the ring under which the epoch was opened (rule H5).
    pub opened_under: u64,
    /// The epoch that this one goes on from, because whoever had been given it is gone (rule H3).
    pub renewed_from: Option<Epoch>,
    /// Gateways with patterns that match the topic (rule H8).
    pub matching: Vec<Introduced>,
}

/// A gateway whose patterns matched the topic where it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Introduced {
    /// The gateway's process.
    pub gateway: Incarnation,
    /// Whose last word of the topic it has to have heard before the first one from here; it has everything up to there.
    pub behind: Behind,
}

/// A message of the history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Past {
    /// What was published.
    pub message: Message,
    /// How long ago, in milliseconds.
    pub age_ms: u64,
}

/// An idempotency key that is remembered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownKey {
    /// 1 to 64 bytes.
    pub key: Bytes,
    /// The offset of its message.
    pub offset: u64,
    /// Digest of its message.
    pub body: u128,
    /// How long it is remembered yet, in milliseconds.
    pub left_ms: u64,
}

/// What one gateway has published and may not have been told of (rule L5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SentWindow {
    /// The gateway.
    pub gateway: Incarnation,
    /// The highest number seen.
    pub last: u64,
    /// Numbers and offsets, ascending.
    pub accepted: Vec<(u64, u64)>,
    /// How long it has not been used, in milliseconds.
    pub idle_ms: u64,
}

/// A piece of a topic's state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// The giver's number of this giving; grows.
    pub number: u64,
    /// The topic.
    pub topic: Bytes,
    /// In the first piece, and only there.
    pub head: Option<Head>,
    /// Oldest first, over all pieces; the last one has the head's offset.
    pub history: Vec<Past>,
    /// Keys, the first to be forgotten first.
    pub keys: Vec<KnownKey>,
    /// Windows.
    pub windows: Vec<SentWindow>,
    /// Nothing of this topic follows.
    pub last: bool,
}

/// One topic server to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FromPeer {
    /// Opens the stream.
    Hello(PeerHello),
    /// Accepts it.
    Welcome(PeerWelcome),
    /// The rings that it knows of; either side, whenever that changes.
    Rings(Rings),
    /// The topic servers to which it has a stream, or had one within the last 5 s (rule H4).
    Sees(Vec<Place>),
    /// The gateways that have patterns at a topic server; whenever that changes.
    PatternGateways(Vec<Incarnation>),
    /// Asks for a topic.
    Claim {
        /// The topic.
        topic: Bytes,
        /// The asker's newest ring, which gives it the topic.
        ring_version: u64,
    },
    /// Asks for all topics that this ring, the asker's newest, gives to the asker.
    ClaimAll(u64),
    /// The state of this number was opened.
    Taken(u64),
    /// The state of this number was not opened and never will be.
    Disclaimed(u64),
    /// A piece of a topic's state.
    State(Piece),
    /// There is nothing of this topic, and will not be under this ring or an older one.
    Nothing {
        /// The topic.
        topic: Bytes,
        /// The answerer's newest ring.
        ring_version: u64,
    },
    /// There is nothing that this ring, the sender's newest, gives to another, and no `Taken` is awaited.
    AllGiven(u64),
    /// Asks for a `Pong`.
    Ping(u64),
    /// Answers a `Ping`.
    Pong(u64),
}

/// Bytes that a queue counts for this item.
pub fn peer_item_cost(item: &FromPeer) -> usize {
    ITEM_OVERHEAD
        + match item {
            FromPeer::Claim { topic, .. } | FromPeer::Nothing { topic, .. } => topic.len(),
            FromPeer::Rings(rings) => wire::rings_cost(rings),
            FromPeer::PatternGateways(gateways) => gateways.len() * 8,
            FromPeer::State(piece) => piece.topic.len() + piece.cost(),
            _ => 0,
        }
}

impl Past {
    /// Bytes that it takes in a piece.
    pub fn cost(&self) -> usize {
        ITEM_OVERHEAD + self.message.len()
    }
}

impl KnownKey {
    /// Bytes that it takes in a piece.
    pub fn cost(&self) -> usize {
        ITEM_OVERHEAD + self.key.len()
    }
}

impl SentWindow {
    /// Bytes that it takes in a piece.
    pub fn cost(&self) -> usize {
        ITEM_OVERHEAD + self.accepted.len() * 12
    }
}

impl Piece {
    /// Bytes of what it holds.
    pub fn cost(&self) -> usize {
        self.history.iter().map(Past::cost).sum::<usize>()
            + self.keys.iter().map(KnownKey::cost).sum::<usize>()
            + self.windows.iter().map(SentWindow::cost).sum::<usize>()
    }
}

/// What a topic server says to another, as it travels.
pub fn encode_peer_item(item: FromPeer) -> g::PeerItem {
    let item = match item {
        FromPeer::Hello(hello) => Item::Hello(g::PeerHello {
            link_version: hello.link_version,
            from: Some(wire::encode_place(hello.from)),
            incarnation: hello.incarnation.0,
            link_number: hello.link_number,
            to: Some(wire::encode_place(hello.to)),
            ring_version: hello.ring_version,
            ring_digest: hello.ring_digest,
        }),
        FromPeer::Welcome(welcome) => Item::Welcome(g::PeerWelcome {
            link_version: welcome.link_version,
            name: welcome.name,
            incarnation: welcome.incarnation.0,
            ring_version: welcome.ring_version,
            ring_digest: welcome.ring_digest,
        }),
        FromPeer::Rings(rings) => Item::Rings(wire::encode_rings(rings)),
        FromPeer::Sees(places) => Item::Sees(wire::encode_sees(places)),
        FromPeer::PatternGateways(gateways) => {
            let incarnations = gateways.into_iter().map(|own| own.0).collect();
            Item::PatternGateways(g::PatternGateways { incarnations })
        }
        FromPeer::Claim { topic, ring_version } => Item::Claim(g::Claim { topic, ring_version }),
        FromPeer::ClaimAll(ring_version) => Item::ClaimAll(g::ClaimAll { ring_version }),
        FromPeer::Taken(number) => Item::Taken(g::Taken { number }),
        FromPeer::Disclaimed(number) => Item::Disclaimed(g::Disclaimed { number }),
        FromPeer::State(piece) => Item::State(encode_piece(piece)),
        FromPeer::Nothing { topic, ring_version } => Item::Nothing(g::Nothing { topic, ring_version }),
        FromPeer::AllGiven(ring_version) => Item::AllGiven(g::AllGiven { ring_version }),
        FromPeer::Ping(id) => Item::Ping(g::Ping { id }),
        FromPeer::Pong(id) => Item::Pong(g::Pong { id }),
    };
    g::PeerItem { item: Some(item) }
}

/// What a topic server said to another, checked.
pub fn decode_peer_item(item: g::PeerItem) -> Result<FromPeer, BadMessage> {
    const NO_PLACE: BadMessage = BadMessage("a Hello without its places");
    Ok(match item.item.ok_or(BadMessage("an item of an unknown kind"))? {
        Item::Hello(hello) => FromPeer::Hello(PeerHello {
            link_version: hello.link_version,
            from: wire::decode_place(hello.from.ok_or(NO_PLACE)?),
            incarnation: wire::incarnation(hello.incarnation)?,
            link_number: hello.link_number,
            to: wire::decode_place(hello.to.ok_or(NO_PLACE)?),
            ring_version: hello.ring_version,
            ring_digest: hello.ring_digest,
        }),
        Item::Welcome(welcome) => FromPeer::Welcome(PeerWelcome {
            link_version: welcome.link_version,
            name: welcome.name,
            incarnation: wire::incarnation(welcome.incarnation)?,
            ring_version: welcome.ring_version,
            ring_digest: welcome.ring_digest,
        }),
        Item::Rings(rings) => FromPeer::Rings(wire::decode_rings(rings)?),
        Item::Sees(sees) => FromPeer::Sees(wire::decode_sees(sees)),
        Item::PatternGateways(gateways) => {
            let own = gateways.incarnations.into_iter().map(wire::incarnation);
            FromPeer::PatternGateways(own.collect::<Result<_, _>>()?)
        }
        Item::Claim(claim) => {
            FromPeer::Claim { topic: wire::topic(claim.topic)?, ring_version: claim.ring_version }
        }
        Item::ClaimAll(all) => FromPeer::ClaimAll(all.ring_version),
        Item::Taken(taken) => FromPeer::Taken(taken.number),
        Item::Disclaimed(disclaimed) => FromPeer::Disclaimed(disclaimed.number),
        Item::State(state) => FromPeer::State(decode_piece(state)?),
        Item::Nothing(nothing) => {
            FromPeer::Nothing { topic: wire::topic(nothing.topic)?, ring_version: nothing.ring_version }
        }
        Item::AllGiven(given) => FromPeer::AllGiven(given.ring_version),
        Item::Ping(ping) => FromPeer::Ping(ping.id),
        Item::Pong(pong) => FromPeer::Pong(pong.id),
    })
}

fn encode_piece(piece: Piece) -> g::State {
    let head = piece.head.map(|head| g::StateHead {
        epoch: head.epoch.0,
        offset: head.offset,
        opened_under: head.opened_under,
        renewed_from: head.renewed_from.map_or(0, |epoch| epoch.0),
        matching: head.matching.into_iter().map(encode_introduced).collect(),
    });
    let past = |past: Past| g::StateMessage {
        encoding: wire::encode_encoding(past.message.encoding),
        event: past.message.event,
        payload: past.message.payload,
        age_ms: past.age_ms,
    };
    let key = |known: KnownKey| g::StateKey {
        key: known.key,
        offset: known.offset,
        body: Bytes::copy_from_slice(&known.body.to_be_bytes()),
        left_ms: known.left_ms,
    };
    let window = |window: SentWindow| {
        let (numbers, offsets) = window.accepted.into_iter().unzip();
        g::StateWindow {
            gateway: window.gateway.0,
            last: window.last,
            numbers,
            offsets,
            idle_ms: window.idle_ms,
        }
    };
    g::State {
        number: piece.number,
        topic: piece.topic,
        head,
        history: piece.history.into_iter().map(past).collect(),
        keys: piece.keys.into_iter().map(key).collect(),
        windows: piece.windows.into_iter().map(window).collect(),
        last: piece.last,
    }
}

fn encode_introduced(introduced: Introduced) -> g::StateMatching {
    let behind = Some(reach::encode_behind(introduced.behind));
    g::StateMatching { gateway: introduced.gateway.0, behind }
}

fn decode_introduced(matching: g::StateMatching) -> Result<Introduced, BadMessage> {
    let behind = matching.behind.ok_or(BadMessage("a gateway that is behind nothing"))?;
    Ok(Introduced { gateway: wire::incarnation(matching.gateway)?, behind: reach::decode_behind(behind)? })
}

fn decode_piece(state: g::State) -> Result<Piece, BadMessage> {
    let head = |head: g::StateHead| {
        let epoch = wire::epoch(head.epoch)?;
        let renewed_from = (head.renewed_from != 0).then_some(Epoch(head.renewed_from));
        let matching = head.matching.into_iter().map(decode_introduced).collect::<Result<_, _>>()?;
        Ok::<_, BadMessage>(Head {
            epoch,
            offset: head.offset,
            opened_under: head.opened_under,
            renewed_from,
            matching,
        })
    };
    let past = |past: g::StateMessage| {
        let message = wire::message(past.encoding, past.event, past.payload)?;
        Ok(Past { message, age_ms: past.age_ms })
    };
    let key = |known: g::StateKey| {
        let body = <[u8; 16]>::try_from(&known.body[..])
            .map_err(|_| BadMessage("a key's digest that is not 16 bytes"))?;
        if known.key.is_empty() || known.key.len() > KEY_BYTES {
            return Err(BadMessage("a key outside 1 to 64 bytes"));
        }
        let body = u128::from_be_bytes(body);
        Ok(KnownKey { key: known.key, offset: known.offset, body, left_ms: known.left_ms })
    };
    let window = |window: g::StateWindow| {
        let gateway = wire::incarnation(window.gateway)?;
        if window.numbers.len() != window.offsets.len() {
            return Err(BadMessage("a window whose numbers have not one offset each"));
        }
        let accepted: Vec<_> = window.numbers.into_iter().zip(window.offsets).collect();
        if !accepted.is_sorted_by(|one, two| one.0 < two.0) {
            return Err(BadMessage("a window out of order"));
        }
        Ok(SentWindow { gateway, last: window.last, accepted, idle_ms: window.idle_ms })
    };
    Ok(Piece {
        number: state.number,
        topic: wire::topic(state.topic)?,
        head: state.head.map(head).transpose()?,
        history: state.history.into_iter().map(past).collect::<Result<_, BadMessage>>()?,
        keys: state.keys.into_iter().map(key).collect::<Result<_, _>>()?,
        windows: state.windows.into_iter().map(window).collect::<Result<_, _>>()?,
        last: state.last,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Encoding;

    fn piece() -> Piece {
        let message =
            Message { encoding: Encoding::Binary, event: "e".into(), payload: Bytes::from_static(b"\0") };
        Piece {
            number: 7,
            topic: "t".into(),
            head: Some(Head {
                epoch: Epoch(3),
                offset: 9,
                opened_under: 2,
                renewed_from: Some(Epoch(1)),
                matching: vec![Introduced {
                    gateway: Incarnation(u64::MAX),
                    behind: Behind { incarnation: Incarnation(2), epoch: Epoch(3), offset: 8 },
                }],
            }),
            history: vec![Past { message, age_ms: 12 }],
            keys: vec![KnownKey { key: "k".into(), offset: 8, body: u128::MAX - 1, left_ms: 90 }],
            windows: vec![SentWindow {
                gateway: Incarnation(4),
                last: 6,
                accepted: vec![(5, 8), (6, 9)],
                idle_ms: 1,
            }],
            last: true,
        }
    }

    #[test]
    fn everything_survives_the_wire() {
        let place = || Place { name: "ts-a".into(), address: "h:1".into() };
        let rings = Rings {
            newest: "a".into(),
            previous: vec!["b".into()],
            clean: vec![(place(), 3)],
            starting: true,
        };
        let hello = PeerHello {
            link_version: 1,
            from: place(),
            incarnation: Incarnation(1),
            link_number: 2,
            to: place(),
            ring_version: 3,
            ring_digest: 4,
        };
        let welcome = PeerWelcome {
            link_version: 1,
            name: "ts-a".into(),
            incarnation: Incarnation(1),
            ring_version: 3,
            ring_digest: 4,
        };
        for item in [
            FromPeer::Hello(hello),
            FromPeer::Welcome(welcome),
            FromPeer::Rings(rings),
            FromPeer::Sees(vec![place()]),
            FromPeer::PatternGateways(vec![Incarnation(1), Incarnation(u64::MAX)]),
            FromPeer::Claim { topic: "t".into(), ring_version: 4 },
            FromPeer::ClaimAll(5),
            FromPeer::Taken(6),
            FromPeer::Disclaimed(7),
            FromPeer::State(piece()),
            FromPeer::Nothing { topic: "t".into(), ring_version: 8 },
            FromPeer::AllGiven(9),
            FromPeer::Ping(10),
            FromPeer::Pong(11),
        ] {
            assert_eq!(decode_peer_item(encode_peer_item(item.clone())), Ok(item));
        }
    }

    #[test]
    fn what_breaks_a_bound_is_refused() {
        let broken = |change: fn(&mut g::State)| {
            let mut state = encode_piece(piece());
            change(&mut state);
            decode_piece(state)
        };
        assert_eq!(broken(|_| {}), Ok(piece()));
        assert!(broken(|state| state.topic = Bytes::new()).is_err());
        assert!(broken(|state| state.history[0].event = Bytes::new()).is_err());
        assert!(broken(|state| state.keys[0].body = Bytes::from_static(b"short")).is_err());
        assert!(broken(|state| state.keys[0].key = vec![b'k'; 65].into()).is_err());
        assert!(broken(|state| state.windows[0].numbers.reverse()).is_err());
        assert!(broken(|state| state.windows[0].gateway = 0).is_err());
        assert!(broken(|state| state.windows[0].offsets.clear()).is_err());
        let rings = g::Rings { previous: vec![String::new(); 65], ..Default::default() };
        assert!(decode_peer_item(g::PeerItem { item: Some(Item::Rings(rings)) }).is_err());
        assert!(decode_peer_item(g::PeerItem { item: None }).is_err());
    }
}
