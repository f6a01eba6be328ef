//! The end of a run: everything heals, comes to rest, and nothing may be left over.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use campanile_proto::message::Place;

use super::{Event, World};
use crate::checker::Invariant;
use crate::gateway::Gateway;
use crate::network::End;
use crate::plan::Process;
use crate::server::{Server, number_of};

impl World {
    /// Everything heals, and everybody has the newest ring soon.
    pub(super) fn calm_down(&mut self) {
        self.calm = true;
        self.say(|| "everything heals".to_owned());
        self.network.heal_all();
        for line in self.network.all() {
            self.at(self.now, Event::Arrive(line, End::Dialer));
            self.at(self.now, Event::Arrive(line, End::Acceptor));
        }
        for gateway in 0..self.gateways.len() {
            self.start(Process::Gateway(gateway));
        }
        let ring = Arc::clone(&self.rings[self.newest as usize - 1]);
        for spot in 0..self.servers.len() {
            let own = &self.plan.spots[spot];
            if ring.member(&own.name).is_some_and(|member| member.address() == own.address) {
                self.start(Process::Server(spot));
            }
        }
        let gateways = (0..self.gateways.len()).map(Process::Gateway);
        let servers = (0..self.servers.len()).map(Process::Server);
        for process in gateways.chain(servers) {
            let wait = self.random.u64(..600_000);
            self.after(wait, Event::Reach(process, self.newest));
        }
    }

    /// Everybody who wants a topic has all of it, the same as the others; then all leave.
    pub(super) fn come_to_rest(&mut self) {
        self.rest = true;
        let mut positions = vec![Vec::new(); self.plan.topics];
        for client in 0..self.clients.len() {
            let wants: Vec<usize> = self.clients[client].wants.keys().copied().collect();
            for topic in wants {
                let position = self.clients[client].listens_at(topic);
                self.checker.at_rest(client, topic, position, &positions[topic]);
                positions[topic].extend(position);
            }
        }
        self.receivers_are_counted();
        for client in 0..self.clients.len() {
            self.clients[client].wants.clear();
            self.lose_session(client);
        }
    }

    /// Owners know how many listeners count.
    fn receivers_are_counted(&mut self) {
        let mut counting: BTreeMap<Bytes, u32> = BTreeMap::new();
        for (topic, count) in self.gateways.iter().flatten().flat_map(Gateway::counting) {
            *counting.entry(topic).or_default() += count;
        }
        for (topic, count) in counting {
            let known: u32 = self.servers.iter().flatten().map(|server| server.table.listeners(&topic)).sum();
            if known != count {
                let topic = number_of(&topic);
                let text =
                    format!("{count} listeners of topic {topic} count, and its owner knows of {known}");
                self.checker.fail(Invariant::Answered, text);
            }
        }
    }

    /// Nothing is left over.
    pub(super) fn end(&mut self) {
        self.over = true;
        for (index, gateway) in self.gateways.iter().enumerate() {
            let topics = gateway.as_ref().map_or(0, Gateway::topics);
            if topics > 0 {
                self.checker.fail(Invariant::Answered, format!("gateway {index} still has {topics} topics"));
            }
        }
        for spot in 0..self.servers.len() {
            self.nothing_is_left_at(spot);
        }
        self.topics_are_where_they_belong();
    }

    fn nothing_is_left_at(&mut self, spot: usize) {
        let Some(server) = &self.servers[spot] else { return };
        let mut left = Vec::new();
        let subscriptions = server.metrics.subscriptions.get();
        if subscriptions != 0 {
            left.push(format!("server {spot} still counts {subscriptions} subscriptions"));
        }
        let waiting = server.table.waiting();
        if waiting > 0 {
            left.push(format!("{waiting} topics still wait at server {spot}"));
        }
        if !server.handoff.is_done() {
            left.push(format!("server {spot} still has something to hand over"));
        }
        if server.ownership.ring_version() != self.newest {
            left.push(format!("server {spot} has an old ring"));
        }
        if server.ownership.is_starting() {
            left.push(format!("server {spot} never ends its start"));
        }
        left.extend(self.what_peers_did_not_say(spot, server));
        left.into_iter().for_each(|text| self.checker.fail(Invariant::Answered, text));
    }

    /// Everybody who runs has told a server that nothing is left to give, so that no earlier ring stays open.
    fn what_peers_did_not_say(&self, spot: usize, server: &Server) -> Vec<String> {
        let mut left = Vec::new();
        let ring = server.ownership.ring();
        let clean: BTreeMap<Place, u64> = server.ownership.offers().clean.into_iter().collect();
        let peers = server.ownership.peers();
        let runs =
            |place: &Place| self.spot_at(&place.address).filter(|other| self.servers[*other].is_some());
        // A former member that is gone says nothing: its rings stay open, for all who were in them.
        let all_run = peers.iter().all(|place| runs(place).is_some());
        for place in peers {
            let Some(other) = runs(&place) else { continue };
            let said = clean.get(&place);
            if !server.is_linked(&place) {
                left.push(format!("server {spot} has no link to server {other}"));
            } else if said != Some(&self.newest) {
                left.push(format!("server {other} told server {spot} that all is given at {said:?} alone"));
            }
            let is_member = ring.members().iter().any(|member| member.address() == place.address);
            if !is_member && all_run {
                left.push(format!("server {spot} still asks server {other}, which is no member"));
            }
        }
        left
    }

    /// Every topic lies with its owner, and nowhere else.
    fn topics_are_where_they_belong(&mut self) {
        let mut holders: BTreeMap<Box<[u8]>, usize> = BTreeMap::new();
        for (spot, server) in self.servers.iter().enumerate() {
            let Some(server) = server else { continue };
            for name in server.table.names() {
                let topic = number_of(&name);
                if !server.ownership.owns(&name) {
                    let text =
                        format!("server {spot} still has topic {topic}, which the ring gives to another");
                    self.checker.fail(Invariant::NoStrangeTopic, text);
                }
                if let Some(other) = holders.insert(name, spot) {
                    let text = format!("servers {other} and {spot} both have topic {topic}");
                    self.checker.fail(Invariant::OneHolder, text);
                }
            }
        }
    }
}
