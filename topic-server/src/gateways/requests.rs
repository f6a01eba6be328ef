//! What one link of a gateway asks for, item by item, and what it has set up: all of it ends with the link (rule L2).
//! Plain values: time comes in as an argument, answers go into the link's outbox.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use campanile_proto::planted::{Fault, planted};
use campanile_proto::wire::BadMessage;
use campanile_proto::{FromGateway, FromTopicServer, Incarnation, Subscription};

use crate::gateways::outbox::Outbox;
use crate::topics::{Entry, Table};

/// So many subscriptions may lie here before it is looked whether some of them have ended by themselves.
const LOOK_AFTER: usize = 1024;

/// One link's requests.
#[derive(Debug)]
pub struct Requests {
    gateway: Incarnation,
    outbox: Outbox,
    table: Arc<Table>,
    /// By the number, whose order does not matter; but it must be the same in every run of a simulation.
    subscriptions: BTreeMap<u64, Arc<Entry>>,
    /// With more subscriptions than this, the ended ones are looked for.
    look_at: usize,
}

impl Requests {
    /// The requests of a new link.
    pub fn new(gateway: Incarnation, outbox: Outbox, table: Arc<Table>) -> Self {
        Self { gateway, outbox, table, subscriptions: BTreeMap::new(), look_at: LOOK_AFTER }
    }

    /// Runs one request. `late` is the time that it spent on its way, beyond the link's best.
    ///
    /// # Errors
    /// It breaks the protocol: the link ends.
    pub fn run(&mut self, item: FromGateway, late: Duration, now: Instant) -> Result<(), BadMessage> {
        match item {
            FromGateway::Publish(publish) => {
                self.table.publish(&self.outbox, self.gateway, publish, late, now);
            }
            FromGateway::Subscribe { subscription, topic } => {
                if let Some(held) = self.table.subscribe(&self.outbox, subscription, &topic, now) {
                    if let Some(replaced) = held.replaced {
                        self.subscriptions.remove(&replaced.to_wire());
                    }
                    self.subscriptions.insert(subscription.to_wire(), held.entry);
                    self.forget_ended();
                }
            }
            FromGateway::Unsubscribe { subscription } => {
                if let Some(entry) = self.subscriptions.remove(&subscription.to_wire()) {
                    self.table.unsubscribe(&entry, &self.outbox, subscription, now);
                }
            }
            FromGateway::Read { subscription, epoch, from } => {
                // One that has ended in the meantime is answered by nobody: its asker is gone, too.
                if let Some(entry) = self.subscriptions.get(&subscription.to_wire()) {
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
        for (subscription, entry) in std::mem::take(&mut self.subscriptions) {
            if !planted(Fault::OlderLinkLives) {
                self.table.unsubscribe(&entry, &self.outbox, Subscription::from_wire(subscription), now);
            }
        }
    }

    /// Subscriptions of topics that moved end by themselves; what is left of them must not pile up.
    fn forget_ended(&mut self) {
        if self.subscriptions.len() > self.look_at {
            let (table, outbox) = (&self.table, &self.outbox);
            self.subscriptions.retain(|subscription, entry| {
                table.is_subscribed(entry, outbox, Subscription::from_wire(*subscription))
            });
            self.look_at = LOOK_AFTER.max(2 * self.subscriptions.len());
        }
    }
}

#[cfg(test)]
#[path = "requests_tests.rs"]
mod tests;
