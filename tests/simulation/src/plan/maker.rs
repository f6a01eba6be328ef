//! Makes a plan: who there is, and what it begins with. What then happens stands in the rooms beside this one.

use std::ops::Range;

use campanile_ring_config::{Member, Ring};

use super::{Kind, Operation, Plan, Process, Spot};

/// Points per unit of weight: few, so that rings are made quickly.
const VIRTUAL_NODES: u32 = 24;

/// Makes a plan.
pub(super) struct Maker<'a> {
    pub(super) random: &'a mut fastrand::Rng,
    pub(super) kind: Kind,
    pub(super) gateways: usize,
    pub(super) spots: Vec<Spot>,
    /// Which spots are members, with their weights.
    pub(super) members: Vec<(usize, u32)>,
    pub(super) rings: Vec<Ring>,
    pub(super) lasts: u64,
    pub(super) operations: Vec<(u64, Operation)>,
}

impl<'a> Maker<'a> {
    pub(super) fn new(random: &'a mut fastrand::Rng, kind: Kind) -> Self {
        let count = match kind {
            Kind::Laggard | Kind::Newcomer => random.usize(1..=2),
            Kind::TakenBack | Kind::TornHandoff | Kind::Split => random.usize(2..=3),
            _ => random.usize(1..=3),
        };
        let names = ["a", "b", "c", "d", "e"];
        let spots = (0..count)
            .map(|index| Spot {
                name: names[index].to_owned(),
                address: format!("10.0.0.{}:1", index + 1),
                running: true,
            })
            .collect();
        let members = (0..count).map(|index| (index, random.u32(1..=2))).collect();
        let gateways = if kind == Kind::Reused { 2 } else { random.usize(3..=4) };
        let lasts = random.u64(12_000..20_000);
        let mut maker =
            Self { random, kind, gateways, spots, members, rings: Vec::new(), lasts, operations: Vec::new() };
        maker.save_ring();
        maker
    }

    pub(super) fn fill(&mut self) {
        let edits = match self.kind {
            Kind::Quiet | Kind::Links | Kind::Deaths => 0,
            Kind::Planned | Kind::Torn | Kind::Everything => self.random.u64(1..=5),
            _ => return self.aim(),
        };
        let mut at = self.random.u64(1_500..4_000);
        for _ in 0..edits {
            self.edit(at);
            at += match self.random.u32(..6) {
                0 => self.random.u64(5..100),
                1 | 2 => self.random.u64(100..1_100),
                _ => self.random.u64(1_100..5_000),
            };
        }
        if self.kind == Kind::Planned && self.random.u32(..4) == 0 {
            let server = self.random.usize(..self.spots.len());
            let at = self.random.u64(1_500..self.lasts);
            self.operations.push((at, Operation::Stranger { server }));
        }
        if self.kind == Kind::Planned && self.random.bool() {
            // Slower, but sound.
            for _ in 0..self.random.u32(1..4) {
                let (one, other) = (self.anybody(), Process::Server(self.random.usize(..self.spots.len())));
                let (by, lasts) = (self.random.u64(3..60), self.random.u64(1_000..9_000));
                let at = self.random.u64(500..8_000);
                self.operations.push((at, Operation::Slow { one, other, by, lasts }));
            }
        }
        self.lasts = self.lasts.max(at + 3_000);
        let troubles = match self.kind {
            Kind::Links | Kind::Torn | Kind::Deaths => self.random.u64(2..=8),
            Kind::Everything => self.random.u64(3..=10),
            _ => 0,
        };
        for _ in 0..troubles {
            // Near an edit, if there is one: that is when it hurts.
            let edits: Vec<u64> = self
                .operations
                .iter()
                .filter(|(_, operation)| matches!(operation, Operation::Edit { .. }))
                .map(|(at, _)| *at)
                .collect();
            let at = match self.random.choice(&edits) {
                Some(edit) if self.random.u32(..3) > 0 => edit + self.random.u64(0..1_500),
                _ => self.random.u64(1_000..self.lasts),
            };
            let at = at.saturating_sub(self.random.u64(..200));
            match (self.kind, self.random.u32(..10)) {
                (Kind::Deaths, _) | (Kind::Everything, 0..4) => self.death(at),
                _ => self.trouble(at),
            }
        }
    }

    pub(super) fn anybody(&mut self) -> Process {
        if self.random.bool() {
            Process::Server(self.random.usize(..self.spots.len()))
        } else {
            Process::Gateway(self.random.usize(..self.gateways))
        }
    }

    pub(super) fn save_and_read(&mut self, at: u64, gateways: Range<u64>, servers: Range<u64>) {
        let version = self.save_ring();
        let gateways = (0..self.gateways).map(|_| Some(self.random.u64(gateways.clone()))).collect();
        let servers = (0..8).map(|_| Some(self.random.u64(servers.clone()))).collect();
        self.operations.push((at, Operation::Edit { version, gateways, servers }));
    }

    pub(super) fn add_spot(&mut self, name: &str, running: bool) -> usize {
        let address = format!("10.0.0.{}:1", self.spots.len() + 1);
        self.spots.push(Spot { name: name.to_owned(), address, running });
        self.spots.len() - 1
    }

    pub(super) fn save_ring(&mut self) -> u64 {
        let version = self.rings.len() as u64 + 1;
        let members = self.members.iter().map(|(spot, weight)| {
            Member::new(self.spots[*spot].name.clone(), self.spots[*spot].address.clone(), *weight)
        });
        let ring = Ring::new(version, VIRTUAL_NODES, members.collect()).expect("a good ring");
        self.rings.push(ring);
        version
    }

    pub(super) fn finish(mut self, seed: u64) -> Plan {
        self.operations.sort_by_key(|(at, _)| *at);
        let planned = matches!(self.kind, Kind::Quiet | Kind::Planned | Kind::Doubled);
        let edits =
            self.operations.iter().filter(|(_, operation)| matches!(operation, Operation::Edit { .. }));
        let edits: Vec<u64> = edits.map(|(at, _)| *at).collect();
        let topics = self.random.usize(8..=16);
        let births = (0..topics).map(|_| match self.random.choice(&edits) {
            Some(edit) if self.random.u32(..3) > 0 => (edit + self.random.u64(..1_200)).saturating_sub(200),
            _ => 0,
        });
        let births = births.collect();
        Plan {
            seed,
            kind: self.kind,
            gateways: self.gateways,
            clients: if self.kind == Kind::Reused { 4 } else { self.random.usize(9..=15) },
            flighty: self.kind == Kind::Reused,
            topics,
            history: if !planned && self.random.u32(..4) == 0 { self.random.usize(3..20) } else { 1_000 },
            keeps: if self.kind == Kind::Forgotten {
                1
            } else if !planned && self.random.u32(..3) == 0 {
                self.random.u64(1..=2)
            } else {
                120
            },
            large: self.random.u32(..6) == 0,
            glitches: matches!(self.kind, Kind::Links | Kind::Everything) && self.random.u32(..3) == 0,
            births,
            spots: self.spots,
            rings: self.rings,
            lasts: self.lasts,
            operations: self.operations,
        }
    }
}
