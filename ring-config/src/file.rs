//! The ring file: TOML to a draft with places, and a ring to TOML.

use std::fmt::Write as _;

use toml_edit::{Document, Item, Table};

use crate::check::{Draft, DraftMember, Findings};
use crate::fields::{Fields, kind_of, place_of, place_of_key};
use crate::ring::{Ring, VIRTUAL_NODES_DEFAULT};

/// The key of the members' tables.
pub(crate) const MEMBERS: &str = "topic_server";

const KEYS: [&str; 3] = ["version", "virtual_nodes", MEMBERS];
const MEMBER_KEYS: [&str; 3] = ["name", "address", "weight"];

/// Reads what the text says, as far as it can be read.
pub(crate) fn read(text: &str, findings: &mut Findings) -> Draft {
    let document = match Document::parse(text) {
        Ok(document) => document,
        Err(error) => {
            findings.add(error.span().map(|span| span.start), format!("not TOML: {}", error.message()));
            return Draft::default();
        }
    };
    let root = document.as_table();
    let mut fields = Fields::of(root, &KEYS, findings);
    let version = fields.integer("version", None);
    let virtual_nodes = fields.integer("virtual_nodes", Some(VIRTUAL_NODES_DEFAULT.into()));
    let members = read_members(root, findings);
    Draft { at: Some(0), version, virtual_nodes, members }
}

fn read_members(root: &Table, findings: &mut Findings) -> Option<Vec<DraftMember>> {
    match root.get(MEMBERS) {
        None => Some(Vec::new()),
        Some(Item::ArrayOfTables(tables)) => {
            Some(tables.iter().map(|table| read_member(table, findings)).collect())
        }
        Some(Item::Value(value)) if value.as_array().is_some_and(|array| array.is_empty()) => {
            Some(Vec::new())
        }
        Some(other) => {
            let at = place_of_key(root, MEMBERS).or_else(|| place_of(other));
            let says = format!("members are written as [[{MEMBERS}]] tables, not as {}", kind_of(other));
            findings.add(at, says);
            None
        }
    }
}

fn read_member(table: &Table, findings: &mut Findings) -> DraftMember {
    let mut fields = Fields::of(table, &MEMBER_KEYS, findings);
    let at = table.span().map(|span| span.start);
    let name = fields.string("name");
    let address = fields.string("address");
    let weight = fields.integer("weight", Some(1));
    DraftMember { at, name, address, weight }
}

/// The text of a ring. Names and addresses need no escapes: their checks allow no quote and no backslash.
pub(crate) fn write(ring: &Ring) -> String {
    let mut text = format!("version = {}\nvirtual_nodes = {}\n", ring.version(), ring.virtual_nodes());
    for member in ring.members() {
        let (name, address, weight) = (member.name(), member.address(), member.weight());
        let table = format!("name = \"{name}\"\naddress = \"{address}\"\nweight = {weight}\n");
        // Writing to a String cannot fail.
        let _ = write!(text, "\n[[{MEMBERS}]]\n{table}");
    }
    text
}
