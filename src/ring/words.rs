//! What `campanile ring` prints: for people, and as JSON.

use std::fmt::Write as _;

use campanile_ring_config::diff::Flow;
use campanile_ring_config::{Member, Movement, Ring};

/// Length of the longest bar of `show`, in characters.
const BAR: f64 = 40.0;

pub(super) fn show_text(shown: &str, ring: &Ring) -> String {
    let mut text = format!(
        "{shown}: {}\ndigest {:016x}, {} virtual nodes per unit of weight\n\n",
        summary(ring),
        ring.digest(),
        ring.virtual_nodes(),
    );
    let shares = ring.shares();
    let most = shares.iter().copied().fold(0.0, f64::max);
    let widest = |title: &str, value: fn(&Member) -> &str| {
        ring.members().iter().map(|member| value(member).len()).max().unwrap_or(0).max(title.len())
    };
    let (name_width, address_width) = (widest("name", Member::name), widest("address", Member::address));
    let _ = writeln!(text, "{:name_width$}  {:address_width$}  weight    share", "name", "address");
    for (member, share) in ring.members().iter().zip(shares) {
        let (name, address, weight) = (member.name(), member.address(), member.weight());
        let bar = "#".repeat(((share / most * BAR).round() as usize).max(1));
        let share = percent(share);
        let _ =
            writeln!(text, "{name:name_width$}  {address:address_width$}  {weight:>6}  {share:>7}  {bar}");
    }
    text
}

/// Names and addresses stand as they are: a checked ring has none with a quote, a backslash or a control character.
pub(super) fn show_json(ring: &Ring) -> String {
    let members = ring.members().iter().zip(ring.shares()).map(|(member, share)| {
        let (name, address, weight) = (member.name(), member.address(), member.weight());
        format!(r#"{{"name":"{name}","address":"{address}","weight":{weight},"share":{share}}}"#)
    });
    format!(
        "{{\"version\":{},\"digest\":\"{:016x}\",\"virtual_nodes\":{},\"members\":[{}]}}\n",
        ring.version(),
        ring.digest(),
        ring.virtual_nodes(),
        members.collect::<Vec<_>>().join(","),
    )
}

pub(super) fn movement_text(movement: &Movement, text: &mut String) {
    if movement.flows().is_empty() {
        text.push_str("no topic moves\n");
        return;
    }
    let _ = writeln!(text, "{} of all topics move", percent(movement.share()));
    for Flow { from, to, share } in movement.flows() {
        let share = percent(*share);
        let _ = if from.name() == to.name() {
            let (name, old, new) = (from.name(), from.address(), to.address());
            writeln!(text, "{share:>9}  {name} at {old} -> {name} at {new}")
        } else {
            writeln!(text, "{share:>9}  {} -> {}", from.name(), to.name())
        };
    }
}

pub(super) fn diff_json(old: &Ring, new: &Ring, movement: &Movement, adopted: bool) -> String {
    let side =
        |member: &Member| format!(r#"{{"name":"{}","address":"{}"}}"#, member.name(), member.address());
    let flows = movement.flows().iter().map(|Flow { from, to, share }| {
        format!(r#"{{"from":{},"to":{},"share":{share}}}"#, side(from), side(to))
    });
    format!(
        "{{\"old_version\":{},\"new_version\":{},\"adopted\":{adopted},\"share\":{},\"moves\":[{}]}}\n",
        old.version(),
        new.version(),
        movement.share(),
        flows.collect::<Vec<_>>().join(","),
    )
}

pub(super) fn summary(ring: &Ring) -> String {
    let members = ring.members().len();
    format!("version {}, {members} member{}", ring.version(), if members == 1 { "" } else { "s" })
}

fn percent(share: f64) -> String {
    if share > 0.0 && share < 0.0001 { "<0.01 %".to_owned() } else { format!("{:.2} %", share * 100.0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ring(text: &str) -> Ring {
        Ring::parse("ring.toml", text).unwrap()
    }

    #[test]
    fn show_aligns_and_draws_a_bar_per_member() {
        let text = show_text("ring.toml", &Ring::example());
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "ring.toml: version 1, 2 members");
        assert_eq!(lines[3], "name  address         weight    share");
        assert!(lines[4].starts_with("ts-a  127.0.0.1:5001       1  47.67 %  ###"), "{text}");
        assert!(lines[5].ends_with(&format!(" {}", "#".repeat(40))), "{text}");
    }

    #[test]
    fn json_is_json() {
        let shown: serde_json::Value = serde_json::from_str(&show_json(&Ring::example())).unwrap();
        assert_eq!(shown["members"][1]["address"], "127.0.0.1:5002");
        let (old, new) = (Ring::example(), Ring::example_resized(3).unwrap());
        let movement = Movement::between(&old, &new);
        let diff: serde_json::Value = serde_json::from_str(&diff_json(&old, &new, &movement, false)).unwrap();
        assert_eq!(diff["moves"][0]["to"]["name"], "ts-c");
        assert_eq!(diff["adopted"], false);
        assert_eq!(diff["share"], movement.share());
    }

    #[test]
    fn what_moves_is_named() {
        let said = |old: &str, new: &str| {
            let mut text = String::new();
            movement_text(&Movement::between(&ring(old), &ring(new)), &mut text);
            text
        };
        let one = "version = 1\n[[topic_server]]\nname = \"a\"\naddress = \"h:1\"\n";
        assert_eq!(said(one, one), "no topic moves\n");
        let elsewhere = said(one, &one.replace("h:1", "h:2"));
        assert_eq!(elsewhere, "100.00 % of all topics move\n 100.00 %  a at h:1 -> a at h:2\n");
        let renamed = said(one, &one.replace("\"a\"", "\"b\""));
        assert_eq!(renamed, "100.00 % of all topics move\n 100.00 %  a -> b\n");
        assert_eq!((percent(0.0), percent(0.00001)), ("0.00 %".to_owned(), "<0.01 %".to_owned()));
    }
}
