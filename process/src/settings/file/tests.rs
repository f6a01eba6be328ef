//! Values, types, unknown keys and lines of a config file.

use super::*;
use crate::testing::Folder;

static TABLE: &[Setting] = &[
    setting("idle-seconds", Kind::Seconds { min: 1, max: 60 }),
    setting("frame-bytes", Kind::Bytes { min: 1, max: 1 << 20 }),
    setting("most", Kind::Count { min: 1, max: 9 }),
    setting("origin", Kind::Text),
    setting("mode", Kind::Choice(&["a", "b"])),
];

const fn setting(name: &'static str, kind: Kind) -> Setting {
    Setting { name, value: "X", kind, default: "", help: "" }
}

fn parse(text: &str) -> Result<ConfigFile, String> {
    ConfigFile::parse("c.toml", text.into(), &[TABLE], &["things"]).map_err(|faults| faults.to_string())
}

#[test]
fn values_keep_what_was_written() {
    let file = parse(
        "idle_seconds = 0.25\nframe_bytes = \"1 KiB\"\nmost = 0x0A\norigin = \"any\"\n[[things]]\nx = 1\n",
    );
    let file = file.unwrap();
    let value = |at: usize| file.value(&TABLE[at]).unwrap().unwrap();
    assert_eq!([0, 1, 2, 3].map(value), ["0.25", "1 KiB", "10", "any"]);
    assert_eq!(file.value(&TABLE[4]), None);
    assert_eq!(file.place("most"), "c.toml:3: most");
    let things = file.document().get("things").unwrap().as_array_of_tables().unwrap();
    let span = things.get(0).unwrap().get_key_value("x").unwrap().0.span().unwrap();
    assert_eq!((file.line_of(span), file.shown()), (6, "c.toml"));
}

#[test]
fn a_wrong_type_says_what_to_write() {
    let file = parse("idle_seconds = true\nframe_bytes = 1.5\nmost = \"1\"\norigin = 4\n[mode]\n").unwrap();
    let fault = |at: usize| file.value(&TABLE[at]).unwrap().unwrap_err();
    assert_eq!(fault(0), "is a boolean; give a number without quotes, 1 to 60");
    assert_eq!(fault(1), "is a float; give a text in quotes: 1 to 1 MiB");
    assert_eq!(fault(2), "is a string; give a number without quotes, 1 to 9");
    assert_eq!(fault(3), "is an integer; give a text in quotes");
    assert_eq!(fault(4), "is a table; give a text in quotes: a, b");
}

#[test]
fn every_unknown_key_names_the_nearest() {
    let faults = parse("\nidel_seconds = 1\nmost = 1\n[[thing]]\n[zzzzzzzz]\n").unwrap_err();
    assert_eq!(
        faults,
        "c.toml:2: idel_seconds: unknown key; did you mean idle_seconds?\n\
         c.toml:4: thing: unknown key; did you mean things?\n\
         c.toml:5: zzzzzzzz: unknown key; known are the options that --help lists, with _ for -"
    );
    let faults = parse("idle-seconds = 1").unwrap_err();
    assert_eq!(faults, "c.toml:1: idle-seconds: unknown key; did you mean idle_seconds?");
}

#[test]
fn syntax_errors_name_their_line() {
    for (text, line) in [
        ("most = 1\nmost = 2\n", "c.toml:2: duplicate key"),
        ("\n\nmost = \n", "c.toml:3: "),
        ("most", "c.toml:1: "),
        ("[[things]\n", "c.toml:1: "),
        ("origin = \"\"\"\nopen", "c.toml:2: "),
    ] {
        let faults = parse(text).unwrap_err();
        assert!(faults.starts_with(line), "{text:?}: {faults}");
    }
}

#[test]
fn no_text_panics() {
    let parts = ["most", "=", "[", "]", "\"", "\n", "1", ".", "things", "{", "}", "é", "\0", "'", "#", "-"];
    let mut random = fastrand::Rng::with_seed(7);
    for _ in 0..20_000 {
        let text: String = (0..random.usize(..12)).map(|_| parts[random.usize(..parts.len())]).collect();
        if let Ok(file) = parse(&text) {
            TABLE.iter().for_each(|setting| drop(file.value(setting)));
        }
    }
}

#[test]
fn a_file_that_cannot_be_read_is_a_fault() {
    let folder = Folder::new();
    let read = |name: &str| ConfigFile::read(&folder.path(name), &[TABLE], &[]).unwrap_err().to_string();
    assert!(read("none.toml").contains("none.toml: cannot be read: No such file"));
    std::fs::write(folder.path("bytes.toml"), b"origin = 'a'\n\xff").unwrap();
    assert!(read("bytes.toml").ends_with("bytes.toml: cannot be read: the file is not UTF-8 (line 2)"));
    std::fs::write(folder.path("good.toml"), "most = 1").unwrap();
    ConfigFile::read(&folder.path("good.toml"), &[TABLE], &[]).unwrap();
}

#[test]
fn near_words() {
    let near = |word| nearest(word, ["name", "address", "weight"]);
    assert_eq!(near("nmae"), Some("name"));
    assert_eq!(near("Adress"), Some("address"));
    assert_eq!(near("wieght"), Some("weight"));
    assert_eq!(near("colour"), None);
    assert_eq!(near(&"a".repeat(101)), None);
    assert_eq!(nearest("x", []), None);
}

#[test]
fn lines_count_from_one() {
    assert_eq!([0, 1, 2, 99].map(|offset| line_of("a\nb", offset)), [1, 1, 2, 2]);
    assert_eq!(line_of("", 0), 1);
}
