use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::AtomicUsize;
use std::task::{Context, Poll, Waker};

use campanile_proto::wire::decode_gateway_item;
use campanile_proto::{Encoding, Epoch, FromGateway, Incarnation, Message};
use campanile_ring_config::{Member, Ring};

use super::*;
use crate::client::direct::Touched;
use crate::client::outbox::Item;
use crate::hub::publish::Post;
use crate::upstream::links::Upstream;

const OWNER: Incarnation = Incarnation(0xa);
const EPOCH: Epoch = Epoch(7);
const DEADLINE: Duration = Duration::from_secs(5);
/// After this everything that waited is over.
const LATER: Duration = Duration::from_secs(60);

/// Counts how often it encodes.
#[derive(Debug)]
struct Counting(usize, AtomicUsize);

impl Codec for Counting {
    fn index(&self) -> usize {
        self.0
    }

    fn encode(&self, _topic: &[u8], message: &Message, offset: u64) -> Bytes {
        self.1.fetch_add(1, Ordering::Relaxed);
        Bytes::from([&offset.to_be_bytes(), &message.payload[..]].concat())
    }
}

fn codec(index: usize) -> &'static Counting {
    Box::leak(Box::new(Counting(index, AtomicUsize::new(0))))
}

fn tag(text: &str) -> Arc<Tag> {
    Tag::new(text.as_bytes(), &[])
}

fn message() -> Message {
    Message {
        encoding: Encoding::Json,
        event: Bytes::from_static(b"event"),
        payload: Bytes::from_static(b"{}"),
    }
}

/// A hub with one topic server, whose link is up as number 1.
struct World {
    hub: Hub,
    owner: Arc<Upstream>,
}

impl World {
    fn new(budget: usize) -> Self {
        let members = vec![Member::new("a", "127.0.0.1:5001", 1)];
        let ring = Arc::new(Ring::new(1, 16, members).expect("a ring"));
        let (links, upstreams) = Links::new(ring, budget);
        let hub = Hub::new(Arc::new(links), Arc::default(), DEADLINE);
        let world = Self { hub, owner: Arc::clone(&upstreams[0]) };
        world.link_up(1);
        world
    }

    fn link_up(&self, number: u64) {
        self.owner.outbox.open(number, FromGateway::Ping(0));
        self.owner.set_up(number, OWNER);
        self.hub.settle();
    }

    fn join(&self, topic: &str, channel: u32, client: &Outbox, codec: &'static dyn Codec) -> Joined {
        let tag = tag(&channel.to_string());
        let joined = self.hub.join(topic.as_bytes(), ChannelId(channel), client, codec, tag, Start::Live);
        joined.expect("there is memory")
    }

    fn publish(&self, joined: &Joined, client: &Outbox, token: u32) {
        let origin = Origin { outbox: client.clone(), token };
        let post = Post { message: message(), key: None, origin };
        self.hub.publish(joined, post);
    }

    /// What has been asked of the topic server since the last look.
    fn asked(&self) -> Vec<FromGateway> {
        let mut items = Vec::new();
        let Some(link) = self.owner.view().up else {
            return items;
        };
        let context = &mut Context::from_waker(Waker::noop());
        while let Poll::Ready(Some(batch)) = self.owner.outbox.poll_batch(context, link, 1) {
            let decoded = batch.items.into_iter().map(decode_gateway_item);
            items.extend(decoded.map(|item| item.expect("what we encode can be decoded")));
        }
        items.retain(|item| !matches!(item, FromGateway::Ping(_)));
        items
    }

    fn say(&self, item: FromTopicServer) {
        self.hub.receive(self.owner.view(), item, &mut Touched::default());
    }

    /// Confirms the one subscription that has been asked for.
    fn confirm(&self, offset: u64) -> Subscription {
        let asked = self.asked();
        let [FromGateway::Subscribe { subscription, .. }] = &asked[..] else { panic!("{asked:?}") };
        self.say(FromTopicServer::Subscribed { subscription: *subscription, epoch: EPOCH, offset });
        *subscription
    }

    fn deliver(&self, subscription: Subscription, offset: u64) {
        self.say(FromTopicServer::Deliver { subscription, offset, message: message() });
    }
}

fn client() -> Outbox {
    Outbox::new(1 << 20)
}

fn take(client: &Outbox) -> Vec<Item> {
    let mut items = VecDeque::new();
    let _ = client.poll_take(&mut Context::from_waker(Waker::noop()), &mut items, true);
    items.into()
}

/// Items as words: `joined 0`, `event 1`, `failed`, `answer 3 ok`, ….
fn words(client: &Outbox) -> Vec<String> {
    let word = |item| match item {
        Item::Joined { offset, .. } => format!("joined {offset}"),
        Item::JoinFailed { reason, .. } => format!("failed {reason:?}"),
        Item::Event { body, .. } => {
            format!("event {}", u64::from_be_bytes(body[..8].try_into().expect("8 bytes")))
        }
        Item::Answer { token, result: Ok(_) } => format!("answer {token} ok"),
        Item::Answer { token, result: Err(reason) } => format!("answer {token} {reason:?}"),
        item => panic!("{item:?}"),
    };
    take(client).into_iter().map(word).collect()
}

#[test]
fn a_message_is_encoded_once_for_each_codec_and_given_to_all_listeners() {
    let (world, one, two) = (World::new(1 << 20), client(), client());
    let (first, second) = (codec(0), codec(1));
    for channel in 0..5 {
        world.join("topic", channel, &one, first);
        world.join("topic", channel, &two, second);
    }
    let subscription = world.confirm(4);
    assert_eq!(words(&one), ["joined 4"; 5]);
    assert_eq!(words(&two), ["joined 4"; 5]);
    world.deliver(subscription, 5);
    let items = take(&one);
    let tags = items.iter().map(|item| match item {
        Item::Event { tag, .. } => String::from_utf8_lossy(tag.text()).into_owned(),
        item => panic!("{item:?}"),
    });
    let mut tags: Vec<_> = tags.collect();
    tags.sort();
    assert_eq!(tags, ["0", "1", "2", "3", "4"], "each with its own part");
    assert_eq!(words(&two), ["event 5"; 5]);
    assert_eq!([first, second].map(|codec| codec.1.load(Ordering::Relaxed)), [1, 1]);
    assert_eq!(world.asked(), [], "one subscription for all");
}

#[test]
fn topics_do_not_hear_of_each_other() {
    let (world, one, two) = (World::new(1 << 20), client(), client());
    world.join("one", 0, &one, codec(0));
    let subscription = world.confirm(0);
    world.join("two", 0, &two, codec(0));
    let other = world.confirm(0);
    assert_ne!(subscription.slot, other.slot);
    world.deliver(subscription, 1);
    assert_eq!(words(&one), ["joined 0", "event 1"]);
    assert_eq!(words(&two), ["joined 0"]);
    let nowhere = Subscription { slot: 99, generation: 1 };
    world.deliver(nowhere, 1);
    assert_eq!(world.hub.metrics.stale.get(), 1);
}

#[test]
fn a_topic_that_nobody_wants_is_forgotten_and_its_slot_counts_on() {
    let (world, client) = (World::new(1 << 20), client());
    let joined = world.join("one", 0, &client, codec(0));
    let first = world.confirm(0);
    world.hub.leave(&joined);
    world.hub.tick(Instant::now());
    assert_eq!(world.asked(), [], "the linger");
    world.hub.tick(Instant::now() + LATER);
    assert_eq!(world.asked(), [FromGateway::Unsubscribe { subscription: first }]);
    assert_eq!(world.hub.metrics.topics.get(), 0);
    assert!(!world.hub.uses(MemberId(0)));
    world.hub.leave(&joined);
    world.join("two", 0, &client, codec(0));
    let second = world.confirm(0);
    assert_eq!(second.slot, first.slot);
    assert!(second.generation > first.generation);
    words(&client);
    world.deliver(first, 1);
    assert_eq!(words(&client), Vec::<String>::new(), "of the topic before");
    world.join("one", 1, &client, codec(0));
    world.confirm(0);
    assert!(world.hub.uses(MemberId(0)));
}

#[test]
fn joins_and_publishes_are_answered_when_there_is_no_link() {
    let (world, client) = (World::new(1 << 20), client());
    world.owner.set_down(1);
    let joined = world.join("topic", 0, &client, codec(0));
    world.publish(&joined, &client, 9);
    world.hub.tick(Instant::now());
    assert_eq!(words(&client), Vec::<String>::new());
    world.hub.tick(Instant::now() + LATER);
    assert_eq!(words(&client), ["failed OwnerUnreachable", "answer 9 OwnerUnreachable"]);
}

#[test]
fn a_new_link_gets_everything_that_the_topics_need() {
    let (world, client) = (World::new(1 << 20), client());
    for topic in ["a", "b", "c"] {
        world.join(topic, 0, &client, codec(0));
    }
    assert_eq!(world.asked().len(), 3);
    world.link_up(2);
    let topics = world.asked().into_iter().map(|item| match item {
        FromGateway::Subscribe { topic, .. } => topic,
        item => panic!("{item:?}"),
    });
    let mut topics: Vec<_> = topics.collect();
    topics.sort();
    assert_eq!(topics, ["a", "b", "c"]);
}

#[test]
fn a_publish_that_finds_no_room_is_refused_and_one_always_fits() {
    let (world, client) = (World::new(10), client());
    let joined = world.join("topic", 0, &client, codec(0));
    world.publish(&joined, &client, 1);
    world.publish(&joined, &client, 2);
    assert_eq!(words(&client), ["answer 2 Overloaded"]);
    assert_eq!(world.asked().len(), 2, "the Subscribe and publish 1");
    world.publish(&joined, &client, 3);
    assert_eq!(words(&client), Vec::<String>::new(), "what was handed over makes room");
}

#[test]
fn publishes_for_an_owner_whose_link_lags_are_refused_until_it_does_no_more() {
    let (world, client) = (World::new(1 << 20), client());
    let joined = world.join("topic", 0, &client, codec(0));
    world.publish(&joined, &client, 1);
    world.owner.set_room(Room::None);
    world.publish(&joined, &client, 2);
    assert_eq!(words(&client), ["answer 2 Overloaded"]);
    let refused = world.hub.metrics.publishes_refused.get_or_create(&[("reason", "overloaded")]).get();
    assert_eq!(refused, 1);
    world.owner.set_room(Room::Ample);
    world.publish(&joined, &client, 3);
    assert_eq!(world.asked().len(), 3, "the Subscribe and two publishes");
    // Of the next link nothing is known.
    world.owner.set_room(Room::None);
    world.owner.set_down(1);
    world.link_up(2);
    world.publish(&joined, &client, 4);
    assert_eq!(words(&client), Vec::<String>::new());
}

#[test]
fn unanswered_publishes_of_a_topic_are_bounded() {
    let (world, client) = (World::new(1 << 30), client());
    let joined = world.join("topic", 0, &client, codec(0));
    for token in 0..crate::hub::state::UNANSWERED as u32 {
        world.publish(&joined, &client, token);
    }
    assert_eq!(words(&client), Vec::<String>::new());
    world.publish(&joined, &client, 9999);
    assert_eq!(words(&client), ["answer 9999 Overloaded"]);
}

/// Sessions come and go, time jumps, and an owner answers, all at once: every join is answered once, before any
/// event, and every listener sees every offset from there on.
#[test]
fn sessions_at_once_with_an_owner_see_every_topic_in_order() {
    const TOPICS: usize = 3;
    let world = World::new(1 << 30);
    let busy = AtomicUsize::new(4);
    std::thread::scope(|scope| {
        for seed in 0..4 {
            let (world, busy) = (&world, &busy);
            scope.spawn(move || {
                let _busy = Busy(busy);
                session(world, seed);
            });
        }
        let mut offsets: BTreeMap<Bytes, u64> = BTreeMap::new();
        let mut subscribed: BTreeMap<u32, (Subscription, Bytes)> = BTreeMap::new();
        while busy.load(Ordering::Relaxed) > 0 {
            own(&world, &mut offsets, &mut subscribed);
            // What lingers is over; what waits for an answer is not: it gets its answer above.
            world.hub.tick(Instant::now() + Duration::from_secs(2));
            std::thread::yield_now();
        }
        assert!(offsets.len() == TOPICS);
    });
    // A session that left before its answer is not told; nobody else waits.
    world.hub.tick(Instant::now() + LATER);
    world.hub.tick(Instant::now() + LATER);
    assert_eq!(world.hub.metrics.topics.get(), 0);
    assert_eq!(world.hub.slots.read().len(), 0);
    assert!(world.hub.names.is_empty());
    assert_eq!(world.hub.metrics.jumps.get(), 0);
}

/// One session that is not done; a panic ends it, too.
struct Busy<'a>(&'a AtomicUsize);

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The topic server: answers what it is asked, and sends one message to each subscription.
fn own(
    world: &World,
    offsets: &mut BTreeMap<Bytes, u64>,
    subscribed: &mut BTreeMap<u32, (Subscription, Bytes)>,
) {
    for item in world.asked() {
        match item {
            FromGateway::Subscribe { subscription, topic, .. } => {
                let offset = *offsets.entry(topic.clone()).or_default();
                subscribed.insert(subscription.slot, (subscription, topic));
                world.say(FromTopicServer::Subscribed { subscription, epoch: EPOCH, offset });
            }
            FromGateway::Unsubscribe { subscription } => {
                if subscribed.get(&subscription.slot).is_some_and(|(number, _)| *number == subscription) {
                    subscribed.remove(&subscription.slot);
                }
            }
            item => panic!("{item:?}"),
        }
    }
    for (subscription, topic) in subscribed.values() {
        let offset = offsets.get_mut(topic).expect("it was subscribed");
        *offset += 1;
        world.deliver(*subscription, *offset);
    }
}

fn session(world: &World, seed: u64) {
    let mut random = fastrand::Rng::with_seed(seed);
    let (codec, start) = (codec(0), Instant::now());
    for round in 0..300 {
        let client = client();
        let topic = format!("topic {}", random.usize(..3));
        let joined = world.join(&topic, round, &client, codec);
        let (mut last, mut events) = (None, 0);
        let patience = random.usize(..20);
        // Some leave before their answer.
        while events < patience {
            assert!(start.elapsed() < LATER, "nothing comes any more");
            for item in take(&client) {
                match item {
                    Item::Joined { offset, .. } => {
                        assert_eq!(last, None, "joined once");
                        last = Some(offset);
                    }
                    Item::Event { body, .. } => {
                        let offset = u64::from_be_bytes(body[..8].try_into().expect("8 bytes"));
                        assert_eq!(last.map(|last| last + 1), Some(offset), "a gap, or before the join");
                        last = Some(offset);
                        events += 1;
                    }
                    item => panic!("{item:?}"),
                }
            }
            std::thread::yield_now();
        }
        world.hub.leave(&joined);
    }
}

#[test]
fn while_memory_is_short_new_topics_and_publishes_are_refused_and_the_rest_goes_on() {
    let memory = Pressure::default();
    let world = World::new(1 << 20);
    let world = World { hub: world.hub.heeding(memory.clone()), ..world };
    let client = Outbox::new(1 << 20);
    let here = world.join("here", 1, &client, codec(0));
    memory.set(true);
    let refused = world.hub.join(b"new", ChannelId(2), &client, codec(0), tag("2"), Start::Live);
    assert!(refused.is_none());
    assert_eq!(world.hub.names.len(), 1, "nothing is kept of it");
    world.join("here", 3, &client, codec(0));
    world.publish(&here, &client, 9);
    let failed: Vec<_> = answers(&client);
    assert_eq!(failed, ["join 2: Overloaded", "publish 9: Overloaded"]);
    memory.set(false);
    world.join("new", 4, &client, codec(0));
    world.publish(&here, &client, 10);
    assert_eq!(answers(&client), [""; 0], "both wait for their owner");
}

/// What was refused, as a client finds it in its outbox.
fn answers(client: &Outbox) -> Vec<String> {
    let mut items = VecDeque::new();
    let _ = client.poll_take(&mut Context::from_waker(Waker::noop()), &mut items, true);
    let shown = items.into_iter().filter_map(|item| match item {
        Item::JoinFailed { channel, reason } => Some(format!("join {}: {reason:?}", channel.0)),
        Item::Answer { token, result: Err(reason) } => Some(format!("publish {token}: {reason:?}")),
        _ => None,
    });
    shown.collect()
}
