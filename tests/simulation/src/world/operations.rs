//! What happens to the cluster, as the plan says.

use super::{Event, World};
use crate::network::End;
use crate::plan::{Operation, Process};

impl World {
    pub(super) fn operate(&mut self, index: usize) {
        let operation = self.plan.operations[index].1.clone();
        if self.calm && !matches!(operation, Operation::Edit { .. }) {
            return;
        }
        self.say(|| format!("{operation:?}"));
        match operation {
            Operation::Edit { version, gateways, servers } => {
                self.newest = self.newest.max(version);
                for _ in 0..10 {
                    let (client, wait) =
                        (self.random.usize(..self.clients.len()), self.random.u64(..1_500_000));
                    self.after(wait, Event::Burst(client));
                }
                let gateways = gateways.iter().enumerate().map(|(index, at)| (Process::Gateway(index), *at));
                let servers = servers.iter().enumerate().map(|(index, at)| (Process::Server(index), *at));
                for (process, at) in gateways.chain(servers) {
                    if let Some(at) = at {
                        self.after(at * 1_000, Event::Reach(process, version));
                    }
                }
            }
            Operation::Cut { one, other, forth, back, lasts } => {
                let until = self.now + lasts * 1_000;
                for (from, to) in [(one, other), (other, one)] {
                    if if from == one { forth } else { back } {
                        self.network.cut(from, to, until);
                    }
                }
                self.at(until, Event::Healed(one, other));
            }
            Operation::Slow { one, other, by, lasts } => {
                self.network.slow(one, other, by * 1_000, self.now + lasts * 1_000);
            }
            Operation::Reset { one, other } => {
                for line in self.network.between(one, other) {
                    for (end, at) in self.network.reset(line, self.now) {
                        self.at(at, Event::Arrive(line, end));
                    }
                }
            }
            Operation::Stranger { server } => self.claim_as_a_stranger(server),
            Operation::Kill { process, silent } => self.kill(process, silent),
            Operation::Start { process } => self.start(process),
        }
    }

    pub(super) fn healed(&mut self, one: Process, other: Process) {
        for line in self.network.between(one, other) {
            self.at(self.now, Event::Arrive(line, End::Dialer));
            self.at(self.now, Event::Arrive(line, End::Acceptor));
        }
    }
}
