//! The judge of one topic: every join, event, notice and answer goes in, in the order in which its member got it.
//!
//! Between members nothing is assumed about the order in which this process reads their sockets: only offsets are
//! compared, and what a member was told before a publish was sent.

use std::time::{Duration, Instant};

use super::breach::Breach;
use super::ledger::Ledger;
use super::stream::{Step, Stream};
use crate::faults::{FaultKind, Faults};
use crate::latency::Latency;

/// After how many events the ledger is looked through for what can be forgotten.
const FORGET_EVERY: u64 = 1_024;

/// A place in a topic, as a client keeps it for its next join.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Position {
    pub(crate) epoch: String,
    pub(crate) offset: u64,
}

/// What the server says in a join's reply or in the event `position`: events after it follow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Standing {
    pub(crate) position: Position,
    pub(crate) recovered: Option<bool>,
}

/// What a join turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Came {
    /// Without a position.
    Fresh,
    Recovered,
    NotRecovered,
}

/// What the answer `not_published` says about a publish.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answered {
    /// It never happened, and nobody may see it.
    Refused,
    /// This sending did nothing, but an earlier one may have.
    Open,
}

/// One topic under judgement.
#[derive(Debug)]
pub(crate) struct Topic {
    pub(crate) name: String,
    pub(super) members: Vec<Stream>,
    pub(super) ledger: Ledger,
    /// The number of the last publish.
    last: u64,
    /// Counts what was heard, so that before and after can be told.
    clock: u64,
    acknowledged: u64,
    events: u64,
    /// From an acknowledged publish's first sending to each member that was there.
    stalls: Latency,
}

impl Topic {
    pub(crate) fn new(name: String) -> Self {
        Self {
            name,
            members: Vec::new(),
            ledger: Ledger::default(),
            last: 0,
            clock: 0,
            acknowledged: 0,
            events: 0,
            stalls: Latency::coarse(),
        }
    }

    /// Adds a member, in words such as `subscriber 7`; gives the number under which it is spoken of here.
    pub(crate) fn add_member(&mut self, name: String) -> usize {
        self.members.push(Stream::new(name));
        self.members.len() - 1
    }

    /// With what a member must resume; none before its first join.
    pub(crate) fn position(&self, member: usize) -> Option<Position> {
        let (epoch, offset) = self.members[member].at?;
        let epoch = self.ledger.epochs[epoch].name.clone();
        Some(Position { epoch, offset })
    }

    /// A join was answered `ok`.
    pub(crate) fn joined(
        &mut self,
        member: usize,
        told: &Standing,
        now: Instant,
        faults: &mut Faults,
    ) -> Came {
        self.clock += 1;
        let epoch = self.ledger.epoch(&told.position.epoch);
        let at = (epoch, told.position.offset);
        self.ledger.reached(at);
        let before = self.members[member].at;
        let came = match (before, told.recovered) {
            (None, None) => Came::Fresh,
            (Some(before), Some(true)) if before == at => {
                self.members[member].recovered(now);
                return Came::Recovered;
            }
            (Some(before), Some(true)) => {
                let (had, last) = (&self.ledger.epochs[before.0].name, before.1);
                let words = format!(
                    "{} resumed after offset {last} of epoch {had} and was told recovered: true after {}",
                    self.members[member].name,
                    self.at_text(at)
                );
                self.breach(FaultKind::FalseRecovery, words, faults);
                Came::NotRecovered
            }
            (Some(_), Some(false)) => Came::NotRecovered,
            (_, recovered) => {
                let words = format!(
                    "{}: a join {} a position was answered with recovered: {recovered:?}",
                    self.members[member].name,
                    if before.is_some() { "with" } else { "without" }
                );
                self.breach(FaultKind::Strange, words, faults);
                Came::NotRecovered
            }
        };
        self.broken(member, at, faults);
        self.members[member].joined = Some(now);
        came
    }

    /// The event `position`: the member was told that it has lost something.
    pub(crate) fn noticed(&mut self, member: usize, told: &Standing, faults: &mut Faults) {
        self.clock += 1;
        if told.recovered != Some(false) {
            let words =
                format!("{}: a notice with recovered: {:?}", self.members[member].name, told.recovered);
            self.breach(FaultKind::Strange, words, faults);
        }
        let epoch = self.ledger.epoch(&told.position.epoch);
        let at = (epoch, told.position.offset);
        self.ledger.reached(at);
        self.broken(member, at, faults);
    }

    /// The member's connection or channel is gone.
    pub(crate) fn left(&mut self, member: usize) {
        self.members[member].joined = None;
    }

    fn broken(&mut self, member: usize, at: (usize, u64), faults: &mut Faults) {
        let before = self.members[member].at;
        if let Some((epoch, last)) = before
            && epoch == at.0
            && at.1 < last
        {
            let words = format!(
                "{} had offset {last} and was sent back to {}",
                self.members[member].name,
                self.at_text(at)
            );
            self.breach(FaultKind::WentBack, words, faults);
        }
        let gaps = self.members[member].broken(at, self.clock);
        if let Some((epoch, _)) = before
            && let Some(breach) = self.missing(member, epoch, &gaps)
        {
            breach.tell(&self.name, faults);
        }
    }

    /// A member got an undamaged message.
    pub(crate) fn delivered(
        &mut self,
        member: usize,
        offset: u64,
        number: u64,
        now: Instant,
        faults: &mut Faults,
    ) {
        self.clock += 1;
        self.events += 1;
        let stream = &mut self.members[member];
        let step = stream.step(offset);
        let Some((epoch, _)) = stream.at else {
            let words = format!("{}: publish {number} came before the join's reply", stream.name);
            return self.breach(FaultKind::Strange, words, faults);
        };
        let too_many = stream.too_many_gaps();
        let at = (epoch, offset);
        let who = format_args!("{}: publish {number}", stream.name).to_string();
        match step {
            Step::Next | Step::Skipped | Step::Uninvited => {}
            Step::NotRecovered { missing } => {
                let words = format!(
                    "{who} was the first after recovered: true, at {}: {missing} before it did not come",
                    self.at_text(at)
                );
                self.breach(FaultKind::FalseRecovery, words, faults);
            }
            Step::Late => {
                let words = format!("{who} came after a later one, {}", self.at_text(at));
                self.breach(FaultKind::Reordered, words, faults);
            }
            Step::Doubled => {
                let words = format!("{who} came at an offset it had already, {}", self.at_text(at));
                self.breach(FaultKind::Doubled, words, faults);
            }
        }
        if let Some(gaps) = too_many
            && let Some(breach) = self.missing(member, epoch, &gaps)
        {
            breach.tell(&self.name, faults);
        }
        let mut breaches = Vec::new();
        let stream = &self.members[member];
        self.ledger.place(number, at, &stream.name, &mut breaches);
        if step == Step::Next
            && let Some(message) = self.ledger.messages.get_mut(&number)
            && stream.was_there(message.sent)
        {
            let took = now.saturating_duration_since(message.sent);
            match message.acknowledged {
                Some(_) => self.stalls.record(took),
                None => message.early.push(took),
            }
        }
        breaches.into_iter().for_each(|breach| breach.tell(&self.name, faults));
        if self.events.is_multiple_of(FORGET_EVERY) {
            self.forget();
        }
    }

    /// A publish is being sent for the first time: its number.
    pub(crate) fn sent(&mut self, publisher: usize, now: Instant) -> u64 {
        self.clock += 1;
        self.last += 1;
        self.ledger.sent(self.last, publisher, self.clock, now);
        self.last
    }

    /// It is being sent again, with the same key.
    pub(crate) fn sent_again(&mut self, number: u64) {
        if let Some(message) = self.ledger.messages.get_mut(&number) {
            message.sends += 1;
        }
    }

    /// It was answered `ok`. Gives the time since its first sending.
    pub(crate) fn acknowledged(
        &mut self,
        number: u64,
        offset: Option<u64>,
        now: Instant,
        faults: &mut Faults,
    ) -> Option<Duration> {
        self.clock += 1;
        let message = self.ledger.messages.get_mut(&number)?;
        self.acknowledged += 1;
        let took = now.saturating_duration_since(message.sent);
        let early = std::mem::take(&mut message.early);
        let publisher = &self.members[message.publisher].name;
        let Some(offset) = offset else {
            message.given_up = true;
            let words = format!("publish {number} of {publisher} was answered ok without an offset");
            self.breach(FaultKind::WrongOffset, words, faults);
            return Some(took);
        };
        message.acknowledged = Some(offset);
        let elsewhere = message.places.iter().all(|place| place.1 != offset);
        if let Some(&(epoch, seen)) = message.places.first()
            && elsewhere
            && message.sends == 1
        {
            message.judged = true;
            let words = format!(
                "publish {number} of {publisher} was acknowledged with offset {offset} and seen at offset {seen} \
                 of epoch {}",
                self.ledger.epochs[epoch].name
            );
            self.breach(FaultKind::WrongOffset, words, faults);
        }
        early.into_iter().for_each(|took| self.stalls.record(took));
        Some(took)
    }

    /// It was answered `not_published`.
    pub(crate) fn not_published(&mut self, number: u64, faults: &mut Faults) -> Answered {
        let message = self.ledger.messages.get(&number);
        if message.is_some_and(|message| message.sends > 1) {
            return Answered::Open;
        }
        if let Some(breach) = self.ledger.refuse(number) {
            breach.tell(&self.name, faults);
        }
        Answered::Refused
    }

    /// Nobody will learn whether it was published: it may be seen, at most once.
    pub(crate) fn given_up(&mut self, number: u64) {
        if let Some(message) = self.ledger.messages.get_mut(&number) {
            message.given_up = true;
        }
    }

    fn forget(&mut self) {
        let members = &self.members;
        self.ledger.forget(|epoch| {
            let there = members.iter().filter_map(|stream| stream.at.filter(|at| at.0 == epoch));
            there.map(|at| at.1).min().unwrap_or(u64::MAX)
        });
    }

    pub(super) fn at_text(&self, (epoch, offset): (usize, u64)) -> String {
        format!("offset {offset} of epoch {}", self.ledger.epochs[epoch].name)
    }

    fn breach(&self, kind: FaultKind, words: String, faults: &mut Faults) {
        Breach::one(kind, words).tell(&self.name, faults);
    }

    /// From an acknowledged publish's first sending to each member that was there.
    pub(crate) fn stalls(&self) -> &Latency {
        &self.stalls
    }

    /// Publishes that were made, publishes that were acknowledged, events that came.
    pub(crate) fn counts(&self) -> (u64, u64, u64) {
        (self.last, self.acknowledged, self.events)
    }

    /// How many lives the topic's counter had.
    pub(crate) fn epochs(&self) -> usize {
        self.ledger.epochs.len()
    }

    /// Publishes that were sent again and came again under a new epoch, which the contract permits.
    pub(crate) fn repeated_in_new_epoch(&self) -> u64 {
        self.ledger.repeated_in_new_epoch
    }

    /// How much is remembered.
    #[cfg(test)]
    pub(super) fn size(&self) -> usize {
        self.ledger.size()
    }
}
