//! One message to every gateway that holds subscribers: once each, whoever and however many they are there.

use campanile_proto::{FromTopicServer, Message};

use crate::gateways::outbox::Outbox;
use crate::topics::state::Topic;

/// Queues the message for each subscribed gateway and says how many there were. Runs under the topic's lock, so
/// that every outbox gets the topic's messages in the order of their offsets (L4).
pub(crate) fn deliver(topic: &Topic<Outbox>, offset: u64, message: &Message) -> usize {
    for subscriber in topic.subscribers() {
        subscriber.link.push(FromTopicServer::Deliver {
            subscription: subscriber.subscription,
            offset,
            message: message.clone(),
        });
    }
    topic.subscribers().len()
}

/// Tells each subscribed gateway that this server gives the topic up (H8).
pub(crate) fn moved(topic: &Topic<Outbox>) {
    for subscriber in topic.subscribers() {
        subscriber
            .link
            .push(FromTopicServer::Moved { subscription: subscriber.subscription, offset: topic.offset() });
    }
}
