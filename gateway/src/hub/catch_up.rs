//! Listeners of one topic that are behind it: they came back with a position, or the topic's link broke. They are
//! given what they missed step by step, and go live in the step in which their cursor meets the topic's last offset
//! (rule L6). Command in, effects out, as in the topic's own rules.

use std::collections::BTreeMap;
use std::time::Instant;

use campanile_proto::planted::{Fault, planted};
use campanile_proto::{Epoch, Message};

use crate::client::outbox::{Item, Resumed};
use crate::hub::effect::{Counted, Effect, Listener};
use crate::hub::reason::Reason;
use crate::hub::replay::Replay;

/// Those who are behind.
#[derive(Debug, Default)]
pub(crate) struct CatchUp {
    /// By the listener's id.
    behind: BTreeMap<u64, Behind>,
    replay: Replay,
    /// The one read that is under way.
    reading: Option<(Epoch, u64)>,
}

/// One listener.
#[derive(Debug)]
struct Behind {
    listener: Listener,
    /// It has everything up to this position.
    epoch: Epoch,
    cursor: u64,
    /// Until when it must be told that it listens; `None` once it has been.
    deadline: Option<Instant>,
    /// The last step still lies in its client's outbox.
    stepping: bool,
    /// Its topic began anew: it is told where it stands as soon as that is known.
    renewed: bool,
}

impl CatchUp {
    /// Whether nobody is behind.
    pub(crate) fn is_empty(&self) -> bool {
        self.behind.is_empty()
    }

    /// A listener that has everything up to this position. `deadline` is for one that has not been told yet that it
    /// listens.
    pub(crate) fn add(
        &mut self,
        listener: Listener,
        (epoch, cursor): (Epoch, u64),
        deadline: Option<Instant>,
    ) {
        let behind = Behind { listener, epoch, cursor, deadline, stepping: false, renewed: false };
        self.behind.insert(behind.listener.id, behind);
    }

    /// A listener whose topic has begun a new life, all of which it wants, if that can be had.
    pub(crate) fn add_renewed(&mut self, listener: Listener, epoch: Epoch) {
        let (cursor, deadline) = (0, None);
        let behind = Behind { listener, epoch, cursor, deadline, stepping: false, renewed: true };
        self.behind.insert(behind.listener.id, behind);
    }

    /// A listener leaves.
    pub(crate) fn remove(&mut self, id: u64) -> Option<Listener> {
        let removed = self.behind.remove(&id);
        self.forget_if_unused();
        removed.map(|behind| behind.listener)
    }

    /// A new subscription: nothing that was asked under the old one is answered.
    pub(crate) fn restart(&mut self) {
        self.reading = None;
    }

    /// A new epoch: what is here belongs to the old one.
    pub(crate) fn forget(&mut self) {
        self.replay.clear();
    }

    /// A live message.
    pub(crate) fn live(&mut self, offset: u64, message: &Message) {
        self.replay.add_live(offset, message);
    }

    /// Whether this is the position that was asked for; then the read is over.
    pub(crate) fn answers(&mut self, position: (Epoch, u64)) -> bool {
        self.reading.take_if(|asked| *asked == position).is_some()
    }

    /// A listener's client has taken its last step. Whether anybody is known by this id.
    pub(crate) fn stepped(&mut self, id: u64) -> bool {
        self.behind.get_mut(&id).map(|behind| behind.stepping = false).is_some()
    }

    /// What a read has brought.
    pub(crate) fn part(&mut self, from: u64, messages: Vec<Message>) {
        // Nothing comes behind the last of all numbers.
        self.replay.add_part((from.saturating_add(1)..).zip(messages).collect());
    }

    /// The owner has judged that a position cannot be continued: whoever stands there, or no better, goes on with
    /// the next live message and is told.
    pub(crate) fn gone(
        &mut self,
        (judged, from): (Epoch, u64),
        oldest: Option<u64>,
        position: (Epoch, u64),
        live: &mut Vec<Listener>,
        effects: &mut Vec<Effect>,
    ) {
        let (epoch, last) = position;
        let no_better = |behind: &Behind, replay: &Replay| match () {
            () if behind.epoch != judged || behind.stepping => false,
            // All of another epoch are alike.
            () if judged != epoch => true,
            // Ahead.
            () if from > last => behind.cursor > last,
            // Too old.
            () => behind.cursor <= from && !replay.continues(behind.cursor),
        };
        for behind in self.take_if(no_better) {
            let Behind { listener, cursor, deadline, .. } = behind;
            if deadline.is_some() {
                effects.push(listener.joined(position, Some(Resumed { recovered: false, oldest })));
            } else {
                let missed = Counted::Missed(last.saturating_sub(cursor));
                effects.push(Effect::Count(if judged == epoch { missed } else { Counted::NewEpoch }));
                effects.push(listener.lost(position));
            }
            live.push(listener);
        }
    }

    /// Gives everybody the next step, and moves those who have met the topic's last offset to the live ones. Returns
    /// what is to be read, if it is nobody's here and nothing is being read.
    pub(crate) fn advance(
        &mut self,
        topic: &[u8],
        position: (Epoch, u64),
        live: &mut Vec<Listener>,
        effects: &mut Vec<Effect>,
    ) -> Option<(Epoch, u64)> {
        // Whoever is furthest behind is asked for first: the others may find theirs in the same part.
        let ids: Vec<u64> = self.behind.keys().copied().collect();
        let stuck = ids.into_iter().filter_map(|id| self.give(id, topic, position, live, effects));
        let wanted = stuck.min_by_key(|(_, cursor)| *cursor);
        self.forget_if_unused();
        self.read(wanted)
    }

    /// The same for one listener: many who come back together would otherwise look at each other again and again.
    pub(crate) fn advance_one(
        &mut self,
        id: u64,
        topic: &[u8],
        position: (Epoch, u64),
        live: &mut Vec<Listener>,
        effects: &mut Vec<Effect>,
    ) -> Option<(Epoch, u64)> {
        let wanted = self.give(id, topic, position, live, effects);
        self.forget_if_unused();
        self.read(wanted)
    }

    fn read(&mut self, wanted: Option<(Epoch, u64)>) -> Option<(Epoch, u64)> {
        if self.reading.is_some() {
            return None;
        }
        self.reading = wanted;
        wanted
    }

    /// Gives a listener its next step, if it is here; otherwise returns where it stands.
    fn give(
        &mut self,
        id: u64,
        topic: &[u8],
        (epoch, last): (Epoch, u64),
        live: &mut Vec<Listener>,
        effects: &mut Vec<Effect>,
    ) -> Option<(Epoch, u64)> {
        let behind = self.behind.get_mut(&id).filter(|behind| !behind.stepping)?;
        let can_go_on =
            behind.epoch == epoch && (behind.cursor == last || self.replay.continues(behind.cursor));
        if !can_go_on {
            return Some((behind.epoch, behind.cursor));
        }
        if behind.deadline.take().is_some() {
            let resumed = Resumed { recovered: true, oldest: None };
            effects.push(behind.listener.joined((epoch, behind.cursor), Some(resumed)));
            effects.push(Effect::Count(Counted::Recovered));
        }
        if std::mem::take(&mut behind.renewed) {
            effects.push(behind.listener.lost((epoch, behind.cursor)));
        }
        let client = behind.listener.client.clone();
        let tell = |item| effects.push(Effect::Tell(client.clone(), item));
        behind.cursor = self.replay.give(topic, &behind.listener, (epoch, behind.cursor), tell);
        if behind.cursor == last || planted(Fault::LiveTooEarly) {
            live.extend(self.behind.remove(&id).map(|behind| behind.listener));
        } else {
            behind.stepping = true;
            effects.push(Effect::Tell(client, Item::Step { channel: behind.listener.channel }));
        }
        None
    }

    /// Tells those whose time is up that they do not listen. Returns how many of them counted.
    pub(crate) fn expire(&mut self, now: Instant, effects: &mut Vec<Effect>) -> u32 {
        let is_over = |behind: &Behind, _: &Replay| behind.deadline.is_some_and(|deadline| deadline <= now);
        let mut counted = 0;
        for behind in self.take_if(is_over) {
            counted += u32::from(behind.listener.counts);
            effects.push(behind.listener.failed(Reason::OwnerUnreachable));
        }
        self.forget_if_unused();
        counted
    }

    /// When the first time is up.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.behind.values().filter_map(|behind| behind.deadline).min()
    }

    fn take_if(&mut self, is_it: impl Fn(&Behind, &Replay) -> bool) -> Vec<Behind> {
        let found = self.behind.iter().filter(|(_, behind)| is_it(behind, &self.replay));
        let ids: Vec<u64> = found.map(|(id, _)| *id).collect();
        ids.into_iter().filter_map(|id| self.behind.remove(&id)).collect()
    }

    fn forget_if_unused(&mut self) {
        if self.behind.is_empty() {
            self.replay.clear();
        }
    }
}
