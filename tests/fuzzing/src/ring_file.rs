//! The ring file: text to a ring and back, and the edits that `campanile ring` makes.

use campanile_process::settings::Faults;
use campanile_ring_config::Ring;
use campanile_ring_config::edit::{self, EditError, Edited};
use toml_edit::Document;

use crate::Verdict;

/// How the file is called in faults.
const SHOWN: &str = "ring.toml";

/// Rings of more points than this are left out: they take their time and their memory by what they are, up to a bound
/// that a test of its own keeps, and a search for bad input would do nothing else.
const POINTS: i64 = 50_000;

/// A text of a ring.
pub(crate) fn run(data: &[u8]) -> Verdict {
    let Ok(text) = std::str::from_utf8(data) else { return Verdict::Refused };
    if !is_small(text) {
        return Verdict::Refused;
    }
    match Ring::parse(SHOWN, text) {
        Err(faults) => {
            check_faults(&faults, SHOWN, text);
            let added = edit::add(SHOWN, text, "fuzz", "127.0.0.1:9", 1);
            check_edited(added, text, None, |ring| ring.member("fuzz").is_some());
            Verdict::Refused
        }
        Ok(ring) => {
            check(&ring);
            check_edits(&ring, text);
            Verdict::Accepted
        }
    }
}

/// Whether the ring of this text has few points. What is no ring at all, or too large for one, is small.
pub(crate) fn is_small(text: &str) -> bool {
    let Ok(document) = Document::parse(text) else { return true };
    let number = |item: Option<&toml_edit::Item>| item.and_then(|item| item.as_integer());
    let virtual_nodes = number(document.get("virtual_nodes")).unwrap_or(512);
    let tables = document.get("topic_server").and_then(|tables| tables.as_array_of_tables());
    let weights = tables.into_iter().flatten().map(|table| number(table.get("weight")).unwrap_or(1));
    let weights = weights.fold(0, |sum: i64, weight| sum.saturating_add(weight.max(0)));
    let points = weights.saturating_mul(virtual_nodes);
    points <= POINTS || points > campanile_ring_config::ring::POINTS_MAX as i64
}

/// Each fault names its line, is one line itself, and says something; there are not more of them than the text can hold.
pub(crate) fn check_faults(faults: &Faults, shown: &str, text: &str) {
    assert!(!faults.is_empty(), "refused without a word: {text:?}");
    let lines = 1 + text.matches('\n').count();
    assert!(faults.0.len() <= 8 + text.len(), "{} faults in {} bytes", faults.0.len(), text.len());
    for fault in &faults.0 {
        let place = fault.place.strip_prefix(shown).expect("a fault names the file");
        if let Some(place) = place.strip_prefix(':') {
            let line = place.split(':').next().unwrap_or_default();
            let line: usize = line.parse().expect("a fault names its line");
            assert!((1..=lines).contains(&line), "{fault} in a text of {lines} lines");
        }
        assert!(fault.text.len() > 8, "{fault:?} says nothing");
        let says = fault.to_string();
        assert!(!says.contains(char::is_control), "{says:?} would break a terminal");
        assert!(says.len() <= 512 + 12 * text.len(), "{} bytes about {}", says.len(), text.len());
    }
}

fn check(ring: &Ring) {
    let again = Ring::parse("again", &ring.to_toml()).expect("a ring's own text");
    assert_eq!((&again, again.digest()), (ring, ring.digest()));
    let names: Vec<_> = ring.members().iter().map(|member| member.name()).collect();
    assert!(names.is_sorted_by(|one, two| one < two), "{names:?}");
    let whole: f64 = ring.shares().iter().sum();
    assert!((whole - 1.0).abs() < 1e-9, "the shares are {whole}");
    for topic in [&b""[..], b"topics:matrix", &[0xff; 1_024]] {
        assert_eq!(ring.owner(topic), again.owner(topic));
        assert_eq!(&ring.members()[ring.owner_index(topic)], ring.owner(topic));
    }
}

fn check_edits(ring: &Ring, text: &str) {
    let added = edit::add(SHOWN, text, "fuzz", "127.0.0.1:9", 1);
    check_edited(added, text, Some(ring), |after| after.members().len() == ring.members().len() + 1);
    let first = ring.members()[0].name();
    let removed = edit::remove(SHOWN, text, first);
    check_edited(removed, text, Some(ring), |after| after.member(first).is_none());
    let set = edit::set(SHOWN, text, first, None, Some(7));
    check_edited(set, text, Some(ring), |after| {
        after.member(first).is_some_and(|member| member.weight() == 7)
    });
}

/// An edit raises the version by one, does what was asked for, and its text is its ring; or it says why not.
fn check_edited(
    edited: Result<Edited, EditError>,
    text: &str,
    before: Option<&Ring>,
    is_done: impl Fn(&Ring) -> bool,
) {
    match edited {
        Ok(Edited { text: new, before: found, after }) => {
            assert_eq!(found.as_ref(), before);
            assert!(is_done(&after), "{text:?} became {new:?}");
            assert!(before.is_none_or(|before| after.version() == before.version() + 1), "{new:?}");
            assert_eq!(Ring::parse(SHOWN, &new).expect("an edit leaves a ring"), after);
        }
        Err(EditError::Faulty(faults)) => assert!(!faults.is_empty() && !faults.to_string().is_empty()),
        Err(error) => assert!(error.to_string().len() > 8, "{error:?} says nothing"),
    }
}
