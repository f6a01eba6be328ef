use std::time::Duration;

use super::*;
use crate::client::outbox::{ChannelId, Tag};
use crate::hub::testing::{NoCodec, members};

const DEADLINE: Duration = Duration::from_secs(5);

/// Patterns, and topic servers 0, 1, … with their links.
struct World {
    patterns: Patterns,
    reached: Vec<Reached>,
    ring: u64,
    now: Instant,
    effects: Vec<Effect>,
}

impl World {
    fn linked(count: u32) -> Self {
        let mut world = Self {
            patterns: Patterns::default(),
            reached: members(count),
            ring: 4,
            now: Instant::now(),
            effects: Vec::new(),
        };
        world.settle();
        world
    }

    fn settle(&mut self) -> Vec<Incarnation> {
        self.patterns.settle(&self.reached, self.ring, &mut self.effects)
    }

    fn up(&mut self, member: usize, link: Option<u64>) -> Vec<Incarnation> {
        self.reached[member].view.up = link;
        self.settle()
    }

    fn join(&mut self, pattern: &str, id: u64) -> u32 {
        let listener = Listener {
            id,
            channel: ChannelId(id as u32),
            client: Outbox::new(1 << 20),
            codec: &NoCodec,
            tag: Tag::new(b"", b""),
            counts: true,
        };
        self.patterns.join(pattern.as_bytes(), listener, self.now + DEADLINE, &mut self.effects)
    }

    fn leave(&mut self, number: u32, id: u64, told: bool) {
        let leaving = Leaving {
            id,
            client: Outbox::new(1 << 20),
            channel: ChannelId(id as u32),
            deadline: self.now + DEADLINE,
        };
        self.patterns.leave(number, id, told.then_some(leaving), &mut self.effects);
    }

    fn stands(&mut self, member: usize, number: u32, change: u32) {
        let view = self.reached[member].view;
        self.patterns.stands(number, change, view, &mut self.effects);
    }

    /// What came out: `1@11 n* 2 #7` for member 1, link 11, pattern, listeners, change; or what clients were told.
    fn acts(&mut self) -> Vec<String> {
        let word = |effect| match effect {
            Effect::Send { member, link, request: Request::Say(item) } => match *item {
                FromGateway::Pattern(pattern) => {
                    let name = String::from_utf8_lossy(&pattern.pattern).into_owned();
                    let Pattern { number, listeners, change, .. } = pattern;
                    format!("{}@{link} {number}={name} {listeners} #{change}", member.0)
                }
                FromGateway::AllPatterns => format!("{}@{link} all", member.0),
                other => panic!("{other:?}"),
            },
            Effect::Tell(_, Item::PatternJoined { channel }) => format!("joined {}", channel.0),
            Effect::Tell(_, Item::PatternLost { channel }) => format!("lost {}", channel.0),
            Effect::Tell(_, Item::Left { channel }) => format!("left {}", channel.0),
            Effect::Tell(_, Item::JoinFailed { channel, reason }) => {
                format!("failed {} {reason:?}", channel.0)
            }
            other => panic!("{other:?}"),
        };
        std::mem::take(&mut self.effects).into_iter().map(word).collect()
    }
}

#[test]
fn a_listener_is_live_when_every_topic_server_has_its_pattern() {
    let mut world = World::linked(2);
    let number = world.join("n*", 1);
    assert_eq!(world.acts(), ["0@10 0=n* 1 #1", "0@10 all", "1@11 0=n* 1 #1", "1@11 all"]);
    world.stands(1, number, 1);
    assert!(world.acts().is_empty() && world.patterns.listeners(&[number]).count() == 0);
    world.stands(0, number, 1);
    assert_eq!(world.acts(), ["joined 1"]);
    assert_eq!(world.patterns.listeners(&[number]).count(), 1);
    // Another listener to the same pattern is counted, and waits for that.
    assert_eq!(world.join("n*", 2), number);
    assert_eq!(world.acts(), ["0@10 0=n* 2 #2", "0@10 all", "1@11 0=n* 2 #2", "1@11 all"]);
    world.stands(0, number, 1);
    world.stands(0, number, 2);
    assert!(world.acts().is_empty());
    world.stands(1, number, 2);
    assert_eq!(world.acts(), ["joined 2"]);
}

#[test]
fn one_that_cannot_be_told_everywhere_fails_at_its_deadline() {
    let mut world = World::linked(2);
    world.up(1, None);
    let number = world.join("n*", 1);
    world.stands(0, number, 1);
    world.acts();
    world.patterns.tick(world.now + DEADLINE - Duration::from_millis(1), &mut world.effects);
    assert!(world.acts().is_empty());
    world.patterns.tick(world.now + DEADLINE, &mut world.effects);
    assert_eq!(world.acts(), ["failed 1 OwnerUnreachable", "0@10 0=n* 0 #2", "0@10 all"]);
    assert!(world.patterns.is_empty());
}

#[test]
fn nobody_is_live_while_a_topic_server_knows_a_newer_ring() {
    let mut world = World::linked(1);
    let number = world.join("n*", 1);
    world.acts();
    world.patterns.heard_of_ring(5);
    world.stands(0, number, 1);
    assert!(world.acts().is_empty(), "there may be others to tell");
    world.ring = 5;
    world.settle();
    assert_eq!(world.acts(), ["joined 1"]);
}

#[test]
fn a_link_that_comes_while_a_listener_waits_is_told_and_awaited() {
    let mut world = World::linked(2);
    world.up(1, None);
    let number = world.join("n*", 1);
    world.stands(0, number, 1);
    world.acts();
    world.up(1, Some(30));
    assert_eq!(world.acts(), ["1@30 0=n* 1 #1", "1@30 all"]);
    world.stands(1, number, 1);
    assert_eq!(world.acts(), ["joined 1"]);
}

#[test]
fn a_link_that_breaks_is_told_to_all_who_are_live_and_the_next_one_told_of_all_patterns() {
    let mut world = World::linked(2);
    for (pattern, id, change) in [("a*", 1, 1), ("b*", 2, 2)] {
        let number = world.join(pattern, id);
        world.stands(0, number, change);
        world.stands(1, number, change);
    }
    world.acts();
    assert_eq!(world.up(1, None), [Incarnation(2)]);
    assert_eq!(world.acts(), ["lost 1", "lost 2"]);
    world.up(1, Some(20));
    assert_eq!(world.acts(), ["1@20 0=a* 1 #1", "1@20 1=b* 1 #2", "1@20 all"]);
    // What the broken link has left behind means nothing.
    let old = LinkView { up: Some(11), ..world.reached[1].view };
    assert!(!world.patterns.is_told(old) && world.patterns.is_told(world.reached[1].view));
}

/// Nobody listens to a pattern when a former member is let go: it is not waited for later.
#[test]
fn a_former_member_that_was_let_go_is_awaited_no_more() {
    let mut world = World::linked(2);
    world.reached.pop();
    assert_eq!(world.settle(), [Incarnation(2)]);
    let number = world.join("n*", 1);
    assert_eq!(world.acts(), ["0@10 0=n* 1 #1", "0@10 all"]);
    world.stands(0, number, 1);
    assert_eq!(world.acts(), ["joined 1"]);
}

#[test]
fn a_former_member_that_leaves_in_an_orderly_way_loses_nothing() {
    for (is_leaving, expected) in [(true, vec![]), (false, vec!["lost 1"])] {
        let mut world = World::linked(2);
        let number = world.join("a*", 1);
        world.stands(0, number, 1);
        world.stands(1, number, 1);
        world.acts();
        world.reached[1].is_member = false;
        world.settle();
        assert!(world.patterns.uses(MemberId(1)), "it may still hold topics");
        world.reached[1].is_leaving = is_leaving;
        world.up(1, None);
        assert_eq!(world.acts(), expected);
        assert!(!world.patterns.uses(MemberId(1)));
    }
}

#[test]
fn who_leaves_counts_no_more_and_is_told_when_all_know() {
    let mut world = World::linked(2);
    let number = world.join("a*", 1);
    world.join("a*", 2);
    assert_eq!(world.patterns.count.get(), 1, "each once");
    for member in [0, 1] {
        world.stands(member, number, 2);
    }
    world.acts();
    world.leave(number, 1, true);
    assert_eq!(world.acts(), ["0@10 0=a* 1 #3", "0@10 all", "1@11 0=a* 1 #3", "1@11 all"]);
    world.stands(0, number, 3);
    assert!(
        world.acts().is_empty() && world.patterns.listeners(&[number]).count() == 2,
        "it stays until then"
    );
    world.stands(1, number, 3);
    assert_eq!(world.acts(), ["left 1"]);
    assert_eq!(world.patterns.listeners(&[number]).count(), 1);
    world.leave(number, 2, false);
    assert_eq!(world.acts(), ["0@10 0=a* 0 #4", "0@10 all", "1@11 0=a* 0 #4", "1@11 all"]);
    assert!(world.patterns.is_empty() && world.patterns.count.get() == 0);
    // Its number is used again; an answer for the older pattern is none for the newer.
    assert_eq!(world.join("b*", 3), number);
    world.acts();
    world.stands(0, number, 4);
    world.stands(1, number, 4);
    assert!(world.acts().is_empty());
    world.leave(number, 9, true);
    assert_eq!(world.acts(), ["left 9"], "it was not there");
}

#[test]
fn nobody_hears_of_links_while_there_is_no_pattern() {
    let mut world = World::linked(3);
    world.up(1, None);
    world.up(1, Some(30));
    assert!(world.acts().is_empty());
}
