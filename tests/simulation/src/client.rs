//! A client of the simulation: it joins and leaves, publishes with unique ids, goes away and comes back anywhere with
//! its last positions. It shares no code with what it talks to, but for its outbox.

use std::collections::BTreeMap;

use campanile_gateway::client::outbox::Outbox;
use campanile_proto::Epoch;

use crate::gateway::Joined;
use crate::network::Micros;

#[derive(Debug, Default)]
pub(crate) struct Client {
    pub(crate) session: Option<Session>,
    /// What it wants to listen to.
    pub(crate) wants: BTreeMap<usize, Wanted>,
    /// Answered `unknown`, and to be published again with their key: topic, post.
    pub(crate) doubtful: Vec<(usize, usize)>,
    pub(crate) sessions: u64,
    /// It does not come back before.
    pub(crate) away_until: Micros,
}

/// A topic that a client wants.
#[derive(Debug, Default)]
pub(crate) struct Wanted {
    /// Its channel, from the join to the end of the session.
    pub(crate) channel: Option<u32>,
    /// It has everything up to here.
    pub(crate) position: Option<(Epoch, u64)>,
    /// It joins no earlier.
    pub(crate) not_before: Micros,
}

/// A connection to a gateway.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) number: u64,
    pub(crate) gateway: usize,
    pub(crate) outbox: Outbox,
    pub(crate) channels: BTreeMap<u32, Channel>,
    pub(crate) tokens: BTreeMap<u32, Token>,
    pub(crate) next_channel: u32,
    pub(crate) next_token: u32,
    /// It reads that slowly, in microseconds.
    pub(crate) pace: Micros,
}

#[derive(Debug)]
pub(crate) struct Channel {
    pub(crate) topic: usize,
    pub(crate) joined: Joined,
    /// The position that it came back with.
    pub(crate) asked: Option<(Epoch, u64)>,
    /// It has everything up to here; `None` until it is told that it listens.
    pub(crate) at: Option<(Epoch, u64)>,
}

/// A publish without an answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Token {
    pub(crate) topic: usize,
    pub(crate) post: usize,
    pub(crate) attempt: usize,
    pub(crate) keyed: bool,
}

impl Client {
    /// Where it listens to a topic, if it does.
    pub(crate) fn listens_at(&self, topic: usize) -> Option<(Epoch, u64)> {
        let channel = self.wants.get(&topic)?.channel?;
        self.session.as_ref()?.channels.get(&channel)?.at
    }
}
