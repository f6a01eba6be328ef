//! Which message lies at which offset, for everybody, and what its publisher was told.
//!
//! What is answered and behind every member is forgotten but for its number, so a run may be of any length.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::breach::Breach;
use crate::faults::FaultKind;
use crate::sequence::Ranges;

/// The life of one counter.
#[derive(Debug)]
pub(super) struct Epoch {
    pub(super) name: String,
    /// Offset to message, for the offsets that somebody may still ask about.
    log: BTreeMap<u64, u64>,
    /// Everything up to here is forgotten.
    base: u64,
    /// The highest offset that anybody was told.
    pub(super) highest: u64,
}

/// One publish.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) publisher: usize,
    pub(super) sent: Instant,
    /// The judge's clock when it was sent first.
    pub(super) sent_at: u64,
    pub(super) sends: u32,
    pub(super) acknowledged: Option<u64>,
    /// No answer will come any more.
    pub(super) given_up: bool,
    /// Where it was seen: epoch's index and offset.
    pub(super) places: Vec<(usize, u64)>,
    /// How long it took to those who saw it before its answer.
    pub(super) early: Vec<Duration>,
    /// The highest offset that was told before it was sent, with the epoch.
    floor: Option<(usize, u64)>,
    /// Its offset was judged wrong already.
    pub(super) judged: bool,
}

/// All messages of a topic.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    pub(super) epochs: Vec<Epoch>,
    pub(super) messages: BTreeMap<u64, Message>,
    /// Answered, seen and forgotten.
    done: Ranges,
    /// The same for those that were sent again, with the epoch's index: under another epoch they may come again.
    done_again: BTreeMap<u64, usize>,
    /// Refused at the first sending: must never be seen.
    refused: Ranges,
    /// Publishes that were sent again and came again under a new epoch, which the contract permits.
    pub(super) repeated_in_new_epoch: u64,
}

impl Ledger {
    /// The index of this epoch, new or known.
    pub(super) fn epoch(&mut self, name: &str) -> usize {
        let known = self.epochs.iter().rposition(|epoch| epoch.name == name);
        known.unwrap_or_else(|| {
            self.epochs.push(Epoch { name: name.to_owned(), log: BTreeMap::new(), base: 0, highest: 0 });
            self.epochs.len() - 1
        })
    }

    /// Somebody was told that the topic has reached this offset.
    pub(super) fn reached(&mut self, (epoch, offset): (usize, u64)) {
        let highest = &mut self.epochs[epoch].highest;
        *highest = offset.max(*highest);
    }

    pub(super) fn sent(&mut self, number: u64, publisher: usize, clock: u64, now: Instant) {
        let newest = self.epochs.len().checked_sub(1);
        let floor = newest.map(|newest| (newest, self.epochs[newest].highest));
        let message = Message {
            publisher,
            sent: now,
            sent_at: clock,
            sends: 1,
            acknowledged: None,
            given_up: false,
            places: Vec::new(),
            early: Vec::new(),
            floor,
            judged: false,
        };
        self.messages.insert(number, message);
    }

    /// The publish is refused for good, at its first sending.
    pub(super) fn refuse(&mut self, number: u64) -> Option<Breach> {
        self.refused.insert(number, number);
        let message = self.messages.remove(&number)?;
        let &(epoch, offset) = message.places.first()?;
        let epoch = &self.epochs[epoch].name;
        Some(Breach::one(
            FaultKind::RefusedButDelivered,
            format!(
                "publish {number} was seen at offset {offset} of epoch {epoch} and then refused as not published"
            ),
        ))
    }

    /// Somebody saw this message at this offset.
    pub(super) fn place(&mut self, number: u64, at: (usize, u64), who: &str, breaches: &mut Vec<Breach>) {
        let (index, offset) = at;
        self.reached(at);
        let epoch = &mut self.epochs[index];
        if offset <= epoch.base {
            return;
        }
        match epoch.log.get(&offset) {
            Some(&known) if known == number => return,
            Some(&known) => {
                let name = &epoch.name;
                return breaches.push(Breach::one(
                    FaultKind::Conflicting,
                    format!("offset {offset} of epoch {name} is publish {number} for {who}, and publish {known} for another"),
                ));
            }
            None => epoch.log.insert(offset, number),
        };
        let name = &self.epochs[index].name;
        let mut breach = |kind, words: String| {
            breaches.push(Breach::one(
                kind,
                format!("{who}: publish {number} {words} (offset {offset}, epoch {name})"),
            ));
        };
        if self.refused.contains(number) {
            return breach(
                FaultKind::RefusedButDelivered,
                "came although it was refused as not published".into(),
            );
        }
        let Some(message) = self.messages.get_mut(&number) else {
            return match self.done_again.get(&number) {
                Some(&known) if known != index => self.repeated_in_new_epoch += 1,
                Some(_) => breach(FaultKind::Doubled, "came again with another offset".into()),
                None if self.done.contains(number) => {
                    breach(FaultKind::Doubled, "came again with another offset".into());
                }
                None => breach(FaultKind::Strange, "was never made".into()),
            };
        };
        let elsewhere = message.places.last().copied();
        message.places.push(at);
        match elsewhere {
            // The memory of keys dies with the owner's, and then the epoch is another.
            Some((other, _)) if other != index && message.sends > 1 => self.repeated_in_new_epoch += 1,
            Some((_, other)) => return breach(FaultKind::Doubled, format!("has offset {other} too")),
            None => {}
        }
        if message.floor.is_some_and(|(epoch, highest)| epoch == index && offset <= highest) {
            let (_, highest) = message.floor.unwrap_or_default();
            breach(FaultKind::WrongOffset, format!("was sent after offset {highest} was told"));
        }
        if let Some(told) = message.acknowledged
            && told != offset
            && message.sends == 1
            && !message.judged
        {
            message.judged = true;
            breach(FaultKind::WrongOffset, format!("was acknowledged with offset {told}"));
        }
    }

    /// Forgets what lies behind every member; `behind` gives for an epoch the offset up to which nobody asks.
    pub(super) fn forget(&mut self, behind: impl Fn(usize) -> u64) {
        for (index, epoch) in self.epochs.iter_mut().enumerate() {
            let behind = behind(index);
            while let Some(entry) = epoch.log.first_entry().filter(|entry| *entry.key() <= behind) {
                let number = *entry.get();
                if let Some(message) = self.messages.get(&number) {
                    // Its answer is still to come, and must be compared.
                    if message.acknowledged.is_none() && !message.given_up {
                        break;
                    }
                    let seen =
                        message.acknowledged.is_none_or(|told| message.places.iter().any(|at| at.1 == told));
                    match message.sends {
                        1 => {
                            self.messages.remove(&number);
                            self.done.insert(number, number);
                        }
                        _ if seen => {
                            self.messages.remove(&number);
                            self.done_again.insert(number, index);
                        }
                        // Acknowledged elsewhere, where nobody has seen it yet.
                        _ => {}
                    }
                }
                epoch.base = *entry.key();
                entry.remove();
            }
        }
    }

    /// The messages at these offsets, as far as anybody saw them.
    pub(super) fn numbers(&self, epoch: usize, first: u64, last: u64) -> Vec<u64> {
        self.epochs[epoch].log.range(first..=last.max(first)).map(|(_, &number)| number).collect()
    }

    /// How much is remembered: offsets and messages.
    #[cfg(test)]
    pub(super) fn size(&self) -> usize {
        self.messages.len() + self.epochs.iter().map(|epoch| epoch.log.len()).sum::<usize>()
    }
}
