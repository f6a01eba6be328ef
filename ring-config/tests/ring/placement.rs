//! Placement against the record: `tests/placement/owners.tsv` names the owner of 10,000 topics under each of
//! the rings beside it. A difference means that a running cluster would move topics on an upgrade.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::PathBuf;

use campanile_ring_config::Ring;

const RINGS: [&str; 3] = ["two.toml", "twenty.toml", "weighted.toml"];

fn recorded(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/placement").join(name)
}

fn rings() -> [Ring; 3] {
    RINGS.map(|name| Ring::parse(name, &fs::read_to_string(recorded(name)).unwrap()).unwrap())
}

#[test]
fn every_recorded_topic_has_its_owner() {
    let rings = rings();
    let record = fs::read_to_string(recorded("owners.tsv")).unwrap();
    let mut lines = record.lines();
    assert_eq!(lines.next().unwrap(), format!("topic\t{}", RINGS.join("\t")));
    let mut topics = 0;
    for line in lines {
        let mut cells = line.split('\t');
        let topic = cells.next().unwrap();
        let owners = rings.each_ref().map(|ring| ring.owner(topic.as_bytes()).name());
        assert_eq!(cells.collect::<Vec<_>>(), owners, "{topic}");
        topics += 1;
    }
    assert_eq!(topics, 10_000);
}

#[test]
fn digests_are_the_recorded_ones() {
    let digests = rings().each_ref().map(|ring| format!("{:016x}", ring.digest()));
    assert_eq!(digests, ["3fce23da288476b7", "3a82221a6e62acf1", "c7fa434388e76a5e"]);
    assert_eq!(Ring::example().digest(), 0x3fce_23da_2884_76b7);
}

#[test]
fn the_recorded_names_get_their_share_within_12_percent() {
    for members in 3..=20 {
        let ring = Ring::example_resized(members).unwrap();
        for (member, share) in ring.members().iter().zip(ring.shares()) {
            let ratio = share * members as f64;
            assert!((0.88..=1.12).contains(&ratio), "{members} members: {} has {ratio}", member.name());
        }
    }
}

/// Topics of many shapes: rooms, users, hashes, other scripts, one letter, as long as topics get.
fn topics() -> Vec<String> {
    let numbered = |number: u64| match number % 10 {
        0 => format!("topics:{number}"),
        1 => format!("room:{number:06}"),
        2 => format!("user:{}:inbox", number * 7_919),
        3 => format!("{:016x}", number.wrapping_mul(0x9e37_79b9_7f4a_7c15)),
        4 => format!("räume/größe {number}"),
        5 => format!("部屋:{number}"),
        6 => number.to_string(),
        7 => format!(
            "a/rather/long/path/as/some/people/like/them/{}/{number}",
            "segment/".repeat(number as usize % 8)
        ),
        8 => format!("🔔{number}"),
        _ => format!("game:{}:player:{}", number / 100, number % 100),
    };
    let first = ["topics:matrix".to_owned(), "a".to_owned(), "phoenix:live".to_owned(), "x".repeat(1_024)];
    first.into_iter().chain((4..10_000).map(numbered)).collect()
}

#[test]
#[ignore = "makes the record anew, which is a change of every cluster's placement; delete the old one first"]
fn record() {
    let rings = rings();
    let mut file = File::create_new(recorded("owners.tsv")).unwrap();
    writeln!(file, "topic\t{}", RINGS.join("\t")).unwrap();
    for topic in topics() {
        let owners = rings.each_ref().map(|ring| ring.owner(topic.as_bytes()).name());
        writeln!(file, "{topic}\t{}", owners.join("\t")).unwrap();
    }
}
