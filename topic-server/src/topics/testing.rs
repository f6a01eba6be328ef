//! What several tests of this crate use: rings, topics, requests, and a reader of what a gateway is told.

use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use campanile_proto::message::{Place, Publish};
use campanile_proto::wire::decode_topic_server_item;
use campanile_proto::{Encoding, Found, FromTopicServer, Incarnation, Message, Subscription};
use campanile_ring_config::{Member, Ring};

use crate::gateways::outbox::Outbox;
use crate::topics::table::Limits;
use crate::topics::{Ownership, Table};

pub(crate) const A: Incarnation = Incarnation(0xa);
pub(crate) const B: Incarnation = Incarnation(0xb);

/// Where the member of this name is, in all rings of [`ring`].
pub(crate) fn place(name: &str) -> Place {
    let port = 5000 + u32::from(name.as_bytes()[name.len() - 1] - b'a') + 1;
    Place { name: name.to_owned(), address: format!("127.0.0.1:{port}") }
}

/// A ring of these members, each where [`place`] says.
pub(crate) fn ring(version: u64, names: &[&str]) -> Arc<Ring> {
    ring_at(version, &names.iter().map(|name| place(name)).collect::<Vec<_>>())
}

/// The table of a ring's only member.
pub(crate) fn lone_table() -> Table {
    let ownership = Arc::new(Ownership::new("ts-a".to_owned(), ring(1, &["ts-a"])));
    Table::new(ownership, Arc::default(), Arc::default(), Limits { topics: 10_000, history: 1 << 20 })
}

/// A ring of these members.
pub(crate) fn ring_at(version: u64, places: &[Place]) -> Arc<Ring> {
    let members = places.iter().map(|place| Member::new(&place.name, &place.address, 1));
    Arc::new(Ring::new(version, 64, members.collect()).expect("a ring"))
}

/// The first topics that each of these rings gives to the member beside it.
pub(crate) fn topics_of(owners: &[(&Ring, &str)], count: usize) -> Vec<String> {
    let topics = (0..100_000).map(|number| format!("topics:{number}"));
    let is_so =
        |topic: &String| owners.iter().all(|(ring, name)| ring.owner(topic.as_bytes()).name() == *name);
    let topics: Vec<_> = topics.filter(is_so).take(count).collect();
    assert_eq!(topics.len(), count, "the rings have no such topics");
    topics
}

/// The first of them.
pub(crate) fn topic_of(owners: &[(&Ring, &str)]) -> String {
    topics_of(owners, 1).remove(0)
}

pub(crate) fn number(slot: u32, generation: u32) -> Subscription {
    Subscription { slot, generation }
}

pub(crate) fn message(text: &str) -> Message {
    Message {
        encoding: Encoding::Json,
        event: Bytes::from_static(b"event"),
        payload: Bytes::copy_from_slice(text.as_bytes()),
    }
}

/// A publish with 5 s left, whose payload is its number.
pub(crate) fn publish(topic: &str, number: u64) -> Publish {
    Publish {
        slot: 5,
        topic: Bytes::copy_from_slice(topic.as_bytes()),
        number,
        settled_below: 0,
        time_left: Duration::from_secs(5),
        resend_epoch: None,
        message: message(&number.to_string()),
        key: None,
    }
}

pub(crate) fn outbox() -> Outbox {
    Outbox::new(64 << 20)
}

/// Everything that lies in an outbox.
pub(crate) fn drain(outbox: &Outbox) -> Vec<FromTopicServer> {
    let mut items = Vec::new();
    let mut context = Context::from_waker(Waker::noop());
    while let Poll::Ready(Some(batch)) = outbox.poll_batch(&mut context, 1) {
        let decoded = batch.items.into_iter().map(decode_topic_server_item);
        items.extend(decoded.map(|item| item.expect("what we encode can be decoded")));
    }
    items
}

/// What lies in an outbox, as words: `subscribed 0`, `deliver 1`, `published 1`, ….
pub(crate) fn words(outbox: &Outbox) -> Vec<String> {
    let word = |item| match item {
        FromTopicServer::Subscribed { offset, .. } => format!("subscribed {offset}"),
        FromTopicServer::Deliver { offset, .. } => format!("deliver {offset}"),
        FromTopicServer::Published { offset, .. } => format!("published {offset}"),
        FromTopicServer::Moved { offset, .. } => format!("moved {offset}"),
        FromTopicServer::PublishRefused { reason, .. } => format!("publish refused {reason:?}"),
        FromTopicServer::SubscribeRefused { reason, .. } => format!("subscribe refused {reason:?}"),
        FromTopicServer::Missed { from, found, .. } => match found {
            Found::Messages(messages) => format!("missed {} behind {from}", messages.len()),
            Found::Gone { .. } => format!("gone at {from}"),
        },
        item => panic!("{item:?} is not a topic's to say"),
    };
    drain(outbox).into_iter().map(word).collect()
}
