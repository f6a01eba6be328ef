//! One message to every gateway that holds subscribers: once each, whoever and however many they are there.

use campanile_proto::{FromTopicServer, Incarnation, Message};

use crate::gateways::outbox::Outbox;
use crate::topics::state::Topic;

/// Queues the message for each subscribed gateway and says how many there were. Runs under the topic's lock, so
/// that every outbox gets the topic's messages in the order of their offsets (L4).
pub(crate) fn deliver(topic: &Topic<Outbox>, offset: u64, message: &Message) -> usize {
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

/// Tells each subscribed gateway that this server no longer serves the topic (H8), and who will (L5).
pub(crate) fn moved(topic: &Topic<Outbox>, to: Option<Incarnation>) {
    for subscriber in topic.subscribers() {
        subscriber.link.push(FromTopicServer::Moved {
            subscription: subscriber.subscription,
            offset: topic.offset(),
            to,
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
