//! Questions to all topic servers: what each of them has, added up. Command in, effects out.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use bytes::Bytes;
use campanile_proto::FromGateway;
pub use campanile_proto::names::Space;
pub use campanile_proto::reach::Query;
use campanile_proto::reach::QueryAnswer;

use crate::client::outbox::{Item, Outbox};
use crate::hub::effect::{Effect, LinkView, MemberId, Request};
use crate::hub::patterns::Reached;
use crate::hub::reason::Reason;

/// What became of a query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// Shown names of topics with listeners that count, in order.
    Topics(Vec<Bytes>),
    /// How many listeners of each topic count, in the order in which they were asked for.
    Listeners(Vec<u64>),
    /// How many distinct patterns there are.
    Patterns(u64),
}

/// The queries that are not answered yet.
#[derive(Debug, Default)]
pub(crate) struct Queries {
    last: u64,
    open: BTreeMap<u64, Asked>,
}

#[derive(Debug)]
struct Asked {
    query: Query,
    client: Outbox,
    token: u32,
    deadline: Instant,
    /// Whose answer is still to come, and the link on which they were asked.
    waits: BTreeMap<MemberId, Option<u64>>,
    names: BTreeSet<Bytes>,
    counts: Vec<u64>,
}

impl Queries {
    /// Asks every topic server. The client is told in any case, at the deadline at the latest.
    pub(crate) fn ask(
        &mut self,
        query: Query,
        (client, token): (Outbox, u32),
        reached: &[Reached],
        deadline: Instant,
        effects: &mut Vec<Effect>,
    ) {
        self.last += 1;
        let asked = reached.iter().filter(|own| own.is_member || own.view.up.is_some());
        let waits = asked.map(|own| (own.view.member, None)).collect();
        let counts = match &query {
            Query::Listeners(topics) => vec![0; topics.len()],
            Query::Topics { .. } | Query::Patterns => Vec::new(),
        };
        let names = BTreeSet::new();
        self.open.insert(self.last, Asked { query, client, token, deadline, waits, names, counts });
        self.settle(reached, effects);
    }

    /// The links or the ring have changed: who was asked on a link that broke is asked again, and nobody waits for who is no
    /// member any more and cannot be reached.
    pub(crate) fn settle(&mut self, reached: &[Reached], effects: &mut Vec<Effect>) {
        let mut over = Vec::new();
        for (id, asked) in &mut self.open {
            asked.waits.retain(|member, asked_on| {
                let Some(own) = reached.iter().find(|own| own.view.member == *member) else { return false };
                if let Some(link) = own.view.up
                    && *asked_on != Some(link)
                {
                    *asked_on = Some(link);
                    let item = Box::new(FromGateway::Query(*id, asked.query.clone()));
                    effects.push(Effect::Send { member: *member, link, request: Request::Say(item) });
                }
                own.is_member || own.view.up.is_some()
            });
            if asked.waits.is_empty() {
                over.push(*id);
            }
        }
        over.into_iter().for_each(|id| self.end(id, None, effects));
    }

    /// A part of an answer has come.
    pub(crate) fn answered(&mut self, answer: QueryAnswer, view: LinkView, effects: &mut Vec<Effect>) {
        let QueryAnswer { id, names, counts, last, refused } = answer;
        let Some(asked) = self.open.get_mut(&id) else { return };
        if asked.waits.get(&view.member).is_none_or(|link| link.is_none() || *link != view.up) {
            return;
        }
        // Detached: a slice would keep the batch that it came in.
        asked.names.extend(names.iter().map(|name| Bytes::copy_from_slice(name)));
        for (sum, count) in asked.counts.iter_mut().zip(counts) {
            *sum += u64::from(count);
        }
        if last {
            asked.waits.remove(&view.member);
        }
        if refused {
            self.end(id, Some(Reason::Overloaded), effects);
        } else if asked.waits.is_empty() {
            self.end(id, None, effects);
        }
    }

    /// Time has passed.
    pub(crate) fn tick(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        let late = self.open.iter().filter(|(_, asked)| asked.deadline <= now);
        let late: Vec<u64> = late.map(|(id, _)| *id).collect();
        late.into_iter().for_each(|id| self.end(id, Some(Reason::OwnerUnreachable), effects));
    }

    fn end(&mut self, id: u64, reason: Option<Reason>, effects: &mut Vec<Effect>) {
        let Some(Asked { query, client, token, names, counts, .. }) = self.open.remove(&id) else { return };
        let result = match reason {
            Some(reason) => Err(reason),
            None => Ok(Box::new(match query {
                Query::Topics { .. } => Told::Topics(names.into_iter().collect()),
                Query::Listeners(_) => Told::Listeners(counts),
                Query::Patterns => Told::Patterns(names.len() as u64),
            })),
        };
        effects.push(Effect::Tell(client, Item::Told { token, result }));
    }
}

#[cfg(test)]
#[path = "queries_tests.rs"]
mod tests;
