//! Listeners that count: told to the owner, and live when it counts them.

use super::*;

impl World {
    /// Two listeners that the owner counts.
    fn with_two() -> Self {
        let mut world = World::linked();
        world.join_counted(1);
        world.join_counted(2);
        world.subscribed(11, EPOCH, 0);
        world.counted(11, 2);
        world.acts();
        world
    }

    fn join_counted(&mut self, id: u64) {
        let (now, deadline) = (self.now, self.now + DEADLINE);
        let listener = Listener { counts: true, ..listener(id) };
        self.topic.join(listener, Start::Live, deadline, now, &self.map, &mut self.effects);
    }

    fn leave_told(&mut self, id: u64) {
        let (client, channel) = (Outbox::new(1 << 20), ChannelId(id as u32));
        let leaving = Leaving { id, client, channel, deadline: self.now + DEADLINE };
        self.topic.leave_told(leaving, self.now, &mut self.effects);
    }

    fn counted(&mut self, generation: u32, change: u32) {
        let view = self.view();
        self.topic.counted(number(generation), change, view, self.now, &mut self.effects);
    }
}

#[test]
fn the_first_is_told_with_the_subscription_and_live_with_its_confirmation() {
    let mut world = World::linked();
    world.join_counted(1);
    assert_eq!(world.acts(), [Out::SubscribeCounted(A, 1, 11, 1)]);
    world.subscribed(11, EPOCH, 5);
    assert_eq!(world.acts(), [Out::Joined(1, EPOCH, 5)]);
}

#[test]
fn another_one_is_live_when_the_owner_counts_it_and_not_before() {
    let mut world = World::linked();
    world.join(7);
    world.subscribed(11, EPOCH, 5);
    world.acts();
    world.join_counted(1);
    assert_eq!(world.acts(), [Out::Tell(A, 1, 11, 1, 1)]);
    world.counted(11, 0);
    assert_eq!(world.acts(), []);
    world.counted(11, 1);
    assert_eq!(world.acts(), [Out::Joined(1, EPOCH, 5)]);
    // One that does not count waits for nobody.
    world.join(8);
    assert_eq!(world.acts(), [Out::Joined(8, EPOCH, 5)]);
}

#[test]
fn what_changes_while_a_subscription_is_under_way_is_told_behind_it() {
    let mut world = World::linked();
    world.join_counted(1);
    world.join_counted(2);
    assert_eq!(world.acts(), [Out::SubscribeCounted(A, 1, 11, 1), Out::Tell(A, 1, 11, 2, 2)]);
    world.subscribed(11, EPOCH, 0);
    assert_eq!(world.acts(), [Out::Joined(1, EPOCH, 0)]);
    world.counted(11, 2);
    assert_eq!(world.acts(), [Out::Joined(2, EPOCH, 0)]);
}

#[test]
fn who_leaves_counts_no_more_at_once_and_without_linger() {
    let mut world = World::with_two();
    world.leave(1);
    assert_eq!(world.acts(), [Out::Tell(A, 1, 11, 1, 3)]);
    world.leave(2);
    assert_eq!(world.acts(), [Out::Tell(A, 1, 11, 0, 4)]);
}

#[test]
fn who_gives_up_waiting_counts_no_more() {
    let mut world = World::linked();
    world.join(7);
    world.subscribed(11, EPOCH, 0);
    world.join_counted(1);
    world.acts();
    world.at(DEADLINE.as_millis() as u64);
    world.wake();
    let acts = world.acts();
    assert_eq!(acts, [Out::Failed(1, Reason::OwnerUnreachable), Out::Tell(A, 1, 11, 0, 2)]);
}

#[test]
fn a_new_link_tells_the_count_as_it_is() {
    let mut world = World::linked();
    world.join_counted(1);
    world.subscribed(11, EPOCH, 0);
    world.map.down(A);
    world.settle();
    world.join_counted(2);
    world.acts();
    world.map.up(A, 2, A_LIFE);
    world.settle();
    assert_eq!(world.acts(), [Out::SubscribeCounted(A, 2, 12, 2)]);
    world.subscribed(12, EPOCH, 0);
    assert_eq!(world.acts(), [Out::Joined(2, EPOCH, 0)]);
}

#[test]
fn who_leaves_is_told_when_the_owner_counts_it_no_more() {
    let mut world = World::with_two();
    world.leave_told(1);
    assert_eq!(world.acts(), [Out::Tell(A, 1, 11, 1, 3)]);
    world.counted(11, 3);
    assert_eq!(world.acts(), [Out::Left(1)]);
    // It gets what counts it until then, and the linger begins when it has left.
    world.leave_told(2);
    assert_eq!(world.acts(), [Out::Tell(A, 1, 11, 0, 4)]);
    assert_eq!(world.deliver(11, 1), Delivery::FanOut);
    assert_eq!(world.topic.listeners().len(), 1);
    world.counted(11, 4);
    assert_eq!(world.acts(), [Out::Left(2)]);
    assert!(world.topic.listeners().is_empty());
    world.at(LINGER.as_millis() as u64);
    world.wake();
    assert_eq!(world.acts(), [Out::Unsubscribe(A, 1, 11)]);
}

#[test]
fn who_leaves_while_nobody_counts_is_told_at_once_and_in_any_case_by_the_deadline() {
    let mut world = World::new();
    world.join_counted(1);
    world.leave_told(1);
    assert_eq!(world.acts(), [Out::Left(1)]);
    let mut world = World::linked();
    world.join_counted(1);
    world.subscribed(11, EPOCH, 0);
    world.acts();
    world.leave_told(1);
    world.at(DEADLINE.as_millis() as u64);
    world.wake();
    assert_eq!(world.acts(), [Out::Tell(A, 1, 11, 0, 2), Out::Left(1)]);
}
