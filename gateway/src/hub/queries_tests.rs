use std::collections::VecDeque;
use std::task::{Context, Waker};
use std::time::Duration;

use super::*;
use crate::hub::testing::members;

const DEADLINE: Duration = Duration::from_secs(5);

struct World {
    queries: Queries,
    reached: Vec<Reached>,
    client: Outbox,
    now: Instant,
    effects: Vec<Effect>,
}

impl World {
    fn linked(count: u32) -> Self {
        Self {
            queries: Queries::default(),
            reached: members(count),
            client: Outbox::new(1 << 20),
            now: Instant::now(),
            effects: Vec::new(),
        }
    }

    fn ask(&mut self, query: Query) {
        let client = (self.client.clone(), 5);
        self.queries.ask(query, client, &self.reached, self.now + DEADLINE, &mut self.effects);
    }

    fn answer(&mut self, member: usize, names: &[&'static str], counts: &[u32], last: bool) {
        let names = names.iter().map(|name| Bytes::from_static(name.as_bytes())).collect();
        let answer = QueryAnswer { id: 1, names, counts: counts.to_vec(), last, refused: false };
        let view = self.reached[member].view;
        self.queries.answered(answer, view, &mut self.effects);
    }

    /// Who was asked, by member and link.
    fn asked(&mut self) -> Vec<(u32, u64)> {
        let (sent, told) = std::mem::take(&mut self.effects)
            .into_iter()
            .partition(|effect| matches!(effect, Effect::Send { .. }));
        self.effects = told;
        let sent: Vec<Effect> = sent;
        let asked = |effect: Effect| match effect {
            Effect::Send { member, link, .. } => (member.0, link),
            other => panic!("{other:?}"),
        };
        sent.into_iter().map(asked).collect()
    }

    fn told(&mut self) -> Vec<Result<Told, Reason>> {
        for effect in std::mem::take(&mut self.effects) {
            match effect {
                Effect::Tell(client, item) => client.push(item),
                other => panic!("{other:?}"),
            }
        }
        let mut items = VecDeque::new();
        let _ = self.client.poll_take(&mut Context::from_waker(Waker::noop()), &mut items, false);
        let result = |item| match item {
            Item::Told { token: 5, result } => result.map(|told| *told),
            other => panic!("{other:?}"),
        };
        items.into_iter().map(result).collect()
    }
}

#[test]
fn answers_are_added_up() {
    let mut world = World::linked(2);
    world.ask(Query::Listeners(vec![Bytes::from_static(b"a"), Bytes::from_static(b"b")]));
    assert_eq!(world.asked(), [(0, 10), (1, 11)]);
    world.answer(0, &[], &[1, u32::MAX], true);
    assert!(world.told().is_empty());
    world.answer(1, &[], &[0, 2], true);
    world.answer(1, &[], &[0, 2], true);
    assert_eq!(world.told(), [Ok(Told::Listeners(vec![1, u64::from(u32::MAX) + 2]))], "once");
}

#[test]
fn names_come_in_parts_and_count_once() {
    for (query, expected) in [
        (
            Query::Topics { pattern: None, space: Space::Plain },
            Told::Topics(vec!["a".into(), "b".into(), "c".into()]),
        ),
        (Query::Patterns, Told::Patterns(3)),
    ] {
        let mut world = World::linked(2);
        world.ask(query);
        world.asked();
        world.answer(0, &["b"], &[], false);
        world.answer(1, &["b", "a"], &[], true);
        world.answer(0, &["c"], &[], true);
        assert_eq!(world.told(), [Ok(expected)]);
    }
}

#[test]
fn who_cannot_be_reached_is_awaited_until_the_deadline_and_asked_when_it_comes() {
    let mut world = World::linked(2);
    world.reached[1].view.up = None;
    world.ask(Query::Patterns);
    assert_eq!(world.asked(), [(0, 10)]);
    world.answer(0, &["a"], &[], true);
    world.queries.tick(world.now + DEADLINE - Duration::from_millis(1), &mut world.effects);
    assert!(world.told().is_empty());
    world.reached[1].view.up = Some(30);
    world.queries.settle(&world.reached, &mut world.effects);
    assert_eq!(world.asked(), [(1, 30)]);
    world.queries.tick(world.now + DEADLINE, &mut world.effects);
    assert_eq!(world.told(), [Err(Reason::OwnerUnreachable)]);
    world.answer(1, &["b"], &[], true);
    assert!(world.told().is_empty());
}

#[test]
fn a_former_member_out_of_reach_is_not_awaited() {
    let mut world = World::linked(2);
    world.ask(Query::Patterns);
    world.asked();
    world.answer(0, &["a"], &[], true);
    world.reached[1].is_member = false;
    world.queries.settle(&world.reached, &mut world.effects);
    assert!(world.asked().is_empty() && world.told().is_empty(), "it can still answer");
    world.reached[1].view.up = None;
    world.queries.settle(&world.reached, &mut world.effects);
    assert_eq!(world.told(), [Ok(Told::Patterns(1))]);
}

#[test]
fn a_refused_answer_is_the_end() {
    let mut world = World::linked(2);
    world.ask(Query::Patterns);
    world.asked();
    let answer = QueryAnswer { id: 1, names: Vec::new(), counts: Vec::new(), last: true, refused: true };
    let view = world.reached[0].view;
    world.queries.answered(answer, view, &mut world.effects);
    assert_eq!(world.told(), [Err(Reason::Overloaded)]);
}
