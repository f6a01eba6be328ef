use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};

use campanile_proto::{Encoding, Incarnation};

use super::*;
use crate::client::outbox::{ChannelId, Item, Outbox, Resumed, Tag};
use crate::hub::publish::{Budget, Origin, Post};
use crate::hub::testing::NoCodec;

#[path = "state_model_tests.rs"]
mod model;

const A: MemberId = MemberId(0);
const B: MemberId = MemberId(1);
const A_LIFE: Incarnation = Incarnation(0xa);
const B_LIFE: Incarnation = Incarnation(0xb);
const EPOCH: Epoch = Epoch(7);
const NAME: &[u8] = b"topics:matrix";
const DEADLINE: Duration = Duration::from_secs(5);

/// Routes that a test sets as it likes.
struct Map {
    owner: Cell<MemberId>,
    links: RefCell<BTreeMap<MemberId, LinkView>>,
}

impl Map {
    fn new() -> Self {
        let map = Self { owner: Cell::new(A), links: RefCell::default() };
        map.down(A);
        map.down(B);
        map
    }

    fn up(&self, member: MemberId, number: u64, owner: Incarnation) {
        let view = LinkView { member, up: Some(number), owner };
        self.links.borrow_mut().insert(member, view);
    }

    fn down(&self, member: MemberId) {
        let view = LinkView { member, up: None, owner: Incarnation(0) };
        self.links.borrow_mut().insert(member, view);
    }
}

impl Routes for Map {
    fn owner(&self, _topic: &[u8]) -> MemberId {
        self.owner.get()
    }

    fn view(&self, member: MemberId) -> LinkView {
        self.links.borrow()[&member]
    }
}

fn listener(id: u64) -> Listener {
    Listener {
        id,
        channel: ChannelId(id as u32),
        client: Outbox::new(1 << 20),
        codec: &NoCodec,
        tag: Tag::new(&id.to_be_bytes(), &[]),
        counts: false,
    }
}

/// A message that says where it belongs.
fn message(epoch: Epoch, offset: u64) -> Message {
    Message {
        encoding: Encoding::Json,
        event: Bytes::from_static(b"event"),
        payload: Bytes::from([epoch.0.to_be_bytes(), offset.to_be_bytes()].concat()),
    }
}

/// Whose event this is, its epoch and its offset.
fn read_event(tag: &Tag, body: &Bytes) -> (u64, Epoch, u64) {
    let number = |bytes: &[u8]| u64::from_be_bytes(bytes.try_into().expect("8 bytes"));
    (number(tag.text()), Epoch(number(&body[..8])), number(&body[8..]))
}

fn pending(number: u64, deadline: Instant, budget: &Arc<Budget>) -> Arc<Pending> {
    let message = Message {
        encoding: Encoding::Json,
        event: Bytes::from_static(b"event"),
        payload: Bytes::from_static(b"{}"),
    };
    let origin = Origin { outbox: Outbox::new(1 << 20), token: number as u32 };
    let post = Post { message, key: None, origin };
    Pending::queue(3, Bytes::from_static(NAME), number, deadline, post, budget).expect("room in the budget")
}

/// What came out of a rule, in words that compare.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Out {
    Subscribe(MemberId, u64, u32),
    /// The same, with so many listeners that count.
    SubscribeCounted(MemberId, u64, u32, u32),
    /// Member, link, generation, listeners that count, change.
    Tell(MemberId, u64, u32, u32, u32),
    Unsubscribe(MemberId, u64, u32),
    Read(MemberId, u64, u32, Epoch, u64),
    /// Member, link, number, settled below, epoch of a re-send.
    Publish(MemberId, u64, u64, u64, Option<Epoch>),
    Joined(u32, Epoch, u64),
    Resumed(u32, Epoch, u64, Resumed),
    Event(u64, Epoch, u64),
    Step(u32),
    Lost(u32, Epoch, u64),
    Failed(u32, Reason),
    Left(u32),
    Answer(u64, Result<(Epoch, u64), Reason>),
    Wake(u64),
    Count(Counted),
}

/// One topic, its surroundings, and a clock in milliseconds.
struct World {
    map: Map,
    topic: Topic,
    start: Instant,
    now: Instant,
    budget: Arc<Budget>,
    effects: Vec<Effect>,
    /// Publishes that have gone out on a link and may be handed over.
    sent: Vec<(Arc<Pending>, u64)>,
}

impl World {
    /// All links are down.
    fn new() -> Self {
        let now = Instant::now();
        Self {
            map: Map::new(),
            topic: Topic::new(Bytes::from_static(NAME), 3, 10, A, now),
            start: now,
            now,
            budget: Arc::new(Budget::new(1 << 30)),
            effects: Vec::new(),
            sent: Vec::new(),
        }
    }

    /// Link 1 to A is up.
    fn linked() -> Self {
        let world = Self::new();
        world.map.up(A, 1, A_LIFE);
        world
    }

    /// Link 1 to A is up, and channel 1 listens from offset `offset` on.
    fn listening(offset: u64) -> Self {
        let mut world = Self::linked();
        world.join(1);
        world.subscribed(11, EPOCH, offset);
        world.out();
        world
    }

    /// Channel 1 listened up to offset 4; then another life of A came up, in which the topic is at `offset`.
    fn renewed(offset: u64) -> Self {
        let mut world = Self::listening(4);
        world.map.up(A, 2, Incarnation(0xaa));
        world.settle();
        world.out();
        world.subscribed(12, Epoch(8), offset);
        world
    }

    fn at(&mut self, milliseconds: u64) {
        self.now = self.start + Duration::from_millis(milliseconds);
    }

    fn join(&mut self, id: u64) {
        self.join_from(id, Start::Live);
    }

    fn join_from(&mut self, id: u64, start: Start) {
        let (now, deadline) = (self.now, self.now + DEADLINE);
        let (map, effects) = (&self.map, &mut self.effects);
        self.topic.join(listener(id), start, deadline, now, map, effects);
    }

    /// Messages of [`EPOCH`] behind `from` have come.
    fn missed(&mut self, generation: u32, from: u64, count: u64) {
        let messages = (from + 1..=from + count).map(|offset| message(EPOCH, offset));
        self.found(generation, EPOCH, from, Found::Messages(messages.collect()));
    }

    fn found(&mut self, generation: u32, epoch: Epoch, from: u64, found: Found) {
        let (number, view) = (number(generation), self.view());
        self.topic.missed(number, epoch, from, found, view, &mut self.effects);
    }

    fn step(&mut self, id: u64) {
        self.topic.step(id, &mut self.effects);
    }

    fn leave(&mut self, id: u64) {
        self.topic.leave(id, self.now, &mut self.effects);
    }

    fn publish(&mut self, number: u64) {
        let pending = pending(number, self.now + DEADLINE, &self.budget);
        self.topic.publish(pending, self.now, &self.map, &mut self.effects);
    }

    fn settle(&mut self) {
        self.topic.settle(self.now, &self.map, &mut self.effects);
    }

    fn view(&self) -> LinkView {
        self.map.view(self.topic.member())
    }

    fn subscribed(&mut self, generation: u32, epoch: Epoch, offset: u64) {
        let view = self.view();
        self.topic.subscribed(number(generation), epoch, offset, view, self.now, &mut self.effects);
    }

    fn refused(&mut self, generation: u32, reason: Refusal) {
        let view = self.view();
        self.topic.subscribe_refused(
            number(generation),
            reason,
            view,
            self.now,
            &self.map,
            &mut self.effects,
        );
    }

    fn deliver(&mut self, generation: u32, offset: u64) -> Delivery {
        let view = self.view();
        self.deliver_on(number(generation), offset, view)
    }

    fn deliver_on(&mut self, number: Subscription, offset: u64, view: LinkView) -> Delivery {
        let message = message(EPOCH, offset);
        self.topic.deliver(number, offset, &message, view, &mut self.effects)
    }

    fn moved(&mut self, generation: u32) {
        self.moved_to(generation, None);
    }

    fn moved_to(&mut self, generation: u32, to: Option<Incarnation>) {
        let view = self.view();
        self.topic.moved(number(generation), to, view, self.now, &self.map, &mut self.effects);
    }

    fn published(&mut self, number: u64, offset: u64) {
        let accepted = Accepted { epoch: EPOCH, offset, receivers: 0 };
        self.topic.published(number, accepted, self.view(), self.now, &self.map, &mut self.effects);
    }

    fn publish_refused(&mut self, number: u64, reason: Refusal) {
        self.publish_refused_on(number, reason, self.view());
    }

    fn publish_refused_on(&mut self, number: u64, reason: Refusal, link: LinkView) {
        self.topic.publish_refused(number, reason, link, self.now, &self.map, &mut self.effects);
    }

    /// Wakes the topic at the time that it asked for.
    fn wake(&mut self) -> Life {
        let at = self.topic.wake_at.expect("a wake was asked for");
        self.now = self.now.max(at);
        self.topic.wake(at, self.now, &self.map, &mut self.effects)
    }

    /// Everything that is sent is written to its link at once.
    fn hand_over(&mut self) {
        self.out();
        for (pending, sending) in std::mem::take(&mut self.sent) {
            pending.hand_to(self.view().owner, sending);
        }
    }

    /// What came out since the last look.
    fn out(&mut self) -> Vec<Out> {
        let start = self.start;
        let since_start = |at: Instant| (at - start).as_millis() as u64;
        let effects = std::mem::take(&mut self.effects);
        let sent = &mut self.sent;
        let out = |effect| match effect {
            Effect::Send { member, link, request } => match request {
                Request::Subscribe(number, topic, listeners) => {
                    assert_eq!((number.slot, &topic[..]), (3, NAME));
                    match listeners {
                        0 => Out::Subscribe(member, link, number.generation),
                        _ => Out::SubscribeCounted(member, link, number.generation, listeners),
                    }
                }
                Request::Count(number, told) => {
                    let (listeners, change) = told.leave();
                    Out::Tell(member, link, number.generation, listeners, change)
                }
                Request::Say(item) => panic!("{item:?} is of no topic"),
                Request::Unsubscribe(number) => Out::Unsubscribe(member, link, number.generation),
                Request::Read(number, epoch, from) => Out::Read(member, link, number.generation, epoch, from),
                Request::Publish { pending, sending, settled_below, resend_epoch } => {
                    let number = pending.number;
                    sent.push((pending, sending));
                    Out::Publish(member, link, number, settled_below, resend_epoch)
                }
            },
            Effect::Tell(_, item) => match item {
                Item::Joined { channel, epoch, offset, resumed: None } => {
                    Out::Joined(channel.0, epoch, offset)
                }
                Item::Joined { channel, epoch, offset, resumed: Some(resumed) } => {
                    Out::Resumed(channel.0, epoch, offset, resumed)
                }
                Item::JoinFailed { channel, reason } => Out::Failed(channel.0, reason),
                Item::Event { tag, body, .. } => {
                    let (id, epoch, offset) = read_event(&tag, &body);
                    Out::Event(id, epoch, offset)
                }
                Item::Step { channel } => Out::Step(channel.0),
                Item::Lost { channel, epoch, offset } => Out::Lost(channel.0, epoch, offset),
                Item::Left { channel } => Out::Left(channel.0),
                item => panic!("{item:?} is not the rules' to tell"),
            },
            Effect::Answer(pending, result) => {
                Out::Answer(pending.number, result.map(|accepted| (accepted.epoch, accepted.offset)))
            }
            Effect::Wake(at) => Out::Wake(since_start(at)),
            Effect::Count(counted) => Out::Count(counted),
        };
        effects.into_iter().map(out).collect()
    }

    /// The same without wakes.
    fn acts(&mut self) -> Vec<Out> {
        let mut out = self.out();
        out.retain(|out| !matches!(out, Out::Wake(_)));
        out
    }
}

fn number(generation: u32) -> Subscription {
    Subscription { slot: 3, generation }
}

// Joins.

#[test]
fn the_first_join_subscribes_and_later_ones_of_a_live_topic_are_told_at_once() {
    let mut world = World::linked();
    world.join(1);
    assert_eq!(world.acts(), [Out::Subscribe(A, 1, 11)]);
    world.join(2);
    assert_eq!(world.acts(), [], "one subscription serves both");
    world.subscribed(11, EPOCH, 41);
    assert_eq!(world.acts(), [Out::Joined(1, EPOCH, 41), Out::Joined(2, EPOCH, 41)]);
    assert_eq!(world.deliver(11, 42), Delivery::FanOut);
    world.join(3);
    assert_eq!(world.acts(), [Out::Joined(3, EPOCH, 42)]);
    assert_eq!(world.topic.listeners().len(), 3);
}

#[test]
fn nobody_is_delivered_to_before_the_join_is_told() {
    let mut world = World::linked();
    world.join(1);
    assert_eq!(world.deliver(11, 1), Delivery::Drop, "not confirmed");
    assert!(world.topic.listeners().is_empty());
    world.out();
    world.subscribed(11, EPOCH, 1);
    assert_eq!(world.acts(), [Out::Joined(1, EPOCH, 1)]);
    assert_eq!(world.deliver(11, 2), Delivery::FanOut);
}

#[test]
fn joins_wait_while_the_link_is_down_and_are_sent_when_it_is_up() {
    let mut world = World::new();
    world.join(1);
    assert_eq!(world.out(), [Out::Wake(5000)]);
    world.settle();
    assert_eq!(world.out(), []);
    world.map.up(A, 4, A_LIFE);
    world.settle();
    assert_eq!(world.acts(), [Out::Subscribe(A, 4, 11)]);
    world.settle();
    assert_eq!(world.acts(), [], "once per link");
}

#[test]
fn a_join_fails_at_its_deadline_and_not_before() {
    let mut world = World::new();
    world.join(1);
    world.at(100);
    world.join(2);
    world.out();
    assert_eq!(world.wake(), Life::Goes);
    assert_eq!(world.out(), [Out::Failed(1, Reason::OwnerUnreachable), Out::Wake(5100)]);
    assert_eq!(world.wake(), Life::Over);
    assert_eq!(world.acts(), [Out::Failed(2, Reason::OwnerUnreachable)]);
}

#[test]
fn a_join_that_left_is_told_nothing() {
    let mut world = World::linked();
    world.join(1);
    world.leave(1);
    world.out();
    world.subscribed(11, EPOCH, 0);
    assert_eq!(world.acts(), []);
}

#[test]
fn an_owner_that_is_full_fails_the_joins_and_is_asked_again_for_listeners_only() {
    let mut world = World::linked();
    world.join(1);
    world.out();
    world.refused(11, Refusal::Overloaded);
    assert_eq!(world.acts(), [Out::Failed(1, Reason::Overloaded)]);
    assert_eq!(world.wake(), Life::Goes, "the pause is over");
    assert_eq!(world.acts(), [], "nobody waits any more");
    assert_eq!(world.wake(), Life::Over);

    let mut world = World::listening(0);
    world.map.up(A, 2, A_LIFE);
    world.settle();
    world.refused(12, Refusal::Overloaded);
    world.out();
    world.wake();
    assert_eq!(world.acts(), [Out::Subscribe(A, 2, 13)], "who listens goes on");
}

#[test]
fn a_join_at_a_server_that_is_not_the_owner_waits_and_asks_again() {
    let mut world = World::linked();
    world.join(1);
    world.out();
    world.refused(11, Refusal::NotOwner);
    assert!(matches!(world.out()[..], [Out::Wake(25..=50)]));
    world.settle();
    assert_eq!(world.acts(), [], "not before the pause is over");
    world.wake();
    assert_eq!(world.acts(), [Out::Subscribe(A, 1, 12)]);
}

#[test]
fn a_refusal_of_an_older_number_changes_nothing() {
    let mut world = World::listening(0);
    world.refused(10, Refusal::NotOwner);
    assert_eq!(world.out(), []);
    assert_eq!(world.deliver(11, 1), Delivery::FanOut);
}

// Publishes.

#[test]
fn a_publish_goes_out_at_once_and_is_answered() {
    let mut world = World::listening(0);
    world.publish(1);
    world.publish(2);
    assert_eq!(world.acts(), [Out::Publish(A, 1, 1, 1, None), Out::Publish(A, 1, 2, 1, None)]);
    world.published(1, 1);
    assert_eq!(world.acts(), [Out::Answer(1, Ok((EPOCH, 1)))]);
    world.publish(3);
    assert_eq!(world.acts(), [Out::Publish(A, 1, 3, 2, None)], "all below 2 is settled");
    world.publish_refused(2, Refusal::Expired);
    assert_eq!(world.acts(), [Out::Answer(2, Err(Reason::OwnerUnreachable))]);
    world.published(3, 2);
    world.published(3, 2);
    assert_eq!(world.acts(), [Out::Answer(3, Ok((EPOCH, 2)))], "once");
}

#[test]
fn every_refusal_of_the_owner_has_its_reason() {
    for (refusal, reason) in [
        (Refusal::Expired, Reason::OwnerUnreachable),
        (Refusal::Overloaded, Reason::Overloaded),
        (Refusal::StaleNumber, Reason::Overloaded),
        (Refusal::Draining, Reason::OwnerDraining),
        (Refusal::UnknownOutcome, Reason::Unanswered),
    ] {
        let mut world = World::listening(0);
        world.publish(1);
        world.out();
        world.publish_refused(1, refusal);
        assert_eq!(world.acts(), [Out::Answer(1, Err(reason))], "{refusal:?}");
    }
}

#[test]
fn a_publish_that_never_left_did_not_happen() {
    let mut world = World::new();
    world.publish(1);
    assert_eq!(world.out(), [Out::Wake(5000)]);
    assert!(world.budget.used() > 0);
    world.wake();
    assert_eq!(world.acts(), [Out::Answer(1, Err(Reason::OwnerUnreachable))]);
    assert_eq!(Reason::OwnerUnreachable.outcome(), crate::hub::reason::Published::Not);
    assert_eq!(world.budget.used(), 0);
}

#[test]
fn a_publish_that_was_given_up_in_the_queue_never_leaves_it() {
    let mut world = World::linked();
    world.publish(1);
    world.out();
    world.wake();
    assert_eq!(world.acts(), [Out::Answer(1, Err(Reason::OwnerUnreachable))]);
    assert!(!world.sent[0].0.hand_to(A_LIFE, world.sent[0].1));
}

#[test]
fn a_publish_that_was_handed_over_and_not_answered_is_unknown() {
    let mut world = World::linked();
    world.publish(1);
    world.hand_over();
    assert_eq!(world.budget.used(), 0, "it waits no longer");
    world.wake();
    assert_eq!(world.acts(), [Out::Answer(1, Err(Reason::Unanswered))]);
    assert_eq!(Reason::Unanswered.outcome(), crate::hub::reason::Published::Unknown);
}

#[test]
fn on_a_new_link_the_unanswered_publishes_go_first_in_order_with_their_first_epoch() {
    let mut world = World::listening(0);
    world.publish(5);
    world.publish(6);
    world.hand_over();
    world.map.down(A);
    world.settle();
    world.publish(7);
    assert_eq!(world.acts(), [], "no link, nothing sent");
    world.map.up(A, 2, A_LIFE);
    world.settle();
    assert_eq!(
        world.acts(),
        [
            Out::Publish(A, 2, 5, 5, Some(EPOCH)),
            Out::Publish(A, 2, 6, 5, Some(EPOCH)),
            Out::Subscribe(A, 2, 12),
            Out::Publish(A, 2, 7, 5, None),
        ],
        "what has never left runs when the topic is subscribed: its event comes back"
    );
}

#[test]
fn a_resend_names_the_epoch_of_its_first_sending_even_after_a_newer_one_is_known() {
    let mut world = World::listening(0);
    world.publish(5);
    world.hand_over();
    world.map.up(A, 2, A_LIFE);
    world.settle();
    world.subscribed(12, Epoch(8), 0);
    world.out();
    world.map.up(A, 3, A_LIFE);
    world.settle();
    assert_eq!(world.acts()[0], Out::Publish(A, 3, 5, 5, Some(EPOCH)), "not epoch 8");
}

#[test]
fn another_life_of_the_owner_is_never_sent_what_was_handed_to_the_one_before() {
    let mut world = World::listening(0);
    world.publish(5);
    world.hand_over();
    world.map.down(A);
    world.publish(6);
    world.out();
    world.map.up(A, 2, Incarnation(0xaa));
    world.settle();
    assert_eq!(
        world.acts(),
        [Out::Answer(5, Err(Reason::Unanswered)), Out::Subscribe(A, 2, 12), Out::Publish(A, 2, 6, 6, None),]
    );
    world.map.up(A, 3, A_LIFE);
    world.settle();
    assert!(!world.acts().iter().any(|out| matches!(out, Out::Publish(_, _, 5, ..))));
}

#[test]
fn publishes_that_wait_for_answers_are_bounded() {
    let mut world = World::listening(0);
    for number in 1..=UNANSWERED as u64 {
        assert!(world.topic.takes_publish());
        world.publish(number);
    }
    assert!(!world.topic.takes_publish());
    world.published(1, 1);
    assert!(world.topic.takes_publish());
}

#[test]
fn a_publish_that_a_stranger_refuses_waits_and_goes_again_in_order() {
    let mut world = World::listening(0);
    world.publish(5);
    world.publish(6);
    world.hand_over();
    world.publish_refused(5, Refusal::NotOwner);
    world.publish(7);
    world.publish_refused(6, Refusal::NotOwner);
    assert_eq!(world.acts(), [], "neither answered nor sent");
    let pause = world.topic.wake_at.expect("a pause") - world.now;
    assert!((ASK_AGAIN / 2..=ASK_AGAIN).contains(&pause), "{pause:?}");
    world.wake();
    assert_eq!(
        world.acts(),
        [
            Out::Subscribe(A, 1, 12),
            Out::Publish(A, 1, 5, 5, None),
            Out::Publish(A, 1, 6, 5, None),
            Out::Publish(A, 1, 7, 5, None),
        ],
        "no re-sends: nothing happened"
    );
    world.hand_over();
    for number in 5..=7 {
        world.published(number, number - 4);
    }
    assert_eq!(world.acts().len(), 3);
}

#[test]
fn a_refused_publish_goes_to_the_member_that_the_ring_names_by_then() {
    let mut world = World::listening(0);
    world.publish(5);
    world.hand_over();
    world.publish_refused(5, Refusal::NotOwner);
    world.map.owner.set(B);
    world.map.up(B, 9, B_LIFE);
    world.settle();
    world.wake();
    assert_eq!(world.acts(), [Out::Subscribe(B, 9, 12), Out::Publish(B, 9, 5, 5, None)]);
}

#[test]
fn a_refused_publish_that_finds_no_owner_in_time_did_not_happen() {
    let mut world = World::linked();
    world.publish(5);
    world.hand_over();
    world.publish_refused(5, Refusal::NotOwner);
    world.map.down(A);
    while world.wake() == Life::Goes {}
    assert_eq!(world.acts(), [Out::Answer(5, Err(Reason::OwnerUnreachable))]);
    assert_eq!(world.budget.used(), 0);
}

/// The refusal answers the copy on a link that is over; the other one is under way, and may run.
#[test]
fn a_late_refusal_of_an_older_copy_says_nothing_of_the_newer_one() {
    for refusal in [Refusal::NotOwner, Refusal::Draining, Refusal::Overloaded, Refusal::StaleNumber] {
        let mut world = World::listening(0);
        world.publish(5);
        world.hand_over();
        let older = world.view();
        world.map.up(A, 2, A_LIFE);
        world.settle();
        world.hand_over();
        world.publish_refused_on(5, refusal, older);
        assert_eq!(world.acts(), [], "{refusal:?}");
        world.published(5, 1);
        assert_eq!(world.acts(), [Out::Answer(5, Ok((EPOCH, 1)))]);
    }
}

/// The topic server is ending, and its link takes nothing more. What it refused goes to its successor.
#[test]
fn what_an_ending_server_refuses_is_sent_to_the_next() {
    let mut world = World::listening(0);
    world.publish(5);
    world.hand_over();
    let ending = world.view();
    world.map.down(A);
    world.settle();
    world.publish_refused_on(5, Refusal::NotOwner, ending);
    assert_eq!(world.acts(), []);
    world.map.owner.set(B);
    world.map.up(B, 9, B_LIFE);
    world.settle();
    assert_eq!(world.acts(), [Out::Subscribe(B, 9, 12), Out::Publish(B, 9, 5, 5, None)]);
}

/// The topic went on to another owner; the queue to the one before must not bring it back to life there.
#[test]
fn a_publish_that_went_to_another_owner_does_not_leave_the_old_ones_queue() {
    let mut world = World::listening(0);
    world.publish(5);
    world.out();
    let (in_the_old_queue, sending) = world.sent.pop().expect("sent to A");
    world.map.owner.set(B);
    world.map.up(B, 9, B_LIFE);
    world.moved(11);
    assert_eq!(
        world.acts(),
        [Out::Count(Counted::Moved), Out::Subscribe(B, 9, 12), Out::Publish(B, 9, 5, 5, None)],
        "it never left: there is no answer to wait for"
    );
    assert!(!in_the_old_queue.hand_to(A_LIFE, sending));
    world.hand_over();
    assert_eq!(in_the_old_queue.handed_to(), Some(B_LIFE));
}

/// The first sending may have run, and its answer is lost with link 1. Who refuses the second one, because it has
/// no room, ends, or has given the topic up meanwhile, says nothing about the first.
#[test]
fn a_refused_resend_is_unknown() {
    for refusal in [Refusal::Overloaded, Refusal::Draining, Refusal::StaleNumber] {
        let mut world = World::linked();
        world.publish(5);
        world.hand_over();
        world.map.up(A, 2, A_LIFE);
        world.settle();
        world.hand_over();
        world.publish_refused(5, refusal);
        assert_eq!(world.acts(), [Out::Answer(5, Err(Reason::Unanswered))], "{refusal:?}");
    }
}

#[test]
fn a_resend_that_a_stranger_refuses_is_never_sent_to_another_owner() {
    let mut world = World::linked();
    world.publish(5);
    world.hand_over();
    world.map.up(A, 2, A_LIFE);
    world.settle();
    world.hand_over();
    world.publish_refused(5, Refusal::NotOwner);
    world.map.owner.set(B);
    world.map.up(B, 9, B_LIFE);
    world.settle();
    while !world.topic.publishes.is_empty() {
        world.wake();
    }
    let acts = world.acts();
    assert!(acts.contains(&Out::Answer(5, Err(Reason::Unanswered))), "{acts:?}");
    assert!(!acts.iter().any(|out| matches!(out, Out::Publish(B, ..))), "{acts:?}");
}

// Subscriptions and deliveries.

#[test]
fn every_subscribe_has_a_new_generation() {
    let mut world = World::listening(0);
    for link in 2..20 {
        world.map.up(A, link, A_LIFE);
        world.settle();
        let generation = 10 + link as u32;
        assert_eq!(world.acts(), [Out::Subscribe(A, link, generation)]);
        assert_eq!(world.topic.generation(), generation);
    }
}

#[test]
fn deliveries_of_other_numbers_and_links_are_dropped_and_counted() {
    let mut world = World::listening(0);
    assert_eq!(world.deliver(10, 1), Delivery::Drop);
    assert_eq!(world.deliver(12, 1), Delivery::Drop);
    let other_slot = Subscription { slot: 4, generation: 11 };
    let view = world.view();
    assert_eq!(world.deliver_on(other_slot, 1, view), Delivery::Drop);
    for view in
        [LinkView { up: Some(2), ..view }, LinkView { up: None, ..view }, LinkView { member: B, ..view }]
    {
        assert_eq!(world.deliver_on(number(11), 1, view), Delivery::Drop);
    }
    assert_eq!(world.out(), vec![Out::Count(Counted::Stale); 6]);
    assert_eq!(world.topic.position(), Some((EPOCH, 0)));
}

#[test]
fn a_late_confirmation_of_an_older_number_confirms_nothing() {
    let mut world = World::linked();
    world.join(1);
    world.map.up(A, 2, A_LIFE);
    world.settle();
    world.out();
    world.subscribed(11, EPOCH, 5);
    assert_eq!(world.out(), [Out::Count(Counted::Stale)]);
    assert!(world.topic.listeners().is_empty());
    world.subscribed(12, EPOCH, 6);
    assert_eq!(world.acts(), [Out::Joined(1, EPOCH, 6)]);
}

#[test]
fn a_repeated_offset_is_dropped_and_counted() {
    let mut world = World::listening(4);
    assert_eq!(world.deliver(11, 5), Delivery::FanOut);
    assert_eq!(world.deliver(11, 5), Delivery::Drop);
    assert_eq!(world.deliver(11, 4), Delivery::Drop);
    assert_eq!(world.out(), vec![Out::Count(Counted::Repeated); 2]);
    assert_eq!(world.deliver(11, 6), Delivery::FanOut);
}

#[test]
fn a_jump_subscribes_anew_and_reads_what_is_missing() {
    let mut world = World::listening(4);
    assert_eq!(world.deliver(11, 7), Delivery::Drop);
    assert_eq!(world.out(), [Out::Count(Counted::Jump), Out::Subscribe(A, 1, 12)]);
    assert_eq!(world.deliver(11, 5), Delivery::Drop, "the old number is over");
    world.out();
    world.subscribed(12, EPOCH, 7);
    assert_eq!(world.out(), [Out::Read(A, 1, 12, EPOCH, 4)]);
    world.missed(12, 4, 3);
    assert_eq!(world.out(), [Out::Event(1, EPOCH, 5), Out::Event(1, EPOCH, 6), Out::Event(1, EPOCH, 7)]);
    assert_eq!(world.deliver(12, 8), Delivery::FanOut);
    assert_eq!(world.topic.listeners().len(), 1, "live again");
}

#[test]
fn what_was_published_while_there_was_no_link_is_read_and_given_in_order() {
    let mut world = World::listening(4);
    world.map.up(A, 2, A_LIFE);
    world.settle();
    world.out();
    world.subscribed(12, EPOCH, 7);
    assert_eq!(world.acts(), [Out::Read(A, 2, 12, EPOCH, 4)]);
    assert_eq!(world.deliver(12, 8), Delivery::FanOut);
    assert!(world.topic.listeners().is_empty(), "8 must not come before 5");
    world.missed(12, 4, 2);
    assert_eq!(world.acts(), [Out::Event(1, EPOCH, 5), Out::Event(1, EPOCH, 6), Out::Step(1)],);
    assert_eq!(world.deliver(12, 9), Delivery::FanOut);
    world.step(1);
    assert_eq!(world.acts(), [Out::Read(A, 2, 12, EPOCH, 6)]);
    world.missed(12, 6, 3);
    assert_eq!(world.acts(), [Out::Event(1, EPOCH, 7), Out::Event(1, EPOCH, 8), Out::Event(1, EPOCH, 9)]);
    assert_eq!(world.topic.listeners().len(), 1);
}

#[test]
fn nothing_is_read_when_nothing_was_missed() {
    let mut world = World::listening(4);
    world.map.up(A, 3, A_LIFE);
    world.settle();
    world.out();
    world.subscribed(12, EPOCH, 4);
    assert_eq!(world.out(), []);
    assert_eq!(world.deliver(12, 5), Delivery::FanOut);
}

#[test]
fn what_the_owner_no_longer_has_is_counted_and_told() {
    let mut world = World::listening(4);
    world.map.up(A, 2, A_LIFE);
    world.settle();
    world.subscribed(12, EPOCH, 9);
    world.out();
    world.found(12, EPOCH, 4, Found::Gone { oldest: Some(8) });
    assert_eq!(world.out(), [Out::Count(Counted::Missed(5)), Out::Lost(1, EPOCH, 9)]);
    assert_eq!(world.deliver(12, 10), Delivery::FanOut);
    assert_eq!(world.topic.listeners().len(), 1);
}

#[test]
fn a_new_epoch_is_counted_and_told() {
    let mut world = World::renewed(0);
    assert_eq!(world.out(), [Out::Count(Counted::NewEpoch), Out::Lost(1, Epoch(8), 0)]);
    assert_eq!(world.deliver(12, 1), Delivery::FanOut);
}

/// Somebody else was faster to come back, and has published: that is for whoever listened all the while.
#[test]
fn a_new_epoch_that_has_messages_already_is_told_and_given_from_its_start() {
    let mut world = World::renewed(2);
    assert_eq!(world.out(), [Out::Count(Counted::NewEpoch), Out::Read(A, 2, 12, Epoch(8), 0)]);
    let messages = (1..=2).map(|offset| message(Epoch(8), offset));
    world.found(12, Epoch(8), 0, Found::Messages(messages.collect()));
    let out = world.out();
    assert_eq!(out.first(), Some(&Out::Lost(1, Epoch(8), 0)));
    assert_eq!(out.len(), 3, "the notice and both messages: {out:?}");
    assert_eq!(world.deliver(12, 3), Delivery::FanOut);
}

#[test]
fn a_new_epoch_whose_start_is_gone_is_told_once() {
    let mut world = World::renewed(9);
    world.out();
    world.found(12, Epoch(8), 0, Found::Gone { oldest: Some(7) });
    assert_eq!(world.out(), [Out::Count(Counted::Missed(9)), Out::Lost(1, Epoch(8), 9)]);
    assert_eq!(world.deliver(12, 10), Delivery::FanOut);
}

#[test]
fn a_channel_that_comes_back_with_its_position_gets_what_it_missed_and_then_live_events() {
    let mut world = World::listening(9);
    world.join_from(2, Start::After(EPOCH, 7));
    world.join_from(3, Start::After(EPOCH, 8));
    world.join_from(4, Start::After(EPOCH, 9));
    let recovered = Resumed { recovered: true, oldest: None };
    assert_eq!(
        world.acts(),
        [Out::Read(A, 1, 11, EPOCH, 7), Out::Resumed(4, EPOCH, 9, recovered), Out::Count(Counted::Recovered),],
        "one read at a time, and none for who missed nothing"
    );
    world.missed(11, 7, 2);
    assert_eq!(
        world.acts(),
        [
            Out::Resumed(2, EPOCH, 7, recovered),
            Out::Count(Counted::Recovered),
            Out::Event(2, EPOCH, 8),
            Out::Event(2, EPOCH, 9),
            Out::Resumed(3, EPOCH, 8, recovered),
            Out::Count(Counted::Recovered),
            Out::Event(3, EPOCH, 9),
        ],
        "the third finds its message in the same part"
    );
    assert_eq!(world.topic.listeners().len(), 4);
}

#[test]
fn a_position_that_the_owner_cannot_continue_is_not_recovered() {
    for (epoch, cursor) in [(EPOCH, 2), (EPOCH, 99), (Epoch(6), 5), (Epoch(6), 99)] {
        let mut world = World::listening(9);
        world.join_from(2, Start::After(epoch, cursor));
        assert_eq!(world.acts(), [Out::Read(A, 1, 11, epoch, cursor)]);
        world.found(11, epoch, cursor, Found::Gone { oldest: Some(5) });
        let resumed = Resumed { recovered: false, oldest: Some(5) };
        assert_eq!(world.acts(), [Out::Resumed(2, EPOCH, 9, resumed)]);
        assert_eq!(world.topic.listeners().len(), 2);
    }
}

/// A client may send any number as its position.
#[test]
fn a_position_at_the_end_of_all_numbers_is_only_not_recovered() {
    let mut world = World::listening(9);
    world.join_from(2, Start::After(EPOCH, 7));
    world.join_from(3, Start::After(EPOCH, u64::MAX));
    // One message of two: the second listener is asked for while the first takes its step.
    world.missed(11, 7, 1);
    assert_eq!(world.acts().last(), Some(&Out::Read(A, 1, 11, EPOCH, u64::MAX)));
    world.found(11, EPOCH, u64::MAX, Found::Gone { oldest: None });
    let resumed = Resumed { recovered: false, oldest: None };
    assert_eq!(world.acts(), [Out::Resumed(3, EPOCH, 9, resumed)]);
}

#[test]
fn a_read_that_is_not_answered_fails_the_join_at_its_deadline() {
    let mut world = World::listening(9);
    world.at(1);
    world.join_from(2, Start::After(EPOCH, 7));
    while world.now < world.start + DEADLINE + Duration::from_millis(1) {
        assert_eq!(world.wake(), Life::Goes);
    }
    assert!(world.acts().contains(&Out::Failed(2, Reason::OwnerUnreachable)));
}

#[test]
fn a_part_that_nobody_asked_for_is_dropped_and_counted() {
    let mut world = World::listening(9);
    world.missed(11, 5, 2);
    world.join_from(2, Start::After(EPOCH, 7));
    world.out();
    world.missed(11, 6, 2);
    world.missed(10, 7, 2);
    assert_eq!(world.out(), vec![Out::Count(Counted::Stale); 2]);
}

#[test]
fn without_listeners_nobody_missed_anything() {
    let mut world = World::listening(4);
    world.leave(1);
    world.map.up(A, 2, A_LIFE);
    world.join(2);
    world.out();
    world.subscribed(12, EPOCH, 9);
    assert_eq!(world.out(), [Out::Joined(2, EPOCH, 9)]);
}

// Owners that change.

#[test]
fn a_subscribed_topic_stays_with_its_holder_while_that_link_is_up() {
    let mut world = World::listening(0);
    world.map.owner.set(B);
    world.map.up(B, 9, B_LIFE);
    world.settle();
    world.publish(1);
    assert_eq!(world.acts(), [Out::Publish(A, 1, 1, 1, None)]);
    assert_eq!(world.deliver(11, 1), Delivery::FanOut);
    world.join(2);
    assert_eq!(world.acts(), [Out::Joined(2, EPOCH, 1)]);
    assert_eq!(world.topic.member(), A);
}

#[test]
fn a_subscribed_topic_goes_to_the_rings_owner_when_its_holders_link_is_down() {
    let mut world = World::listening(0);
    world.map.owner.set(B);
    world.map.up(B, 9, B_LIFE);
    world.map.down(A);
    world.settle();
    assert_eq!(world.acts(), [Out::Subscribe(B, 9, 12)]);
    assert_eq!(world.topic.member(), B);
}

#[test]
fn a_topic_without_subscription_and_publishes_goes_where_the_ring_says() {
    let mut world = World::linked();
    world.settle();
    world.map.owner.set(B);
    world.map.up(B, 9, B_LIFE);
    world.join(1);
    assert_eq!(world.acts(), [Out::Subscribe(B, 9, 11)]);
}

/// H9: a topic's publishes have one target at a time.
#[test]
fn unanswered_publishes_alone_keep_a_topic_with_its_holder() {
    let mut world = World::linked();
    world.publish(1);
    world.map.owner.set(B);
    world.map.up(B, 9, B_LIFE);
    world.publish(2);
    assert_eq!(world.acts(), [Out::Publish(A, 1, 1, 1, None), Out::Publish(A, 1, 2, 1, None)]);
    world.published(1, 1);
    world.published(2, 2);
    world.publish(3);
    assert_eq!(world.acts().last(), Some(&Out::Publish(B, 9, 3, 3, None)));
}

#[test]
fn moved_goes_to_the_rings_new_owner() {
    let mut world = World::listening(3);
    world.map.owner.set(B);
    world.map.up(B, 9, B_LIFE);
    world.moved(11);
    assert_eq!(world.acts(), [Out::Count(Counted::Moved), Out::Subscribe(B, 9, 12)]);
    let on_the_old_link = world.map.view(A);
    assert_eq!(
        world.deliver_on(number(11), 4, on_the_old_link),
        Delivery::Drop,
        "nothing counts after the last message of a subscription"
    );
    world.out();
    world.subscribed(12, Epoch(8), 0);
    assert_eq!(world.acts(), [Out::Count(Counted::NewEpoch), Out::Lost(1, Epoch(8), 0)]);
}

#[test]
fn moved_waits_until_our_ring_names_another() {
    let mut world = World::listening(3);
    world.map.up(B, 9, B_LIFE);
    world.moved(11);
    assert!(matches!(world.out()[..], [Out::Count(Counted::Moved), Out::Wake(25..=50)]));
    world.settle();
    assert_eq!(world.out(), [], "links that come and go do not end the pause");
    world.map.owner.set(B);
    world.settle();
    assert_eq!(world.acts(), [Out::Subscribe(B, 9, 12)], "at once");
    world.wake();
    assert_eq!(world.acts(), []);
}

#[test]
fn a_holder_that_gave_the_topic_up_is_asked_again_while_our_ring_names_it() {
    let mut world = World::listening(3);
    world.moved(11);
    world.publish(1);
    world.join(2);
    assert_eq!(world.acts(), [Out::Count(Counted::Moved)]);
    world.wake();
    assert_eq!(world.acts(), [Out::Subscribe(A, 1, 12), Out::Publish(A, 1, 1, 1, None)]);
}

/// H9: the old owner still answers what it was handed, in order. Nothing goes to the new one before.
#[test]
fn after_moved_the_unanswered_publishes_go_first_and_new_ones_wait_behind_them() {
    let mut world = World::listening(3);
    for number in 1..=3 {
        world.publish(number);
    }
    world.hand_over();
    world.publish(4);
    world.map.owner.set(B);
    world.map.up(B, 9, B_LIFE);
    world.out();
    world.moved_to(11, Some(B_LIFE));
    world.publish(5);
    world.settle();
    world.published(1, 4);
    world.publish_refused(2, Refusal::NotOwner);
    assert_eq!(
        world.acts(),
        [Out::Count(Counted::Moved), Out::Answer(1, Ok((EPOCH, 4)))],
        "the third is not answered yet"
    );
    world.publish_refused(3, Refusal::NotOwner);
    assert_eq!(
        world.acts(),
        [
            Out::Subscribe(B, 9, 12),
            Out::Publish(B, 9, 2, 2, None),
            Out::Publish(B, 9, 3, 2, None),
            Out::Publish(B, 9, 4, 2, None),
            Out::Publish(B, 9, 5, 2, None),
        ],
        "at once, and none of them a re-send"
    );
}

#[test]
fn a_refused_subscription_waits_for_the_answers_to_publishes_too() {
    let mut world = World::linked();
    world.publish(1);
    world.hand_over();
    world.join(1);
    world.map.owner.set(B);
    world.map.up(B, 9, B_LIFE);
    world.out();
    world.refused(11, Refusal::NotOwner);
    assert_eq!(world.acts(), []);
    world.published(1, 1);
    assert_eq!(world.acts(), [Out::Answer(1, Ok((EPOCH, 1))), Out::Subscribe(B, 9, 12)]);
}

#[test]
fn a_holder_that_does_not_answer_is_left_when_the_publishes_time_is_up() {
    let mut world = World::listening(3);
    world.publish(1);
    world.hand_over();
    world.at(1000);
    world.publish(2);
    world.hand_over();
    world.publish(3);
    world.map.owner.set(B);
    world.map.up(B, 9, B_LIFE);
    world.moved(11);
    world.at(5500);
    world.publish(4);
    world.out();
    world.wake();
    assert_eq!(world.acts(), [Out::Answer(1, Err(Reason::Unanswered))], "the second may still be answered");
    world.wake();
    let acts = world.acts();
    assert_eq!(acts[0], Out::Answer(2, Err(Reason::Unanswered)));
    assert_eq!(acts.last(), Some(&Out::Publish(B, 9, 4, 4, None)), "{acts:?}");
}

/// L5: the windows have moved with the topic, so that its new owner knows what became of them.
#[test]
fn what_is_unanswered_when_the_old_holders_link_breaks_goes_to_its_successor_as_a_resend() {
    let mut world = World::listening(3);
    world.publish(1);
    world.publish(2);
    world.hand_over();
    world.moved_to(11, Some(B_LIFE));
    world.publish(3);
    world.map.owner.set(B);
    world.map.down(A);
    world.out();
    world.map.up(B, 9, B_LIFE);
    world.settle();
    assert_eq!(
        world.acts(),
        [
            Out::Publish(B, 9, 1, 1, Some(EPOCH)),
            Out::Publish(B, 9, 2, 1, Some(EPOCH)),
            Out::Subscribe(B, 9, 12),
            Out::Publish(B, 9, 3, 1, None),
        ]
    );
    world.hand_over();
    world.published(1, 4);
    world.publish_refused(2, Refusal::UnknownOutcome);
    let answers = [Out::Answer(1, Ok((EPOCH, 4))), Out::Answer(2, Err(Reason::Unanswered))];
    assert_eq!(world.acts(), answers);
}

/// Our ring still names the old holder, which is back first.
#[test]
fn an_old_holder_that_is_back_first_refuses_the_resends_and_its_successor_gets_them() {
    let mut world = World::listening(3);
    world.publish(1);
    world.hand_over();
    world.moved_to(11, Some(B_LIFE));
    world.map.down(A);
    world.settle();
    world.map.up(A, 2, A_LIFE);
    world.map.up(B, 9, B_LIFE);
    world.at(50);
    world.settle();
    let again = [Out::Publish(A, 2, 1, 1, Some(EPOCH)), Out::Subscribe(A, 2, 12)];
    assert_eq!(world.out()[2..], again);
    for (pending, sending) in std::mem::take(&mut world.sent) {
        pending.hand_to(A_LIFE, sending);
    }
    world.map.owner.set(B);
    world.publish_refused(1, Refusal::NotOwner);
    let onwards = [Out::Publish(B, 9, 1, 1, Some(EPOCH)), Out::Subscribe(B, 9, 13)];
    assert_eq!(world.acts(), onwards);
}

#[test]
fn nobody_but_the_successor_is_sent_what_the_old_holder_was_handed() {
    for to in [None, Some(Incarnation(0xbb))] {
        let mut world = World::listening(3);
        world.publish(1);
        world.hand_over();
        world.moved_to(11, to);
        world.map.owner.set(B);
        world.map.down(A);
        world.out();
        world.map.up(B, 9, B_LIFE);
        world.settle();
        assert_eq!(
            world.acts(),
            [Out::Answer(1, Err(Reason::Unanswered)), Out::Subscribe(B, 9, 12)],
            "{to:?}"
        );
    }
}

/// Nobody could tell a new life of the topic from the old one.
#[test]
fn a_publish_of_an_unknown_epoch_is_not_sent_to_the_successor() {
    let mut world = World::linked();
    world.join(1);
    world.publish(1);
    world.hand_over();
    world.subscribed(11, EPOCH, 0);
    world.moved_to(11, Some(B_LIFE));
    world.map.owner.set(B);
    world.map.down(A);
    world.out();
    world.map.up(B, 9, B_LIFE);
    world.settle();
    assert_eq!(world.acts(), [Out::Answer(1, Err(Reason::Unanswered)), Out::Subscribe(B, 9, 12)]);
}

#[test]
fn moved_of_an_older_number_moves_nothing() {
    let mut world = World::listening(3);
    world.map.owner.set(B);
    world.moved(10);
    assert_eq!(world.out(), [Out::Count(Counted::Stale)]);
    assert_eq!(world.deliver(11, 4), Delivery::FanOut);
}

// Ends and wakes.

#[test]
fn a_flap_within_the_linger_sends_nothing() {
    let mut world = World::listening(3);
    world.leave(1);
    assert_eq!(world.topic.wake_at, Some(world.now + LINGER));
    assert_eq!(world.deliver(11, 4), Delivery::FanOut, "to nobody, and counted on");
    world.at(999);
    world.join(2);
    assert_eq!(world.acts(), [Out::Joined(2, EPOCH, 4)]);
    assert_eq!(world.wake(), Life::Goes);
    assert_eq!(world.acts(), []);
}

#[test]
fn a_topic_ends_after_the_linger_with_an_unsubscribe() {
    let mut world = World::listening(3);
    world.join(2);
    world.leave(1);
    assert_eq!(world.acts(), [Out::Joined(2, EPOCH, 3)], "one listener is left");
    world.at(6000);
    world.leave(2);
    world.out();
    assert_eq!(
        world.topic.wake(world.start + DEADLINE, world.now, &world.map, &mut world.effects),
        Life::Goes
    );
    while world.wake() == Life::Goes {}
    assert_eq!(world.now, world.start + Duration::from_secs(7));
    assert_eq!(world.acts(), [Out::Unsubscribe(A, 1, 11)]);
    assert_eq!(world.topic.generation(), 11);
}

#[test]
fn a_topic_ends_without_an_unsubscribe_when_its_link_is_gone() {
    let mut world = World::listening(3);
    world.leave(1);
    world.map.up(A, 2, A_LIFE);
    while world.wake() == Life::Goes {}
    assert_eq!(world.acts(), [], "what link 1 set up ended with it");
}

#[test]
fn a_topic_is_kept_until_its_publishes_are_answered() {
    let mut world = World::linked();
    world.publish(1);
    world.hand_over();
    world.join(1);
    world.leave(1);
    while world.now < world.start + DEADLINE {
        assert!(!world.topic.publishes.is_empty());
        if world.wake() == Life::Over {
            break;
        }
    }
    assert_eq!(world.now, world.start + DEADLINE);
    assert!(world.acts().contains(&Out::Answer(1, Err(Reason::Unanswered))));
}

#[test]
fn a_stale_wake_does_nothing() {
    let mut world = World::new();
    world.join(1);
    world.publish(1);
    world.out();
    let at = world.start + Duration::from_millis(1);
    let late = world.start + Duration::from_secs(60);
    assert_eq!(world.topic.wake(at, late, &world.map, &mut world.effects), Life::Goes);
    assert_eq!(world.out(), []);
    world.wake();
    assert_eq!(world.acts().len(), 2);
}

#[test]
fn a_wake_is_asked_for_only_when_it_must_be_earlier() {
    let mut world = World::new();
    world.join(1);
    assert_eq!(world.out(), [Out::Wake(5000)]);
    world.at(10);
    world.join(2);
    world.publish(1);
    assert_eq!(world.out(), [], "the first one will see to the rest");
    world.leave(1);
    world.leave(2);
    assert_eq!(world.out(), [Out::Wake(1010)]);
}

/// L6: they share what is read, whoever asked for it. Each has its own outbox, and takes its steps in its own time.
#[test]
fn ten_thousand_who_resume_together_cost_a_handful_of_reads() {
    const LISTENERS: u64 = 10_000;
    const LAST: u64 = 300;
    let mut world = World::listening(LAST);
    let mut reads = 0;
    let mut told = 0;
    for id in 2..2 + LISTENERS {
        // Wherever they were, and the first one not the furthest behind.
        world.join_from(id, Start::After(EPOCH, (id * 7) % LAST));
    }
    loop {
        let out = world.acts();
        let mut asked = None;
        for out in &out {
            match out {
                Out::Read(_, _, generation, EPOCH, from) => asked = Some((*generation, *from)),
                Out::Resumed(_, EPOCH, _, Resumed { recovered: true, .. }) => told += 1,
                _ => {}
            }
        }
        let Some((generation, from)) = asked else { break };
        reads += 1;
        // Half of what there is, as a part of a larger history would be.
        world.missed(generation, from, (LAST - from).min(LAST / 2));
        for id in 2..2 + LISTENERS {
            world.step(id);
        }
    }
    assert_eq!(told, LISTENERS);
    assert_eq!(world.topic.listeners().len() as u64, LISTENERS + 1);
    assert!(reads <= 5, "{reads} reads");
}

/// A topic server that is full again has room for some: they must not all come in one moment.
#[test]
fn topics_that_were_refused_together_do_not_ask_again_together() {
    let now = Instant::now();
    let pause = |slot, generation| {
        let mut world = World::listening(0);
        (world.topic.slot, world.topic.generation) = (slot, generation);
        world.topic.part(ASK_FULL_AGAIN, now, &world.map, &mut Vec::new());
        world.topic.binding.hold_until().expect("a pause") - now
    };
    let mut pauses: Vec<_> = (0..100).map(|slot| pause(slot, 1)).collect();
    pauses.extend((0..100).map(|generation| pause(3, generation)));
    assert!(pauses.iter().all(|pause| (ASK_FULL_AGAIN / 2..=ASK_FULL_AGAIN).contains(pause)), "{pauses:?}");
    for tenth in 0..10 {
        let from = ASK_FULL_AGAIN / 2 + ASK_FULL_AGAIN / 20 * tenth;
        let here = pauses.iter().filter(|pause| (from..from + ASK_FULL_AGAIN / 20).contains(*pause)).count();
        assert!((8..=40).contains(&here), "{here} of 200 in tenth {tenth}: {pauses:?}");
    }
}

#[path = "state_counting_tests.rs"]
mod counting;
