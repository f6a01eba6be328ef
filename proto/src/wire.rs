//! From the complete enums to batches of the generated types, and back. Everything that a stranger may have
//! got wrong is checked here, so that the rules never see a message outside its bounds.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;

use crate::generated as g;
use crate::generated::gateway_item::Item as GatewayItem;
use crate::generated::topic_server_item::Item as TopicServerItem;
use crate::ids::{EVENT_BYTES, Epoch, Incarnation, KEY_BYTES, Subscription, TOPIC_BYTES};
use crate::message::{
    Encoding, Found, FromGateway, FromTopicServer, Hello, Message, Place, Publish, Refusal, Rings, Welcome,
};
use crate::reach;

/// A message that breaks the protocol. The link that it came on ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadMessage(pub &'static str);

impl fmt::Display for BadMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for BadMessage {}

/// Rough size of an item on the wire beside its topic, event and payload bytes.
pub const ITEM_OVERHEAD: usize = 48;

/// Most earlier rings that one message tells of; a topic server knows of 32. Each is read and kept by whoever is told.
pub const PREVIOUS_RINGS: usize = 64;

/// Bytes that a queue counts for this item.
pub fn gateway_item_cost(item: &FromGateway) -> usize {
    ITEM_OVERHEAD
        + match item {
            FromGateway::Subscribe { topic, .. } => topic.len(),
            FromGateway::Publish(publish) => publish.topic.len() + publish.message.len(),
            FromGateway::Pattern(pattern) => reach::pattern_cost(pattern),
            FromGateway::Query(_, query) => reach::query_cost(query),
            _ => 0,
        }
}

/// Bytes that a queue counts for this item.
pub fn topic_server_item_cost(item: &FromTopicServer) -> usize {
    ITEM_OVERHEAD
        + match item {
            FromTopicServer::Deliver { message, .. } => message.len(),
            FromTopicServer::Missed { found: Found::Messages(messages), .. } => {
                messages.iter().map(|message| message.len() + ITEM_OVERHEAD).sum()
            }
            FromTopicServer::Rings(rings) => rings_cost(rings),
            FromTopicServer::Match(found) => reach::match_cost(found),
            FromTopicServer::PatternsMoved { topic, .. } => topic.len(),
            FromTopicServer::QueryAnswer(answer) => reach::answer_cost(answer),
            _ => 0,
        }
}

/// Bytes that a queue counts for rings, beside the item's own.
pub(crate) fn rings_cost(rings: &Rings) -> usize {
    rings.newest.len() + rings.previous.iter().map(String::len).sum::<usize>()
}

/// What a gateway says, as it travels.
pub fn encode_gateway_item(item: FromGateway) -> g::GatewayItem {
    let item = match item {
        FromGateway::Hello(hello) => GatewayItem::Hello(g::Hello {
            link_version: hello.link_version,
            gateway: hello.gateway,
            incarnation: hello.incarnation.0,
            link_number: hello.link_number,
            member: hello.member,
            address: hello.address,
            ring_version: hello.ring_version,
            ring_digest: hello.ring_digest,
            previous_rings: hello.previous_rings,
        }),
        FromGateway::Subscribe { subscription, topic, listeners } => {
            GatewayItem::Subscribe(g::Subscribe { subscription: subscription.to_wire(), topic, listeners })
        }
        FromGateway::Count { subscription, listeners, change } => {
            GatewayItem::Count(g::Count { subscription: subscription.to_wire(), listeners, change })
        }
        FromGateway::Pattern(pattern) => GatewayItem::Pattern(reach::encode_pattern(pattern)),
        FromGateway::AllPatterns => GatewayItem::AllPatterns(g::AllPatterns {}),
        FromGateway::Query(id, query) => GatewayItem::Query(reach::encode_query((id, query))),
        FromGateway::Unsubscribe { subscription } => {
            GatewayItem::Unsubscribe(g::Unsubscribe { subscription: subscription.to_wire() })
        }
        FromGateway::Publish(publish) => GatewayItem::Publish(g::Publish {
            slot: publish.slot,
            topic: publish.topic,
            number: publish.number,
            settled_below: publish.settled_below,
            time_left_ms: u32::try_from(publish.time_left.as_millis()).unwrap_or(u32::MAX),
            resend_epoch: publish.resend_epoch.map_or(0, |epoch| epoch.0),
            encoding: encode_encoding(publish.message.encoding),
            event: publish.message.event,
            payload: publish.message.payload,
            key: publish.key.unwrap_or_default(),
        }),
        FromGateway::Read { subscription, epoch, from } => {
            GatewayItem::Read(g::Read { subscription: subscription.to_wire(), epoch: epoch.0, from })
        }
        FromGateway::Sees(places) => GatewayItem::Sees(encode_sees(places)),
        FromGateway::Ping(id) => GatewayItem::Ping(g::Ping { id }),
        FromGateway::Pong(id) => GatewayItem::Pong(g::Pong { id }),
    };
    g::GatewayItem { item: Some(item) }
}

/// What a gateway said, checked.
pub fn decode_gateway_item(item: g::GatewayItem) -> Result<FromGateway, BadMessage> {
    let item = item.item.ok_or(BadMessage("an item of an unknown kind"))?;
    Ok(match item {
        GatewayItem::Hello(hello) => FromGateway::Hello(Hello {
            link_version: hello.link_version,
            gateway: hello.gateway,
            incarnation: incarnation(hello.incarnation)?,
            link_number: hello.link_number,
            member: hello.member,
            address: hello.address,
            ring_version: hello.ring_version,
            ring_digest: hello.ring_digest,
            previous_rings: previous_rings(hello.previous_rings)?,
        }),
        GatewayItem::Subscribe(subscribe) => FromGateway::Subscribe {
            subscription: Subscription::from_wire(subscribe.subscription),
            topic: topic(subscribe.topic)?,
            listeners: subscribe.listeners,
        },
        GatewayItem::Count(count) => FromGateway::Count {
            subscription: Subscription::from_wire(count.subscription),
            listeners: count.listeners,
            change: count.change,
        },
        GatewayItem::Pattern(pattern) => FromGateway::Pattern(reach::decode_pattern(pattern)?),
        GatewayItem::AllPatterns(_) => FromGateway::AllPatterns,
        GatewayItem::Query(query) => {
            let (id, query) = reach::decode_query(query)?;
            FromGateway::Query(id, query)
        }
        GatewayItem::Unsubscribe(unsubscribe) => {
            FromGateway::Unsubscribe { subscription: Subscription::from_wire(unsubscribe.subscription) }
        }
        GatewayItem::Publish(publish) => FromGateway::Publish(Publish {
            slot: publish.slot,
            topic: topic(publish.topic)?,
            number: publish.number,
            settled_below: publish.settled_below,
            time_left: Duration::from_millis(u64::from(publish.time_left_ms)),
            resend_epoch: (publish.resend_epoch != 0).then_some(Epoch(publish.resend_epoch)),
            message: message(publish.encoding, publish.event, publish.payload)?,
            key: key(publish.key)?,
        }),
        GatewayItem::Read(read) => FromGateway::Read {
            subscription: Subscription::from_wire(read.subscription),
            epoch: epoch(read.epoch)?,
            from: read.from,
        },
        GatewayItem::Sees(sees) => FromGateway::Sees(decode_sees(sees)),
        GatewayItem::Ping(ping) => FromGateway::Ping(ping.id),
        GatewayItem::Pong(pong) => FromGateway::Pong(pong.id),
    })
}

/// What a topic server says, as it travels.
pub fn encode_topic_server_item(item: FromTopicServer) -> g::TopicServerItem {
    let item = match item {
        FromTopicServer::Welcome(welcome) => TopicServerItem::Welcome(g::Welcome {
            link_version: welcome.link_version,
            member: welcome.member,
            incarnation: welcome.incarnation.0,
            ring_version: welcome.ring_version,
            ring_digest: welcome.ring_digest,
        }),
        FromTopicServer::Subscribed { subscription, epoch, offset } => {
            TopicServerItem::Subscribed(g::Subscribed {
                subscription: subscription.to_wire(),
                epoch: epoch.0,
                offset,
            })
        }
        FromTopicServer::Deliver { subscription, offset, message } => TopicServerItem::Deliver(g::Deliver {
            subscription: subscription.to_wire(),
            offset,
            encoding: encode_encoding(message.encoding),
            event: message.event,
            payload: message.payload,
        }),
        FromTopicServer::Missed { subscription, epoch, from, found } => {
            TopicServerItem::Missed(encode_missed(subscription, epoch, from, found))
        }
        FromTopicServer::Published { slot, number, epoch, offset, receivers } => {
            TopicServerItem::Published(g::Published { slot, number, epoch: epoch.0, offset, receivers })
        }
        FromTopicServer::Counted { subscription, change } => {
            TopicServerItem::Counted(g::Counted { subscription: subscription.to_wire(), change })
        }
        FromTopicServer::PatternStands { number, change } => {
            TopicServerItem::PatternStands(g::PatternStands { number, change })
        }
        FromTopicServer::Match(found) => TopicServerItem::Match(Box::new(reach::encode_match(*found))),
        FromTopicServer::PatternsMoved { topic, epoch, offset } => {
            TopicServerItem::PatternsMoved(g::PatternsMoved { topic, epoch: epoch.0, offset })
        }
        FromTopicServer::PatternsLost => TopicServerItem::PatternsLost(g::PatternsLost {}),
        FromTopicServer::QueryAnswer(answer) => TopicServerItem::QueryAnswer(reach::encode_answer(answer)),
        FromTopicServer::PublishRefused { slot, number, reason } => {
            TopicServerItem::PublishRefused(g::PublishRefused {
                slot,
                number,
                reason: encode_refusal(reason),
            })
        }
        FromTopicServer::SubscribeRefused { subscription, reason } => {
            TopicServerItem::SubscribeRefused(g::SubscribeRefused {
                subscription: subscription.to_wire(),
                reason: encode_refusal(reason),
            })
        }
        FromTopicServer::Moved { subscription, offset, to } => TopicServerItem::Moved(g::Moved {
            subscription: subscription.to_wire(),
            offset,
            to: to.map_or(0, |to| to.0),
        }),
        FromTopicServer::Rings(rings) => TopicServerItem::Rings(encode_rings(rings)),
        FromTopicServer::Draining => TopicServerItem::Draining(g::Draining {}),
        FromTopicServer::Ping(id) => TopicServerItem::Ping(g::Ping { id }),
        FromTopicServer::Pong(id) => TopicServerItem::Pong(g::Pong { id }),
    };
    g::TopicServerItem { item: Some(item) }
}

/// What a topic server said, checked.
pub fn decode_topic_server_item(item: g::TopicServerItem) -> Result<FromTopicServer, BadMessage> {
    let item = item.item.ok_or(BadMessage("an item of an unknown kind"))?;
    Ok(match item {
        TopicServerItem::Welcome(welcome) => FromTopicServer::Welcome(Welcome {
            link_version: welcome.link_version,
            member: welcome.member,
            incarnation: incarnation(welcome.incarnation)?,
            ring_version: welcome.ring_version,
            ring_digest: welcome.ring_digest,
        }),
        TopicServerItem::Subscribed(subscribed) => FromTopicServer::Subscribed {
            subscription: Subscription::from_wire(subscribed.subscription),
            epoch: epoch(subscribed.epoch)?,
            offset: subscribed.offset,
        },
        TopicServerItem::Deliver(deliver) => FromTopicServer::Deliver {
            subscription: Subscription::from_wire(deliver.subscription),
            offset: deliver.offset,
            message: message(deliver.encoding, deliver.event, deliver.payload)?,
        },
        TopicServerItem::Missed(missed) => FromTopicServer::Missed {
            subscription: Subscription::from_wire(missed.subscription),
            epoch: epoch(missed.epoch)?,
            from: missed.from,
            found: if missed.gone {
                Found::Gone { oldest: (missed.oldest != 0).then_some(missed.oldest) }
            } else {
                let decode = |one: g::MissedMessage| message(one.encoding, one.event, one.payload);
                Found::Messages(missed.messages.into_iter().map(decode).collect::<Result<_, _>>()?)
            },
        },
        TopicServerItem::Published(published) => FromTopicServer::Published {
            slot: published.slot,
            number: published.number,
            epoch: epoch(published.epoch)?,
            offset: published.offset,
            receivers: published.receivers,
        },
        TopicServerItem::Counted(counted) => FromTopicServer::Counted {
            subscription: Subscription::from_wire(counted.subscription),
            change: counted.change,
        },
        TopicServerItem::PatternStands(stands) => {
            FromTopicServer::PatternStands { number: stands.number, change: stands.change }
        }
        TopicServerItem::Match(found) => FromTopicServer::Match(Box::new(reach::decode_match(*found)?)),
        TopicServerItem::PatternsMoved(moved) => FromTopicServer::PatternsMoved {
            topic: topic(moved.topic)?,
            epoch: epoch(moved.epoch)?,
            offset: moved.offset,
        },
        TopicServerItem::PatternsLost(_) => FromTopicServer::PatternsLost,
        TopicServerItem::QueryAnswer(answer) => FromTopicServer::QueryAnswer(reach::decode_answer(answer)),
        TopicServerItem::PublishRefused(refused) => FromTopicServer::PublishRefused {
            slot: refused.slot,
            number: refused.number,
            reason: refusal(refused.reason)?,
        },
        TopicServerItem::SubscribeRefused(refused) => FromTopicServer::SubscribeRefused {
            subscription: Subscription::from_wire(refused.subscription),
            reason: refusal(refused.reason)?,
        },
        TopicServerItem::Moved(moved) => FromTopicServer::Moved {
            subscription: Subscription::from_wire(moved.subscription),
            offset: moved.offset,
            to: (moved.to != 0).then_some(Incarnation(moved.to)),
        },
        TopicServerItem::Rings(rings) => FromTopicServer::Rings(decode_rings(rings)?),
        TopicServerItem::Draining(_) => FromTopicServer::Draining,
        TopicServerItem::Ping(ping) => FromTopicServer::Ping(ping.id),
        TopicServerItem::Pong(pong) => FromTopicServer::Pong(pong.id),
    })
}

fn encode_missed(subscription: Subscription, epoch: Epoch, from: u64, found: Found) -> g::Missed {
    let (gone, oldest, messages) = match found {
        Found::Messages(messages) => (false, 0, messages),
        Found::Gone { oldest } => (true, oldest.unwrap_or(0), Vec::new()),
    };
    let encode = |message: Message| g::MissedMessage {
        encoding: encode_encoding(message.encoding),
        event: message.event,
        payload: message.payload,
    };
    let messages = messages.into_iter().map(encode).collect();
    g::Missed { subscription: subscription.to_wire(), epoch: epoch.0, from, gone, oldest, messages }
}

pub(crate) fn encode_place(place: Place) -> g::Place {
    g::Place { name: place.name, address: place.address }
}

pub(crate) fn decode_place(place: g::Place) -> Place {
    Place { name: place.name, address: place.address }
}

pub(crate) fn encode_sees(places: Vec<Place>) -> g::Sees {
    g::Sees { places: places.into_iter().map(encode_place).collect() }
}

pub(crate) fn decode_sees(sees: g::Sees) -> Vec<Place> {
    sees.places.into_iter().map(decode_place).collect()
}

pub(crate) fn encode_rings(rings: Rings) -> g::Rings {
    let encode = |(place, ring_version)| g::Clean { place: Some(encode_place(place)), ring_version };
    g::Rings {
        newest: rings.newest,
        previous: rings.previous,
        clean: rings.clean.into_iter().map(encode).collect(),
        starting: rings.starting,
    }
}

pub(crate) fn decode_rings(rings: g::Rings) -> Result<Rings, BadMessage> {
    let decode = |clean: g::Clean| Some((decode_place(clean.place?), clean.ring_version));
    Ok(Rings {
        newest: rings.newest,
        previous: previous_rings(rings.previous)?,
        clean: rings.clean.into_iter().filter_map(decode).collect(),
        starting: rings.starting,
    })
}

fn previous_rings(texts: Vec<String>) -> Result<Vec<String>, BadMessage> {
    if texts.len() > PREVIOUS_RINGS { Err(BadMessage("more than 64 earlier rings")) } else { Ok(texts) }
}

pub(crate) fn topic(topic: Bytes) -> Result<Bytes, BadMessage> {
    if TOPIC_BYTES.contains(&topic.len()) {
        Ok(topic)
    } else {
        Err(BadMessage("a topic outside 1 to 1,024 bytes"))
    }
}

fn key(key: Bytes) -> Result<Option<Bytes>, BadMessage> {
    match key.len() {
        0 => Ok(None),
        1..=KEY_BYTES => Ok(Some(key)),
        _ => Err(BadMessage("a key above 64 bytes")),
    }
}

pub(crate) fn message(encoding: i32, event: Bytes, payload: Bytes) -> Result<Message, BadMessage> {
    if !EVENT_BYTES.contains(&event.len()) {
        return Err(BadMessage("an event outside 1 to 255 bytes"));
    }
    let encoding = match g::Encoding::try_from(encoding) {
        Ok(g::Encoding::Json) => Encoding::Json,
        Ok(g::Encoding::Binary) => Encoding::Binary,
        Err(_) => return Err(BadMessage("an unknown payload encoding")),
    };
    Ok(Message { encoding, event, payload })
}

pub(crate) fn incarnation(number: u64) -> Result<Incarnation, BadMessage> {
    if number == 0 { Err(BadMessage("an incarnation of 0")) } else { Ok(Incarnation(number)) }
}

pub(crate) fn epoch(number: u64) -> Result<Epoch, BadMessage> {
    if number == 0 { Err(BadMessage("an epoch of 0")) } else { Ok(Epoch(number)) }
}

pub(crate) fn encode_encoding(encoding: Encoding) -> i32 {
    match encoding {
        Encoding::Json => g::Encoding::Json.into(),
        Encoding::Binary => g::Encoding::Binary.into(),
    }
}

fn encode_refusal(reason: Refusal) -> i32 {
    match reason {
        Refusal::NotOwner => g::Refusal::NotOwner.into(),
        Refusal::Expired => g::Refusal::Expired.into(),
        Refusal::Overloaded => g::Refusal::Overloaded.into(),
        Refusal::Draining => g::Refusal::Draining.into(),
        Refusal::UnknownOutcome => g::Refusal::UnknownOutcome.into(),
        Refusal::StaleNumber => g::Refusal::StaleNumber.into(),
        Refusal::KeyReused => g::Refusal::KeyReused.into(),
        Refusal::RateLimited => g::Refusal::RateLimited.into(),
    }
}

fn refusal(reason: i32) -> Result<Refusal, BadMessage> {
    match g::Refusal::try_from(reason) {
        Ok(g::Refusal::NotOwner) => Ok(Refusal::NotOwner),
        Ok(g::Refusal::Expired) => Ok(Refusal::Expired),
        Ok(g::Refusal::Overloaded) => Ok(Refusal::Overloaded),
        Ok(g::Refusal::Draining) => Ok(Refusal::Draining),
        Ok(g::Refusal::UnknownOutcome) => Ok(Refusal::UnknownOutcome),
        Ok(g::Refusal::StaleNumber) => Ok(Refusal::StaleNumber),
        Ok(g::Refusal::KeyReused) => Ok(Refusal::KeyReused),
        Ok(g::Refusal::RateLimited) => Ok(Refusal::RateLimited),
        Ok(g::Refusal::Unspecified) | Err(_) => Err(BadMessage("an unknown reason for a refusal")),
    }
}

#[cfg(test)]
#[path = "wire_tests.rs"]
mod tests;
