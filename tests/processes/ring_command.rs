//! `campanile ring …` as scripts use it.

use std::io::Read;
use std::process::Output;

use super::ring_of;
use crate::harness::folder::Folder;
use crate::harness::process::campanile;

fn run(arguments: &[&str]) -> Output {
    campanile(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[test]
fn owner_prints_a_name_alone_and_of_several_topics_a_table() {
    let folder = Folder::new();
    let ring = folder.write("ring.toml", &ring_of(1, &[("ts-a", "127.0.0.1:1"), ("ts-b", "127.0.0.1:2")]));
    let one = run(&["ring", "owner", &ring, "topics:matrix"]);
    assert_eq!(one.status.code(), Some(0));
    let name = text(&one.stdout);
    assert!(name == "ts-a\n" || name == "ts-b\n", "{name:?}");
    assert_eq!(text(&one.stderr), "");
    let two = run(&["ring", "owner", &ring, "topics:matrix", "x"]);
    let lines: Vec<_> = text(&two.stdout).lines().collect();
    assert_eq!(lines[0], format!("topics:matrix\t{}", name.trim()));
    assert!(lines[1].starts_with("x\tts-"));
    assert_eq!(lines.len(), 2);
}

#[test]
fn the_example_of_the_readme() {
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/ring-config/ring.toml");
    let output = run(&["ring", "owner", example, "topics:matrix"]);
    assert!(matches!(text(&output.stdout), "ts-a\n" | "ts-b\n"), "{output:?}");
}

#[test]
fn a_reader_that_has_seen_enough_is_no_failure() {
    let folder = Folder::new();
    // More than a pipe holds, so that the rest of it cannot be written.
    let long = "x".repeat(55);
    let members: Vec<_> =
        (1000..2000).map(|number| (format!("{long}-{number}"), format!("127.0.0.1:{number}"))).collect();
    let members: Vec<_> = members.iter().map(|(name, address)| (name.as_str(), address.as_str())).collect();
    let ring = folder.write("ring.toml", &ring_of(1, &members));
    let mut child = campanile(&["ring", "show", &ring]).spawn().unwrap();
    // As `head -c 1` does.
    let mut first = [0];
    child.stdout.take().unwrap().read_exact(&mut first).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(text(&output.stderr), "");
    assert_eq!(output.status.code(), Some(0), "{output:?}");
}

#[test]
fn check_names_every_fault_and_ends_with_2() {
    let folder = Folder::new();
    let good = folder.write("good.toml", &ring_of(1, &[("ts-a", "127.0.0.1:1")]));
    assert_eq!(run(&["ring", "check", &good]).status.code(), Some(0));
    let bad = folder.write("bad.toml", "[[topic_server]]\nname = \"a\"\naddress = \"x\"\nweight = 0\n");
    let output = run(&["ring", "check", &bad]);
    assert_eq!(output.status.code(), Some(2));
    let stderr = text(&output.stderr);
    for word in ["version", "bad.toml:3", "bad.toml:4"] {
        assert!(stderr.contains(word), "no {word} in {stderr}");
    }
}

#[test]
fn edits_raise_the_version_and_keep_comments() {
    let folder = Folder::new();
    let ring = folder.write("ring.toml", &format!("# keep me\n{}", ring_of(1, &[("ts-a", "127.0.0.1:1")])));
    assert_eq!(run(&["ring", "add", &ring, "ts-b", "127.0.0.1:2"]).status.code(), Some(0));
    assert_eq!(run(&["ring", "set", &ring, "ts-b", "--weight", "3"]).status.code(), Some(0));
    assert_eq!(run(&["ring", "remove", &ring, "ts-a"]).status.code(), Some(0));
    let edited = std::fs::read_to_string(&ring).unwrap();
    assert!(edited.contains("# keep me") && edited.contains("version = 4"), "{edited}");
    let shown = run(&["ring", "show", &ring]);
    let shown = text(&shown.stdout);
    assert!(shown.contains("ts-b") && !shown.contains("ts-a"), "{shown}");
    assert_eq!(run(&["ring", "remove", &ring, "ts-q"]).status.code(), Some(2));
}

#[test]
fn diff_says_how_much_moves_from_whom_to_whom() {
    let folder = Folder::new();
    let members = [("ts-a", "127.0.0.1:1"), ("ts-b", "127.0.0.1:2"), ("ts-c", "127.0.0.1:3")];
    let old = folder.write("old.toml", &ring_of(1, &members[..2]));
    let new = folder.write("new.toml", &ring_of(2, &members));
    let output = run(&["ring", "diff", &old, &new]);
    let shown = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    for word in ["%", "ts-a", "ts-b", "ts-c", "version 1 -> version 2"] {
        assert!(shown.contains(word), "no {word} in {shown}");
    }
    let back = run(&["ring", "diff", &new, &old]);
    assert!(text(&back.stdout).contains("would refuse"), "{back:?}");
}
