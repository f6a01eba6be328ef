//! Processes start, read rings, look after what falls due, and die.

use std::sync::Arc;

use campanile_proto::Incarnation;
use campanile_ring_config::Ring;
use campanile_topic_server::gateways::outbox::Ending;

use super::{Event, World};
use crate::checker::Invariant;
use crate::gateway::Gateway;
use crate::network::{End, Line, Micros};
use crate::plan::Process;
use crate::server::Server;

/// How often processes look after what falls due.
const TICK: Micros = 10_000;

impl World {
    pub(crate) fn new_life(&mut self) -> Incarnation {
        Incarnation(self.random.u64(1..))
    }

    pub(super) fn start(&mut self, process: Process) {
        let life = self.new_life();
        let ring = Arc::clone(&self.rings[self.newest as usize - 1]);
        self.files.insert(process, self.newest);
        let now = self.instant();
        let first = self.random.u64(..TICK);
        match process {
            Process::Gateway(gateway) if self.gateways[gateway].is_none() => {
                self.say(|| format!("Gateway({gateway}) starts as {life} with ring {}", ring.version()));
                self.gateways[gateway] = Some(Gateway::new(life, ring));
                self.after(first, Event::TickGateway(gateway, life));
            }
            Process::Server(spot) if self.servers[spot].is_none() => {
                self.say(|| format!("Server({spot}) starts as {life} with ring {}", ring.version()));
                let own = &self.plan.spots[spot];
                let place = own.place();
                self.servers[spot] =
                    Some(Server::new(life, place, ring, (self.plan.history, self.plan.keeps), now));
                self.gone[spot] = false;
                self.after(first, Event::TickServer(spot, life));
            }
            _ => {}
        }
    }

    pub(super) fn kill(&mut self, process: Process, silent: bool) {
        let life = match process {
            Process::Gateway(gateway) => self.gateways[gateway].take().map(|gateway| gateway.life),
            Process::Server(spot) => {
                self.gone[spot] = silent;
                self.servers[spot].take().map(|server| server.life)
            }
        };
        let Some(life) = life else { return };
        self.say(|| format!("{process:?} dies"));
        for (line, end) in self.network.of(process, life) {
            self.close(line, end, silent);
        }
        if let Process::Gateway(gateway) = process {
            for client in 0..self.clients.len() {
                if self.clients[client].session.as_ref().is_some_and(|session| session.gateway == gateway) {
                    self.lose_session(client);
                }
            }
        }
    }

    /// One end of a connection closes itself.
    pub(crate) fn close(&mut self, line: Line, end: End, silent: bool) {
        if let Some(at) = self.network.close(line, end, silent, self.now) {
            self.at(at, Event::Arrive(line, end.other()));
        }
    }

    /// A ring lies where a process reads it; by now it may be a newer one, and the one between is skipped.
    pub(super) fn reach(&mut self, process: Process, version: u64) {
        let version = if self.random.bool() { version } else { self.newest };
        let file = self.files.entry(process).or_default();
        *file = version.max(*file);
        let ring = Arc::clone(&self.rings[version as usize - 1]);
        self.adopt(process, ring);
    }

    pub(crate) fn adopt(&mut self, process: Process, ring: Arc<Ring>) {
        // What was said under the ring before is to be judged by that.
        self.answer_bells();
        let now = self.instant();
        self.say(|| format!("{process:?} reads ring {}", ring.version()));
        match process {
            Process::Gateway(gateway) => {
                if let Some(own) = &mut self.gateways[gateway] {
                    own.adopt(ring, self.now, now);
                    self.after_gateway(gateway);
                }
            }
            Process::Server(spot) => {
                if let Some(own) = self.servers.get_mut(spot).and_then(Option::as_mut) {
                    let before = own.ownership.ring_version();
                    own.handoff.adopt(ring, now);
                    let after = own.ownership.ring_version();
                    if after < before {
                        let text = format!("server {spot} goes back from ring {before} to ring {after}");
                        self.checker.fail(Invariant::RingsGrow, text);
                    }
                    own.tell_rings();
                }
            }
        }
    }

    pub(super) fn tick_gateway(&mut self, gateway: usize, life: Incarnation) {
        let now = self.instant();
        let Some(own) = self.gateways[gateway].as_mut().filter(|own| own.life == life) else { return };
        own.tick(now);
        own.say_what_is_seen(self.now);
        let over = own.let_go();
        for upstream in over {
            self.drop_upstream(gateway, upstream, None);
        }
        self.keep_links(gateway);
        self.after_gateway(gateway);
        self.after(TICK, Event::TickGateway(gateway, life));
    }

    pub(super) fn tick_server(&mut self, spot: usize, life: Incarnation) {
        let now = self.instant();
        self.note_who_is_parted(spot);
        let Some(own) = self.servers[spot].as_mut().filter(|own| own.life == life) else { return };
        own.handoff.tick(now);
        own.table.sweep(now);
        own.tell_rings();
        self.keep_peers(spot);
        self.after(TICK, Event::TickServer(spot, life));
    }

    pub(crate) fn end_link(&mut self, spot: usize, line: Line, ending: Ending) {
        let now = self.instant();
        if let Some(server) = &mut self.servers[spot] {
            server.end(line, ending, now);
        }
        self.close(line, End::Acceptor, false);
    }
}
