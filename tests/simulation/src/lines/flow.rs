//! Batches are written to a connection and arrive at its other end.

use std::task::{Context, Poll};

use campanile_proto::FromTopicServer;
use campanile_proto::handoff::decode_peer_item;

use super::shown::shown;
use crate::network::{End, Line, Packet, Purpose};
use crate::plan::Process;
use crate::world::{Event, World};

/// Requests in one batch.
const BATCH: usize = 40;

impl World {
    pub(crate) fn plan_write(&mut self, line: Line, end: End) {
        if self.network.begin_write(line, end) {
            let wait = self.random.u64(..250);
            self.after(wait, Event::Write(line, end));
        }
    }

    pub(crate) fn write(&mut self, line: Line, end: End) {
        self.network.end_write(line, end);
        if !self.network.is_open(line, end) {
            return;
        }
        if !self.network.takes(line, end, self.now) {
            if self.network.begin_write(line, end) {
                self.after(20_000, Event::Write(line, end));
            }
            return;
        }
        let Some(connection) = self.network.get(line) else { return };
        let (purpose, process) = (connection.purpose, connection.process(end));
        let age_us = self.now - connection.opened;
        let now = self.instant();
        let (packet, more) = match (purpose, process) {
            (Purpose::Link, Process::Gateway(gateway)) => {
                let Some(own) = &mut self.gateways[gateway] else { return };
                let ring_version = own.routes.ring.version();
                let upstream = own.routes.upstreams.iter_mut().find(|upstream| upstream.line() == Some(line));
                let Some(upstream) = upstream else { return };
                let items = upstream.drain(now, BATCH);
                let more = upstream.has_items();
                ((!items.is_empty()).then_some(Packet::Gateway { ring_version, age_us, items }), more)
            }
            (Purpose::Link, Process::Server(spot)) => {
                let link = self.servers[spot].as_mut().and_then(|own| own.links.get_mut(&line));
                let Some(link) = link else { return };
                let mut batch = link.staged.pop_front();
                let more = !link.staged.is_empty();
                if self.plan.glitches && !self.calm && self.random.u32(..60) == 0 {
                    batch.iter_mut().for_each(|(_, items)| glitch(items));
                }
                (batch.map(|(ring_version, items)| Packet::Server { ring_version, items }), more)
            }
            (Purpose::Handoff, Process::Server(spot)) => {
                let Some(own) = &mut self.servers[spot] else { return };
                let ring_version = own.ownership.ring_version();
                let Some(peer) = own.peer(line) else { return };
                match peer.outbox.poll_batch(&mut Context::from_waker(&peer.waker), ring_version) {
                    Poll::Ready(Some(batch)) => {
                        let items = batch.items.into_iter();
                        let items =
                            items.map(|item| decode_peer_item(item).expect("what was encoded")).collect();
                        (Some(Packet::Peer { ring_version, items }), true)
                    }
                    Poll::Ready(None) => return self.end_peer(spot, line, end),
                    Poll::Pending => (None, false),
                }
            }
            (Purpose::Handoff, Process::Gateway(_)) => return,
        };
        if let Some(packet) = packet {
            self.say(|| format!("    {process:?} sends on {line}: {}", shown(&packet)));
            if let Some(at) = self.network.send(line, end, packet, self.now) {
                self.at(at, Event::Arrive(line, end.other()));
            }
        }
        if more {
            self.plan_write(line, end);
        }
    }

    pub(crate) fn arrive(&mut self, line: Line, end: End) {
        while let Some(packet) = self.network.receive(line, end, self.now) {
            let Some(connection) = self.network.get(line) else { return };
            let (purpose, process, life) =
                (connection.purpose, connection.process(end), connection.life(end));
            let is_alive = match process {
                Process::Gateway(gateway) => {
                    self.gateways[gateway].as_ref().is_some_and(|own| own.life == life)
                }
                Process::Server(spot) => self.servers[spot].as_ref().is_some_and(|own| own.life == life),
            };
            if !is_alive {
                return;
            }
            self.say(|| format!("{process:?} gets on {line}: {}", shown(&packet)));
            self.mix(line);
            match (purpose, process) {
                (Purpose::Link, Process::Gateway(gateway)) => {
                    self.gateway_gets(gateway, line, packet);
                    self.after_gateway(gateway);
                }
                (Purpose::Link, Process::Server(spot)) => self.server_gets(spot, line, packet),
                (Purpose::Handoff, Process::Server(spot)) => self.peer_gets(spot, line, end, packet),
                (Purpose::Handoff, Process::Gateway(_)) => {}
            }
        }
    }
}

/// What a topic server with a fault might do: say a delivery twice, or forget it (L3).
fn glitch(items: &mut Vec<FromTopicServer>) {
    let is_delivery = |item: &FromTopicServer| matches!(item, FromTopicServer::Deliver { .. });
    if let Some(index) = items.iter().position(is_delivery) {
        let FromTopicServer::Deliver { offset, .. } = &items[index] else { return };
        if offset % 2 == 0 {
            items.insert(index, items[index].clone());
        } else {
            items.remove(index);
        }
    }
}
