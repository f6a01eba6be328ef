//! What moves when one ring follows another, exactly: by the lengths of arcs, not by sampled topics.

use std::collections::BTreeMap;

use crate::member::Member;
use crate::placement::{Point, WHOLE};
use crate::ring::{Ring, fraction};

/// All that moves between two rings.
#[derive(Clone, Debug, PartialEq)]
pub struct Movement {
    flows: Vec<Flow>,
    share: f64,
}

/// What moves from one member to another. Both have the same name if only the address changed: then it moves
/// from one process to the other all the same.
#[derive(Clone, Debug, PartialEq)]
pub struct Flow {
    /// The owner under the old ring, as the old ring names it.
    pub from: Member,
    /// The owner under the new ring, as the new ring names it.
    pub to: Member,
    /// The part of all topics that takes this way, above 0 and up to 1.
    pub share: f64,
}

impl Movement {
    /// Compares the owners of the whole ring, arc by arc.
    pub fn between(old: &Ring, new: &Ring) -> Self {
        let mut moved = BTreeMap::<(u16, u16), u128>::new();
        for_each_arc(&old.points(), &new.points(), |from, to, length| {
            *moved.entry((from, to)).or_default() += length;
        });
        let mut total = 0;
        let mut flows = Vec::new();
        for ((from, to), length) in moved {
            let (from, to) = (&old.members()[usize::from(from)], &new.members()[usize::from(to)]);
            if length > 0 && !from.is_same_process(to) {
                total += length;
                flows.push(Flow { from: from.clone(), to: to.clone(), share: fraction(length) });
            }
        }
        // The largest first; among equals the order of names, in which they stand already.
        flows.sort_by(|one, other| other.share.total_cmp(&one.share));
        Self { flows, share: fraction(total) }
    }

    /// The part of all topics that gets another owner, from 0 to 1.
    pub fn share(&self) -> f64 {
        self.share
    }

    /// From whom to whom, the largest first.
    pub fn flows(&self) -> &[Flow] {
        &self.flows
    }
}

/// Walks over the points of both rings in one go and tells each arc's two owners and its length.
fn for_each_arc(old: &[Point], new: &[Point], mut tell: impl FnMut(u16, u16, u128)) {
    let (Some(first_old), Some(first_new)) = (old.first(), new.first()) else {
        return;
    };
    let last = old.last().into_iter().chain(new.last()).map(|point| point.position).max();
    // The first arc starts behind the last point and reaches over the end of the numbers.
    let mut before = last.map_or(0, i128::from) - (WHOLE as i128);
    let (mut old_at, mut new_at) = (0, 0);
    while old_at < old.len() || new_at < new.len() {
        let (from, to) = (old.get(old_at), new.get(new_at));
        let Some(position) = from.into_iter().chain(to).map(|point| point.position).min() else {
            return;
        };
        let length = (i128::from(position) - before) as u128;
        // Behind its last point a ring goes on with its first one.
        tell(from.unwrap_or(first_old).member, to.unwrap_or(first_new).member, length);
        before = i128::from(position);
        old_at += usize::from(from.is_some_and(|point| point.position == position));
        new_at += usize::from(to.is_some_and(|point| point.position == position));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ring(members: &[(&str, u16, u32)]) -> Ring {
        let members = members
            .iter()
            .map(|(name, port, weight)| Member::new(*name, format!("127.0.0.1:{port}"), *weight));
        Ring::new(1, 512, members.collect()).unwrap()
    }

    fn arcs(old: &[(u64, u16)], new: &[(u64, u16)]) -> Vec<(u16, u16, u128)> {
        let points = |points: &[(u64, u16)]| -> Vec<Point> {
            points.iter().map(|&(position, member)| Point { position, member }).collect()
        };
        let mut arcs = Vec::new();
        for_each_arc(&points(old), &points(new), |from, to, length| arcs.push((from, to, length)));
        arcs
    }

    #[test]
    fn arcs_are_told_once_and_cover_the_ring() {
        assert_eq!(arcs(&[(10, 0)], &[(10, 0)]), [(0, 0, WHOLE)]);
        assert_eq!(arcs(&[(10, 0)], &[(30, 5)]), [(0, 5, WHOLE - 20), (0, 5, 20)]);
        assert_eq!(
            arcs(&[(10, 0), (20, 1)], &[(10, 0), (15, 2), (40, 1)]),
            // Behind 20 the old ring goes on with its first point.
            [(0, 0, WHOLE - 30), (1, 2, 5), (1, 1, 5), (0, 1, 20)]
        );
    }

    #[test]
    fn nothing_moves_between_equal_rings_in_any_order() {
        let one = ring(&[("a", 1, 1), ("b", 2, 2)]);
        let other = ring(&[("b", 2, 2), ("a", 1, 1)]);
        let movement = Movement::between(&one, &other);
        assert_eq!((movement.share(), movement.flows()), (0.0, &[][..]));
    }

    #[test]
    fn a_new_member_takes_its_share_and_nothing_else_moves() {
        let old = ring(&[("a", 1, 1), ("b", 2, 1)]);
        let new = ring(&[("a", 1, 1), ("b", 2, 1), ("c", 3, 1)]);
        let there = Movement::between(&old, &new);
        assert!(there.flows().iter().all(|flow| flow.to.name() == "c"));
        assert_eq!(there.share(), new.shares()[2]);
        let back = Movement::between(&new, &old);
        assert!(back.flows().iter().all(|flow| flow.from.name() == "c"));
        assert_eq!(back.share(), there.share());
    }

    #[test]
    fn a_changed_address_moves_all_that_the_member_owns() {
        let old = ring(&[("a", 1, 1), ("b", 2, 1)]);
        let new = ring(&[("a", 1, 1), ("b", 3, 1)]);
        let movement = Movement::between(&old, &new);
        let [flow] = movement.flows() else { panic!("{movement:?}") };
        assert_eq!((flow.from.address(), flow.to.address()), ("127.0.0.1:2", "127.0.0.1:3"));
        assert_eq!(flow.share, old.shares()[1]);
    }

    #[test]
    fn what_moves_is_what_topics_see() {
        let old = ring(&[("a", 1, 1), ("b", 2, 1), ("c", 3, 2)]);
        let new = ring(&[("a", 1, 3), ("c", 3, 1), ("d", 4, 1)]);
        let movement = Movement::between(&old, &new);
        let topics = 20_000u32;
        let mut seen = BTreeMap::<(String, String), u32>::new();
        for number in 0..topics {
            let topic = number.to_be_bytes();
            let (from, to) = (old.owner(&topic).name(), new.owner(&topic).name());
            if from != to {
                *seen.entry((from.to_owned(), to.to_owned())).or_default() += 1;
            }
        }
        for flow in movement.flows() {
            let seen = seen.remove(&(flow.from.name().into(), flow.to.name().into())).unwrap_or(0);
            let sampled = f64::from(seen) / f64::from(topics);
            assert!((sampled - flow.share).abs() < 0.012, "{flow:?} {sampled}");
        }
        assert_eq!(seen, BTreeMap::new());
        assert_eq!(movement.flows()[0].from.name(), "c", "the largest first: {movement:?}");
    }
}
