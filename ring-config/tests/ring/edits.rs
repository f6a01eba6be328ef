//! Edits of the file: what changes, and all that stays.

use campanile_ring_config::edit::{EditError, Edited, add, remove, set};

const FILE: &str = "# The ring.

version = 3            # raise by one
virtual_nodes = 16

# The first host.

# Behind the window.
[[topic_server]]       # old
name = 'ts-a'          # quoted so
address = \"127.0.0.1:5001\"
weight = 0x02          # two

[[topic_server]]
name = \"ts-b\"
address = \"127.0.0.1:5002\"

# The end.
";

fn faults(edited: Result<Edited, EditError>) -> String {
    edited.unwrap_err().to_string()
}

#[test]
fn add_appends_a_table_and_touches_nothing_else() {
    let edited = add("ring.toml", FILE, "ts-c", "LocalHost:5003", 3).unwrap();
    let added = "\n[[topic_server]]\nname = \"ts-c\"\naddress = \"localhost:5003\"\nweight = 3\n";
    let (rest, end) = FILE.split_at(FILE.find("\n# The end.").unwrap());
    assert_eq!(edited.text, format!("{}{added}{end}", rest.replace("version = 3", "version = 4")));
    assert_eq!(edited.before.unwrap().version(), 3);
    assert_eq!((edited.after.version(), edited.after.members().len()), (4, 3));
}

#[test]
fn add_gives_an_empty_ring_its_first_member() {
    for (text, head) in [
        ("version = 1\n", "version = 2\n"),
        ("version = 1 # one", "version = 2 # one\n"),
        ("version = 1\ntopic_server = []\n", "version = 2\n"),
    ] {
        let edited = add("ring.toml", text, "ts-a", "127.0.0.1:5001", 1).unwrap();
        let table = "\n[[topic_server]]\nname = \"ts-a\"\naddress = \"127.0.0.1:5001\"\nweight = 1\n";
        assert_eq!(edited.text, format!("{head}{table}"));
        assert_eq!(edited.before, None);
    }
    let says = faults(add("ring.toml", "", "ts-a", "127.0.0.1:5001", 1));
    assert_eq!(says, "ring.toml:1: version is missing");
}

#[test]
fn add_refuses_bad_values_all_at_once() {
    let says = faults(add("ring.toml", FILE, "ts c", "nowhere", 0));
    let lines: Vec<&str> = says.lines().collect();
    assert_eq!(lines.len(), 3, "{says}");
    assert!(lines.iter().all(|line| line.starts_with("ring.toml: ")), "{says}");
    let says = faults(add("ring.toml", FILE, "ts-c", "127.0.0.1:5001", 1));
    assert_eq!(says, "ring.toml: address \"127.0.0.1:5001\" is that of ts-a");
    let says = faults(add("ring.toml", FILE, "ts-a", "127.0.0.1:9", 1));
    assert_eq!(says, "\"ts-a\" is in the ring already, at 127.0.0.1:5001");
    let full = FILE.replace("virtual_nodes = 16", "virtual_nodes = 65536");
    assert!(
        faults(add("ring.toml", &full, "ts-c", "h:1", 60))
            .starts_with("ring.toml:4: virtual_nodes 65536 times")
    );
}

#[test]
fn remove_takes_the_table_and_its_own_comments() {
    let edited = remove("ring.toml", FILE, "ts-a").unwrap();
    let kept = "# The ring.

version = 4            # raise by one
virtual_nodes = 16

# The first host.


[[topic_server]]
name = \"ts-b\"
address = \"127.0.0.1:5002\"

# The end.
";
    assert_eq!(edited.text, kept);
    let edited = remove("ring.toml", FILE, "ts-b").unwrap();
    let (from, to) =
        (FILE.find("\n[[topic_server]]\nname = \"ts-b\"").unwrap(), FILE.find("\n# The end.").unwrap());
    let expected = format!("{}{}", &FILE[..from], &FILE[to..]).replace("version = 3", "version = 4");
    assert_eq!(edited.text, expected);
}

#[test]
fn remove_of_the_last_table_keeps_what_stands_above_it() {
    let text = "version = 1\n[[topic_server]]\nname = \"a\"\naddress = \"h:1\"\n\n# General.\n\n# Of b.\n\
                [[topic_server]]\nname = \"b\"\naddress = \"h:2\"\n# End.\n";
    let edited = remove("ring.toml", text, "b").unwrap();
    let expected = "version = 2\n[[topic_server]]\nname = \"a\"\naddress = \"h:1\"\n\n# General.\n\n# End.\n";
    assert_eq!(edited.text, expected);
}

#[test]
fn line_ends_and_byte_order_mark_stay() {
    let plain = set("ring.toml", FILE, "ts-a", None, Some(5)).unwrap().text;
    let carriage = |text: &str| format!("\u{feff}{}", text.replace('\n', "\r\n"));
    let edited = set("ring.toml", &carriage(FILE), "ts-a", None, Some(5)).unwrap();
    assert_eq!(edited.text, carriage(&plain));
}

#[test]
fn remove_and_set_know_the_members() {
    let says = faults(remove("ring.toml", FILE, "ts-bb"));
    assert_eq!(says, "\"ts-bb\" is not in the ring; did you mean \"ts-b\"?");
    assert_eq!(
        faults(set("ring.toml", FILE, "elsewhere", None, Some(1))),
        "\"elsewhere\" is not in the ring"
    );
    let one = remove("ring.toml", FILE, "ts-a").unwrap().text;
    assert_eq!(
        faults(remove("ring.toml", &one, "ts-b")),
        "\"ts-b\" is the last member, and a ring needs at least one"
    );
}

#[test]
fn set_replaces_values_where_they_stand() {
    let edited = set("ring.toml", FILE, "ts-a", Some("[0::1]:7"), Some(5)).unwrap();
    let expected = FILE
        .replace("version = 3", "version = 4")
        .replace("\"127.0.0.1:5001\"", "\"[::1]:7\"")
        .replace("weight = 0x02 ", "weight = 5 ");
    assert_eq!(edited.text, expected);
    let edited = set("ring.toml", FILE, "ts-b", None, Some(5)).unwrap();
    let expected = FILE.replace("version = 3", "version = 4").replace(":5002\"\n", ":5002\"\nweight = 5\n");
    assert_eq!(edited.text, expected);
}

#[test]
fn set_refuses_what_changes_nothing_or_is_bad() {
    for (name, address, weight) in [
        ("ts-a", None, None),
        ("ts-a", Some("127.0.0.1:5001"), None),
        ("ts-a", Some("127.0.0.1:5001"), Some(2)),
        ("ts-b", None, Some(1)),
    ] {
        let refused = set("ring.toml", FILE, name, address, weight).unwrap_err();
        assert_eq!(refused, EditError::NothingChanges(name.to_owned()));
    }
    let says = faults(set("ring.toml", FILE, "ts-a", Some("127.0.0.1:5002"), Some(1_001)));
    assert_eq!(
        says,
        "ring.toml: address \"127.0.0.1:5002\" is that of ts-b\n\
         ring.toml: weight is 1001; it must be from 1 to 1000"
    );
}

#[test]
fn a_faulty_file_is_not_edited() {
    let text = FILE.replace("ts-b", "ts-a");
    for edited in [
        add("ring.toml", &text, "ts-c", "h:1", 1),
        remove("ring.toml", &text, "ts-a"),
        set("ring.toml", &text, "ts-a", None, Some(7)),
    ] {
        assert_eq!(faults(edited), "ring.toml:15: name \"ts-a\" stands twice (first in line 10)");
    }
}

#[test]
fn the_highest_version_cannot_be_raised() {
    let text = FILE.replace("version = 3", &format!("version = {}", i64::MAX));
    assert_eq!(remove("ring.toml", &text, "ts-a").unwrap_err(), EditError::NoHigherVersion);
}
