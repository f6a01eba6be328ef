//! A topic server's end of its links to gateways, and what it says on them.

use campanile_proto::message::Welcome;
use campanile_proto::{FromGateway, FromTopicServer, LINK_VERSION};
use campanile_topic_server::gateways::outbox::Ending;

use super::shown::post_of;
use crate::network::{End, Line, Packet};
use crate::world::{Woken, World};

impl World {
    pub(super) fn server_gets(&mut self, spot: usize, line: Line, packet: Packet) {
        let now = self.instant();
        let Some(own) = &mut self.servers[spot] else { return };
        let Packet::Gateway { items, age_us, .. } = packet else {
            return self.end_link(spot, line, Ending::Gone);
        };
        if own.links.contains_key(&line) {
            own.run(line, items, age_us, self.now, now);
            // Before the checker hears what was said to that.
            self.note_who_is_parted(spot);
            return;
        }
        let Some(FromGateway::Hello(hello)) = items.first() else { return };
        if !own.accepts(hello) {
            return self.close(line, End::Acceptor, false);
        }
        own.handoff.learn_previous(&hello.previous_rings, now);
        let waker = self.bell(Woken::Link(spot, line));
        let Some(own) = &mut self.servers[spot] else { return };
        let older = own.register(hello, line, waker, self.now, now);
        let ring = own.ownership.ring();
        if let Some(link) = own.links.get(&line) {
            link.outbox.push(FromTopicServer::Welcome(Welcome {
                link_version: LINK_VERSION,
                member: own.place.name.clone(),
                incarnation: own.life,
                ring_version: ring.version(),
                ring_digest: ring.digest(),
            }));
            link.outbox.push(FromTopicServer::Rings(own.ownership.offers()));
        }
        if let Some(older) = older {
            self.close(older, End::Acceptor, false);
        }
        self.listen(spot, line);
    }

    /// What a topic server has just said to a gateway: the checker hears it before anybody else.
    pub(crate) fn listen(&mut self, spot: usize, line: Line) {
        let Some(own) = &mut self.servers[spot] else { return };
        let said = own.listen(line);
        if said.is_empty() {
            return;
        }
        let life = own.life;
        let Some(gateway) = own.links.get(&line).map(|link| link.gateway) else { return };
        for item in said {
            let Some(own) = &mut self.servers[spot] else { return };
            match item {
                FromTopicServer::Subscribed { subscription, epoch, offset } => {
                    let Some(asked) = own.asked(line, subscription) else { continue };
                    asked.epoch = Some(epoch);
                    let topic = asked.topic;
                    let owns = own.ownership.owns(&self.names[topic]);
                    self.checker.subscribed(life, topic, epoch, offset, owns);
                    self.mix(epoch.0 ^ offset);
                }
                FromTopicServer::Deliver { subscription, offset, message } => {
                    let Some(asked) = own.asked(line, subscription).cloned() else { continue };
                    let Some(epoch) = asked.epoch else { continue };
                    let owns = own.ownership.owns(&self.names[asked.topic]);
                    let post = post_of(&message.payload);
                    self.checker.delivered(life, asked.topic, epoch, offset, post, owns);
                    self.mix(epoch.0 ^ offset ^ 1);
                }
                FromTopicServer::Published { number, epoch, offset, .. } => {
                    if let Some(attempt) = self.numbers.get(&(gateway, number)) {
                        let topic = self.checker.topic_of(*attempt);
                        let owns = own.ownership.owns(&self.names[topic]);
                        self.checker.sequenced(topic, epoch, offset, *attempt, owns);
                    }
                    self.mix(epoch.0 ^ offset ^ 2);
                }
                _ => {}
            }
        }
        self.plan_write(line, End::Acceptor);
    }
}
