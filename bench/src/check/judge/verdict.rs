//! What a topic's members still lack: what would be broken if nothing more came.

use super::breach::{Breach, ranges_text};
use super::topic::Topic;
use crate::faults::FaultKind;
use crate::sequence::Ranges;

impl Topic {
    /// What would be broken if nothing more came: asked until it is nothing, and at the end.
    pub(crate) fn open_questions(&self) -> Vec<Breach> {
        let mut breaches = Vec::new();
        let newest = self.ledger.epochs.len().saturating_sub(1);
        for (member, stream) in self.members.iter().enumerate() {
            let name = &stream.name;
            let Some(at) = stream.at.filter(|_| stream.joined.is_some()) else {
                let words = format!("{name} could not come back");
                breaches.push(Breach::one(FaultKind::NotBack, words));
                continue;
            };
            breaches.extend(self.missing(member, at.0, stream.gaps()));
            let epoch = &self.ledger.epochs[at.0];
            if at.0 != newest {
                let words = format!(
                    "{name} stands at {} and was not told of the new epoch {}",
                    self.at_text(at),
                    self.ledger.epochs[newest].name
                );
                breaches.push(Breach::one(FaultKind::NotTold, words));
            } else if at.1 < epoch.highest {
                let mut rest = Ranges::default();
                rest.insert(at.1 + 1, epoch.highest);
                breaches.extend(self.missing(member, at.0, &rest));
            }
        }
        breaches.extend(self.never_seen());
        breaches
    }

    /// Acknowledged, and not seen by members who were there all the time and were told of no loss.
    fn never_seen(&self) -> impl Iterator<Item = Breach> {
        self.ledger.messages.iter().filter_map(|(number, message)| {
            let offset = message.acknowledged?;
            let seen = message.places.iter().any(|place| place.1 == offset);
            if seen || message.judged {
                return None;
            }
            let lacking = self
                .members
                .iter()
                .filter(|stream| stream.joined.is_some() && stream.unbroken_since < message.sent_at);
            let names: Vec<&str> = lacking.map(|stream| stream.name.as_str()).collect();
            let first = names.first()?;
            let publisher = &self.members[message.publisher].name;
            Some(Breach {
                kind: FaultKind::Missing,
                count: names.len() as u64,
                words: format!(
                    "publish {number} of {publisher} was acknowledged with offset {offset} and nobody saw it there; \
                     {first} and {} others were told of no loss",
                    names.len() - 1
                ),
            })
        })
    }

    /// These offsets never came to this member; none if there are none.
    pub(super) fn missing(&self, member: usize, epoch: usize, gaps: &Ranges) -> Option<Breach> {
        let &(first, last) = gaps.ranges().first()?;
        let numbers = self.ledger.numbers(epoch, first, last);
        let mut as_ranges = Ranges::default();
        numbers.iter().for_each(|&number| as_ranges.insert(number, number));
        let numbers = match numbers.is_empty() {
            true => String::new(),
            false => format!(" (publish {})", ranges_text(as_ranges.ranges())),
        };
        let words = format!(
            "{} lacks offset {}{numbers} of epoch {} and was not told",
            self.members[member].name,
            ranges_text(gaps.ranges()),
            self.ledger.epochs[epoch].name
        );
        Some(Breach { kind: FaultKind::Missing, count: gaps.total(), words })
    }
}
