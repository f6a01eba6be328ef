//! The checks on a ring as a whole; every fault is found, not just the first.

use std::collections::HashMap;

use campanile_process::settings::{Fault, Faults};

use crate::member::{Member, canonical_address, fault_in_name, fault_in_weight};
use crate::ring::{MEMBERS_MAX, POINTS_MAX, VIRTUAL_NODES_MAX};

/// A value and where it stands: the offset of its first byte, if it comes from a file.
#[derive(Clone, Debug)]
pub(crate) struct Found<T> {
    pub(crate) value: T,
    pub(crate) at: Option<usize>,
}

/// A ring as read, before it is checked. A field that is `None` was faulty and has been reported.
#[derive(Debug, Default)]
pub(crate) struct Draft {
    /// Where the ring as a whole starts.
    pub(crate) at: Option<usize>,
    pub(crate) version: Option<Found<i64>>,
    pub(crate) virtual_nodes: Option<Found<i64>>,
    /// `None` if it cannot be told which members were meant.
    pub(crate) members: Option<Vec<DraftMember>>,
}

/// A member as read, before it is checked.
#[derive(Debug)]
pub(crate) struct DraftMember {
    pub(crate) at: Option<usize>,
    pub(crate) name: Option<Found<String>>,
    pub(crate) address: Option<Found<String>>,
    pub(crate) weight: Option<Found<i64>>,
}

/// Faults found so far, each with the offset of what is at fault.
#[derive(Debug, Default)]
pub(crate) struct Findings(Vec<Finding>);

#[derive(Debug)]
struct Finding {
    at: Option<usize>,
    text: String,
    /// Where the thing stands that this one repeats.
    first: Option<usize>,
}

impl<T> Found<T> {
    fn in_code(value: T) -> Option<Self> {
        Some(Self { value, at: None })
    }
}

impl Draft {
    /// A draft of values that come from no file.
    pub(crate) fn from_values(version: u64, virtual_nodes: u32, members: Vec<Member>) -> Self {
        let members = members.into_iter().map(|member| DraftMember {
            at: None,
            name: Found::in_code(member.name().to_owned()),
            address: Found::in_code(member.address().to_owned()),
            weight: Found::in_code(member.weight().into()),
        });
        Self {
            at: None,
            version: Found::in_code(i64::try_from(version).unwrap_or(-1)),
            virtual_nodes: Found::in_code(virtual_nodes.into()),
            members: Some(members.collect()),
        }
    }

    /// The values, if neither reading (whose findings come in) nor the checks here found a fault.
    pub(crate) fn check(self, mut findings: Findings) -> Result<(u64, u32, Vec<Member>), Findings> {
        let version = self.version.and_then(|version| check_version(&version, &mut findings));
        let virtual_nodes = self.virtual_nodes.and_then(|found| check_virtual_nodes(&found, &mut findings));
        let members = self.members.map(|members| check_members(members, self.at, &mut findings));
        if let (Some((virtual_nodes, at)), Some(members)) = (virtual_nodes, &members) {
            check_points(virtual_nodes, at, members, &mut findings);
        }
        match (version, virtual_nodes, members) {
            (Some(version), Some((virtual_nodes, _)), Some(members)) if findings.0.is_empty() => {
                Ok((version, virtual_nodes, members))
            }
            _ => Err(findings),
        }
    }
}

impl Findings {
    /// Adds a fault of what stands at `at`.
    pub(crate) fn add(&mut self, at: Option<usize>, text: impl Into<String>) {
        self.0.push(Finding { at, text: text.into(), first: None });
    }

    /// Adds a fault of what stands at `at` and repeats what stands at `first`.
    pub(crate) fn add_repeated(&mut self, at: Option<usize>, text: String, first: Option<usize>) {
        self.0.push(Finding { at, text, first });
    }

    /// The faults of the file `shown` with this text: first those of the file as a whole, then by line.
    pub(crate) fn into_faults(mut self, shown: &str, text: &str) -> Faults {
        // Found once, not per fault: a long file may hold a fault in every line.
        let ends: Vec<usize> =
            text.bytes().zip(0..).filter(|(byte, _)| *byte == b'\n').map(|(_, at)| at).collect();
        let line = |at| 1 + ends.partition_point(|end| *end < at);
        self.0.sort_by_key(|finding| finding.at);
        let faults = self.0.into_iter().map(|finding| {
            let again = finding.first.map(|first| format!(" (first in line {})", line(first)));
            let place = match finding.at {
                Some(at) => format!("{shown}:{}", line(at)),
                None => shown.to_owned(),
            };
            Fault::new(place, finding.text + &again.unwrap_or_default())
        });
        Faults(faults.collect())
    }
}

fn check_version(version: &Found<i64>, findings: &mut Findings) -> Option<u64> {
    if version.value < 1 {
        findings.add(version.at, format!("version is {}; it must be from 1 to {}", version.value, i64::MAX));
    }
    u64::try_from(version.value).ok()
}

fn check_virtual_nodes(found: &Found<i64>, findings: &mut Findings) -> Option<(u32, Option<usize>)> {
    match u32::try_from(found.value) {
        Ok(number @ 1..=VIRTUAL_NODES_MAX) => Some((number, found.at)),
        _ => {
            let says = format!("virtual_nodes is {}; it must be from 1 to {VIRTUAL_NODES_MAX}", found.value);
            findings.add(found.at, says);
            None
        }
    }
}

fn check_members(drafts: Vec<DraftMember>, at: Option<usize>, findings: &mut Findings) -> Vec<Member> {
    if drafts.is_empty() {
        findings.add(at, "the ring is empty; it needs at least one [[topic_server]]");
    }
    if drafts.len() > MEMBERS_MAX {
        let at = drafts[MEMBERS_MAX].at;
        findings.add(at, format!("{} members; at most {MEMBERS_MAX} are allowed", drafts.len()));
    }
    let (mut names, mut addresses) = (HashMap::new(), HashMap::new());
    let members = drafts.into_iter().filter_map(|draft| {
        let name = draft.name.map(|name| {
            match (fault_in_name(&name.value), names.get(&name.value)) {
                (Some(fault), _) => findings.add(name.at, fault),
                (None, Some(&first)) => {
                    findings.add_repeated(name.at, format!("name {:?} stands twice", name.value), first);
                }
                (None, None) => drop(names.insert(name.value.clone(), name.at)),
            }
            name.value
        });
        let address = draft.address.and_then(|address| match canonical_address(&address.value) {
            Ok(canonical) => {
                if let Some(&first) = addresses.get(&canonical) {
                    findings.add_repeated(address.at, format!("address {canonical:?} stands twice"), first);
                } else {
                    addresses.insert(canonical.clone(), address.at);
                }
                Some(canonical)
            }
            Err(fault) => {
                findings.add(address.at, fault);
                None
            }
        });
        let weight = draft.weight.and_then(|weight| match fault_in_weight(weight.value) {
            Some(fault) => {
                findings.add(weight.at, fault);
                None
            }
            None => u32::try_from(weight.value).ok(),
        });
        Some(Member::new(name?, address?, weight?))
    });
    members.collect()
}

fn check_points(virtual_nodes: u32, at: Option<usize>, members: &[Member], findings: &mut Findings) {
    let weights: u64 = members.iter().map(|member| u64::from(member.weight())).sum();
    let points = weights * u64::from(virtual_nodes);
    if points > POINTS_MAX {
        findings.add(
            at,
            format!(
                "virtual_nodes {virtual_nodes} times the sum of all weights {weights} is {points}; \
                 at most {POINTS_MAX} are allowed"
            ),
        );
    }
}
