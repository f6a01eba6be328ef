//! One message to every gateway that holds subscribers, or patterns that match: once each, whoever and however many they
//! are there.

use bytes::Bytes;
use campanile_proto::reach::{Behind, Match};
use campanile_proto::{Epoch, FromTopicServer, Incarnation, Message, Subscription};

use crate::gateways::outbox::Outbox;
use crate::topics::reach::Matching;
use crate::topics::state::Topic;

/// Queues the message for each such gateway and says how many there were. Runs under the topic's lock, so
/// that every outbox gets the topic's messages in the order of their offsets (L4).
pub(crate) fn deliver(topic: &mut Topic<Outbox>, name: &[u8], offset: u64, message: &Message) -> usize {
    if topic.reach().is_some_and(|reach| !reach.matches().is_empty()) {
        return deliver_with_matches(topic, name, offset, message);
    }
    #[cfg(feature = "planted-faults")]
    if campanile_proto::planted::planted(campanile_proto::planted::Fault::EffectsLeaveTheLock) {
        return stray::deliver(topic, offset, message);
    }
    for subscriber in topic.subscribers() {
        subscriber.link.push(FromTopicServer::Deliver {
            subscription: subscriber.subscription,
            offset,
            message: message.clone(),
        });
    }
    topic.subscribers().len()
}

/// The same where patterns match.
#[cold]
fn deliver_with_matches(topic: &mut Topic<Outbox>, name: &[u8], offset: u64, message: &Message) -> usize {
    let name = Bytes::copy_from_slice(name);
    let epoch = topic.epoch();
    let matches = topic.reach().map(|reach| reach.matches().to_vec()).unwrap_or_default();
    let mut gateways = matches.len();
    for subscriber in topic.subscribers() {
        if !matches.iter().any(|matching| matching.link == subscriber.link) {
            gateways += 1;
            subscriber.link.push(FromTopicServer::Deliver {
                subscription: subscriber.subscription,
                offset,
                message: message.clone(),
            });
        }
    }
    for matching in &matches {
        let mut subscribers = topic.subscribers().iter();
        let subscription = subscribers.find(|subscriber| subscriber.link == matching.link);
        let subscription = subscription.map(|subscriber| subscriber.subscription);
        let behind = topic.reach_mut().take_introduction(matching.gateway);
        matched(matching, subscription, &name, (epoch, offset), message.clone(), behind);
    }
    gateways
}

/// Queues one message for a gateway whose patterns match.
pub(crate) fn matched(
    matching: &Matching<Outbox>,
    subscription: Option<Subscription>,
    name: &Bytes,
    (epoch, offset): (Epoch, u64),
    message: Message,
    behind: Option<Behind>,
) {
    let patterns = matching.patterns.to_vec();
    let found = Match { subscription, topic: name.clone(), patterns, epoch, offset, message, behind };
    matching.link.push(FromTopicServer::Match(Box::new(found)));
}

/// Tells each subscribed gateway that this server no longer serves the topic (H8), and who will (L5).
pub(crate) fn moved(topic: &Topic<Outbox>, name: &[u8], to: Option<Incarnation>) {
    for subscriber in topic.subscribers() {
        subscriber.link.push(FromTopicServer::Moved {
            subscription: subscriber.subscription,
            offset: topic.offset(),
            to,
        });
    }
    for matching in topic.reach().map(|reach| reach.matches()).unwrap_or_default() {
        matching.link.push(FromTopicServer::PatternsMoved {
            topic: Bytes::copy_from_slice(name),
            epoch: topic.epoch(),
            offset: topic.offset(),
        });
    }
}

/// What deliveries would do that are queued behind the lock: one publish's come behind the next one's.
#[cfg(feature = "planted-faults")]
mod stray {
    use std::cell::RefCell;

    use super::*;

    thread_local! {
        static STRAY: RefCell<Vec<(Outbox, FromTopicServer)>> = const { RefCell::new(Vec::new()) };
    }

    pub(super) fn deliver(topic: &Topic<Outbox>, offset: u64, message: &Message) -> usize {
        let deliveries = topic.subscribers().iter().map(|subscriber| {
            let (subscription, message) = (subscriber.subscription, message.clone());
            (subscriber.link.clone(), FromTopicServer::Deliver { subscription, offset, message })
        });
        let mut stray = STRAY.take();
        if stray.is_empty() {
            stray.extend(deliveries);
            STRAY.set(stray);
        } else {
            for (link, item) in deliveries.chain(stray) {
                link.push(item);
            }
        }
        topic.subscribers().len()
    }
}
