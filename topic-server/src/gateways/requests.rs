//! What one link of a gateway asks for, item by item, and what it has set up: all of it ends with the link (rule L2).
//! Plain values: time comes in as an argument, answers go into the link's outbox.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use campanile_proto::planted::{Fault, planted};
use campanile_proto::wire::BadMessage;
use campanile_proto::{FromGateway, FromTopicServer, Incarnation};

use crate::gateways::outbox::Outbox;
use crate::gateways::subscriptions::Subscriptions;
use crate::topics::Table;

/// So many subscriptions may lie here before it is looked whether some of them have ended by themselves.
const LOOK_AFTER: usize = 1024;

/// One link's requests.
#[derive(Debug)]
pub struct Requests {
    gateway: Incarnation,
    outbox: Outbox,
    table: Arc<Table>,
    subscriptions: Subscriptions,
    /// With more subscriptions than this, the ended ones are looked for.
    look_at: usize,
    /// It has told of patterns.
    has_patterns: bool,
}

impl Requests {
    /// The requests of a new link.
    pub fn new(gateway: Incarnation, outbox: Outbox, table: Arc<Table>) -> Self {
        let subscriptions = Subscriptions::default();
        Self { gateway, outbox, table, subscriptions, look_at: LOOK_AFTER, has_patterns: false }
    }

    /// Looks at the topics of publishes that are run next. With very many topics each lies in memory that was not read for
    /// long: asked for one after the other, without anything in between, they come at once, and not one after the other.
    pub fn look_ahead(&self, items: &[FromGateway]) {
        let known = items.iter().filter_map(|item| match item {
            FromGateway::Publish(publish) => self.subscriptions.at(publish.slot),
            _ => None,
        });
        // Or the compiler sees that nobody wants to know.
        black_box(known.map(|entry| entry.name().len()).sum::<usize>());
    }

    /// Runs one request. `late` is the time that it spent on its way, beyond the link's best.
    ///
    /// # Errors
    /// It breaks the protocol: the link ends.
    pub fn run(&mut self, item: FromGateway, late: Duration, now: Instant) -> Result<(), BadMessage> {
        match item {
            FromGateway::Publish(publish) => {
                // Mostly by who is subscribed: then the topic is found without a look into the table.
                let known = self.subscriptions.at(publish.slot);
                self.table.publish_to(known, &self.outbox, self.gateway, publish, late, now);
            }
            FromGateway::Subscribe { subscription, topic, listeners } => {
                let held = self.table.subscribe_counted(&self.outbox, subscription, &topic, listeners, now);
                if let Some(held) = held {
                    if let Some(replaced) = held.replaced {
                        self.subscriptions.remove(replaced);
                    }
                    // A slot has one subscription at a time: what is left of an older one, of a topic that moved, ends here.
                    if let Some((older, entry)) = self.subscriptions.insert(subscription, held.entry) {
                        self.table.unsubscribe(&entry, &self.outbox, older, now);
                    }
                    self.forget_ended();
                }
            }
            FromGateway::Count { subscription, listeners, change } => {
                // Of one that has ended, its gateway hears in another way.
                if let Some(entry) = self.subscriptions.get(subscription) {
                    self.table.count(entry, &self.outbox, subscription, (listeners, change));
                }
            }
            FromGateway::Pattern(pattern) => {
                self.has_patterns = true;
                self.table.set_pattern(&self.outbox, self.gateway, &pattern);
            }
            FromGateway::AllPatterns => {
                self.has_patterns = true;
                self.table.patterns_told(&self.outbox, self.gateway, now);
            }
            FromGateway::Query(id, query) => self.table.query(&self.outbox, id, query),
            FromGateway::Unsubscribe { subscription } => {
                if let Some(entry) = self.subscriptions.remove(subscription) {
                    self.table.unsubscribe(&entry, &self.outbox, subscription, now);
                }
            }
            FromGateway::Read { subscription, epoch, from } => {
                // One that has ended in the meantime is answered by nobody: its asker is gone, too.
                if let Some(entry) = self.subscriptions.get(subscription) {
                    self.table.read(entry, &self.outbox, subscription, epoch, from, now);
                }
            }
            FromGateway::Sees(places) => self.outbox.set_sees(places),
            FromGateway::Ping(id) => self.outbox.push(FromTopicServer::Pong(id)),
            // That it came is what counts.
            FromGateway::Pong(_) => {}
            FromGateway::Hello(_) => return Err(BadMessage("a second Hello on one link")),
        }
        Ok(())
    }

    /// The link is over: undoes all that it set up.
    pub fn undo(&mut self, now: Instant) {
        if self.has_patterns {
            self.table.drop_patterns(&self.outbox);
        }
        for (subscription, entry) in self.subscriptions.take() {
            if !planted(Fault::OlderLinkLives) {
                self.table.unsubscribe(&entry, &self.outbox, subscription, now);
            }
        }
    }

    /// Subscriptions of topics that moved end by themselves; what is left of them must not pile up.
    fn forget_ended(&mut self) {
        if self.subscriptions.len() > self.look_at {
            let (table, outbox) = (&self.table, &self.outbox);
            self.subscriptions.retain(|subscription, entry| table.is_subscribed(entry, outbox, subscription));
            self.look_at = LOOK_AFTER.max(2 * self.subscriptions.len());
        }
    }
}

#[cfg(test)]
#[path = "requests_tests.rs"]
mod tests;
