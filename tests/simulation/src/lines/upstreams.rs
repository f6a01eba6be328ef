//! A gateway's end of its links: they are opened, heard, kept alive and dropped.

use std::sync::Arc;

use campanile_proto::link::{PING_INTERVAL, SILENT_AFTER};
use campanile_proto::message::Hello;
use campanile_proto::{FromGateway, FromTopicServer, LINK_VERSION};
use campanile_ring_config::Ring;

use crate::gateway::State;
use crate::network::{End, Line, Micros, Packet, Purpose};
use crate::plan::Process;
use crate::world::World;

/// How long a link may take to open.
const OPEN_TIMEOUT: Micros = 5_000_000;

const SILENT: Micros = SILENT_AFTER.as_micros() as Micros;
const PING: Micros = PING_INTERVAL.as_micros() as Micros;

impl World {
    pub(super) fn gateway_gets(&mut self, gateway: usize, line: Line, packet: Packet) {
        let now = self.instant();
        let Some(own) = &mut self.gateways[gateway] else { return };
        let upstream = own.routes.upstreams.iter().position(|upstream| upstream.line() == Some(line));
        let Some(upstream) = upstream else { return };
        let Packet::Server { items, .. } = packet else {
            return self.drop_upstream(gateway, upstream, Some(line));
        };
        own.routes.upstreams[upstream].heard = self.now;
        for item in items {
            let Some(own) = &mut self.gateways[gateway] else { return };
            match item {
                FromTopicServer::Welcome(welcome) => {
                    if welcome.member != own.routes.upstreams[upstream].place.name {
                        return self.drop_upstream(gateway, upstream, Some(line));
                    }
                    own.link_up(upstream, welcome.incarnation, self.now, now);
                }
                FromTopicServer::Rings(rings) => {
                    // Only a member of the ring that we have is believed (R1).
                    let place = &own.routes.upstreams[upstream].place;
                    let member = own.routes.ring.member(&place.name);
                    let is_member = member.is_some_and(|member| member.address() == place.address);
                    let ring = Ring::parse("offered", &rings.newest).expect("a good ring");
                    if is_member && ring.version() > own.routes.ring.version() {
                        self.adopt(Process::Gateway(gateway), Arc::new(ring));
                    }
                }
                item => own.receive(upstream, item, now),
            }
        }
    }

    /// A link of a gateway is over; the next attempt comes after a pause.
    pub(crate) fn drop_upstream(&mut self, gateway: usize, upstream: usize, line: Option<Line>) {
        let now = self.instant();
        let Some(own) = &mut self.gateways[gateway] else { return };
        let line = line.or(own.routes.upstreams[upstream].line());
        own.link_down(upstream, self.now, now);
        let own = &mut own.routes.upstreams[upstream];
        let pause = own.backoff.next(self.random.f64());
        own.next = self.now + pause.as_micros() as Micros;
        if let Some(line) = line {
            self.close(line, End::Dialer, false);
        }
    }

    /// Opens links that are missing, keeps alive those that are there, cuts those that are silent.
    pub(crate) fn keep_links(&mut self, gateway: usize) {
        let Some(own) = &self.gateways[gateway] else { return };
        for upstream in 0..own.routes.upstreams.len() {
            let Some(own) = &mut self.gateways[gateway] else { return };
            let up = &mut own.routes.upstreams[upstream];
            match up.state {
                State::Idle if !up.let_go && up.next <= self.now => self.dial(gateway, upstream),
                State::Idle => {}
                State::Opening { since, .. } => {
                    if self.now > since + OPEN_TIMEOUT {
                        self.drop_upstream(gateway, upstream, None);
                    }
                }
                State::Up { .. } => {
                    if self.now > up.heard + SILENT {
                        self.say(|| format!("Gateway({gateway}) cuts the silent link to {upstream}"));
                        self.drop_upstream(gateway, upstream, None);
                    } else if self.now >= up.pinged + PING {
                        up.pinged = self.now;
                        up.own(FromGateway::Ping(1));
                    }
                }
            }
        }
    }

    fn dial(&mut self, gateway: usize, upstream: usize) {
        let Some(own) = &mut self.gateways[gateway] else { return };
        let place = own.routes.upstreams[upstream].place.clone();
        let process = Process::Gateway(gateway);
        let spot = self.plan.spots.iter().position(|spot| spot.address == place.address);
        let target = spot.and_then(|spot| Some((spot, self.servers[spot].as_ref()?.life)));
        let Some((spot, life)) = target else {
            return self.drop_upstream(gateway, upstream, None);
        };
        let other = Process::Server(spot);
        if self.network.is_cut(process, other, self.now) || self.network.is_cut(other, process, self.now) {
            own.routes.upstreams[upstream].next = self.now + 200_000;
            return;
        }
        let number = own.next_link();
        let previous_rings = own.previous_rings(self.now);
        let hello = FromGateway::Hello(Hello {
            link_version: LINK_VERSION,
            gateway: format!("g{gateway}"),
            incarnation: own.life,
            link_number: number,
            member: place.name,
            address: place.address,
            ring_version: own.routes.ring.version(),
            ring_digest: own.routes.ring.digest(),
            previous_rings,
        });
        let line = self.network.open(Purpose::Link, (process, own.life), (other, life), self.now);
        own.routes.upstreams[upstream].open(line, number, hello, self.now);
    }

    /// Plans writes for what a gateway has queued.
    pub(crate) fn after_gateway(&mut self, gateway: usize) {
        let Some(own) = &self.gateways[gateway] else { return };
        let upstreams = own.routes.upstreams.iter();
        let lines: Vec<Line> = upstreams
            .filter(|upstream| upstream.has_items())
            .filter_map(|upstream| upstream.line())
            .collect();
        for line in lines {
            self.plan_write(line, End::Dialer);
        }
    }
}
