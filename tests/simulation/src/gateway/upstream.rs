//! The way out of a gateway: its ring, and one queue to each topic server.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use campanile_gateway::hub::publish::Budget;
use campanile_gateway::hub::state::{LinkView, MemberId, Request, Routes};
use campanile_process::backoff::Backoff;
use campanile_proto::message::{Place, Publish};
use campanile_proto::wire::{decode_gateway_item, encode_gateway_item};
use campanile_proto::{FromGateway, Incarnation};
use campanile_ring_config::Ring;

use crate::network::{Line, Micros};

/// The ring and the links.
#[derive(Debug)]
pub(crate) struct Map {
    pub(crate) ring: Arc<Ring>,
    pub(super) members: Vec<MemberId>,
    pub(crate) upstreams: Vec<Upstream>,
}

/// One topic server, as the gateway sees it.
#[derive(Debug)]
pub(crate) struct Upstream {
    pub(crate) place: Place,
    pub(crate) state: State,
    pub(crate) backoff: Backoff,
    /// When it is dialed next.
    pub(crate) next: Micros,
    pub(crate) former: bool,
    /// Nobody uses this former member any more.
    pub(crate) let_go: bool,
    pub(crate) heard: Micros,
    pub(crate) pinged: Micros,
    /// When its link went down last.
    pub(super) down_since: Option<Micros>,
    pub(super) budget: Arc<Budget>,
    pub(super) queue: VecDeque<Entry>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Idle,
    Opening { line: Line, number: u64, since: Micros },
    Up { line: Line, number: u64, owner: Incarnation, opened: Micros },
}

#[derive(Debug)]
pub(super) enum Entry {
    Own(FromGateway),
    Request(Request),
}

impl Routes for Map {
    fn owner(&self, topic: &[u8]) -> MemberId {
        self.members[self.ring.owner_index(topic)]
    }

    fn view(&self, member: MemberId) -> LinkView {
        self.upstreams[member.0 as usize].view(member)
    }
}

impl Upstream {
    fn view(&self, member: MemberId) -> LinkView {
        match self.state {
            State::Up { number, owner, .. } => LinkView { member, up: Some(number), owner },
            _ => LinkView { member, up: None, owner: Incarnation(0) },
        }
    }

    pub(crate) fn line(&self) -> Option<Line> {
        match self.state {
            State::Idle => None,
            State::Opening { line, .. } | State::Up { line, .. } => Some(line),
        }
    }

    pub(crate) fn own(&mut self, item: FromGateway) {
        self.queue.push_back(Entry::Own(item));
    }

    pub(crate) fn has_items(&self) -> bool {
        !self.queue.is_empty()
    }

    /// A link is being opened: its Hello comes first.
    pub(crate) fn open(&mut self, line: Line, number: u64, hello: FromGateway, now: Micros) {
        self.state = State::Opening { line, number, since: now };
        self.heard = now;
        self.pinged = now;
        self.queue.clear();
        self.own(hello);
    }

    /// The next batch, over the wire's own types and back.
    pub(crate) fn drain(&mut self, now: Instant, most: usize) -> Vec<FromGateway> {
        let owner = match self.state {
            State::Up { owner, .. } => Some(owner),
            _ => None,
        };
        let mut items = Vec::new();
        while items.len() < most
            && let Some(entry) = self.queue.pop_front()
        {
            if let Some(item) = entry.leave(owner, now) {
                items.push(decode_gateway_item(encode_gateway_item(item)).expect("what was encoded"));
            }
        }
        items
    }
}

impl Entry {
    /// What travels, or nothing: a publish whose time is up never leaves.
    fn leave(self, owner: Option<Incarnation>, now: Instant) -> Option<FromGateway> {
        match self {
            Self::Own(item) => Some(item),
            Self::Request(Request::Subscribe(subscription, topic, listeners)) => {
                Some(FromGateway::Subscribe { subscription, topic, listeners })
            }
            Self::Request(Request::Say(item)) => Some(*item),
            Self::Request(Request::Count(subscription, told)) => {
                let (listeners, change) = told.leave();
                Some(FromGateway::Count { subscription, listeners, change })
            }
            Self::Request(Request::Read(subscription, epoch, from)) => {
                Some(FromGateway::Read { subscription, epoch, from })
            }
            Self::Request(Request::Unsubscribe(subscription)) => {
                Some(FromGateway::Unsubscribe { subscription })
            }
            Self::Request(Request::Publish { pending, sending, settled_below, resend_epoch }) => {
                let time_left = pending.deadline.saturating_duration_since(now);
                if time_left.as_millis() == 0 || !owner.is_some_and(|owner| pending.hand_to(owner, sending)) {
                    return None;
                }
                Some(FromGateway::Publish(Publish {
                    slot: pending.slot,
                    topic: pending.topic.clone(),
                    number: pending.number,
                    settled_below,
                    time_left,
                    resend_epoch,
                    message: pending.message.clone(),
                    key: pending.key.clone(),
                }))
            }
        }
    }
}
