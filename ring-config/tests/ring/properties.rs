//! What holds for every ring, tried on generated ones. The generator's seed is fixed: a share is a matter of
//! chance, and a test must not fail by chance.

use std::collections::BTreeMap;

use campanile_ring_config::ring::VIRTUAL_NODES_MAX;
use campanile_ring_config::{Member, Movement, Ring, edit};
use proptest::collection::{btree_set, vec};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

fn config(cases: u32) -> ProptestConfig {
    ProptestConfig {
        rng_seed: RngSeed::Fixed(1),
        failure_persistence: None,
        ..ProptestConfig::with_cases(cases)
    }
}

fn names(count: impl Into<proptest::collection::SizeRange>) -> impl Strategy<Value = Vec<String>> {
    btree_set("[a-zA-Z0-9._-]{1,64}", count)
        .prop_map(|names| names.into_iter().collect::<Vec<_>>())
        .prop_shuffle()
}

fn members(names: &[String], weights: &[u32]) -> Vec<Member> {
    let weights = weights.iter().cycle();
    let members = names.iter().zip(weights).zip(1u16..);
    members.map(|((name, weight), port)| Member::new(name, format!("127.0.0.1:{port}"), *weight)).collect()
}

fn ring(virtual_nodes: u32, members: Vec<Member>) -> Ring {
    Ring::new(1, virtual_nodes, members).unwrap()
}

/// Topics enough to meet every member of a small ring.
fn topics() -> impl Iterator<Item = [u8; 4]> {
    (0..500u32).map(u32::to_be_bytes)
}

/// Every flow goes to or comes from `name`, and the topics agree.
fn moves_only(old: &Ring, new: &Ring, to: Option<&str>, from: Option<&str>) -> Result<(), TestCaseError> {
    let allowed = |old: &Member, new: &Member| {
        to.is_none_or(|to| new.name() == to) && from.is_none_or(|from| old.name() == from)
    };
    let movement = Movement::between(old, new);
    for flow in movement.flows() {
        prop_assert!(allowed(&flow.from, &flow.to), "{flow:?}");
    }
    for topic in topics() {
        let (before, after) = (old.owner(&topic), new.owner(&topic));
        prop_assert!(before == after || before.name() == after.name() || allowed(before, after));
    }
    Ok(())
}

proptest! {
    #![proptest_config(config(64))]

    #[test]
    fn order_of_members_is_irrelevant(
        names in names(1..=12),
        weights in vec(1..=4u32, 12),
        virtual_nodes in 1..=64u32,
        rotation in 0..12usize,
    ) {
        let members = members(&names, &weights);
        let mut other = members.clone();
        other.rotate_left(rotation % members.len());
        other.swap(0, rotation % members.len());
        let (one, other) = (ring(virtual_nodes, members), ring(virtual_nodes, other));
        prop_assert_eq!(&one, &other);
        prop_assert_eq!(one.digest(), other.digest());
        prop_assert_eq!(one.shares(), other.shares());
        prop_assert_eq!(Movement::between(&one, &other).share(), 0.0);
        for topic in topics() {
            prop_assert_eq!(one.owner(&topic), other.owner(&topic));
        }
    }

    #[test]
    fn random_names_get_their_share_within_20_percent(names in names(3..=20)) {
        let ring = ring(512, members(&names, &[1]));
        for (member, share) in ring.members().iter().zip(ring.shares()) {
            let ratio = share * names.len() as f64;
            prop_assert!((0.8..=1.2).contains(&ratio), "{} has {ratio}", member.name());
        }
    }

    #[test]
    fn random_weights_are_kept_within_20_percent(names in names(3..=20), weights in vec(1..=5u32, 20)) {
        let ring = ring(512, members(&names, &weights));
        let total: u32 = ring.members().iter().map(Member::weight).sum();
        for (member, share) in ring.members().iter().zip(ring.shares()) {
            let ratio = share * f64::from(total) / f64::from(member.weight());
            prop_assert!((0.8..=1.2).contains(&ratio), "{} has {ratio}", member.name());
        }
    }

    #[test]
    fn adding_and_removing_moves_only_that_share(
        names in names(2..=10),
        weights in vec(1..=4u32, 10),
        virtual_nodes in 1..=128u32,
    ) {
        let all = members(&names, &weights);
        let added = all[all.len() - 1].clone();
        let small = ring(virtual_nodes, all[..all.len() - 1].to_vec());
        let large = ring(virtual_nodes, all);
        moves_only(&small, &large, Some(added.name()), None)?;
        moves_only(&large, &small, None, Some(added.name()))?;
        let index = large.members().iter().position(|member| *member == added).unwrap();
        let moved = Movement::between(&small, &large).share();
        prop_assert!((moved - large.shares()[index]).abs() < 1e-12);
    }

    #[test]
    fn more_weight_only_takes_and_less_only_gives(
        names in names(2..=10),
        virtual_nodes in 1..=128u32,
        weight in 2..=5u32,
    ) {
        let light = members(&names, &[1]);
        let mut heavy = light.clone();
        heavy[0] = Member::new(heavy[0].name(), heavy[0].address(), weight);
        let (light, heavy) = (ring(virtual_nodes, light), ring(virtual_nodes, heavy));
        moves_only(&light, &heavy, Some(&names[0]), None)?;
        moves_only(&heavy, &light, None, Some(&names[0]))?;
    }

    #[test]
    fn shares_are_what_topics_see(names in names(1..=6), virtual_nodes in 1..=64u32) {
        let ring = ring(virtual_nodes, members(&names, &[1, 3]));
        let shares = ring.shares();
        prop_assert!((shares.iter().sum::<f64>() - 1.0).abs() < 1e-9);
        let mut seen = BTreeMap::<usize, u32>::new();
        for topic in 0..4_000u32 {
            *seen.entry(ring.owner_index(&topic.to_be_bytes())).or_default() += 1;
        }
        for (index, share) in shares.iter().enumerate() {
            let sampled = f64::from(seen.remove(&index).unwrap_or(0)) / 4_000.0;
            prop_assert!((sampled - share).abs() < 0.04, "{sampled} {share}");
        }
    }

    #[test]
    fn what_is_written_reads_back(
        names in names(1..=12),
        weights in vec(1..=1_000u32, 12),
        virtual_nodes in 1..=512u32,
        version in 1..=i64::MAX as u64,
    ) {
        let weights: Vec<u32> = weights.iter().map(|weight| weight / virtual_nodes + 1).collect();
        let ring = Ring::new(version, virtual_nodes, members(&names, &weights)).unwrap();
        prop_assert_eq!(Ring::parse("ring.toml", &ring.to_toml()), Ok(ring));
    }
}

/// Never panics; what it takes is a ring within its bounds, and so is every edit of it.
fn survives(text: &str) -> Result<(), TestCaseError> {
    let parsed = Ring::parse("ring.toml", text);
    match &parsed {
        Ok(ring) => {
            prop_assert!(ring.version() >= 1 && !ring.members().is_empty());
            prop_assert!((1..=VIRTUAL_NODES_MAX).contains(&ring.virtual_nodes()));
            prop_assert_eq!(Ring::parse("again", &ring.to_toml()), Ok(ring.clone()));
        }
        Err(faults) => prop_assert!(!faults.is_empty()),
    }
    let edits = [
        edit::add("ring.toml", text, "added", "127.0.0.1:9", 1),
        edit::remove("ring.toml", text, "ts-a"),
        edit::set("ring.toml", text, "ts-b", Some("127.0.0.1:9"), Some(9)),
    ];
    for edited in edits.into_iter().flatten() {
        prop_assert_eq!(&Ring::parse("edited", &edited.text).unwrap(), &edited.after);
        if let Ok(before) = &parsed {
            prop_assert_eq!(edited.after.version(), before.version() + 1);
            prop_assert_eq!(edited.before.as_ref(), Some(before));
        }
    }
    Ok(())
}

const PIECES: [&str; 24] = [
    "version",
    "virtual_nodes",
    "[[topic_server]]",
    "[topic_server]",
    "topic_server",
    "name",
    "address",
    "weight",
    " = ",
    "1",
    "0",
    "-1",
    "1.5",
    "\"ts-a\"",
    "\"ts-b\"",
    "\"127.0.0.1:5001\"",
    "\n",
    "[]",
    "{}",
    "#",
    "'",
    "\"\"\"",
    "\r\n",
    "\u{feff}",
];

proptest! {
    #![proptest_config(config(1_000))]

    #[test]
    fn arbitrary_text_never_panics(text in any::<String>()) {
        survives(&text)?;
    }

    #[test]
    fn arbitrary_pieces_never_panic(pieces in vec(proptest::sample::select(&PIECES[..]), 0..40)) {
        survives(&pieces.concat())?;
    }

    #[test]
    fn mutated_examples_never_panic(
        changes in vec((any::<proptest::sample::Index>(), 0..3u8, proptest::sample::select(&PIECES[..])), 1..6),
    ) {
        let mut text = Ring::example_text().replace("virtual_nodes = 512", "virtual_nodes = 16");
        for (at, kind, piece) in changes {
            let ends: Vec<usize> = text.char_indices().map(|(at, _)| at).chain([text.len()]).collect();
            let at = at.index(ends.len());
            let (from, to) = match kind {
                0 => (ends[at], ends[at]),
                1 => (ends[at], ends[(at + piece.len()).min(ends.len() - 1)]),
                _ => (ends[at], ends[(at + 1).min(ends.len() - 1)]),
            };
            text.replace_range(from..to, if kind == 2 { "" } else { piece });
        }
        survives(&text)?;
    }
}
