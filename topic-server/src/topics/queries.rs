//! What gateways ask about topics and patterns: answered from what is here, in parts, and by nobody else for this server.

use std::sync::Arc;

use bytes::Bytes;
use campanile_proto::link::PART_BYTES;
use campanile_proto::names;
use campanile_proto::reach::{Query, QueryAnswer};
use campanile_proto::{FromTopicServer, glob};

use crate::gateways::outbox::Outbox;
use crate::topics::entry::{Entry, Inner, Key};
use crate::topics::table::Table;

/// Names of more bytes are not sent: an answer must not fill the queue to a gateway.
const ANSWER_BYTES: usize = 2 << 20;

/// What a name counts as beside its bytes.
const NAME_OVERHEAD: usize = 8;

impl Table {
    /// Answers a query.
    pub fn query(&self, link: &Outbox, id: u64, query: Query) {
        match query {
            Query::Topics { pattern, space } => {
                let mut names: Vec<Bytes> = Vec::new();
                for entry in self.counted() {
                    let (own, name) = names::shown(entry.name());
                    let matches = || pattern.as_ref().is_none_or(|pattern| glob::matches(pattern, name));
                    if own == space && matches() {
                        names.push(Bytes::copy_from_slice(name));
                    }
                }
                names.sort();
                answer_names(link, id, names);
            }
            Query::Listeners(topics) => {
                let counts = topics.into_iter().map(|topic| self.listeners(&topic)).collect();
                let answer = QueryAnswer { id, names: Vec::new(), counts, last: true, refused: false };
                link.push(FromTopicServer::QueryAnswer(answer));
            }
            Query::Patterns => answer_names(link, id, self.patterns.all().into_iter().collect()),
        }
    }

    /// How many listeners of a topic count, if it is held here.
    pub fn listeners(&self, topic: &[u8]) -> u32 {
        self.find(topic).map_or(0, |entry| {
            let inner = entry.inner.lock();
            if inner.is_held() { inner.topic.listeners() } else { 0 }
        })
    }

    /// Notes whether any listener of a topic counts, after every step that may change it.
    pub(super) fn note_counted(&self, entry: &Arc<Entry>, inner: &mut Inner) {
        let counts = !inner.dead && inner.is_held() && inner.topic.listeners() > 0;
        if counts != inner.in_counted {
            inner.in_counted = counts;
            let key = Key(Arc::clone(entry));
            let mut counted = self.counted.lock();
            if counts {
                counted.insert(key);
            } else {
                counted.remove(&key);
            }
        }
    }

    fn counted(&self) -> Vec<Arc<Entry>> {
        self.counted.lock().iter().map(|key| Arc::clone(&key.0)).collect()
    }
}

fn answer_names(link: &Outbox, id: u64, names: Vec<Bytes>) {
    let push = |names, last, refused| {
        let answer = QueryAnswer { id, names, counts: Vec::new(), last, refused };
        link.push(FromTopicServer::QueryAnswer(answer));
    };
    let cost = |name: &Bytes| name.len() + NAME_OVERHEAD;
    if names.iter().map(cost).sum::<usize>() > ANSWER_BYTES {
        return push(Vec::new(), true, true);
    }
    let (mut part, mut size) = (Vec::new(), 0);
    for name in names {
        if size + cost(&name) > PART_BYTES {
            push(std::mem::take(&mut part), false, false);
            size = 0;
        }
        size += cost(&name);
        part.push(name);
    }
    push(part, true, false);
}
