//! Placement: where members and topics lie on the ring, and so who owns what.
//!
//! A position on the ring is a `u64`. Every member has `virtual nodes × weight` points; a topic lies at the
//! hash of its bytes and belongs to the first point at or after it, past the last point to the first one.
//! Nothing here may depend on the machine, the standard library or the order of the members: the same file
//! gives the same owner in every process, on every machine and in every release. `tests/placement.rs`
//! compares with recorded files; a change of any rule on this page is a change of every cluster's placement.

use std::hash::{BuildHasher, Hash, Hasher};

use hashring::HashRing;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::member::{Member, NAME_BYTES};

/// The seed of every position on the ring.
///
/// Any number would do for correctness, and none is perfect: with 512 points a share scatters by some 4 %,
/// so among many rings a few members lie far off. 299 is the smallest number for which no member's share is
/// more than 12 % off its weight in any ring of 2 to 20 members named `ts-a…`, `ts-1…`, `ts-01…`, `ts-0…`,
/// `topic-server-0…` or `topic-server-1…`, with equal weights and with four mixed patterns of weights (the
/// worst is 11.5 %). The test `seed_is_the_smallest_that_balances_the_usual_names` searches it anew.
pub(crate) const SEED: u64 = 299;

/// Length of the whole ring.
pub(crate) const WHOLE: u128 = 1 << 64;

/// One virtual node: a position and the member that it belongs to, by index in the order of names.
///
/// Only the position is hashed, and stands for itself (see [`PositionHasher::write_u64`]): it has been made
/// from the member's name. The index is not hashed, so that it may differ from ring to ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Point {
    /// Where the virtual node lies.
    pub(crate) position: u64,
    /// Index of its member.
    pub(crate) member: u16,
}

/// The points of all members, ready to find a topic's owner.
#[derive(Clone, Debug)]
pub(crate) struct Placement {
    ring: HashRing<Point, FromSeed>,
    arcs: Vec<u128>,
}

/// Makes [`PositionHasher`]s that start at the seed.
#[derive(Clone, Copy, Debug, PartialEq)]
struct FromSeed(u64);

/// xxh3 over the bytes written in one piece; takes a `u64` as a finished position.
struct PositionHasher(u64);

/// A topic as a key: exactly its bytes, where the `Hash` of slices and strings adds a length or a mark.
struct Topic<'a>(&'a [u8]);

impl Placement {
    /// Places the members, which stand in the order of their names. Their number is at most 1,000 and their
    /// points at most 4 million (checked by [`crate::Ring`]).
    pub(crate) fn new(virtual_nodes: u32, members: &[Member]) -> Self {
        let points = points(SEED, virtual_nodes, members);
        let arcs = arcs(&points, members.len());
        let mut ring = HashRing::with_hasher(FromSeed(SEED));
        ring.batch_add(points);
        Self { ring, arcs }
    }

    /// Index of the member that owns `topic`. Does not allocate.
    pub(crate) fn owner(&self, topic: &[u8]) -> usize {
        self.ring.get(&Topic(topic)).map_or(0, |point| usize::from(point.member))
    }

    /// How much of [`WHOLE`] belongs to each member, by index. The sum is [`WHOLE`].
    pub(crate) fn arcs(&self) -> &[u128] {
        &self.arcs
    }
}

impl Hash for Point {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.position);
    }
}

impl Hash for Topic<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write(self.0);
    }
}

impl BuildHasher for FromSeed {
    type Hasher = PositionHasher;

    fn build_hasher(&self) -> PositionHasher {
        PositionHasher(self.0)
    }
}

impl Hasher for PositionHasher {
    fn write(&mut self, bytes: &[u8]) {
        self.0 = xxh3_64_with_seed(bytes, self.0);
    }

    fn write_u64(&mut self, position: u64) {
        self.0 = position;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// All points of the members, in the order of their positions, no two at one position.
pub(crate) fn points(seed: u64, virtual_nodes: u32, members: &[Member]) -> Vec<Point> {
    let mut points: Vec<Point> = Vec::new();
    for (member, index) in members.iter().zip(0u16..) {
        let positions = positions(seed, member.name(), virtual_nodes.saturating_mul(member.weight()));
        points.extend(positions.map(|position| Point { position, member: index }));
    }
    one_per_position(&mut points);
    points
}

/// Where two virtual nodes claim one position, the member whose name sorts first keeps it: the search may hit
/// either of two equals, and their order would be that of the members.
fn one_per_position(points: &mut Vec<Point>) {
    points.sort_unstable();
    points.dedup_by_key(|point| point.position);
}

/// The position of a topic.
#[cfg(test)]
pub(crate) fn position_of(topic: &[u8]) -> u64 {
    FromSeed(SEED).hash_one(Topic(topic))
}

/// The positions of a member's virtual nodes: the hash of the length of its name in one byte, the name, and
/// the number of the virtual node as four bytes, highest first.
fn positions(seed: u64, name: &str, count: u32) -> impl Iterator<Item = u64> {
    let mut bytes = [0; 1 + NAME_BYTES + 4];
    let length = name.len().min(NAME_BYTES);
    bytes[0] = length as u8;
    bytes[1..=length].copy_from_slice(&name.as_bytes()[..length]);
    (0..count).map(move |index| {
        bytes[1 + length..5 + length].copy_from_slice(&index.to_be_bytes());
        xxh3_64_with_seed(&bytes[..5 + length], seed)
    })
}

/// The sum of each member's arcs. A point's arc reaches from behind the point before it up to itself.
fn arcs(points: &[Point], members: usize) -> Vec<u128> {
    let mut arcs = vec![0; members];
    // The first point's arc also holds what lies behind the last one; a single point has the whole ring.
    let mut before = points.last().map_or(0, |last| i128::from(last.position)) - (WHOLE as i128);
    for point in points {
        let position = i128::from(point.position);
        arcs[usize::from(point.member)] += (position - before) as u128;
        before = position;
    }
    arcs
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(name: &str, weight: u32) -> Member {
        Member::new(name, "127.0.0.1:1", weight)
    }

    fn point(position: u64, member: u16) -> Point {
        Point { position, member }
    }

    fn placed(points: Vec<Point>, members: usize) -> Placement {
        let arcs = arcs(&points, members);
        let mut ring = HashRing::with_hasher(FromSeed(SEED));
        ring.batch_add(points);
        Placement { ring, arcs }
    }

    /// The rule in its plainest form: the first point at or after the topic, else the first of all.
    fn owner_by_walking(points: &[Point], position: u64) -> usize {
        let found = points.iter().find(|point| point.position >= position).unwrap_or(&points[0]);
        usize::from(found.member)
    }

    #[test]
    fn positions_are_these_bytes_hashed() {
        let expected = xxh3_64_with_seed(&[4, b't', b's', b'-', b'a', 0, 0, 1, 2], SEED);
        assert_eq!(positions(SEED, "ts-a", 300).nth(0x102), Some(expected));
        assert_eq!(position_of(b"topics:matrix"), xxh3_64_with_seed(b"topics:matrix", SEED));
        // Written out, so that neither the crate nor the build may change them; computed with the xxHash
        // project's own library.
        assert_eq!(positions(SEED, "ts-a", 1).next(), Some(15_824_729_531_029_467_502));
        assert_eq!(position_of(b"topics:matrix"), 2_381_561_424_338_121_036);
        assert_eq!(position_of(&[0xff; 1024]), 11_529_131_428_115_138_214);
    }

    #[test]
    fn one_member_owns_everything() {
        for virtual_nodes in [1, 2, 512] {
            let placement = Placement::new(virtual_nodes, &[member("ts-a", 1)]);
            assert_eq!(placement.arcs(), [WHOLE]);
            assert_eq!(placement.owner(b""), 0);
            assert_eq!(placement.owner(b"topics:matrix"), 0);
        }
    }

    #[test]
    fn wraps_around_at_both_ends() {
        let topic = b"topics:matrix";
        let position = position_of(topic);
        let after = placed(vec![point(position - 2, 0), point(position - 1, 1)], 2);
        assert_eq!(after.owner(topic), 0, "behind the last point: the first one");
        let at = placed(vec![point(position - 1, 0), point(position, 1), point(position + 1, 2)], 3);
        assert_eq!(at.owner(topic), 1, "at a point: that point");
        let before = placed(vec![point(position + 1, 0), point(position + 2, 1)], 2);
        assert_eq!(before.owner(topic), 0, "before the first point: the first one");
        assert_eq!(before.arcs(), [WHOLE - 1, 1]);
        let ends = placed(vec![point(0, 0), point(u64::MAX, 1)], 2);
        assert_eq!(ends.arcs(), [1, WHOLE - 1]);
    }

    #[test]
    fn the_first_name_keeps_a_position_that_two_claim() {
        let mut points = vec![point(7, 2), point(9, 0), point(7, 1)];
        one_per_position(&mut points);
        assert_eq!(points, [point(7, 1), point(9, 0)]);
    }

    #[test]
    fn the_search_is_the_plain_rule() {
        let members: Vec<_> = (0..20).map(|n| member(&format!("m{n:02}"), 1 + n % 3)).collect();
        let placement = Placement::new(16, &members);
        let points = points(SEED, 16, &members);
        assert!(points.is_sorted());
        assert_eq!(points.len(), members.iter().map(|member| 16 * member.weight() as usize).sum::<usize>());
        for number in 0..10_000u32 {
            let topic = format!("topic:{number}");
            let position = position_of(topic.as_bytes());
            assert_eq!(placement.owner(topic.as_bytes()), owner_by_walking(&points, position), "{topic}");
        }
        assert_eq!(placement.arcs().iter().sum::<u128>(), WHOLE);
    }

    const PATTERNS: [&[u32]; 5] = [&[1], &[1, 2], &[1, 2, 3], &[3, 1, 1], &[2, 1, 1, 1]];

    fn families() -> [Vec<String>; 6] {
        [
            ('a'..='t').map(|letter| format!("ts-{letter}")).collect(),
            (1..=20).map(|number| format!("ts-{number}")).collect(),
            (1..=20).map(|number| format!("ts-{number:02}")).collect(),
            (0..20).map(|number| format!("ts-{number}")).collect(),
            (0..20).map(|number| format!("topic-server-{number}")).collect(),
            (1..=20).map(|number| format!("topic-server-{number}")).collect(),
        ]
    }

    /// How far the worst member of all the rings is off its weight, as a fraction; stops above `limit`.
    fn worst(seed: u64, limit: f64) -> f64 {
        let mut worst = 0f64;
        for (pattern, names) in PATTERNS.iter().flat_map(|pattern| families().map(|names| (pattern, names))) {
            let weights: Vec<u32> = pattern.iter().copied().cycle().take(names.len()).collect();
            let all = names.iter().zip(&weights).map(|(name, weight)| member(name, *weight));
            let mut points = points(seed, 512, &all.collect::<Vec<_>>());
            for members in (2..=20).rev() {
                points.retain(|point| usize::from(point.member) < members);
                let total: u32 = weights[..members].iter().sum();
                for (arc, weight) in arcs(&points, members).into_iter().zip(&weights) {
                    let share = arc as f64 / WHOLE as f64;
                    worst = worst.max((share * f64::from(total) / f64::from(*weight) - 1.0).abs());
                }
                if worst > limit {
                    return worst;
                }
            }
        }
        worst
    }

    #[test]
    fn usual_names_get_their_share_within_12_percent() {
        let worst = worst(SEED, 1.0);
        assert!(worst <= 0.12, "{worst}");
    }

    #[test]
    #[ignore = "searches for seconds; only needed to show where the seed comes from"]
    fn seed_is_the_smallest_that_balances_the_usual_names() {
        assert_eq!((0..=SEED).find(|&seed| worst(seed, 0.12) <= 0.12), Some(SEED));
    }
}
