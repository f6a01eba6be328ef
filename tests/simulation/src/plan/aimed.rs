//! Scenarios around one interleaving that hurts.

use super::maker::Maker;
use super::{Kind, Operation, Process};

impl Maker<'_> {
    /// A scenario around one interleaving that hurts.
    pub(super) fn aim(&mut self) {
        let mut at = self.random.u64(2_000..3_500);
        for _ in 0..self.random.u32(2..4) {
            match self.kind {
                Kind::Doubled => self.doubled(at),
                Kind::TornHandoff => self.torn_handoff(at),
                Kind::Newcomer => self.newcomer(at),
                Kind::Laggard => self.laggard(at),
                Kind::TakenBack => self.taken_back(at),
                Kind::Forgotten => self.forgotten(at),
                Kind::Split => self.split(at),
                _ => self.reused(at),
            }
            at += self.random.u64(4_500..6_000);
        }
        self.lasts = at + 1_000;
    }

    fn doubled(&mut self, at: u64) {
        self.edit(at);
        let next = at + self.random.u64(5..700);
        self.edit(next);
        if self.random.bool() {
            let next = next + self.random.u64(5..700);
            self.edit(next);
        }
    }

    fn torn_handoff(&mut self, at: u64) {
        if self.members.len() < 3 && self.random.u32(..3) > 0 {
            self.join_member(at);
        } else if let Some((_, weight)) = self.members.last_mut() {
            *weight += 3;
        }
        self.save_and_read(at, 0..30, 0..5);
        let running = self.spots.len();
        for server in 0..running {
            // One gateway hears of it late, and is heard late.
            let (one, other) = (Process::Gateway(0), Process::Server(server));
            let (by, lasts) = (self.random.u64(150..700), 1_500);
            self.operations.push((at.saturating_sub(100), Operation::Slow { one, other, by, lasts }));
        }
        // The one that takes most of them dies of it, or links break.
        let taker = self.members.last().map(|(spot, _)| *spot).filter(|_| self.random.u32(..3) == 0);
        let (dies, back) = (at + self.random.u64(480..620), self.random.u64(20..900));
        if let Some(taker) = taker {
            let process = Process::Server(taker);
            self.operations.push((dies, Operation::Kill { process, silent: false }));
            self.operations.push((dies + back, Operation::Start { process }));
        }
        for one in 0..running {
            for other in 0..running {
                if one == other {
                    continue;
                }
                let (from, to) = (Process::Server(one), Process::Server(other));
                if one < other {
                    let slow = Operation::Slow { one: from, other: to, by: 40, lasts: 700 };
                    self.operations.push((at + 100, slow));
                }
                // Topics that nobody asks for are asked for 250 ms after the edit: so late their states are there, and
                // nobody hears so.
                let begin = at + self.random.u64(268..325);
                let lasts = if taker == Some(one) { dies - begin } else { self.random.u64(20..350) };
                if taker.is_some() && taker != Some(one) {
                    continue;
                }
                self.operations
                    .push((begin, Operation::Cut { one: from, other: to, forth: true, back: false, lasts }));
                let end = begin + self.random.u64(lasts / 2..=lasts);
                if taker != Some(one) {
                    self.operations.push((end, Operation::Reset { one: from, other: to }));
                }
            }
        }
    }

    fn newcomer(&mut self, at: u64) {
        let before = self.spots.len();
        let names = ["a", "b", "c", "d", "e"];
        let spot = self.add_spot(names[before % 5], false);
        if before >= 5 {
            return;
        }
        self.members.push((spot, 3));
        self.save_and_read(at, 0..50, 0..50);
        let start = at + self.random.u64(100..500);
        self.operations.push((start, Operation::Start { process: Process::Server(spot) }));
        for other in 0..before {
            let (one, other) = (Process::Server(spot), Process::Server(other));
            let (by, lasts) = (self.random.u64(100..400), 1_500);
            self.operations.push((start - 1, Operation::Slow { one, other, by, lasts }));
        }
        for gateway in 0..self.gateways - 1 {
            let process = Process::Gateway(gateway);
            self.operations.push((at.saturating_sub(50), Operation::Kill { process, silent: false }));
            let back = start + self.random.u64(1..200);
            self.operations.push((back, Operation::Start { process }));
        }
    }

    fn laggard(&mut self, at: u64) {
        let before = self.spots.len();
        let names = ["a", "b", "c", "d", "e"];
        if before >= 5 {
            return self.reweigh();
        }
        let spot = self.add_spot(names[before], true);
        self.members.push((spot, 3));
        let version = self.save_ring();
        let late = |random: &mut fastrand::Rng, is_late: bool| {
            Some(if is_late { random.u64(700..1_000) } else { random.u64(0..20) })
        };
        let gateways = (0..self.gateways).map(|gateway| late(self.random, gateway % 2 == 0)).collect();
        let servers = (0..8).map(|other| late(self.random, other != spot)).collect();
        self.operations.push((at, Operation::Edit { version, gateways, servers }));
    }

    fn taken_back(&mut self, at: u64) {
        let members = self.members.clone();
        if self.random.bool() {
            self.join_member(at.saturating_sub(1_500))
        } else {
            self.reweigh()
        }
        let version = self.save_ring();
        let servers: Vec<_> = (0..8).map(|_| Some(self.random.u64(0..10))).collect();
        let gateways = vec![None; self.gateways];
        self.operations.push((at, Operation::Edit { version, gateways, servers }));
        self.members = members;
        let next = at + self.random.u64(350..700);
        self.save_and_read(next, 0..60, 0..10);
        let end = next + self.random.u64(150..900);
        for gateway in 0..self.gateways {
            for server in 0..self.spots.len() {
                let (one, other) = (Process::Server(server), Process::Gateway(gateway));
                let begin = at + self.random.u64(0..200) - 60;
                let cut = Operation::Cut { one, other, forth: true, back: false, lasts: end - begin };
                self.operations.push((begin, cut));
                self.operations.push((end - 1, Operation::Reset { one, other }));
            }
        }
    }

    fn forgotten(&mut self, at: u64) {
        for gateway in 0..self.gateways {
            for server in 0..self.spots.len() {
                let (one, other) = (Process::Server(server), Process::Gateway(gateway));
                let cut = Operation::Cut { one, other, forth: true, back: false, lasts: 2_600 };
                self.operations.push((at, cut));
                self.operations.push((at + 400, Operation::Reset { one, other }));
            }
        }
    }

    fn split(&mut self, at: u64) {
        if let Some((_, weight)) = self.members.last_mut() {
            *weight += 3;
        }
        self.save_and_read(at + 4_000, 0..100, 0..100);
        for one in 0..self.spots.len() {
            for other in 0..one {
                let (one, other) = (Process::Server(one), Process::Server(other));
                let cut = Operation::Cut { one, other, forth: true, back: true, lasts: 11_000 };
                self.operations.push((at, cut));
            }
        }
    }

    fn reused(&mut self, at: u64) {
        for gateway in 0..self.gateways {
            for server in 0..self.spots.len() {
                let (one, other) = (Process::Server(server), Process::Gateway(gateway));
                let (by, lasts) = (self.random.u64(900..1_900), 4_000);
                self.operations.push((at, Operation::Slow { one, other, by, lasts }));
            }
        }
    }
}
