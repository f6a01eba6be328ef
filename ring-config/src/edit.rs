//! Edits of a ring file that keep its comments and its format, raise its version by one, and are checked as a
//! whole before anybody writes them.

use std::fmt;

use campanile_process::settings::{Fault, Faults, nearest};
use toml_edit::{ArrayOfTables, DocumentMut, Item, Table, Value, value};

use crate::file::MEMBERS;
use crate::member::{canonical_address, fault_in_name, fault_in_weight};
use crate::ring::Ring;

const BYTE_ORDER_MARK: &str = "\u{feff}";

/// What an edit comes to.
#[derive(Clone, Debug)]
pub struct Edited {
    /// The new text of the file.
    pub text: String,
    /// The ring that the old text held; `None` if it was empty.
    pub before: Option<Ring>,
    /// The ring that the new text holds.
    pub after: Ring,
}

/// Why an edit was not made. The text stays as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EditError {
    /// The file was faulty before, the new values are faulty, or the new file would be.
    Faulty(Faults),
    /// No member has this name.
    NotInRing {
        /// The name that was asked for.
        name: String,
        /// The member's name that is most like it.
        near: Option<String>,
    },
    /// A member has this name already, at this address.
    AlreadyInRing {
        /// The name that was to be added.
        name: String,
        /// Where the member of this name is.
        address: String,
    },
    /// The member has these values already, or none were given.
    NothingChanges(String),
    /// The last member cannot be removed.
    WouldBeEmpty(String),
    /// There is no higher version.
    NoHigherVersion,
}

/// Adds a member at the end of the file. A file without members gets its first one.
///
/// # Errors
/// See [`EditError`].
pub fn add(shown: &str, text: &str, name: &str, address: &str, weight: u32) -> Result<Edited, EditError> {
    let before = match Ring::parse(shown, text) {
        Ok(ring) => Some(ring),
        Err(_) if has_no_members(text) => None,
        Err(faults) => return Err(faults.into()),
    };
    if let Some(member) = before.as_ref().and_then(|ring| ring.member(name)) {
        let (name, address) = (name.to_owned(), member.address().to_owned());
        return Err(EditError::AlreadyInRing { name, address });
    }
    let mut faults = Faults::default();
    faults.extend(fault_in_name(name).map(|fault| Fault::new(shown, fault)));
    let address = check_address(shown, before.as_ref(), name, address, &mut faults);
    faults.extend(fault_in_weight(weight.into()).map(|fault| Fault::new(shown, fault)));
    let Some(address) = faults.or(address)? else {
        return Err(Faults::default().into());
    };

    edit(shown, text, before, |document| {
        let mut table = Table::new();
        table.decor_mut().set_prefix("\n");
        table.insert("name", value(name));
        table.insert("address", value(address));
        table.insert("weight", value(i64::from(weight)));
        if members(document).is_none() {
            document.insert(MEMBERS, Item::ArrayOfTables(ArrayOfTables::new()));
        }
        if let Some(members) = members(document) {
            members.push(table);
        }
    })
}

/// Removes a member. Comments right above its table and inside go with it.
///
/// # Errors
/// See [`EditError`].
pub fn remove(shown: &str, text: &str, name: &str) -> Result<Edited, EditError> {
    let before = Ring::parse(shown, text)?;
    find(&before, name)?;
    if before.members().len() == 1 {
        return Err(EditError::WouldBeEmpty(name.to_owned()));
    }
    edit(shown, text, Some(before), |document| {
        let Some(members) = members(document) else { return };
        let Some(index) = members.iter().position(|table| is_named(table, name)) else {
            return;
        };
        let kept = members.get(index).map(comments_above).unwrap_or_default();
        members.remove(index);
        match members.get_mut(index) {
            Some(next) => {
                let own = prefix(next);
                next.decor_mut().set_prefix(kept + &own);
            }
            None if !kept.trim().is_empty() => {
                let own = document.trailing().as_str().unwrap_or_default().to_owned();
                document.set_trailing(kept + &own);
            }
            None => {}
        }
    })
}

/// Gives a member another address, another weight, or both.
///
/// # Errors
/// See [`EditError`].
pub fn set(
    shown: &str,
    text: &str,
    name: &str,
    address: Option<&str>,
    weight: Option<u32>,
) -> Result<Edited, EditError> {
    let before = Ring::parse(shown, text)?;
    let member = find(&before, name)?.clone();
    let mut faults = Faults::default();
    let address = address.and_then(|given| check_address(shown, Some(&before), name, given, &mut faults));
    faults.extend(
        weight.and_then(|weight| fault_in_weight(weight.into())).map(|fault| Fault::new(shown, fault)),
    );
    faults.or(())?;
    let address = address.filter(|address| address != member.address());
    let weight = weight.filter(|weight| *weight != member.weight());
    if address.is_none() && weight.is_none() {
        return Err(EditError::NothingChanges(name.to_owned()));
    }
    edit(shown, text, Some(before), |document| {
        let table =
            members(document).and_then(|members| members.iter_mut().find(|table| is_named(table, name)));
        let Some(table) = table else { return };
        if let Some(address) = address {
            replace(table, "address", address);
        }
        if let Some(weight) = weight {
            replace(table, "weight", i64::from(weight));
        }
    })
}

/// Makes the change, raises the version, and checks the result as a whole.
fn edit(
    shown: &str,
    text: &str,
    before: Option<Ring>,
    change: impl FnOnce(&mut DocumentMut),
) -> Result<Edited, EditError> {
    let not_toml = |error: toml_edit::TomlError| Faults::from(Fault::new(shown, error.message()));
    let mut document: DocumentMut = text.parse().map_err(not_toml)?;
    change(&mut document);
    if let Some(version) = document.get("version").and_then(Item::as_integer) {
        let version = version.checked_add(1).ok_or(EditError::NoHigherVersion)?;
        replace(document.as_table_mut(), "version", version);
    }
    let text = with_line_ends_of(text, &document.to_string());
    let after = Ring::parse(shown, &text)?;
    Ok(Edited { text, before, after })
}

/// The new text with the byte order mark and the line ends of the old one, both of which toml_edit drops.
fn with_line_ends_of(old: &str, new: &str) -> String {
    let mark = if old.starts_with(BYTE_ORDER_MARK) { BYTE_ORDER_MARK } else { "" };
    let new = new.replace("\r\n", "\n");
    if old.contains("\r\n") { format!("{mark}{}", new.replace('\n', "\r\n")) } else { format!("{mark}{new}") }
}

fn has_no_members(text: &str) -> bool {
    text.parse::<DocumentMut>().is_ok_and(|document| match document.get(MEMBERS) {
        None => true,
        Some(item) => item.as_array().is_some_and(|array| array.is_empty()),
    })
}

fn members(document: &mut DocumentMut) -> Option<&mut ArrayOfTables> {
    document.get_mut(MEMBERS).and_then(Item::as_array_of_tables_mut)
}

fn is_named(table: &Table, name: &str) -> bool {
    table.get("name").and_then(Item::as_str) == Some(name)
}

fn find<'a>(ring: &'a Ring, name: &str) -> Result<&'a crate::Member, EditError> {
    ring.member(name).ok_or_else(|| {
        let near = nearest(name, ring.members().iter().map(crate::Member::name)).map(str::to_owned);
        EditError::NotInRing { name: name.to_owned(), near }
    })
}

/// The address in canonical form, unless it is faulty or another member's.
fn check_address(
    shown: &str,
    ring: Option<&Ring>,
    name: &str,
    given: &str,
    faults: &mut Faults,
) -> Option<String> {
    let address = canonical_address(given).map_err(|fault| faults.push(Fault::new(shown, fault))).ok()?;
    let mut others = ring.into_iter().flat_map(Ring::members).filter(|member| member.name() != name);
    if let Some(other) = others.find(|member| member.address() == address) {
        faults.push(Fault::new(shown, format!("address {address:?} is that of {}", other.name())));
        return None;
    }
    Some(address)
}

/// Replaces a value where it stands, with the comment behind it; a key that is missing comes last.
fn replace(table: &mut Table, key: &str, new: impl Into<Value>) {
    match table.get_mut(key).and_then(Item::as_value_mut) {
        Some(old) => {
            let decor = old.decor().clone();
            *old = new.into();
            *old.decor_mut() = decor;
        }
        None => drop(table.insert(key, value(new))),
    }
}

fn prefix(table: &Table) -> String {
    table.decor().prefix().and_then(|prefix| prefix.as_str()).unwrap_or_default().to_owned()
}

/// What stands above a table and is not about it alone: everything up to the last empty line.
fn comments_above(table: &Table) -> String {
    let prefix = prefix(table);
    let mut kept = 0;
    let mut at = 0;
    for line in prefix.split_inclusive('\n') {
        at += line.len();
        if line.trim().is_empty() && line.ends_with('\n') {
            kept = at;
        }
    }
    let kept = &prefix[..kept];
    if kept.contains('#') { kept.to_owned() } else { String::new() }
}

impl From<Faults> for EditError {
    fn from(faults: Faults) -> Self {
        Self::Faulty(faults)
    }
}

impl fmt::Display for EditError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Faulty(faults) => faults.fmt(f),
            Self::NotInRing { name, near: None } => write!(f, "{name:?} is not in the ring"),
            Self::NotInRing { name, near: Some(near) } => {
                write!(f, "{name:?} is not in the ring; did you mean {near:?}?")
            }
            Self::AlreadyInRing { name, address } => {
                write!(f, "{name:?} is in the ring already, at {address}")
            }
            Self::NothingChanges(name) => {
                write!(f, "nothing changes: {name:?} has this address and this weight already")
            }
            Self::WouldBeEmpty(name) => {
                write!(f, "{name:?} is the last member, and a ring needs at least one")
            }
            Self::NoHigherVersion => write!(f, "the version is {} and cannot be raised", i64::MAX),
        }
    }
}

impl std::error::Error for EditError {}
