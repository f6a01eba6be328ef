//! Edits of the ring: members join, leave, move and weigh differently.

use campanile_ring_config::Member;

use super::maker::Maker;
use super::{Kind, Operation, Process};

impl Maker<'_> {
    pub(super) fn edit(&mut self, at: u64) {
        match self.random.u32(..11) {
            0..4 => self.join_member(at),
            4..6 => self.remove_member(at),
            6 => self.replace_address(at),
            7..9 => self.reweigh(),
            // Taken back: the values of an earlier ring under a new version.
            _ => self.take_back(),
        }
        let version = self.save_ring();
        // Reads within a second unless something is wrong; then some wait for the next edit, or for better times.
        let late_gateways = self.random.u32(..4) == 0;
        let skips = matches!(self.kind, Kind::Torn | Kind::Everything) && self.random.u32(..4) == 0;
        let mut reach = |count: usize, late: bool| -> Vec<Option<u64>> {
            (0..count)
                .map(|_| {
                    let skipped = skips && self.random.u32(..3) == 0;
                    (!skipped).then(|| match self.random.u32(..3) {
                        _ if late => self.random.u64(500..1_000),
                        0 => self.random.u64(0..20),
                        1 => self.random.u64(0..200),
                        _ => self.random.u64(0..1_000),
                    })
                })
                .collect()
        };
        let gateways = reach(self.gateways, late_gateways);
        let servers = reach(8, false);
        self.operations.push((at, Operation::Edit { version, gateways, servers }));
    }

    pub(super) fn join_member(&mut self, at: u64) {
        let names = ["a", "b", "c", "d", "e"];
        let free: Vec<&str> = names
            .into_iter()
            .filter(|name| !self.members.iter().any(|(spot, _)| self.spots[*spot].name == **name))
            .collect();
        let Some(name) = self.random.choice(free) else { return self.reweigh() };
        let old = self.spots.iter().position(|spot| spot.name == name);
        let spot = match old {
            Some(spot) => spot,
            None => {
                // A standby that has run all the while, or one that starts only then.
                let running = self.random.bool();
                let spot = self.add_spot(name, running);
                if !running {
                    let start = (at + self.random.u64(0..1_600)).saturating_sub(700);
                    self.start_far_away(start, spot);
                }
                spot
            }
        };
        let weight = self.random.u32(1..=2);
        self.members.push((spot, weight));
    }

    fn remove_member(&mut self, at: u64) {
        if self.members.len() < 2 {
            return self.join_member(at);
        }
        self.members.swap_remove(self.random.usize(..self.members.len()));
    }

    fn replace_address(&mut self, at: u64) {
        let index = self.random.usize(..self.members.len());
        let (old, weight) = self.members[index];
        if self.spots.len() >= 7 {
            return self.reweigh();
        }
        let name = self.spots[old].name.clone();
        let spot = self.add_spot(&name, false);
        let start = (at + self.random.u64(0..900)).saturating_sub(600);
        self.start_far_away(start, spot);
        self.members[index] = (spot, weight);
    }

    /// A process starts; sometimes it is slow to hear of the others.
    fn start_far_away(&mut self, at: u64, spot: usize) {
        self.operations.push((at, Operation::Start { process: Process::Server(spot) }));
        if self.random.bool() {
            let most = if matches!(self.kind, Kind::Planned | Kind::Doubled) { 70 } else { 700 };
            for other in (0..self.spots.len()).filter(|other| *other != spot) {
                let (one, other) = (Process::Server(spot), Process::Server(other));
                let (by, lasts) = (self.random.u64(most / 3..most), self.random.u64(500..2_000));
                self.operations.push((at.saturating_sub(1), Operation::Slow { one, other, by, lasts }));
            }
        }
    }

    pub(super) fn reweigh(&mut self) {
        let index = self.random.usize(..self.members.len());
        let weight = &mut self.members[index].1;
        *weight = if *weight == 1 { self.random.u32(2..=4) } else { 1 };
    }

    fn take_back(&mut self) {
        let earlier = &self.rings[self.rings.len().saturating_sub(2)];
        let spot = |member: &Member| self.spots.iter().position(|spot| spot.address == member.address());
        let members = earlier.members().iter();
        self.members = members.filter_map(|member| Some((spot(member)?, member.weight()))).collect();
    }
}
