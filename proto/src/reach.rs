//! Whom a publish reaches, as the two tiers tell each other: how many listeners count, which patterns a gateway has, and what
//! is asked about either. Complete enums, as in [`crate::message`], and how they travel.

use bytes::Bytes;

use crate::generated as g;
use crate::ids::{Epoch, Incarnation, PATTERN_BYTES, Subscription};
use crate::message::Message;
use crate::names::Space;
use crate::wire::{self, BadMessage, ITEM_OVERHEAD};

/// A gateway's listeners to all topics whose names match a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    /// The gateway's number of the pattern.
    pub number: u32,
    /// At most 1,024 bytes.
    pub pattern: Bytes,
    /// How many listeners there are from here on; with 0, the pattern is wanted no more.
    pub listeners: u32,
    /// Grows with each change; repeated in the answer.
    pub change: u32,
}

/// What a gateway may ask of every topic server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Query {
    /// The shown names of topics with listeners that count.
    Topics {
        /// Only names that match this.
        pattern: Option<Bytes>,
        /// Which topics.
        space: Space,
    },
    /// How many listeners of each of these topics count.
    Listeners(Vec<Bytes>),
    /// All patterns, each once.
    Patterns,
}

/// A part of the answer to a query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueryAnswer {
    /// As asked.
    pub id: u64,
    /// Shown names of topics, or patterns.
    pub names: Vec<Bytes>,
    /// Listeners, in the order of the topics that were asked for.
    pub counts: Vec<u32>,
    /// Nothing follows.
    pub last: bool,
    /// It would be more than the server is ready to send; nothing else is said.
    pub refused: bool,
}

/// A message of a topic whose name matches patterns of the gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Match {
    /// If the gateway is subscribed to the topic, too.
    pub subscription: Option<Subscription>,
    /// The topic.
    pub topic: Bytes,
    /// The gateway's numbers of the patterns.
    pub patterns: Vec<u32>,
    /// The topic's epoch.
    pub epoch: Epoch,
    /// The message's offset.
    pub offset: u64,
    /// What was published.
    pub message: Message,
    /// What another process has said of the topic goes first (rule H8).
    pub behind: Option<Behind>,
}

/// All that a process said of a topic, up to its last word at this position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Behind {
    /// The process.
    pub incarnation: Incarnation,
    /// The topic's epoch.
    pub epoch: Epoch,
    /// The offset of its last message there.
    pub offset: u64,
}

pub(crate) fn pattern_cost(pattern: &Pattern) -> usize {
    pattern.pattern.len()
}

pub(crate) fn query_cost(query: &Query) -> usize {
    match query {
        Query::Topics { pattern, .. } => pattern.as_ref().map_or(0, Bytes::len),
        Query::Listeners(topics) => topics.iter().map(|topic| topic.len() + 8).sum(),
        Query::Patterns => 0,
    }
}

pub(crate) fn match_cost(found: &Match) -> usize {
    found.topic.len() + found.message.len() + found.patterns.len() * 5 + ITEM_OVERHEAD
}

pub(crate) fn answer_cost(answer: &QueryAnswer) -> usize {
    answer.names.iter().map(|name| name.len() + 8).sum::<usize>() + answer.counts.len() * 5
}

pub(crate) fn encode_pattern(pattern: Pattern) -> g::Pattern {
    let Pattern { number, pattern, listeners, change } = pattern;
    g::Pattern { number, pattern, listeners, change }
}

pub(crate) fn decode_pattern(pattern: g::Pattern) -> Result<Pattern, BadMessage> {
    let g::Pattern { number, pattern, listeners, change } = pattern;
    Ok(Pattern { number, pattern: bounded(pattern)?, listeners, change })
}

pub(crate) fn encode_query((id, query): (u64, Query)) -> g::Query {
    let mut wire = g::Query { id, ..g::Query::default() };
    match query {
        Query::Topics { pattern, space } => {
            wire.kind = g::QueryKind::Topics.into();
            wire.has_pattern = pattern.is_some();
            wire.pattern = pattern.unwrap_or_default();
            wire.sharded = space == Space::Sharded;
        }
        Query::Listeners(topics) => {
            wire.kind = g::QueryKind::Listeners.into();
            wire.topics = topics;
        }
        Query::Patterns => wire.kind = g::QueryKind::Patterns.into(),
    }
    wire
}

pub(crate) fn decode_query(wire: g::Query) -> Result<(u64, Query), BadMessage> {
    let query = match g::QueryKind::try_from(wire.kind) {
        Ok(g::QueryKind::Topics) => Query::Topics {
            pattern: if wire.has_pattern { Some(bounded(wire.pattern)?) } else { None },
            space: if wire.sharded { Space::Sharded } else { Space::Plain },
        },
        Ok(g::QueryKind::Listeners) => {
            Query::Listeners(wire.topics.into_iter().map(wire::topic).collect::<Result<_, _>>()?)
        }
        Ok(g::QueryKind::Patterns) => Query::Patterns,
        Err(_) => return Err(BadMessage("an unknown kind of query")),
    };
    Ok((wire.id, query))
}

pub(crate) fn encode_match(found: Match) -> g::Match {
    let Match { subscription, topic, patterns, epoch, offset, message, behind } = found;
    g::Match {
        subscription: subscription.map_or(0, Subscription::to_wire),
        topic,
        patterns,
        epoch: epoch.0,
        offset,
        encoding: wire::encode_encoding(message.encoding),
        event: message.event,
        payload: message.payload,
        behind: behind.map(encode_behind),
    }
}

pub(crate) fn decode_match(found: g::Match) -> Result<Match, BadMessage> {
    Ok(Match {
        // Generations count from 1.
        subscription: (found.subscription != 0).then(|| Subscription::from_wire(found.subscription)),
        topic: wire::topic(found.topic)?,
        patterns: found.patterns,
        epoch: wire::epoch(found.epoch)?,
        offset: found.offset,
        message: wire::message(found.encoding, found.event, found.payload)?,
        behind: found.behind.map(decode_behind).transpose()?,
    })
}

pub(crate) fn encode_behind(behind: Behind) -> g::Behind {
    g::Behind { incarnation: behind.incarnation.0, epoch: behind.epoch.0, offset: behind.offset }
}

pub(crate) fn decode_behind(behind: g::Behind) -> Result<Behind, BadMessage> {
    Ok(Behind {
        incarnation: wire::incarnation(behind.incarnation)?,
        epoch: wire::epoch(behind.epoch)?,
        offset: behind.offset,
    })
}

pub(crate) fn encode_answer(answer: QueryAnswer) -> g::QueryAnswer {
    let QueryAnswer { id, names, counts, last, refused } = answer;
    g::QueryAnswer { id, names, counts, last, refused }
}

pub(crate) fn decode_answer(answer: g::QueryAnswer) -> QueryAnswer {
    let g::QueryAnswer { id, names, counts, last, refused } = answer;
    QueryAnswer { id, names, counts, last, refused }
}

fn bounded(pattern: Bytes) -> Result<Bytes, BadMessage> {
    if pattern.len() <= PATTERN_BYTES { Ok(pattern) } else { Err(BadMessage("a pattern above 1,024 bytes")) }
}
