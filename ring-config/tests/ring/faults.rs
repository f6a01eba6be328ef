//! Every fault of a ring file, with its line; and several at once.

use campanile_ring_config::{Member, Ring};

const GOOD: &str = "version = 1
virtual_nodes = 16

[[topic_server]]
name = \"ts-a\"
address = \"127.0.0.1:5001\"
weight = 1

[[topic_server]]
name = \"ts-b\"
address = \"127.0.0.1:5002\"
";

/// The faults of the good file with one text in place of another.
fn faults_of(old: &str, new: &str) -> String {
    assert!(GOOD.contains(old), "{old}");
    faults(&GOOD.replacen(old, new, 1))
}

fn faults(text: &str) -> String {
    Ring::parse("ring.toml", text).unwrap_err().to_string()
}

#[test]
fn the_good_file_and_the_example_have_none() {
    let ring = Ring::parse("ring.toml", GOOD).unwrap();
    assert_eq!((ring.version(), ring.virtual_nodes()), (1, 16));
    assert_eq!(ring.member("ts-b"), Some(&Member::new("ts-b", "127.0.0.1:5002", 1)));
    assert_eq!(ring.member("ts-c"), None);
    let example = Ring::example();
    assert_eq!((example.version(), example.virtual_nodes()), (1, 512));
    assert_eq!(example, Ring::example_resized(2).unwrap());
}

#[test]
fn each_fault_names_its_line() {
    for (old, new, says) in [
        ("version = 1\n", "\n", "ring.toml:1: version is missing"),
        (
            "version = 1\n",
            "version = 0\n",
            "ring.toml:1: version is 0; it must be from 1 to 9223372036854775807",
        ),
        (
            "version = 1\n",
            "version = -1\n",
            "ring.toml:1: version is -1; it must be from 1 to 9223372036854775807",
        ),
        ("version = 1\n", "version = \"1\"\n", "ring.toml:1: version must be a whole number, not a text"),
        (
            "version = 1\n",
            "version = 1.0\n",
            "ring.toml:1: version must be a whole number, not a number with a fraction",
        ),
        (
            "version = 1\n",
            "version = true\n",
            "ring.toml:1: version must be a whole number, not true or false",
        ),
        ("version = 1\n", "version.x = 1\n", "ring.toml:1: version must be a whole number, not a table"),
        ("= 16", "= 0", "ring.toml:2: virtual_nodes is 0; it must be from 1 to 65536"),
        ("= 16", "= 65537", "ring.toml:2: virtual_nodes is 65537; it must be from 1 to 65536"),
        ("= 16", "= []", "ring.toml:2: virtual_nodes must be a whole number, not a list"),
        ("= 16", "= 2020-01-01", "ring.toml:2: virtual_nodes must be a whole number, not a date"),
        (
            "weight = 1\n",
            "weight = 0\n",
            "ring.toml:7: weight is 0; a member that is to own nothing is removed instead",
        ),
        ("weight = 1\n", "weight = 1001\n", "ring.toml:7: weight is 1001; it must be from 1 to 1000"),
        ("weight = 1\n", "weight = -1\n", "ring.toml:7: weight is -1; it must be from 1 to 1000"),
        (
            "weight = 1\n",
            "weight = 1.5\n",
            "ring.toml:7: weight must be a whole number, not a number with a fraction",
        ),
        ("name = \"ts-a\"\n", "", "ring.toml:4: name is missing"),
        ("\"ts-a\"", "1", "ring.toml:5: name must be a text in quotes, not a whole number"),
        ("\"ts-a\"", "\"\"", "ring.toml:5: name is empty"),
        (
            "\"ts-a\"",
            "\"ts a\"",
            "ring.toml:5: name \"ts a\" may only hold letters, digits, '-', '_' and '.'",
        ),
        ("\"ts-b\"", "\"ts-a\"", "ring.toml:10: name \"ts-a\" stands twice (first in line 5)"),
        ("address = \"127.0.0.1:5002\"\n", "", "ring.toml:9: address is missing"),
        (":5002", ":5001", "ring.toml:11: address \"127.0.0.1:5001\" stands twice (first in line 6)"),
        (
            ":5002",
            ":0",
            "ring.toml:11: address \"127.0.0.1:0\" has port 0, which nobody can dial: write host:port, like \
             \"127.0.0.1:5001\", \"[::1]:5001\" or \"ts-a.example.net:5001\"",
        ),
        (
            "version = 1\n",
            "version = 1\nvirtual-nodes = 9\n",
            "ring.toml:2: unknown key \"virtual-nodes\"; did you mean \"virtual_nodes\"?",
        ),
        ("weight = 1\n", "wieght = 1\n", "ring.toml:7: unknown key \"wieght\"; did you mean \"weight\"?"),
        (
            "weight = 1\n",
            "colour = 1\n",
            "ring.toml:7: unknown key \"colour\"; known are name, address, weight",
        ),
        (
            "weight = 1\n",
            "weight = 1\n[extra]\n",
            "ring.toml:8: unknown key \"extra\"; known are version, virtual_nodes, topic_server",
        ),
    ] {
        assert_eq!(faults_of(old, new), says, "{new}");
    }
}

#[test]
fn broken_toml_names_its_line() {
    for (old, new, line) in [("= 16", "16", 2), ("\"ts-a\"", "\"ts-a", 5), ("weight = 1", "name = \"x\"", 7)]
    {
        let says = faults_of(old, new);
        assert!(says.starts_with(&format!("ring.toml:{line}: not TOML: ")), "{says}");
        assert_eq!(says.lines().count(), 1, "{says}");
    }
    let deep = format!("version = {}", "[".repeat(100_000));
    assert!(faults(&deep).contains("not TOML"));
}

#[test]
fn a_ring_without_members_is_empty() {
    let empty = "ring.toml:1: the ring is empty; it needs at least one [[topic_server]]";
    assert_eq!(faults("version = 1"), empty);
    assert_eq!(faults("version = 1\ntopic_server = []"), empty);
    assert_eq!(faults(""), format!("ring.toml:1: version is missing\n{empty}"));
    assert_eq!(Ring::new(1, 512, Vec::new()).unwrap_err().to_string(), empty.replace("ring.toml:1", "ring"));
    assert!(Ring::example_resized(0).is_err());
}

#[test]
fn members_in_another_form_say_the_right_one() {
    for (text, kind) in [
        ("version = 1\n[topic_server]\nname = \"a\"", "a table"),
        ("version = 1\ntopic_server = 3", "a whole number"),
        ("version = 1\ntopic_server = [{name = \"a\"}]", "a list"),
    ] {
        let says = faults(text);
        assert!(says.starts_with("ring.toml:2: members are written as [[topic_server]] tables"), "{says}");
        assert!(says.ends_with(kind), "{says}");
    }
}

#[test]
fn addresses_that_only_look_different_are_the_same() {
    for (one, other) in [("[::1]:7", "[0:0::1]:7"), ("Host.example:7", "host.EXAMPLE:007")] {
        let text = GOOD.replace("127.0.0.1:5001", one).replace("127.0.0.1:5002", other);
        assert!(faults(&text).contains("stands twice (first in line 6)"), "{one} {other}");
    }
}

#[test]
fn all_faults_at_once_in_the_order_of_lines() {
    let text = "virtual_nodes = 0
extra = 1

[[topic_server]]
name = \"ts-a\"
address = \"nowhere\"
weight = 0

[[topic_server]]
name = \"ts-a\"
adress = \"127.0.0.1:5001\"
weight = \"2\"
";
    let says = faults(text);
    let starts: Vec<&str> = says.lines().map(|line| line.split_inclusive(": ").next().unwrap()).collect();
    assert_eq!(
        starts,
        [
            "ring.toml:1: ",
            "ring.toml:1: ",
            "ring.toml:2: ",
            "ring.toml:6: ",
            "ring.toml:7: ",
            "ring.toml:9: ",
            "ring.toml:10: ",
            "ring.toml:11: ",
            "ring.toml:12: "
        ],
        "{says}"
    );
    assert!(says.contains("did you mean \"address\"?"), "{says}");
}

#[test]
fn size_is_bounded() {
    let members = |count: u16, weight| -> Vec<Member> {
        (1..=count)
            .map(|port| Member::new(format!("ts-{port}"), format!("127.0.0.1:{port}"), weight))
            .collect()
    };
    let many = Ring::new(1, 1, members(1_000, 1)).unwrap();
    assert_eq!(many.members().len(), 1_000);
    assert_eq!(
        many.owner(many.members()[7].name().as_bytes()),
        many.owner(many.members()[7].name().as_bytes())
    );
    let says = Ring::new(1, 1, members(1_001, 1)).unwrap_err().to_string();
    assert_eq!(says, "ring: 1001 members; at most 1000 are allowed");
    let says = Ring::new(1, 65_536, members(62, 1)).unwrap_err().to_string();
    assert!(says.contains("is 4063232; at most 4000000 are allowed"), "{says}");
    let text = format!("version = 1\nvirtual_nodes = 65536\n{}", many_tables(62));
    assert!(faults(&text).starts_with("ring.toml:2: virtual_nodes 65536 times"), "{}", faults(&text));
    let text = format!("version = 1\nvirtual_nodes = 1\n{}", many_tables(1_001));
    assert_eq!(faults(&text), "ring.toml:3003: 1001 members; at most 1000 are allowed");
    assert!(Ring::new(0, 1, members(1, 1)).is_err());
    assert!(Ring::new(u64::MAX, 1, members(1, 1)).is_err());
    assert!(Ring::example_resized(1_001).is_err());
}

fn many_tables(count: usize) -> String {
    (1..=count)
        .map(|port| format!("[[topic_server]]\nname = \"n{port}\"\naddress = \"h:{port}\"\n"))
        .collect()
}

#[test]
fn resized_examples_go_on_after_z() {
    let ring = Ring::example_resized(28).unwrap();
    let member = |name| ring.member(name).map(Member::address);
    assert_eq!(member("ts-a"), Some("127.0.0.1:5001"));
    assert_eq!(member("ts-z"), Some("127.0.0.1:5026"));
    assert_eq!(member("ts-aa"), Some("127.0.0.1:5027"));
    assert_eq!(member("ts-ab"), Some("127.0.0.1:5028"));
}

#[test]
fn other_addresses_keep_owners_and_change_the_digest() {
    let ring = Ring::example();
    let moved = ring.with_addresses(|member| member.address().replace(":500", ":600")).unwrap();
    assert_eq!(moved.member("ts-b").map(Member::address), Some("127.0.0.1:6002"));
    assert_eq!(moved.version(), ring.version());
    assert_ne!(moved.digest(), ring.digest());
    assert_eq!(moved.owner(b"topics:matrix").name(), ring.owner(b"topics:matrix").name());
    assert!(ring.with_addresses(|_| "127.0.0.1:1".to_owned()).is_err());
}

#[test]
fn the_digest_is_of_the_values() {
    let digest = |text: &str| Ring::parse("ring.toml", text).unwrap().digest();
    let good = digest(GOOD);
    assert_eq!(digest(&GOOD.replace("version = 1", "# new\nversion = 2")), good);
    assert_eq!(digest(&GOOD.replace("weight = 1\n", "")), good);
    for (old, new) in [("= 16", "= 17"), ("ts-a", "ts-x"), (":5002", ":5003"), ("weight = 1", "weight = 2")] {
        assert_ne!(digest(&GOOD.replace(old, new)), good, "{new}");
    }
}
