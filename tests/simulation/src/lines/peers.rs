//! Links among topic servers: both ends.

use std::time::Duration;

use campanile_process::backoff::Backoff;
use campanile_proto::handoff::FromPeer;
use campanile_proto::link::{PING_INTERVAL, SILENT_AFTER};
use campanile_proto::message::Place;
use campanile_proto::{FromTopicServer, Incarnation};
use campanile_topic_server::gateways::outbox::Ending;
use campanile_topic_server::handoff::PeerOutbox;

use crate::network::{End, Line, Micros, Packet, Purpose};
use crate::plan::Process;
use crate::server::{Dialed, Peer, Server};
use crate::world::{Woken, World};

const SILENT: Micros = SILENT_AFTER.as_micros() as Micros;
const PING: Micros = PING_INTERVAL.as_micros() as Micros;

impl World {
    pub(super) fn peer_gets(&mut self, spot: usize, line: Line, end: End, packet: Packet) {
        let now = self.instant();
        let Packet::Peer { items, .. } = packet else {
            return self.end_peer(spot, line, end);
        };
        let mut items = items.into_iter();
        let is_known = |own: &mut Server| own.peer(line).is_some_and(|peer| peer.incarnation.0 != 0);
        if !self.servers[spot].as_mut().is_some_and(is_known) {
            self.greet_peer(spot, line, end, items.next());
        }
        let Some(own) = &mut self.servers[spot] else { return };
        let mut newer = None;
        let known = own.peer(line).map(|peer| {
            peer.heard = self.now;
            (peer.place.clone(), peer.incarnation, peer.number)
        });
        let Some((place, incarnation, number)) = known.filter(|(_, incarnation, _)| incarnation.0 != 0)
        else {
            return;
        };
        for item in items {
            if let FromPeer::Ping(id) = item {
                if let Some(peer) = own.peer(line) {
                    peer.outbox.push(FromPeer::Pong(id));
                }
                continue;
            }
            let ring = match end {
                End::Dialer => own.handoff.from_giver(&place, number, item, now),
                End::Acceptor => own.handoff.from_taker(incarnation, number, item, now),
            };
            newer = ring.or(newer);
        }
        own.handoff.settle(now);
        let ring = own.ownership.ring();
        let is_member = ring.member(&place.name).is_some_and(|member| member.address() == place.address);
        if let Some(newer) = newer.filter(|_| is_member) {
            self.adopt(Process::Server(spot), newer);
        }
        if let Some(own) = &mut self.servers[spot] {
            own.tell_rings();
        }
    }

    fn greet_peer(&mut self, spot: usize, line: Line, end: End, first: Option<FromPeer>) {
        let now = self.instant();
        let waker = self.bell(Woken::Peer(line, end));
        let Some(own) = &mut self.servers[spot] else { return };
        match first {
            Some(FromPeer::Hello(hello)) => {
                let older = own.accepted.iter().find(|(_, peer)| peer.incarnation == hello.incarnation);
                let older = older.map(|(line, peer)| (*line, peer.number));
                if hello.to.name != own.place.name
                    || older.is_some_and(|(_, number)| number >= hello.link_number)
                {
                    return self.close(line, End::Acceptor, false);
                }
                if let Some((older, _)) = older {
                    self.end_peer(spot, older, End::Acceptor);
                }
                let Some(own) = &mut self.servers[spot] else { return };
                own.ownership.learn_address(&hello.to.address);
                let outbox = PeerOutbox::default();
                outbox.push(FromPeer::Welcome(own.handoff.welcome()));
                let peer = Peer {
                    place: hello.from.clone(),
                    incarnation: hello.incarnation,
                    number: hello.link_number,
                    outbox: outbox.clone(),
                    waker,
                    heard: self.now,
                    pinged: self.now,
                };
                own.accepted.insert(line, peer);
                own.handoff.accepted(&hello, outbox, now);
                self.plan_write(line, end);
            }
            Some(FromPeer::Welcome(welcome)) => {
                let Some(peer) = own.peer(line) else { return };
                peer.incarnation = welcome.incarnation;
                let (place, number, outbox) = (peer.place.clone(), peer.number, peer.outbox.clone());
                if welcome.incarnation == own.life || welcome.name != place.name {
                    return self.end_peer(spot, line, end);
                }
                if let Some(dialed) = own.dialed.get_mut(&place) {
                    dialed.backoff.reset();
                }
                own.handoff.dialed(&place, number, outbox, welcome.incarnation, now);
                self.plan_write(line, end);
            }
            _ => {}
        }
    }

    pub(super) fn end_peer(&mut self, spot: usize, line: Line, end: End) {
        let now = self.instant();
        let Some(own) = &mut self.servers[spot] else { return };
        match end {
            End::Acceptor => {
                if let Some(peer) = own.accepted.remove(&line) {
                    peer.outbox.close();
                    own.handoff.ended(peer.incarnation, peer.number, now);
                }
            }
            End::Dialer => {
                let found =
                    own.dialed.iter_mut().find(|(_, dialed)| dialed.line.is_some_and(|(own, _)| own == line));
                if let Some((place, dialed)) = found {
                    let place = place.clone();
                    dialed.line = None;
                    dialed.next = self.now + dialed.backoff.next(self.random.f64()).as_micros() as Micros;
                    if let Some(peer) = dialed.peer.take() {
                        peer.outbox.end();
                        own.handoff.undialed(&place, peer.number, now);
                    }
                }
            }
        }
        self.close(line, end, false);
    }

    /// Opens links that are missing, ends those that nobody wants, keeps alive those that are there.
    pub(crate) fn keep_peers(&mut self, spot: usize) {
        let Some(own) = &mut self.servers[spot] else { return };
        let wanted = own.handoff.wanted();
        for place in &wanted {
            own.dialed.entry(place.clone()).or_insert_with(|| Dialed {
                line: None,
                peer: None,
                next: self.now,
                backoff: Backoff::new(Duration::from_millis(50), Duration::from_secs(1)),
            });
        }
        let mut over = Vec::new();
        let mut missing = Vec::new();
        for (place, dialed) in &mut own.dialed {
            match (&mut dialed.peer, dialed.line) {
                (_, Some((line, _))) if !wanted.contains(place) => over.push((line, End::Dialer)),
                (Some(peer), Some((line, _))) => {
                    let silent = peer.is_silent(self.now);
                    over.extend(silent.then_some((line, End::Dialer)));
                }
                (_, None) if wanted.contains(place) && dialed.next <= self.now => missing.push(place.clone()),
                _ => {}
            }
        }
        for (line, peer) in &mut own.accepted {
            if peer.is_silent(self.now) {
                over.push((*line, End::Acceptor));
            }
        }
        let mut cut = Vec::new();
        for (line, link) in &mut own.links {
            if self.now > link.heard + SILENT {
                cut.push(*line);
            } else if self.now >= link.pinged + PING {
                link.pinged = self.now;
                link.outbox.push(FromTopicServer::Ping(1));
            }
        }
        for (line, end) in over {
            self.say(|| format!("Server({spot}) ends its {end:?} end of {line}"));
            self.end_peer(spot, line, end);
        }
        for line in cut {
            self.say(|| format!("Server({spot}) cuts the silent link {line}"));
            self.end_link(spot, line, Ending::Silent);
        }
        if let Some(own) = &mut self.servers[spot] {
            own.dialed.retain(|place, dialed| wanted.contains(place) || dialed.line.is_some());
        }
        for place in missing {
            self.dial_peer(spot, place);
        }
    }

    fn dial_peer(&mut self, spot: usize, place: Place) {
        let now = self.instant();
        let process = Process::Server(spot);
        let at = self.spot_at(&place.address);
        let target = at.and_then(|other| Some((other, self.servers[other].as_ref()?.life)));
        let host_is_gone = at.is_some_and(|other| self.gone[other]);
        let pause = self.random.f64();
        let is_cut = at.is_some_and(|other| {
            let other = Process::Server(other);
            self.network.is_cut(process, other, self.now) || self.network.is_cut(other, process, self.now)
        });
        let Some(own) = &mut self.servers[spot] else { return };
        let Some(dialed) = own.dialed.get_mut(&place) else { return };
        if is_cut {
            dialed.next = self.now + 200_000;
            return;
        }
        let Some((other, life)) = target else {
            dialed.next = self.now + dialed.backoff.next(pause).as_micros() as Micros;
            if !host_is_gone {
                own.handoff.refused(&place, now);
            }
            return;
        };
        own.numbers += 1;
        let number = own.numbers;
        let hello = own.handoff.hello(&place, number);
        let line = self.network.open(
            Purpose::Handoff,
            (process, own.life),
            (Process::Server(other), life),
            self.now,
        );
        let outbox = PeerOutbox::default();
        outbox.push(FromPeer::Hello(hello));
        let waker = self.bell(Woken::Peer(line, End::Dialer));
        let Some(own) = &mut self.servers[spot] else { return };
        let peer = Peer {
            place: place.clone(),
            // Known when it has said so.
            incarnation: Incarnation(0),
            number,
            outbox,
            waker,
            heard: self.now,
            pinged: self.now,
        };
        if let Some(dialed) = own.dialed.get_mut(&place) {
            dialed.line = Some((line, number));
            dialed.peer = Some(peer);
        }
        self.plan_write(line, End::Dialer);
    }
}

impl Peer {
    /// Asks for a sign of life now and then. Whether there has been none for too long.
    fn is_silent(&mut self, now: Micros) -> bool {
        if self.incarnation.0 != 0 && now >= self.pinged + PING {
            self.pinged = now;
            self.outbox.push(FromPeer::Ping(1));
        }
        now > self.heard + SILENT
    }
}
